//! Sessions that stay with their server.
//!
//! Either a cookie of ours names the server: it is signed, so that nobody can choose one, and bound to pool and cookie name,
//! so that it means nothing elsewhere. Or a cookie of the application's is hashed; where the server that set it is not the
//! one its hash belongs to, that is remembered.

use std::io::{self, Write as _};
use std::path::Path;

use forebay_config::model;
use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use moka::sync::Cache;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::affinity::{cookies, hash};
use super::server::ServerId;

/// Sessions whose server is remembered, and for how long after the last request.
const LEARNED: u64 = 200_000;
const LEARNED_FOR: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Bytes of a key. HMAC-SHA256 gains nothing by more, and loses by less.
const KEY: usize = 32;

/// Which servers sessions of application cookies are at, by the hash of the cookie: where that is not where it belongs.
pub(super) type Learned = Cache<u64, u64>;

pub(super) fn learned() -> Learned {
    Cache::builder().max_capacity(LEARNED).time_to_idle(LEARNED_FOR).build()
}

/// `sticky` of an `[[upstream]]`.
#[derive(Debug)]
pub(super) enum Sticky {
    Inserted(Inserted),
    Application { name: String },
}

/// A cookie of ours.
#[derive(Debug)]
pub(super) struct Inserted {
    name: String,
    pool: String,
    key: hmac::Key,
}

/// What a request's cookies say of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// It is at this server.
    At(ServerId),
    /// It is where this hash belongs, unless something else was learned.
    Hashed(u64),
}

impl Sticky {
    /// Reads the key, or makes one beneath `state_dir`.
    ///
    /// # Errors
    ///
    /// The key cannot be had, in words.
    pub(super) fn new(sticky: &model::Sticky, pool: &str, state_dir: &Path) -> Result<Self, String> {
        Ok(match sticky {
            model::Sticky::Application { name } => Self::Application { name: name.clone() },
            model::Sticky::Inserted { name, key_file } => {
                let own = state_dir.join("sticky.key");
                let path = key_file.as_deref().unwrap_or(&own);
                let key = if key_file.is_some() { std::fs::read(path) } else { own_key(path) };
                let key = key.map_err(|error| format!("{}: {error}", path.display()))?;
                if key.len() < KEY {
                    return Err(format!("{}: a key has {KEY} bytes or more, this has {}", path.display(), key.len()));
                }
                let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
                Self::Inserted(Inserted { name: name.clone(), pool: pool.to_owned(), key })
            }
        })
    }

    pub(super) fn session(&self, fields: &HeaderMap) -> Option<Session> {
        match self {
            Self::Inserted(inserted) => inserted.server(fields).map(Session::At),
            Self::Application { name } => {
                cookies(fields, name).find(|value| !value.is_empty()).map(|value| Session::Hashed(hash(value)))
            }
        }
    }
}

impl Inserted {
    /// The server that a cookie of ours names; those that are not are passed over.
    pub(super) fn server(&self, fields: &HeaderMap) -> Option<ServerId> {
        cookies(fields, &self.name).find_map(|value| self.verified(value))
    }

