//! From what a request asks for to a purge: the target in comparison form, under the rules of its site.

use forebay_cache::key::CacheKey;
use forebay_cache::purge::{Purge, Scope, What};
use forebay_config::Config;

use super::dialect::Wish;
use crate::http::Refusal;
use crate::runtime::Runtime;
use crate::site::Site;
use crate::stages::admit::Form;
use crate::stages::key;
use crate::stages::normalize::normalize;
use crate::stages::route::Routes;

/// Whose responses are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those of a host, and the port it was named with.
    Host { name: String, authority: String },
    /// Those of all hosts.
    Everywhere,
}

impl Reach {
    /// The host in an authority, in comparison form.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn of_authority(authority: &[u8]) -> Result<Self, Refusal> {
        let form = Form::Origin { authority: Some(authority), path_query: b"/" };
        let target = normalize(&form, "http")?;
        Ok(Self::Host { name: target.host().to_owned(), authority: target.authority })
    }

    fn scope(&self) -> Scope {
        match self {
            Self::Host { name, .. } => Scope::Host(name.clone()),
            Self::Everywhere => Scope::Everywhere,
        }
    }

    /// The site of the host, where it is served.
    pub(crate) fn site<'r>(&self, routes: &'r Routes) -> Option<&'r std::sync::Arc<Site>> {
        match self {
            Self::Host { name, .. } => routes.site(name),
            Self::Everywhere => None,
        }
    }
}

/// The purge of `wish`, and the keys it is most likely about if it is of one URL.
///
/// # Errors
///
/// The target is none that a request could have.
pub(crate) fn purge(
    runtime: &Runtime,
    reach: &Reach,
    wish: Wish,
    soft: bool,
) -> Result<(Purge, Vec<CacheKey>), Refusal> {
    let site = reach.site(&runtime.routes).map(AsRef::as_ref);
    let mut keys = Vec::new();
    let what = match wish {
        Wish::As(what) => what,
        Wish::Page(path) => What::Page(canonical(site, &path)?.0),
        // A prefix may end within an encoded character; then it is taken as it is.
        Wish::Prefix(prefix) => {
            What::Prefix(canonical(None, &prefix).map_or(prefix, |(path, query)| whole(path, query)))
        }
        Wish::Url(target) => {
            let (path, query) = canonical(site, &target)?;
            if let Reach::Host { name, authority } = reach {
                keys = likely(&runtime.config, name, authority, &path, query.as_deref());
            }
            What::Url(whole(path, query))
        }
    };
    Ok((Purge { scope: reach.scope(), what, soft }, keys))
}

fn whole(path: String, query: Option<String>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// Path and query as a key of `site` has them.
fn canonical(site: Option<&Site>, target: &str) -> Result<(String, Option<String>), Refusal> {
    let form = Form::Origin { authority: Some(b"x"), path_query: target.as_bytes() };
    let target = normalize(&form, "http")?;
    let query = match site {
        Some(site) => target.query.as_deref().and_then(|query| key::shape(query, &site.route(&target.path).rules)),
        None => target.query,
    };
    Ok((target.path, query))
}

/// The keys of a path and query on both schemes: without port, with that of the request, with those that are listened on.
fn likely(config: &Config, name: &str, authority: &str, path: &str, query: Option<&str>) -> Vec<CacheKey> {
    let mut authorities = vec![name.to_owned(), authority.to_owned()];
    authorities.extend(config.listen.iter().map(|listen| format!("{name}:{}", listen.address.port())));
    authorities.sort_unstable();
    authorities.dedup();
    let query = query.map(str::as_bytes);
    let keys = authorities
        .iter()
        .flat_map(|authority| ["http", "https"].map(|scheme| CacheKey::new(scheme, authority, path, query)));
    keys.collect()
}
