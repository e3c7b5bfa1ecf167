//! LSCache: its plugin purges by fields of responses, of whatever response comes along (`X-LiteSpeed-Purge`).

use std::sync::Arc;

use forebay_cache::purge::What;
use http::HeaderMap;

use super::dialect::Wish;
use super::target::{self, Reach};
use super::{Order, Origin, carry_out};
use crate::runtime::Runtime;

/// Fields that carry purges; a second one is for those that are to come after the first.
const FIELDS: [&str; 2] = ["x-litespeed-purge", "x-litespeed-purge2"];

/// An exchange whose response may purge its host.
pub(crate) struct Drives {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) authority: String,
}

impl Drives {
    /// Carries out what the fields of a response say, before anybody gets to see it.
    pub(crate) async fn obey(&self, fields: &HeaderMap) {
        if !FIELDS.iter().any(|name| fields.contains_key(*name)) {
            return;
        }
        let Ok(reach) = Reach::of_authority(self.authority.as_bytes()) else { return };
        for (wish, soft) in FIELDS.iter().flat_map(|name| fields.get_all(*name)).flat_map(|line| read(line.as_bytes()))
        {
            let Ok((purge, keys)) = target::purge(&self.runtime, &reach, wish, soft) else { continue };
            let order = Order { purge, keys, dry_run: false, origin: Origin::Upstream, dialect: "litespeed" };
            if let Err(error) = carry_out(&self.runtime.lasting, &order).await {
                self.runtime.lasting.metrics.purges.refused(Origin::Upstream);
                tracing::warn!(%error, host = self.authority, "X-LiteSpeed-Purge is not understood");
            }
        }
    }
}

/// `public,stale,tag1,tag2;private,*`: sections by semicolons, each of one kind. `stale` is soft; private caches, one a
/// visitor, are not kept here.
fn read(line: &[u8]) -> Vec<(Wish, bool)> {
    let Ok(line) = std::str::from_utf8(line) else { return Vec::new() };
    line.split(';').flat_map(section).collect()
}

fn section(section: &str) -> Vec<(Wish, bool)> {
    let (mut soft, mut tags, mut wishes) = (false, Vec::new(), Vec::new());
    for item in section.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        match item {
            "private" => return Vec::new(),
            "public" => {}
            "stale" => soft = true,
            "*" => wishes.push(Wish::As(What::Everything)),
            path if path.starts_with('/') => wishes.push(Wish::Url(path.to_owned())),
            other => match other.split_once('=') {
                Some(("tag", tag)) => tags.push(tag.to_owned()),
                Some(("url" | "uri", path)) if path.starts_with('/') => wishes.push(Wish::Url(path.to_owned())),
                _ => tags.push(other.to_owned()),
            },
        }
    }
    if !tags.is_empty() {
        wishes.push(Wish::As(What::Tags(tags)));
    }
    wishes.into_iter().map(|wish| (wish, soft)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(names: &[&str]) -> Wish {
        Wish::As(What::Tags(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[test]
    fn sections_say_what_and_how() {
        assert_eq!(read(b"public,a1_Po.1,a1_F;private,*"), [(tags(&["a1_Po.1", "a1_F"]), false)]);
        assert_eq!(read(b"public,stale,a1_Po.1"), [(tags(&["a1_Po.1"]), true)]);
        assert_eq!(read(b"*"), [(Wish::As(What::Everything), false)]);
        assert_eq!(read(b"tag=a, tag=b"), [(tags(&["a", "b"]), false)]);
        assert_eq!(
            read(b"/hello/, url=/b"),
            [(Wish::Url("/hello/".to_owned()), false), (Wish::Url("/b".to_owned()), false)]
        );
        assert_eq!(read(b"private,*"), []);
        assert_eq!(read(b";,, ;"), []);
    }
}