    /// Takes our cookie out of what is sent on: it is none of the application's business.
    pub(super) fn hide(&self, fields: &mut HeaderMap) {
        if cookies(fields, &self.name).next().is_none() {
            return;
        }
        let kept: Vec<Vec<u8>> = fields
            .get_all(COOKIE)
            .iter()
            .map(|line| {
                let pairs = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
                pairs.filter(|pair| !self.is_ours(pair)).collect::<Vec<_>>().join(&b"; "[..])
            })
            .filter(|line| !line.is_empty())
            .collect();
        fields.remove(COOKIE);
        for line in kept {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                fields.append(COOKIE, value);
            }
        }
    }

    fn is_ours(&self, pair: &[u8]) -> bool {
        pair.strip_prefix(self.name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
    }

    /// Ties the client to `server`, by a response that is for it alone.
    pub(super) fn put(&self, fields: &mut HeaderMap, server: ServerId, secure: bool) {
        let secure = if secure { "; Secure" } else { "" };
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Lax{secure}", self.name, self.value(server));
        let Ok(cookie) = HeaderValue::try_from(cookie) else { return };
        fields.append(SET_COOKIE, cookie);
        // Nobody between here and the client may give it to another.
        let says =
            |line: &HeaderValue, word: &str| line.to_str().is_ok_and(|line| line.to_ascii_lowercase().contains(word));
        let forbidden = |line: &HeaderValue| says(line, "no-store") || says(line, "private");
        if !fields.get_all(CACHE_CONTROL).iter().any(forbidden) {
            fields.append(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
    }

    fn value(&self, server: ServerId) -> String {
        let server = format!("{:016x}", server.0);
        let tag = hmac::sign(&self.key, &self.signed(&server));
        tag.as_ref().iter().fold(server, |text, byte| text + &format!("{byte:02x}"))
    }

    fn verified(&self, value: &[u8]) -> Option<ServerId> {
        let (server, tag) = std::str::from_utf8(value).ok()?.split_at_checked(16)?;
        let tag: Option<Vec<u8>> = tag
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
            .collect();
        hmac::verify(&self.key, &self.signed(server), &tag?).ok()?;
        u64::from_str_radix(server, 16).ok().map(ServerId)
    }

    /// Each part framed by its end: no two triples are the same bytes, for names hold no zero.
    fn signed(&self, server: &str) -> Vec<u8> {
        [&b"forebay sticky 1"[..], self.pool.as_bytes(), self.name.as_bytes(), server.as_bytes()].join(&0)
    }
}

/// The values of this cookie in `Set-Cookie` fields of a response.
pub(super) fn set_by<'f>(fields: &'f HeaderMap, name: &'f str) -> impl Iterator<Item = &'f [u8]> {
    fields.get_all(SET_COOKIE).iter().filter_map(move |line| {
        let pair = line.as_bytes().split(|byte| *byte == b';').next()?.trim_ascii();
        pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=").filter(|value| !value.is_empty())
    })
}

/// The key at `path`, made if there is none: readable for its owner alone.
fn own_key(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let mut key = vec![0; KEY];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("no random numbers"))?;
    let directory = path.parent().unwrap_or(path);
    std::fs::create_dir_all(directory)?;
    // Whole or not at all: half a key would be taken for one that is wrong.
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(key),
        // Somebody else was first: theirs it is.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => std::fs::read(path),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inserted(pool: &str, name: &str, key: u8) -> Inserted {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[key; KEY]);
        Inserted { name: name.to_owned(), pool: pool.to_owned(), key }
    }

    fn request(cookie: &str) -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.insert(COOKIE, cookie.parse().unwrap());
        fields
    }

    #[test]
    fn cookie_names_its_server_to_its_own_pool_name_and_key_alone() {
        let ours = inserted("ap", "FOREBAY", 1);
        let fields = request(&format!("a=b; FOREBAY={}", ours.value(ServerId(7))));
        assert_eq!(ours.server(&fields), Some(ServerId(7)));
        assert_eq!(inserted("other", "FOREBAY", 1).server(&fields), None);
        assert_eq!(inserted("ap", "FOREBAY", 2).server(&fields), None);
        let renamed = request(&format!("OTHER={}", ours.value(ServerId(7))));
        assert_eq!(inserted("ap", "OTHER", 1).server(&renamed), None);
    }

    #[test]
    fn forged_cookies_are_passed_over_for_one_that_is_not() {
        let ours = inserted("ap", "FOREBAY", 1);
        let good = ours.value(ServerId(7));
        let other = format!("{:016x}{}", 8, &good[16..]);
        for forged in ["", "x", "0000000000000007", &other, &good[..79], &format!("{good}00"), "é"] {
            let Ok(value) = HeaderValue::from_bytes(format!("FOREBAY={forged}").as_bytes()) else { continue };
            let mut fields = HeaderMap::new();
            fields.append(COOKIE, value);
            assert_eq!(ours.server(&fields), None, "{forged}");
            fields.append(COOKIE, format!("FOREBAY={good}").parse().unwrap());
            assert_eq!(ours.server(&fields), Some(ServerId(7)), "{forged}");
        }
    }

    #[test]
    fn our_cookie_is_hidden_and_no_other() {
        let ours = inserted("ap", "FOREBAY", 1);
        let mut fields = request("FOREBAYS=1; FOREBAY=x;a=b; FOREBAY=y");
        fields.append(COOKIE, "FOREBAY=z".parse().unwrap());
        ours.hide(&mut fields);
        assert_eq!(fields.get_all(COOKIE).iter().collect::<Vec<_>>(), ["FOREBAYS=1; a=b"]);
    }

    #[test]
    fn cookie_is_kept_from_scripts_other_sites_and_shared_caches() {
        let mut fields = HeaderMap::new();
        fields.insert(CACHE_CONTROL, "public, max-age=60".parse().unwrap());
        inserted("ap", "FOREBAY", 1).put(&mut fields, ServerId(7), true);
        let cookie = fields[SET_COOKIE].to_str().unwrap();
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        assert!(fields.get_all(CACHE_CONTROL).iter().any(|line| line == "private"));
    }

    #[test]
    fn key_is_made_once_and_for_its_owner() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/sticky.key");
        let key = own_key(&path).unwrap();
        assert_eq!((key.len(), path.metadata().unwrap().mode() & 0o777), (KEY, 0o600));
        assert_eq!(own_key(&path).unwrap(), key);
    }
}
