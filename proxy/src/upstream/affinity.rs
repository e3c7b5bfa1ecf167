//! What makes a request belong to a server.

use std::hash::Hasher as _;
use std::net::IpAddr;

use forebay_config::model::Balance;
use http::HeaderMap;
use http::header::COOKIE;
use siphasher::sip::SipHasher13;

use super::sticky::Session;

/// What a choice may depend on, beside the state of the servers. The default belongs nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asker {
    /// What is hashed, where the pool hashes. Without it the server is chosen by turns.
    pub(crate) key: Option<u64>,
    /// Where the session is.
    pub(super) session: Option<Session>,
}

/// A request, as far as a pool may look at it.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) fields: &'a HeaderMap,
    pub(crate) client: IpAddr,
    pub(crate) path_query: &'a str,
}

/// What a pool hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HashKey {
    Nothing,
    Uri,
    Client,
    Header(String),
    Cookie(String),
}

/// A hash that is the same in every process: two instances before the same servers choose alike.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

impl HashKey {
    pub(super) fn new(balance: Balance, name: Option<&str>) -> Self {
        let name = || name.unwrap_or_default().to_owned();
        match balance {
            Balance::HashUri => Self::Uri,
            Balance::HashClient => Self::Client,
            Balance::HashHeader => Self::Header(name()),
            Balance::HashCookie => Self::Cookie(name()),
            _ => Self::Nothing,
        }
    }

    /// `None`: the request has nothing to hash.
    pub(super) fn of(&self, asking: &Asking<'_>) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Uri => Some(hash(asking.path_query.as_bytes())),
            Self::Client => Some(of_client(asking.client)),
            Self::Header(name) => Some(hash(asking.fields.get(name)?.as_bytes())),
            Self::Cookie(name) => Some(hash(cookie(asking.fields, name)?)),
        }
    }
}

/// The key of a client's address. Of IPv6 the network counts: a client changes the rest of its address at will.
pub(super) fn of_client(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => hash(&address.octets()),
        IpAddr::V6(address) => hash(address.octets().get(..8).unwrap_or_default()),
    }
}

/// The values of this cookie, in the order in which they were sent.
pub(super) fn cookies<'f>(fields: &'f HeaderMap, name: &'f str) -> impl Iterator<Item = &'f [u8]> {
    let pairs = fields.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let (found, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        (found == name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
    })
}

/// The first of them that is not empty.
fn cookie<'f>(fields: &'f HeaderMap, name: &'f str) -> Option<&'f [u8]> {
    cookies(fields, name).find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(fields: &HeaderMap) -> Asking<'_> {
        Asking { fields, client: "192.0.2.1".parse().unwrap(), path_query: "/a?b" }
    }

    #[test]
    fn cookie_is_found_among_others_by_its_whole_name() {
        let mut fields = HeaderMap::new();
        fields.append(COOKIE, "XPHPSESSID=no; PHPSESSID=; a=b".parse().unwrap());
        fields.append(COOKIE, "c=d;PHPSESSID=yes=1; PHPSESSID=later".parse().unwrap());
        assert_eq!(cookie(&fields, "PHPSESSID"), Some(&b"yes=1"[..]));
        assert_eq!(cookie(&fields, "SESSID"), None);
        let key = HashKey::Cookie("PHPSESSID".to_owned());
        assert_eq!(key.of(&asking(&fields)), Some(hash(b"yes=1")));
    }

    #[test]
    fn request_without_what_is_hashed_has_no_key() {
        let fields = HeaderMap::new();
        assert_eq!(HashKey::Header("x-tenant".to_owned()).of(&asking(&fields)), None);
        assert_eq!(HashKey::Nothing.of(&asking(&fields)), None);
        assert_eq!(HashKey::Uri.of(&asking(&fields)), Some(hash(b"/a?b")));
    }

    #[test]
    fn clients_of_one_ipv6_network_are_one() {
        let key = |address: &str| of_client(address.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn hash_is_the_same_in_every_process() {
        assert_eq!(hash(b"/index.php"), 0x6daf_ba1b_0646_9dea);
    }
}
