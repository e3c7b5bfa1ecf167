//! Session tickets (RFC 5077, RFC 8446 4.6.1): under the keys of the cluster where there are any, so that what one node
//! began is resumed at every other, and else under keys of this process alone.
//!
//! A ticket is bound to the *context* it was issued in, by authentication: what a listener demanded of a client when the
//! session began is not asked again when it is resumed, so that listeners which demand something else must not take it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use forebay_cache::clock::{Clock as _, SystemClock};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::server::ProducesTickets;

/// Bytes of the name that a ticket begins with.
pub(crate) const NAME: usize = 16;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;

/// Longest lifetime of a ticket, seconds (RFC 8446 4.6.1).
const LONGEST: u64 = 7 * 86_400;

/// A key that nodes share.
#[derive(Clone)]
pub(crate) struct TicketKey {
    /// Which period it is for, counted from the Unix epoch.
    pub(crate) period: u64,
    pub(crate) name: [u8; NAME],
    /// As it is handed to other nodes, sealed.
    pub(crate) bytes: [u8; KEY],
    aead: Arc<LessSafeKey>,
}

impl TicketKey {
    /// `None` cannot be: the length is right.
    pub(crate) fn new(period: u64, name: [u8; NAME], bytes: [u8; KEY]) -> Option<Self> {
        let aead = Arc::new(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?));
        Some(Self { period, name, bytes, aead })
    }

    /// A new one, by chance.
    pub(crate) fn random(period: u64) -> Option<Self> {
        let (mut name, mut bytes) = ([0; NAME], [0; KEY]);
        let random = SystemRandom::new();
        random.fill(&mut name).and_then(|()| random.fill(&mut bytes)).ok()?;
        Self::new(period, name, bytes)
    }

    /// Name, nonce, what is sealed, tag.
    fn seal(&self, context: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        // By chance: two nodes cannot count together.
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = message.to_vec();
        let bound = Aad::from([&self.name, context].concat());
        self.aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut sealed).ok()?;
        Some([&self.name[..], &nonce, &sealed].concat())
    }

    fn open(&self, context: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let mut message = sealed.to_vec();
        let bound = Aad::from([&self.name, context].concat());
        let length =
            self.aead.open_in_place(Nonce::try_assume_unique_for_key(nonce).ok()?, bound, &mut message).ok()?.len();
        message.truncate(length);
        Some(message)
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKey({})", self.period)
    }
}

/// The keys that the nodes have agreed upon, and their clock.
#[derive(Debug, Default)]
struct Keys {
    /// The newest last.
    list: Vec<TicketKey>,
    /// How long a key is used for new tickets, seconds; 0: there are none.
    rotation: u64,
    /// How far the clock that all go by is ahead of ours, seconds.
    ahead: i64,
}

impl Keys {
    fn period(&self) -> u64 {
        period(SystemClock.now().secs().saturating_add(self.ahead), self.rotation)
    }

    /// What new tickets are sealed with: the key of the present, or the last there is while nobody makes another.
    fn current(&self) -> Option<&TicketKey> {
        let now = self.period();
        self.list.iter().rev().find(|key| key.period <= now)
    }

    /// Those whose tickets are taken: of the last period, the present and the next.
    fn accepted(&self) -> impl Iterator<Item = &TicketKey> {
        let newest = self.current().map_or(0, |key| key.period);
        self.list.iter().filter(move |key| key.period.saturating_add(1) >= newest)
    }
}

/// Which period of `rotation` seconds this second is in.
pub(crate) fn period(now: i64, rotation: u64) -> u64 {
    u64::try_from(now).unwrap_or(0).checked_div(rotation).unwrap_or(0)
}

/// The keys of tickets, for all listeners. Reloads leave them alone.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    shared: ArcSwap<Keys>,
}

impl Tickets {
    /// The keys that nodes share from now on, each used for `rotation` seconds by a clock that is `ahead` of ours.
    pub(crate) fn share(&self, mut list: Vec<TicketKey>, rotation: u64, ahead: i64) {
        list.sort_by_key(|key| key.period);
        self.shared.store(Arc::new(Keys { list, rotation, ahead }));
    }

    /// What is known at present.
    pub(crate) fn shared(&self) -> Vec<TicketKey> {
        self.shared.load().list.clone()
    }

    /// For a listener. Tickets are taken where `context` is the one that they were issued in: it says what sessions are
    /// worth that begin there, such as whose client certificates are demanded. The same on every node, hence made of
    /// contents and never of paths. Empty: clients are asked for nothing.
    ///
    /// # Errors
    ///
    /// The system has no randomness.
    pub(crate) fn ticketer(self: &Arc<Self>, context: &[u8]) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        let own = rustls::crypto::ring::Ticketer::new()?;
        Ok(Arc::new(Ticketer { tickets: Arc::clone(self), own, context: context.to_vec() }))
    }
}

