//! TLS towards servers: a real nginx with a certificate of the test's authority.

use std::path::Path;

use forebay_tests::certs;
use forebay_tests::nginx::Nginx;
use forebay_tests::{Proxy, assert_eventually};

const SAY: &str =
    "location / { add_header Cache-Control no-store; return 200 \"name=$ssl_server_name client=$ssl_client_verify\"; }";

fn nginx(directory: &Path, more: &str) -> Nginx {
    let site = certs::site(directory, &["ap.internal", "127.0.0.1"]);
    let (certificate, key) = (site.certificate.display(), site.key.display());
    Nginx::serving(
        directory,
        "ssl",
        &[&format!("ssl_certificate {certificate}; ssl_certificate_key {key}; {more} {SAY}")],
    )
}

fn before(nginx: &Nginx, words: &str) -> Proxy {
    Proxy::config().server_at(nginx.address(0), 1).upstream(words).start()
}

#[test]
fn server_is_spoken_to_by_tls_and_verified_by_its_authority() {
    let directory = tempfile::tempdir().unwrap();
    let (nginx, ca) = (nginx(directory.path(), ""), certs::authority(directory.path()));
    let proxy = before(&nginx, &format!("tls = {{ ca = {ca:?}, server_name = \"ap.internal\" }}"));
    let answer = proxy.get("/x");
    assert_eq!((answer.status, answer.text()), (200, "name=ap.internal client=NONE"), "{answer}");
    // The address is in the certificate, too, and is no name for SNI.
    let by_address = before(&nginx, &format!("tls = {{ ca = {ca:?} }}"));
    assert_eq!(by_address.get("/x").text(), "name= client=NONE");
}

#[test]
fn certificate_that_is_not_the_servers_or_of_nobody_known_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (nginx, ca) = (nginx(directory.path(), ""), certs::authority(directory.path()));
    for words in ["tls = true".to_owned(), format!("tls = {{ ca = {ca:?}, server_name = \"other.internal\" }}")] {
        let answer = before(&nginx, &words).get("/x");
        assert_eq!(answer.status, 502, "{words}: {answer}");
    }
    let trusting = before(&nginx, "tls = { verify = false, server_name = \"other.internal\" }");
    assert_eq!(trusting.get("/x").status, 200);
}

#[test]
fn server_that_wants_to_know_us_is_shown_our_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let ca = certs::authority(directory.path());
    let us = certs::site(directory.path(), &["forebay.internal"]);
    let more = format!("ssl_verify_client on; ssl_client_certificate {};", ca.display());
    let nginx = nginx(directory.path(), &more);
    let with = format!("tls = {{ ca = {ca:?}, certificate = {:?}, key = {:?} }}", us.certificate, us.key);
    assert_eq!(before(&nginx, &with).get("/x").text(), "name= client=SUCCESS");
    assert_eq!(before(&nginx, &format!("tls = {{ ca = {ca:?} }}")).get("/x").status, 400);
}

#[test]
fn health_checks_speak_tls_as_requests_do() {
    let directory = tempfile::tempdir().unwrap();
    let (nginx, ca) = (nginx(directory.path(), ""), certs::authority(directory.path()));
    for (ca, expected) in [(format!("ca = {ca:?}"), 1.0), ("verify = true".to_owned(), 0.0)] {
        let words = format!("tls = {{ {ca} }}\nhealth = {{ path = \"/\", interval = \"100ms\", rise = 1, fall = 1 }}");
        let proxy = before(&nginx, &words);
        assert_eventually!(proxy.metric("forebay_health_checks_total", &[]) >= 2.0);
        assert_eq!(proxy.metric("forebay_upstream_up", &[]), expected, "{words}");
    }
}

#[test]
fn kept_connections_are_not_shared_with_who_trusts_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let (nginx, ca) = (nginx(directory.path(), ""), certs::authority(directory.path()));
    let other = format!(
        "[[upstream]]\nname = \"other\"\nkeepalive = true\nservers = [\"{}\"]\ntls = {{ verify = true }}\n\
         [[site]]\nhosts = [\"other.test\"]\nupstream = \"other\"",
        nginx.address(0)
    );
    let words = format!("keepalive = true\ntls = {{ ca = {ca:?} }}");
    let proxy = Proxy::config().server_at(nginx.address(0), 1).upstream(&words).extra(&other).start();
    let mut client = proxy.connect();
    assert_eq!(client.get("/x").status, 200);
    assert_eq!(client.request("GET", "/x", &[("Host", "other.test")]).status, 502);
}
