use super::*;

const OPCODES: [Opcode; 8] = [
    Opcode::Query,
    Opcode::Hit,
    Opcode::Miss,
    Opcode::Err,
    Opcode::Secho,
    Opcode::Decho,
    Opcode::MissNofetch,
    Opcode::Denied,
];

/// A generator of its own, so that a failure comes again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn query() -> Vec<u8> {
    Packet { opcode: Opcode::Query, request: 0x0102_0304, url: b"http://a.test/x" }.write().unwrap()
}

#[test]
fn rfc2186_2_a_query_is_these_bytes() {
    let mut expected = vec![1, 2, 0, 40, 1, 2, 3, 4];
    expected.extend_from_slice(&[0; 16]);
    expected.extend_from_slice(b"http://a.test/x\0");
    assert_eq!(query(), expected);
}

#[test]
fn rfc2186_2_an_answer_has_no_requester() {
    let packet = Packet { opcode: Opcode::MissNofetch, request: 7, url: b"http://a.test/" };
    let bytes = packet.write().unwrap();
    assert_eq!((bytes[0], bytes.len()), (21, 20 + 14 + 1));
    assert_eq!(Packet::read(&bytes), Ok(packet));
}

#[test]
fn what_is_written_is_read_again() {
    let mut random = Random(1);
    for _ in 0..2_000 {
        let url: Vec<u8> = (0..random.below(300)).map(|_| random.byte().max(1)).collect();
        let opcode = OPCODES[random.below(OPCODES.len())];
        let packet = Packet { opcode, request: u32::try_from(random.next() & 0xffff_ffff).unwrap(), url: &url };
        assert_eq!(Packet::read(&packet.write().unwrap()), Ok(packet));
    }
}

#[test]
fn what_is_no_packet_is_refused_for_what_is_wrong_with_it() {
    let changed = |at: usize, byte: u8| {
        let mut bytes = query();
        bytes[at] = byte;
        bytes
    };
    for (bytes, wrong) in [
        (Vec::new(), Malformed::Short),
        (query()[..19].to_vec(), Malformed::Short),
        (query()[..30].to_vec(), Malformed::Length),
        ([query(), vec![0]].concat(), Malformed::Length),
        (changed(1, 3), Malformed::Version),
        (changed(1, 1), Malformed::Version),
        (changed(3, 0), Malformed::Length),
        (changed(2, 0xff), Malformed::Length),
        (changed(0, 0), Malformed::Opcode),
        (changed(0, 23), Malformed::Opcode),
        (changed(39, b'/'), Malformed::Url),
        (changed(30, 0), Malformed::Url),
        // A header alone, and a question that ends where its URL should begin.
        (vec![2, 2, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Malformed::Short),
        (vec![1, 2, 0, 22, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Malformed::Short),
    ] {
        assert_eq!(Packet::read(&bytes), Err(wrong), "{bytes:?}");
    }
}

#[test]
fn a_url_of_64_kib_is_neither_written_nor_read() {
    let url = vec![b'a'; PACKET_MAX - 25];
    assert_eq!(Packet { opcode: Opcode::Query, request: 1, url: &url }.write(), None);
    let mut bytes = vec![1, 2, 0xff, 0xff, 0, 0, 0, 1];
    bytes.resize(24, 0);
    bytes.extend_from_slice(&url);
    bytes.push(0);
    let length = u16::try_from(bytes.len()).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(Packet::read(&bytes), Err(Malformed::Url));
    assert_eq!(Packet { opcode: Opcode::Query, request: 1, url: b"a\0b" }.write(), None);
}

#[test]
fn mutated_packets_are_read_as_they_are_or_not_at_all() {
    let mut random = Random(2);
    for _ in 0..20_000 {
        let mut bytes = query();
        for _ in 0..=random.below(4) {
            match random.below(3) {
                0 => {
                    let at = random.below(bytes.len().max(1));
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = random.byte();
                    }
                }
                1 => bytes.truncate(random.below(bytes.len() + 1)),
                _ => bytes.push(random.byte()),
            }
        }
        if let Ok(packet) = Packet::read(&bytes) {
            let again = packet.write().unwrap();
            assert_eq!(again.len(), bytes.len());
            assert_eq!((again[0], &again[2..8]), (bytes[0], &bytes[2..8]));
        }
    }
}