/// Tickets of one listener.
struct Ticketer {
    tickets: Arc<Tickets>,
    /// Used until there are shared keys: a key of this listener in this process.
    own: Arc<dyn ProducesTickets>,
    context: Vec<u8>,
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        let keys = self.tickets.shared.load();
        if keys.list.is_empty() {
            return self.own.lifetime();
        }
        u32::try_from((keys.rotation * 2).min(LONGEST)).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        match self.tickets.shared.load().current() {
            Some(key) => key.seal(&self.context, plain),
            None => self.own.encrypt(plain),
        }
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = cipher.split_at_checked(NAME)?;
        let keys = self.tickets.shared.load();
        // The name is no secret: it stands in every ticket.
        match keys.accepted().find(|key| key.name == name) {
            Some(key) => key.open(&self.context, rest),
            None => self.own.decrypt(cipher),
        }
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    /// Keys of the periods that are `offsets` from the present one.
    fn keys(offsets: &[i64]) -> Vec<TicketKey> {
        let now = i64::try_from(period(SystemClock.now().secs(), DAY)).unwrap();
        offsets.iter().map(|offset| TicketKey::random(u64::try_from(now + offset).unwrap()).unwrap()).collect()
    }

    fn node(keys: &[TicketKey]) -> Arc<Tickets> {
        let tickets = Arc::new(Tickets::default());
        tickets.share(keys.to_vec(), DAY, 0);
        tickets
    }

    #[test]
    fn ticket_of_one_node_is_read_by_another_with_the_same_keys() {
        let keys = keys(&[-1, 0, 1]);
        let (one, other) = (node(&keys).ticketer(b"").unwrap(), node(&keys).ticketer(b"").unwrap());
        let ticket = one.encrypt(b"session").unwrap();
        assert_eq!(&ticket[..NAME], &keys[1].name, "sealed with the key of the present");
        assert_eq!(other.decrypt(&ticket).unwrap(), b"session");
        assert_eq!(Arc::new(Tickets::default()).ticketer(b"").unwrap().decrypt(&ticket), None);
    }

    #[test]
    fn keys_of_the_last_and_the_next_period_are_taken_and_no_older_ones() {
        let keys = keys(&[-2, -1, 0, 1]);
        for (n, is_taken) in [(0, false), (1, true), (2, true), (3, true)] {
            let ticket = keys[n].seal(b"", b"session").unwrap();
            assert_eq!(node(&keys).ticketer(b"").unwrap().decrypt(&ticket).is_some(), is_taken, "{n}");
        }
    }

    #[test]
    fn last_keys_go_on_while_nobody_makes_others() {
        let keys = keys(&[-9, -8, -7]);
        let tickets = node(&keys).ticketer(b"").unwrap();
        let ticket = tickets.encrypt(b"session").unwrap();
        assert_eq!(&ticket[..NAME], &keys[2].name);
        assert_eq!(tickets.decrypt(&ticket).unwrap(), b"session");
        assert_eq!(tickets.decrypt(&keys[0].seal(b"", b"session").unwrap()), None);
    }

    #[test]
    fn ticket_of_another_context_is_not_taken() {
        let tickets = node(&keys(&[0]));
        let contexts = [b"".as_slice(), b"clients of A", b"clients of B"];
        for issued in contexts {
            for taken in contexts {
                let ticket = tickets.ticketer(issued).unwrap().encrypt(b"session").unwrap();
                let opened = tickets.ticketer(taken).unwrap().decrypt(&ticket);
                assert_eq!(opened.is_some(), issued == taken, "{issued:?} {taken:?}");
            }
        }
    }

    #[test]
    fn ticket_that_was_changed_or_cut_is_not_taken() {
        let tickets = node(&keys(&[0])).ticketer(b"").unwrap();
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at}");
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "{at}");
        }
    }

    #[test]
    fn own_tickets_are_still_read_when_keys_are_shared() {
        let tickets = Arc::new(Tickets::default());
        let ticketer = tickets.ticketer(b"").unwrap();
        let early = ticketer.encrypt(b"session").unwrap();
        tickets.share(keys(&[0]), DAY, 0);
        assert_eq!(ticketer.decrypt(&early).unwrap(), b"session");
        assert_ne!(ticketer.encrypt(b"session").unwrap()[..NAME], early[..NAME]);
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let key = TicketKey::random(7).unwrap();
        assert_eq!(format!("{key:?}"), "TicketKey(7)");
        assert_eq!(format!("{:?}", Arc::new(Tickets::default()).ticketer(b"").unwrap()), "Ticketer");
    }
}
