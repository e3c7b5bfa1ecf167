//! Keys of session tickets that all nodes have: of the last period, the present and the next.
//!
//! They lie in a hash of Redis, a field each. Whoever misses one makes it, and the first to write it wins (HSETNX), so
//! that nobody has to be in charge. The next one is made a whole period before it is used: by then every node has it.
//! Periods are those of Redis' clock. A key is sealed there with the secret of the cluster: whoever reads Redis, its
//! file or its backup reads no session.

use std::path::Path;
use std::sync::Arc;

use forebay_cache::clock::{Clock as _, SystemClock};
use redis::RedisResult;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::wire::Wire;
use crate::account::metrics::ClusterMetrics;
use crate::listen::tickets::{KEY, NAME, TicketKey, Tickets, period};

/// Fields that are looked at: three a group, and some groups while a secret is replaced.
const FIELDS: usize = 64;

/// What keys are sealed with in Redis, and what fields of this secret begin with.
struct Secret {
    sealing: LessSafeKey,
    group: String,
}

/// Bytes of `group`.
struct GroupLength;

impl KeyType for GroupLength {
    fn len(&self) -> usize {
        4
    }
}

impl Secret {
    fn load(path: &Path, cluster: &str, rotation: u64) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::new(text.trim(), cluster, rotation).ok_or_else(|| "no key can be made of the secret".to_owned())
    }

    fn new(secret: &str, cluster: &str, rotation: u64) -> Option<Self> {
        let pseudorandom = Salt::new(HKDF_SHA256, cluster.as_bytes()).extract(secret.as_bytes());
        let sealing = pseudorandom.expand(&[b"forebay ticket keys 1: sealing"], &AES_256_GCM).ok()?;
        let mut group = [0; 4];
        pseudorandom.expand(&[b"forebay ticket keys 1: group"], GroupLength).ok()?.fill(&mut group).ok()?;
        // Nodes that do not agree about these leave each other alone.
        let group = format!("{:08x}:{rotation}:", u32::from_be_bytes(group));
        Some(Self { sealing: LessSafeKey::new(UnboundKey::from(sealing)), group })
    }

    fn field(&self, period: u64) -> String {
        format!("{}{period}", self.group)
    }

    /// Nonce, name and key, tag; bound to the field that it is for.
    fn seal(&self, key: &TicketKey) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = [&key.name[..], &key.bytes[..]].concat();
        let bound = Aad::from(self.field(key.period).into_bytes());
        self.sealing.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut sealed).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    fn open(&self, period: u64, bytes: &[u8]) -> Option<TicketKey> {
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let mut sealed = sealed.to_vec();
        let bound = Aad::from(self.field(period).into_bytes());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let (name, key) = self.sealing.open_in_place(nonce, bound, &mut sealed).ok()?.split_at_checked(NAME)?;
        TicketKey::new(period, name.try_into().ok()?, <[u8; KEY]>::try_from(key).ok()?)
    }
}

/// Keeps the keys of this node those of the others.
pub(super) struct SharedTickets {
    tickets: Arc<Tickets>,
    secret: Secret,
    /// Seconds.
    rotation: u64,
    /// Whether another secret was spoken of.
    told: bool,
}

impl SharedTickets {
    /// `None` without a secret.
    ///
    /// # Errors
    ///
    /// The secret cannot be read.
    pub(super) fn new(config: &forebay_config::model::Cluster, tickets: &Arc<Tickets>) -> Option<Result<Self, String>> {
        let rotation = config.ticket_rotation.as_secs().max(1);
        let secret = Secret::load(config.secret_file.as_ref()?, &config.name, rotation);
        Some(secret.map(|secret| Self { tickets: Arc::clone(tickets), secret, rotation, told: false }))
    }

