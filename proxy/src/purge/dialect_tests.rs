use super::*;

fn ask_with(method: &str, target: &str, lines: &[(&'static str, &str)], slash: PurgeSlash) -> Result<Asked, String> {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, value.parse().unwrap());
    }
    read(&Spoken { method, target, absolute: false, fields: &fields, slash })
}

fn ask(method: &str, target: &str, lines: &[(&'static str, &str)]) -> Wish {
    ask_with(method, target, lines, PurgeSlash::Page).unwrap().wish
}

fn url(text: &str) -> Wish {
    Wish::Url(text.to_owned())
}

fn under(text: &str) -> Wish {
    Wish::As(What::Prefix(text.to_owned()))
}

fn regex(text: &str) -> Wish {
    Wish::As(What::Regex(text.to_owned()))
}

fn tagged(tags: &[&str]) -> Wish {
    Wish::As(What::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect()))
}

const ALL: Wish = Wish::As(What::Everything);

#[test]
fn proxy_cache_purge_says_its_way() {
    let way = |way, target| ask("PURGE", target, &[("x-purge-method", way)]);
    assert_eq!(way("default", "/hello/"), url("/hello/"));
    assert_eq!(way("default", "/?p=12"), url("/?p=12"));
    assert_eq!(way("default", "/"), url("/"));
    assert_eq!(way("default", "/*"), ALL);
    assert_eq!(way("default", "/blog/*"), Wish::Prefix("/blog/".to_owned()));
    assert_eq!(way("regex", "/.*"), ALL);
    assert_eq!(way("regex", "/category/x/.*"), under("/category/x/"));
    let tags = |pattern| ask("PURGE", "/", &[("x-purge-method", "tags"), ("x-cache-tags-pattern", pattern)]);
    assert_eq!(tags("p-12|t-3|home"), tagged(&["home", "p-12", "t-3"]));
    assert_eq!(tags("(^|,)(p-12|t-3)(,|$)"), tagged(&["p-12", "t-3"]));
    assert_eq!(tags("(^|,)p\\-12(,|$)|\\bt-3\\b"), tagged(&["p-12", "t-3"]));
}

#[test]
fn what_a_way_lacks_is_said() {
    for lines in [
        &[("x-purge-method", "tags")][..],
        &[("x-purge-method", "fast")],
        &[("x-purge-method", "tags"), ("x-cache-tags-pattern", "|")],
        &[("xkey", " , ")],
    ] {
        assert!(ask_with("PURGE", "/", lines, PurgeSlash::Page).is_err(), "{lines:?}");
    }
    assert!(ask_with("PURGETAG", "/", &[], PurgeSlash::Page).is_err());
    assert!(ask_with("PURGE", "/(", &[("x-purge-method", "regex")], PurgeSlash::Page).is_err());
}

#[test]
fn w3_total_cache_says_no_way() {
    assert_eq!(ask("PURGE", "/hello/?a=b", &[]), url("/hello/?a=b"));
    assert_eq!(ask("PURGE", "/.*", &[]), ALL);
    assert_eq!(ask("PURGE", "/sitemap(_index)?\\.xml$", &[]), regex("/sitemap(_index)?\\.xml$"));
    assert_eq!(ask("PURGE", "/wp-content/(a).css", &[]), url("/wp-content/(a).css"), "brackets are no expression yet");
}

#[test]
fn vcaching_says_its_own_way_or_none() {
    let way = |way, target| ask("PURGE", target, &[("x-vc-purge-method", way)]);
    assert_eq!(way("default", "/hello/?a=b"), Wish::Page("/hello/".to_owned()));
    assert_eq!(way("exact", "/hello/?a=b"), url("/hello/?a=b"));
    assert_eq!(way("regex", "/hello/.*"), under("/hello/"));
    let bare = |target| ask("PURGE", target, &[("x-vc-purge-host", "a.test")]);
    assert_eq!(bare("/hello/"), Wish::Page("/hello/".to_owned()));
    assert_eq!(bare("/hello/?a"), url("/hello/?a"));
    assert_eq!(bare("/.*"), ALL);
    let asked = ask_with("PURGE", "/", &[("x-vc-purge-host", "a.test")], PurgeSlash::Page).unwrap();
    assert_eq!(asked.host.as_deref(), Some("a.test"));
    assert_eq!(ask("PURGE", "/blog/", &[("x-purge-regex", ".*"), ("x-vc-purge-key", "k")]), under("/blog/"));
    assert_eq!(ask("PURGE", "/blog/.*", &[("x-purge-regex", ".*")]), under("/blog/"));
}

#[test]
fn other_methods_mean_one_thing_each() {
    assert_eq!(ask("URLPURGE", "/hello/?a.*", &[]), url("/hello/?a.*"));
    assert_eq!(ask("BANALL", "/", &[]), ALL);
    assert_eq!(ask("PURGEALL", "/", &[]), ALL);
    assert_eq!(ask("BANDIR", "/dir/", &[]), Wish::Prefix("/dir/".to_owned()));
    assert_eq!(ask("PURGETAG", "/", &[("purgetag-list", "a, b")]), tagged(&["a", "b"]));
    assert_eq!(ask("BAN", "/", &[("cache-tags", "node:123")]), tagged(&["node:123"]));
    assert_eq!(ask("PURGE", "/purgeall", &[]), ALL);
}

#[test]
fn tags_of_every_dialect_are_read() {
    assert_eq!(ask("PURGE", "/", &[("xkey", "k1 k2"), ("xkey", "k3")]), tagged(&["k1", "k2", "k3"]));
    assert_eq!(ask("PURGE", "/", &[("xkey-purge", "k1")]), tagged(&["k1"]));
    assert_eq!(ask("PURGE", "/", &[("x-cache-tags", "t1,t2")]), tagged(&["t1", "t2"]));
    assert_eq!(ask("PURGE", "/souin-api/souin/", &[("surrogate-key", "a, b")]), tagged(&["a", "b"]));
    assert_eq!(ask("PURGE", "/souin-api/souin/flush", &[]), ALL);
}

#[test]
fn a_bare_slash_is_what_the_site_says() {
    let bare = |lines: &[(&'static str, &str)]| ask_with("PURGE", "/", lines, PurgeSlash::Host).unwrap().wish;
    assert_eq!(bare(&[]), ALL);
    assert_eq!(bare(&[("x-purge-method", "default")]), url("/"), "a client that says its way means the page");
    assert_eq!(bare(&[("x-cache-tags", "t1")]), tagged(&["t1"]));
    assert_eq!(ask("PURGE", "/", &[]), url("/"));
}

#[test]
fn soft_and_hard_are_words_of_several_dialects() {
    let soft = |lines| ask_with("PURGE", "/", lines, PurgeSlash::Page).unwrap().soft;
    assert_eq!(soft(&[]), None);
    assert_eq!(soft(&[("fastly-soft-purge", "1")]), Some(true));
    assert_eq!(soft(&[("fastly-soft-purge", "0")]), Some(false));
    assert_eq!(soft(&[("x-purge", "invalidate")]), Some(true));
    assert_eq!(soft(&[("x-purge", "delete")]), Some(false));
    assert_eq!(soft(&[("xkey-softpurge", "a")]), Some(true));
}

#[test]
fn a_purge_by_get_names_what_follows() {
    assert_eq!(read_get("hello/?a=b").wish, url("/hello/?a=b"));
    assert_eq!(read_get("").wish, url("/"));
    assert_eq!(read_get("blog/*").wish, Wish::Prefix("/blog/".to_owned()));
    assert_eq!(read_get("x").not_cached, Some(404));
}
