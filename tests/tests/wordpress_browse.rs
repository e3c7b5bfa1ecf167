//! Everybody browses a real farm at once, and nobody ever sees a page that was made for somebody else: each page says for
//! whom WordPress made it.

use std::time::{Duration, Instant};

use forebay_tests::wordpress::{ADMIN, SITE};
use forebay_tests::{Answer, Browser, Proxy, WordPress};

const AUTHOR: (&str, &str) = ("writer", "the-river-writes-itself");

/// How long they browse.
const BROWSING: Duration = Duration::from_secs(10);

/// Pages that anybody may see.
const PAGES: [&str; 9] = [
    "/",
    "/hello-world/",
    "/sample-page/",
    "/author/miller/",
    "/category/uncategorized/",
    "/?s=mill",
    "/?utm_source=letter",
    "/hello-world/?fbclid=1",
    "/wp-login.php?interim-login=0",
];

/// Pages of those who are logged in.
const OFFICES: [&str; 4] = ["/wp-admin/", "/wp-admin/profile.php", "/wp-admin/edit.php", "/?preview=true"];

/// For whom WordPress made a page: `user:NAME`, `commenter:NAME` or `stranger`.
fn made_for(answer: &Answer) -> Option<String> {
    let page = String::from_utf8_lossy(&answer.decoded()).into_owned();
    let rest = page.split_once("made-for[")?.1;
    Some(rest.split_once(']')?.0.to_owned())
}

/// A small generator is enough for visits in no order (splitmix64).
struct Random(u64);

impl Random {
    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        list[usize::try_from((mixed ^ (mixed >> 27)) >> 1).unwrap() % list.len()]
    }
}

/// Visits pages at random until the time is over; every page must be made for `who`. How many were, and how many of
/// those had to be made anew.
fn browse(mut browser: Browser, who: &str, pages: &[&str], seed: u64, until: Instant) -> (usize, usize) {
    let (mut random, mut count, mut made) = (Random(seed), 0, 0);
    while Instant::now() < until {
        let target = random.of(pages);
        let answer = browser.visit(target);
        let html = answer.field("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        if answer.status != 200 || !html {
            continue;
        }
        // The login form is no page of the theme.
        let Some(found) = made_for(&answer) else { continue };
        assert_eq!(found, who, "{who} was shown a page made for {found}: {target}: {answer}");
        count += 1;
        made += usize::from(answer.cache() != "HIT");
    }
    (count, made)
}

/// Leaves a comment, so that WordPress knows the visitor's name from then on.
fn comment(browser: &mut Browser, name: &str) {
    let email = format!("{name}@wp.test");
    let text = format!("Said {name}.");
    let form = [
        ("comment", text.as_str()),
        ("author", name),
        ("email", &email),
        ("comment_post_ID", "1"),
        ("comment_parent", "0"),
        ("wp-comment-cookies-consent", "yes"),
    ];
    let answer = browser.post("/wp-comments-post.php", &form);
    assert_eq!(answer.status, 302, "{answer}");
    assert!(browser.cookie("comment_author_").is_some());
}

fn open(https: bool, proxy: &Proxy) -> Browser {
    if https { Browser::https(SITE, proxy) } else { Browser::http(SITE, proxy) }
}

#[test]
fn nobody_ever_sees_a_page_made_for_somebody_else() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let mut admin = open(false, &proxy);
    admin.log_in();
    admin.add_user(AUTHOR.0, AUTHOR.1, "author");
    let mut author = open(false, &proxy);
    author.log_in_as(AUTHOR.0, AUTHOR.1);
    let mut commenter = open(false, &proxy);
    comment(&mut commenter, "Jane");
    for https in [false, true] {
        let mut stranger = open(https, &proxy);
        for page in PAGES {
            stranger.visit(page);
        }
    }
    let everything: Vec<&str> = PAGES.iter().chain(&OFFICES).copied().collect();
    let until = Instant::now() + BROWSING;
    let admin_is = format!("user:{}", ADMIN.0);
    let author_is = format!("user:{}", AUTHOR.0);
    std::thread::scope(|scope| {
        let strangers = [1, 2, 3].map(|seed| {
            let browser = open(seed == 3, &proxy);
            scope.spawn(move || browse(browser, "stranger", &PAGES, seed, until))
        });
        let known = [
            (commenter, "commenter:Jane", &PAGES[..]),
            (author, author_is.as_str(), &everything[..]),
            (admin, admin_is.as_str(), &everything[..]),
        ];
        let known = known.map(|(browser, who, pages)| scope.spawn(move || browse(browser, who, pages, 7, until)));
        for stranger in strangers {
            let (count, made) = stranger.join().unwrap();
            assert!(count > 50, "a stranger saw {count} pages");
            assert_eq!(made, 0, "of {count} pages of a stranger so many were no hits");
        }
        for known in known {
            let (count, made) = known.join().unwrap();
            assert!(count > 3 && made == count, "{count} pages, {made} made for who is known");
        }
    });
    // What they did has left nothing of theirs in the cache.
    for page in PAGES {
        let answer = open(false, &proxy).visit(page);
        assert!(made_for(&answer).is_none_or(|who| who == "stranger"), "{page}: {answer}");
    }
}

#[test]
fn timed_scheduled_post_is_visible_no_later_than_the_lifetime() {
    const LIFETIME: Duration = Duration::from_secs(3);
    let farm = WordPress::start();
    let site = "lifetimes = { \"200\" = \"3s\" }\nstale_while_revalidate = \"0s\"";
    let proxy = farm.config().site(site).start();
    let mut admin = open(false, &proxy);
    admin.log_in();
    let post = admin.schedule("The wheel is oiled");
    assert_eq!(farm.browser(0).get(&format!("/?hasten={post}")).text(), "hastened");
    let shows =
        |browser: &mut Browser| String::from_utf8_lossy(&browser.visit("/").decoded()).contains("wheel is oiled");
    let mut stranger = open(false, &proxy);
    assert!(!shows(&mut stranger), "not yet");
    let mut published = None;
    let mut seen = None;
    let deadline = Instant::now() + Duration::from_secs(60);
    while seen.is_none() && Instant::now() < deadline {
        // What a job of the system does each minute.
        stranger.get("/wp-cron.php?doing_wp_cron");
        if published.is_none() && shows(&mut farm.browser(0)) {
            published = Some(Instant::now());
        }
        if published.is_some() && shows(&mut stranger) {
            seen = Some(Instant::now());
        }
    }
    let late = seen.unwrap().duration_since(published.unwrap());
    assert!(late <= LIFETIME + Duration::from_secs(1), "{late:?} after it was published");
}
