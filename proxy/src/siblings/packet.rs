//! ICP version 2 on the wire (RFC 2186 section 2): a header of 20 bytes, then a URL that ends with NUL. Pure: bytes in,
//! packet or refusal out.
//!
//! What is read is checked to the byte, for anyone can send a datagram: what is not exactly a packet is none.

/// The only version there is in use.
const VERSION: u8 = 2;

/// Header: opcode, version, length, request number, options, option data, sender.
const HEADER: usize = 20;

/// A question has the address of whoever caused it before the URL.
const REQUESTER: usize = 4;

/// Longest URL that is asked about. The length of a packet has 16 bits (RFC 2186 section 2), and Squid takes no longer URL.
pub(crate) const URL_MAX: usize = 8192;

/// Longest packet there can be.
pub(crate) const PACKET_MAX: usize = u16::MAX as usize;

/// What a packet says (RFC 2186 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Opcode {
    /// Have you got this?
    Query,
    /// Yes, ask for it.
    Hit,
    /// No.
    Miss,
    /// The question was no URL.
    Err,
    /// Bounced off a port that returns everything: a question that any host can answer.
    Secho,
    /// The same for caches that have no ICP.
    Decho,
    /// No, and do not come to fetch it either.
    MissNofetch,
    /// You may not have it.
    Denied,
}

impl Opcode {
    /// Every opcode and its number.
    const ALL: [(u8, Self); 8] = [
        (1, Self::Query),
        (2, Self::Hit),
        (3, Self::Miss),
        (4, Self::Err),
        (10, Self::Secho),
        (11, Self::Decho),
        (21, Self::MissNofetch),
        (22, Self::Denied),
    ];

    fn number(self) -> u8 {
        Self::ALL.iter().find(|(_, opcode)| *opcode == self).map_or(0, |(number, _)| *number)
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == number).map(|(_, opcode)| *opcode)
    }

    /// Label of metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Err => "error",
            Self::Secho | Self::Decho => "echo",
            Self::MissNofetch => "miss_nofetch",
            Self::Denied => "denied",
        }
    }
}

/// A packet, its URL where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) opcode: Opcode,
    /// Chosen by who asks, returned by who answers.
    pub(crate) request: u32,
    /// Without its NUL.
    pub(crate) url: &'a [u8],
}

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Fewer bytes than a header and the end of a URL.
    Short,
    /// Another version.
    Version,
    /// The length it gives is not the length it has.
    Length,
    /// An opcode that is none, or that nobody should send: HIT_OBJ carries content over UDP.
    Opcode,
    /// The URL does not end with NUL, has one within, or is longer than [`URL_MAX`].
    Url,
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub(crate) fn read(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = datagram.split_first_chunk::<HEADER>().ok_or(Malformed::Short)?;
        let [opcode, version, length_0, length_1, request @ ..] = *header;
        let [request_0, request_1, request_2, request_3, ..] = request;
        if version != VERSION {
            return Err(Malformed::Version);
        }
        if usize::from(u16::from_be_bytes([length_0, length_1])) != datagram.len() {
            return Err(Malformed::Length);
        }
        let opcode = Opcode::of(opcode).ok_or(Malformed::Opcode)?;
        let rest = match opcode {
            Opcode::Query => rest.get(REQUESTER..).ok_or(Malformed::Short)?,
            _ => rest,
        };
        let (end, url) = rest.split_last().ok_or(Malformed::Short)?;
        if *end != 0 || url.len() > URL_MAX || memchr::memchr(0, url).is_some() {
            return Err(Malformed::Url);
        }
        Ok(Self { opcode, request: u32::from_be_bytes([request_0, request_1, request_2, request_3]), url })
    }

    /// Writes it; `None` when its URL is no URL of a packet. Options, option data and the addresses are zero: those who
    /// receive it know where it comes from, and nobody should believe more than that.
    pub(crate) fn write(&self) -> Option<Vec<u8>> {
        let requester = if self.opcode == Opcode::Query { REQUESTER } else { 0 };
        let length = HEADER + requester + self.url.len() + 1;
        if self.url.len() > URL_MAX || memchr::memchr(0, self.url).is_some() {
            return None;
        }
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(&[self.opcode.number(), VERSION]);
        out.extend_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
        out.extend_from_slice(&self.request.to_be_bytes());
        out.resize(HEADER + requester, 0);
        out.extend_from_slice(self.url);
        out.push(0);
        Some(out)
    }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