    /// Reads the keys, makes those that are missing, forgets the old ones.
    pub(super) async fn agree(&mut self, wire: &mut Wire, metrics: &ClusterMetrics) -> RedisResult<()> {
        let (now, fields) = wire.tickets().await?;
        let present = period(now, self.rotation);
        let mut known = self.tickets.shared();
        let mut found = self.opened(&fields, present);
        let missing: Vec<u64> =
            [present, present + 1].into_iter().filter(|n| found.iter().all(|key| key.period != *n)).collect();
        let retired: Vec<&str> = fields
            .iter()
            .filter(|(field, _)| is_retired(field, now) || self.is_broken(field, &found, present))
            .map(|(field, _)| field.as_str())
            .collect();
        if !missing.is_empty() || !retired.is_empty() {
            // Redis may have lost what this node still knows.
            let mine = |n: u64| known.iter().find(|key| key.period == n).cloned().or_else(|| TicketKey::random(n));
            let offered: Vec<_> = missing
                .into_iter()
                .filter_map(mine)
                .filter_map(|key| Some((self.secret.field(key.period), self.secret.seal(&key)?)))
                .collect();
            let fields = wire.offer_tickets(&retired, &offered).await?;
            found = self.opened(&fields, present);
        }
        // Tickets are out under keys that Redis has lost.
        known.retain(|key| key.period + 1 >= present && found.iter().all(|other| other.name != key.name));
        let count = found.len();
        known.retain(|key| key.period <= present + 1);
        // The last of a period is the one that new tickets are sealed with.
        known.extend(found);
        let ahead = now.saturating_sub(SystemClock.now().secs());
        if count > 0 {
            self.tickets.share(known, self.rotation, ahead);
        }
        metrics.ticket_keys.set(i64::try_from(count).unwrap_or(i64::MAX));
        metrics.ticket_period.set(i64::try_from(present).unwrap_or(i64::MAX));
        self.notice(&fields);
        Ok(())
    }

    /// Those of the last period, the present and the next that are ours to read.
    fn opened(&self, fields: &[(String, Vec<u8>)], present: u64) -> Vec<TicketKey> {
        let ours = |(field, bytes): &(String, Vec<u8>)| {
            let n: u64 = field.strip_prefix(&self.secret.group)?.parse().ok()?;
            let near = (present.saturating_sub(1)..=present + 1).contains(&n);
            near.then(|| self.secret.open(n, bytes)).flatten()
        };
        fields.iter().take(FIELDS).filter_map(ours).collect()
    }

    /// Whether this field is of the present, or about to be, and cannot be read: it would stand in the way.
    fn is_broken(&self, field: &str, found: &[TicketKey], present: u64) -> bool {
        let n = field.strip_prefix(&self.secret.group).and_then(|n| n.parse::<u64>().ok());
        n.is_some_and(|n| (present..=present + 1).contains(&n) && found.iter().all(|key| key.period != n))
    }

    fn notice(&mut self, fields: &[(String, Vec<u8>)]) {
        let others = fields.iter().any(|(field, _)| !field.starts_with(&self.secret.group));
        if others && !self.told {
            tracing::warn!(
                "other nodes have another secret_file or ticket_rotation: TLS sessions are not resumed there"
            );
        }
        self.told = others;
    }
}

/// Whether the period of this field has been over for another one, whatever its group.
fn is_retired(field: &str, now: i64) -> bool {
    let mut parts = field.split(':').skip(1).map(str::parse::<u64>);
    let (Some(Ok(rotation)), Some(Ok(n))) = (parts.next(), parts.next()) else { return true };
    n.saturating_add(1) < period(now, rotation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn sealed_key_is_opened_with_the_same_secret_alone() {
        let key = TicketKey::random(7).unwrap();
        let secret = Secret::new(SECRET, "forebay", 60).unwrap();
        let sealed = secret.seal(&key).unwrap();
        let opened = secret.open(7, &sealed).unwrap();
        assert_eq!((opened.name, opened.bytes, opened.period), (key.name, key.bytes, 7));
        assert!(!sealed.windows(8).any(|part| part == &key.bytes[..8]));
        assert!(secret.open(8, &sealed).is_none(), "of another period");
        for (other, cluster, rotation) in [("x", "forebay", 60), (SECRET, "other", 60), (SECRET, "forebay", 61)] {
            let other = Secret::new(other, cluster, rotation).unwrap();
            assert!(other.open(7, &sealed).is_none());
            assert_ne!(other.group, secret.group);
        }
        for at in 0..sealed.len() {
            assert!(secret.open(7, &sealed[..at]).is_none());
        }
    }

    #[test]
    fn fields_are_retired_after_the_period_after_theirs() {
        assert!(!is_retired("aa:60:9", 60 * 9));
        assert!(!is_retired("aa:60:9", 60 * 11 - 1));
        assert!(is_retired("aa:60:9", 60 * 11));
        for field in ["", "aa", "aa:60", "aa:x:9", "aa:60:x"] {
            assert!(is_retired(field, 1), "{field}");
        }
        // No rotation at all: never, and no division by it.
        assert!(!is_retired("aa:0:9", 60));
    }
}
