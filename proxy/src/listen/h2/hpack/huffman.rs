//! The code of strings (RFC 7541 section 5.2 and appendix B). It is canonical: the lengths alone tell the codes.

use bytes::BytesMut;

/// Bits of each byte's code; that of the end of a string, which is never sent, has 30.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: usize = 30;

/// All that is known of the code.
struct Code {
    /// Symbols by the length of their codes, then by value.
    symbols: [u16; 257],
    /// By length: the first code, where its symbol stands, and the codes from which on they are longer, left-aligned in 32 bits.
    levels: [Level; LONGEST + 1],
    /// By symbol.
    codes: [u32; 257],
    /// By the first eight bits: symbol and length of codes that have no more; length 0 for the others.
    short: [(u8, u8); 256],
}

#[derive(Clone, Copy)]
struct Level {
    first: u32,
    offset: u16,
    end: u64,
}

static CODE: Code = Code::new();

impl Code {
    #[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "computed by the compiler")]
    const fn new() -> Self {
        let mut this = Self {
            symbols: [0; 257],
            levels: [Level { first: 0, offset: 0, end: 0 }; LONGEST + 1],
            codes: [0; 257],
            short: [(0, 0); 256],
        };
        let (mut length, mut next, mut place) = (1, 0_u32, 0);
        while length <= LONGEST {
            next <<= 1;
            this.levels[length].first = next;
            this.levels[length].offset = place as u16;
            let mut symbol = 0;
            while symbol < 257 {
                if LENGTHS[symbol] as usize == length {
                    this.symbols[place] = symbol as u16;
                    this.codes[symbol] = next;
                    if length <= 8 {
                        let first = (next as usize) << (8 - length);
                        let mut at = first;
                        while at < first + (1 << (8 - length)) {
                            this.short[at] = (symbol as u8, length as u8);
                            at += 1;
                        }
                    }
                    place += 1;
                    next += 1;
                }
                symbol += 1;
            }
            this.levels[length].end = (next as u64) << (32 - length);
            length += 1;
        }
        this
    }

    /// The symbol that `window`, 32 bits, begins with, and the length of its code.
    fn find(&self, window: u32) -> Option<(u16, usize)> {
        let (length, level) = self.levels.iter().enumerate().skip(9).find(|(_, it)| u64::from(window) < it.end)?;
        let place = usize::try_from((window >> (32 - length)) - level.first).ok()? + usize::from(level.offset);
        self.symbols.get(place).map(|symbol| (*symbol, length))
    }
}

/// Bits not looked at yet, leftmost.
#[derive(Default)]
struct Window {
    bits: u64,
    have: usize,
}

impl Window {
    /// The symbol they begin with, and the length of its code, which may be more than there are.
    fn first(&self) -> Option<(u16, usize)> {
        match CODE.short.get((self.bits >> 56) as usize) {
            Some((symbol, length @ 1..)) => Some((u16::from(*symbol), usize::from(*length))),
            _ => CODE.find((self.bits >> 32) as u32),
        }
    }

    fn skip(&mut self, length: usize) {
        self.bits <<= length;
        self.have -= length;
    }
}

/// Appends what `coded` stands for to `out`. False when it is not well formed: it has the end of a string in it, or is
/// padded by more than seven bits or by others than ones.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> bool {
    let mut end = out.len();
    // The shortest code has five bits.
    out.resize(end + coded.len() * 8 / 5, 0);
    let (mut window, mut rest) = (Window::default(), coded);
    while let Some((chunk, behind)) = rest.split_first_chunk::<4>() {
        window.bits |= u64::from(u32::from_be_bytes(*chunk)) << (32 - window.have);
        window.have += 32;
        rest = behind;
        while window.have >= LONGEST {
            let (Some((symbol @ 0..256, length)), Some(place)) = (window.first(), out.get_mut(end)) else {
                return false;
            };
            *place = symbol as u8;
            end += 1;
            window.skip(length);
        }
    }
    for byte in rest {
        window.bits |= u64::from(*byte) << (56 - window.have);
        window.have += 8;
    }
    loop {
        let Some((symbol, length)) = window.first() else { return false };
        if length > window.have {
            out.truncate(end);
            return window.have < 8 && window.bits.leading_ones() as usize >= window.have;
        }
        let (0..256, Some(place)) = (symbol, out.get_mut(end)) else { return false };
        *place = symbol as u8;
        end += 1;
        window.skip(length);
    }
}

/// Bytes that `text` has in this code.
pub(super) fn length(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(LENGTHS.get(usize::from(*byte)).copied().unwrap_or(30))).sum();
    bits.div_ceil(8)
}

/// Appends `text` in this code to `out`.
pub(super) fn encode(text: &[u8], out: &mut BytesMut) {
    let (mut bits, mut have) = (0_u64, 0);
    for byte in text {
        let place = usize::from(*byte);
        let (code, length) = CODE.codes.get(place).zip(LENGTHS.get(place)).map_or((0, 0), |(code, it)| (*code, *it));
        bits = bits << length | u64::from(code);
        have += length;
        while have >= 8 {
            have -= 8;
            out.extend_from_slice(&[(bits >> have) as u8]);
        }
    }
    if have > 0 {
        // Padded with the first bits of the code of the end: ones.
        out.extend_from_slice(&[(bits << (8 - have)) as u8 | 0xff >> have]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(text: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode(text, &mut out);
        assert_eq!(out.len(), length(text));
        out.to_vec()
    }

    fn decoded(coded: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(coded, &mut out).then_some(out)
    }

    #[test]
    fn rfc7541_c_4_and_c_6_strings() {
        for (text, code) in [
            (&b"www.example.com"[..], &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..]),
            (b"no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            (b"custom-key", &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f]),
            (b"302", &[0x64, 0x02]),
            (b"private", &[0xae, 0xc3, 0x77, 0x1a, 0x4b]),
        ] {
            assert_eq!(coded(text), code);
            assert_eq!(decoded(code).unwrap(), text);
        }
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&coded(&all)).unwrap(), all);
        for byte in all {
            for count in 1..9 {
                assert_eq!(decoded(&coded(&vec![byte; count])).unwrap(), vec![byte; count]);
            }
        }
    }

    #[test]
    fn rfc7541_5_2_padding_is_ones_and_less_than_a_byte_and_there_is_no_end_within() {
        assert_eq!(decoded(&[]).unwrap(), b"");
        // '0' is 00000.
        assert_eq!(decoded(&[0b0000_0111]).unwrap(), b"0");
        for bad in [&[0b0000_0110][..], &[0b0000_0111, 0xff], &[0xff], &[0xff; 4], &[0x07, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(decoded(bad), None, "{bad:x?}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 1_u64;
        for length in 0..2000 {
            let bytes: Vec<u8> = (0..length % 40)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 33) as u8
                })
                .collect();
            if let Some(text) = decoded(&bytes) {
                assert_eq!(coded(&text), bytes, "what is well formed has one form");
            }
        }
    }
}
