//! The words of protection.

use ipnet::IpNet;

use super::{Text, quote};
use crate::model::{AccessRule, Auth, LimitKey, Protection, RequestLimit, Suspect};
use crate::read::{OVER, SUSPICION};
use crate::values::{choice, duration, rate, size};

/// The words that differ from `base`. Of a site, which is `whole`, that is what its preset says, and what the preset fills
/// in is written as well.
pub(super) fn write(protection: &Protection, base: &Protection, whole: bool, out: &mut Text) {
    let none = Protection::default();
    let differs =
        |same: fn(&Protection, &Protection) -> bool| !same(protection, base) || (whole && !same(protection, &none));
    if differs(|a, b| a.access == b.access) {
        out.array("access", protection.access.iter().map(access));
    }
    if differs(|a, b| a.limits == b.limits) {
        out.array("limit", protection.limits.iter().map(limit));
    }
    if differs(|a, b| a.suspect == b.suspect) {
        out.word("suspect", protection.suspect.as_ref().map_or_else(|| quote("off"), suspect));
    }
    if differs(|a, b| a.auth == b.auth) {
        out.word("auth", protection.auth.as_ref().map_or_else(|| quote("off"), auth));
    }
    if let Some(largest) = protection.body_size.filter(|_| differs(|a, b| a.body_size == b.body_size)) {
        out.string("body_size", &size::show(largest));
    }
}

/// The words of an inline table, in order.
#[derive(Default)]
struct Inline(Vec<String>);

impl Inline {
    fn word(&mut self, word: &str, value: impl std::fmt::Display) {
        self.0.push(format!("{word} = {value}"));
    }

    fn list(&mut self, word: &str, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.map(|value| quote(&value)).collect();
        if !values.is_empty() {
            self.word(word, format!("[{}]", values.join(", ")));
        }
    }

    fn networks(&mut self, word: &str, networks: &[IpNet]) {
        self.list(word, networks.iter().map(ToString::to_string));
    }

    fn finish(self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }
}

fn access(rule: &AccessRule) -> String {
    let mut inline = Inline::default();
    if let Some(path) = &rule.path {
        inline.word("path", quote(path));
    }
    inline.networks(if rule.allow { "allow" } else { "deny" }, &rule.networks);
    inline.finish()
}

fn limit(limit: &RequestLimit) -> String {
    let mut inline = Inline::default();
    if let Some(path) = &limit.path {
        inline.word("path", quote(path));
    }
    inline.list("methods", limit.methods.iter().cloned());
    let key = match &limit.key {
        LimitKey::Address => "address".to_owned(),
        LimitKey::All => "all".to_owned(),
        LimitKey::Header(name) => format!("header:{name}"),
        LimitKey::Cookie(name) => format!("cookie:{name}"),
    };
    inline.word("key", quote(&key));
    if let Some(rate) = limit.rate {
        inline.word("rate", quote(&rate::show(rate)));
        inline.word("burst", limit.burst);
        inline.word("action", quote(choice::word(limit.over, &OVER)));
    }
    inline.word("delay", quote(&duration::show(limit.delay)));
    if let Some(concurrent) = limit.concurrent {
        inline.word("concurrent", concurrent);
    }
    inline.networks("except", &limit.except);
    inline.finish()
}

fn suspect(suspect: &Suspect) -> String {
    let mut inline = Inline::default();
    inline.word("threshold", suspect.threshold);
    inline.word("period", quote(&duration::show(suspect.period)));
    inline.word("ban", quote(&duration::show(suspect.ban)));
    inline.word("action", quote(choice::word(suspect.action, &SUSPICION)));
    inline.word("tarpit", quote(&duration::show(suspect.tarpit)));
    inline.list("ignore", suspect.ignore.iter().cloned());
    inline.networks("except", &suspect.except);
    inline.finish()
}

fn auth(auth: &Auth) -> String {
    let mut inline = Inline::default();
    inline.word("file", quote(&auth.file.to_string_lossy()));
    inline.word("realm", quote(&auth.realm));
    inline.word("forward", auth.forward);
    inline.finish()
}
