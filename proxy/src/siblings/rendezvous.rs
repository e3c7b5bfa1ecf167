//! Rendezvous hashing of URIs over parents, as CARP has it: each URI has one parent, wherever it is asked, and a parent
//! that goes away moves its own URIs alone.

use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::Peer;

/// Best first.
pub(super) fn order(parents: &mut [Arc<Peer>], url: &str) {
    parents.sort_by(|a, b| score(url, &b.label, b.weight).total_cmp(&score(url, &a.label, a.weight)));
}

/// Weighted rendezvous: shares are as the weights are.
fn score(url: &str, label: &str, weight: u32) -> f64 {
    // The same keys everywhere: all instances must choose alike.
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(label.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(url.as_bytes());
    // 53 bits are what a double holds exactly; never 0 nor 1.
    let unit = ((hasher.finish() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / unit.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'a>(parents: &[(&'a str, u32)], url: &str) -> &'a str {
        let scored = parents.iter().map(|(label, weight)| (score(url, label, *weight), *label));
        scored.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1
    }

    #[test]
    fn shares_are_as_the_weights_are() {
        let parents = [("a:80", 1), ("b:80", 3)];
        let of_b = (0..10_000).filter(|n| best(&parents, &format!("http://x/{n}")) == "b:80").count();
        assert!((7_300..7_700).contains(&of_b), "{of_b}");
    }

    #[test]
    fn a_parent_that_goes_moves_its_own_uris_alone() {
        let (all, fewer) = ([("a:80", 1), ("b:80", 1), ("c:80", 1)], [("a:80", 1), ("b:80", 1)]);
        for n in 0..1_000 {
            let url = format!("http://x/{n}");
            let before = best(&all, &url);
            assert!(before == "c:80" || before == best(&fewer, &url), "{url}");
        }
    }
}
