//! Presets: the rules a site starts from.

mod wordpress;

use std::time::Duration;

use crate::model::{CacheRules, Preset, Protection, SetCookie};

/// The rules before the site's own words.
pub(crate) fn cache_rules(preset: Option<Preset>) -> CacheRules {
    match preset {
        None => CacheRules {
            enabled: true,
            set_cookie: SetCookie::Refuse,
            bypass_cookies: Vec::new(),
            bypass_paths: Vec::new(),
            bypass_params: Vec::new(),
            bypass_fields: Vec::new(),
            ignore_params: Vec::new(),
            ignore_cookies: Vec::new(),
            max_queries: None,
            deception_armor: true,
            leak_canary: None,
            surrogate_control: false,
            sort_query: false,
            drop_cookies: false,
            lifetimes: Vec::new(),
            max_lifetime: None,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            refresh_patterns: Vec::new(),
        },
        Some(Preset::WordPress) => wordpress::cache_rules(),
    }
}

/// The protection before the site's own words.
pub(crate) fn protection(preset: Option<Preset>) -> Protection {
    match preset {
        None => Protection::default(),
        Some(Preset::WordPress) => wordpress::protection(),
    }
}
