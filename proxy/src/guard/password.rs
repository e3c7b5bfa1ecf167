//! HTTP Basic authentication (RFC 7617) against a htpasswd file.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use argon2::{Argon2, PasswordHash, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_config::model;
use http::HeaderValue;
use moka::sync::Cache;

/// How long, and of how many, it is known whether a password is right: a page with a hundred files is one verification.
const REMEMBERED: u64 = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Longest credentials that are looked at, bytes after `Basic `.
const LONGEST: usize = 1024;

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    name: String,
    password: Vec<u8>,
}

impl Credentials {
    /// Those of an `Authorization` field; `None` for another scheme and for what is malformed.
    pub(crate) fn parse(field: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = field.as_bytes().split_at_checked(6)?;
        let encoded = encoded.trim_ascii();
        if !scheme.eq_ignore_ascii_case(b"basic ") || encoded.len() > LONGEST {
            return None;
        }
        let decoded = STANDARD.decode(encoded).ok()?;
        let at = decoded.iter().position(|byte| *byte == b':')?;
        let (name, password) = decoded.split_at_checked(at)?;
        Some(Self { name: String::from_utf8(name.to_vec()).ok()?, password: password.get(1..)?.to_vec() })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// The users of a site or route.
pub(crate) struct Users {
    /// `WWW-Authenticate`
    pub(crate) challenge: HeaderValue,
    /// Whether the AP server sees the credentials.
    pub(crate) forward: bool,
    hashes: AHashMap<String, Arc<str>>,
    /// Verified in place of that of a name that is not known, so that the time taken does not tell.
    stand_in: Arc<str>,
    /// By two keyed hashes of name and password, which are kept nowhere.
    known: Cache<(u64, u64), bool, ahash::RandomState>,
    hashers: [RandomState; 2],
}

impl Users {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// It is not as `check` found it.
    pub(super) fn load(auth: &model::Auth) -> Result<Self, String> {
        let users = forebay_config::htpasswd(&auth.file)?;
        let hashes: AHashMap<String, Arc<str>> =
            users.into_iter().map(|(name, hash)| (name, Arc::from(hash))).collect();
        let stand_in = hashes.values().next().cloned().unwrap_or_else(|| Arc::from(""));
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{}\", charset=\"UTF-8\"", auth.realm))
            .map_err(|error| error.to_string())?;
        let known = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR);
        Ok(Self {
            challenge,
            forward: auth.forward,
            hashes,
            stand_in,
            known: known.build_with_hasher(ahash::RandomState::new()),
            hashers: [RandomState::new(), RandomState::new()],
        })
    }

    /// Whether the password is known to be right or wrong.
    pub(crate) fn known(&self, credentials: &Credentials) -> Option<bool> {
        self.known.get(&self.name(credentials))
    }

    /// Verifies the password, on a thread where that may take its time.
    pub(crate) async fn verify(&self, credentials: &Credentials) -> bool {
        let hash = self.hashes.get(&credentials.name);
        let is_known = hash.is_some();
        let hash = Arc::clone(hash.unwrap_or(&self.stand_in));
        let password = credentials.password.clone();
        let verified = tokio::task::spawn_blocking(move || is_right(&password, &hash)).await;
        let right = is_known && verified.unwrap_or(false);
        self.known.insert(self.name(credentials), right);
        right
    }

    fn name(&self, credentials: &Credentials) -> (u64, u64) {
        let [one, other] = &self.hashers;
        let pair = (&credentials.name, &credentials.password);
        (one.hash_one(pair), other.hash_one(pair))
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").field("count", &self.hashes.len()).finish_non_exhaustive()
    }
}

fn is_right(password: &[u8], hash: &str) -> bool {
    if hash.starts_with("$argon2") {
        let parsed = PasswordHash::new(hash);
        return parsed.is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok());
    }
    bcrypt::verify(password, hash).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_hash_are_verified() {
        let bcrypt = "$2y$05$bsQgt5qx8XCpQ5sHVm/zIuG09EiNYAAgxJCiFZBYy1/4uWd.fAVAC";
        assert!(is_right(b"myPassword", bcrypt) && !is_right(b"mypassword", bcrypt));
        let argon2 = "$argon2id$v=19$m=256,t=2,p=2$DmEarA+c0jG9xIxGSfexCg$5dLcJ5AxRUqD2CHr+PduesBM3h/JMt/DejI/h3Fze0Q";
        assert!(is_right(b"password", argon2) && !is_right(b"Password", argon2));
        assert!(!is_right(b"", "") && !is_right(b"x", "$argon2id$nonsense"));
    }

    #[test]
    fn rfc7617_2_credentials_are_a_name_a_colon_and_a_password() {
        let parse = |text: &str| Credentials::parse(&HeaderValue::try_from(text).unwrap());
        let found = parse("Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==").unwrap();
        assert_eq!((found.name.as_str(), found.password.as_slice()), ("Aladdin", &b"open:sesame"[..]));
        assert!(parse("basic  QWxhZGRpbjpvcGVuOnNlc2FtZQ==").is_some());
        for text in ["Basic", "Basic QWxhZGRpbg==", "Bearer x", "Basic !!!!", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
