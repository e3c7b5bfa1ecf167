//! Which word of the configuration decided, and where it stands.
//!
//! A stage says which of its lists objected. Which element of the list it was is found by asking the same function with
//! one element at a time.

use forebay_cache::key::{ParamMatcher, shape_query};
use forebay_cache::semantics::{RefreshPattern, RefreshPatterns};
use forebay_config::model::{CacheRules, Site};
use forebay_config::{Part, Places, Within};

use super::finding::{Ignored, Named, Rule};
use crate::http::Request;
use crate::runtime::Runtime;
use crate::service::Visit;
use crate::site::{ParamRule, PathRule};
use crate::stages::key::{has_cookie, has_param};
use crate::stages::normalize::Target;

/// The words that hold for a visit.
pub(super) struct Words<'r> {
    places: &'r Places,
    within: Within,
    name: &'r str,
    site: Option<&'r Site>,
    rules: Option<&'r CacheRules>,
}

impl<'r> Words<'r> {
    pub(super) fn of(runtime: &'r Runtime, visit: &'r Visit) -> Self {
        let index =
            runtime.sites.iter().position(|site| std::sync::Arc::ptr_eq(site, &visit.site)).unwrap_or(usize::MAX);
        let site = runtime.config.sites.get(index);
        let route = site.and_then(|site| site.routes.iter().position(|route| route.path == visit.route.prefix()));
        let of_route = site.zip(route).and_then(|(site, route)| site.routes.get(route)).map(|route| &route.cache);
        Self {
            places: &runtime.places,
            within: Within { site: index, route },
            name: visit.site.metrics.label(),
            site,
            rules: of_route.or_else(|| site.map(|site| &site.cache)),
        }
    }

    pub(super) fn site(&self) -> Option<Named> {
        let within = Within { route: None, ..self.within };
        Some(Named { name: self.name.to_owned(), place: self.places.table(within) })
    }

    /// `None` where the site's own words hold.
    pub(super) fn route(&self, visit: &Visit) -> Option<Named> {
        self.within.route?;
        Some(Named { name: visit.route.prefix().to_owned(), place: self.places.table(self.within) })
    }

    /// A word, by its own place or that of the preset that brings it.
    fn rule(&self, word: &'static str, value: Option<String>, part: Part<'_>) -> Rule {
        let own = self.places.word(self.within, word, part);
        let by_preset = own.is_none() && self.site.is_some_and(|site| site.preset.is_some());
        let preset = || self.places.word(self.within, "preset", Part::Whole).filter(|_| by_preset);
        Rule { word, value, place: own.or_else(preset), by_preset }
    }

    fn element(&self, word: &'static str, list: &[String], decides: impl Fn(&str) -> bool) -> Option<Rule> {
        let value = list.iter().find(|value| decides(value))?;
        Some(self.rule(word, Some(value.clone()), Part::Named(value)))
    }

    /// The word behind a reason to pass.
    pub(super) fn of_pass(&self, code: &str, request: &Request, target: &Target) -> Option<Rule> {
        let rules = self.rules?;
        match code {
            "cache-off" => Some(self.rule("cache", Some("off".to_owned()), Part::Whole)),
            "bypass-cookie" => self.element("bypass_cookies", &rules.bypass_cookies, |name| {
                has_cookie(request, &ParamMatcher::new([name]))
            }),
            "bypass-path" => {
                self.element("bypass_paths", &rules.bypass_paths, |path| PathRule::new(path).matches(&target.path))
            }
            "bypass-param" => {
                let query = target.query.as_deref()?;
                let decides = |param: &str| has_param(query, &[ParamRule::new(param)]);
                self.element("bypass_params", &rules.bypass_params, decides)
            }
            "bypass-field" => {
                let decides = |name: &str| request.fields.contains_key(name);
                self.element("bypass_fields", &rules.bypass_fields, decides)
            }
            _ => None,
        }
    }

    /// The parameters that are left out of the key.
    pub(super) fn ignored(&self, target: &Target) -> Vec<Ignored> {
        let (Some(rules), Some(query)) = (self.rules, &target.query) else { return Vec::new() };
        let by = |param: &str| {
            self.element("ignore_params", &rules.ignore_params, |name| {
                shape_query(param.as_bytes(), &ParamMatcher::new([name]), false).is_none()
            })
        };
        let params = query.split('&').filter(|param| !param.is_empty());
        params
            .filter_map(|param| {
                let parameter = param.split('=').next().unwrap_or(param).to_owned();
                by(param).map(|rule| Ignored { parameter, rule })
            })
            .collect()
    }

    /// The `refresh_pattern` that is found in `url` first.
    pub(super) fn refresh_pattern(&self, url: &str) -> Option<Rule> {
        let patterns = &self.rules?.refresh_patterns;
        let index = patterns.iter().position(|rule| {
            let one = RefreshPattern::new(&rule.pattern, rule.ignore_case, rule.min, rule.percent, rule.max);
            one.is_ok_and(|one| RefreshPatterns::from_iter([one]).find(url).is_some())
        })?;
        let pattern = patterns.get(index)?.pattern.clone();
        Some(self.rule("refresh_pattern", Some(pattern), Part::At(index)))
    }

    /// `lifetimes` of this status.
    pub(super) fn lifetimes(&self, status: u16) -> Rule {
        let status = status.to_string();
        self.rule("lifetimes", Some(status.clone()), Part::Named(&status))
    }

    /// `max_lifetime`, with its value.
    pub(super) fn max_lifetime(&self) -> Option<Rule> {
        let ceiling = self.rules?.max_lifetime?;
        Some(self.rule("max_lifetime", Some(humantime::format_duration(ceiling).to_string()), Part::Whole))
    }
}
