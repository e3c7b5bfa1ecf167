//! An authoritative name server whose answers a test changes while it runs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;

/// A name server on loopback, by UDP.
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conduct {
    /// By what it knows: records, no records of this type, or no such name.
    #[default]
    Answering,
    /// SERVFAIL, whatever is asked.
    Failing,
    /// Not at all.
    Silent,
}

#[derive(Default)]
struct Zone {
    records: HashMap<String, (u32, Vec<RData>)>,
    conduct: Conduct,
    asked: Vec<(String, RecordType)>,
}

// === impl NameServer ===

impl NameServer {
    /// One that knows nothing yet.
    #[must_use]
    pub fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        let address = socket.local_addr().expect("address");
        let zone = Arc::new(Mutex::new(Zone::default()));
        let shared = Arc::clone(&zone);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = shared.lock().answer(&buffer[..length]) {
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Self { address, zone }
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `name` has these addresses from now on, for `ttl` seconds each time. None: the name is there and has none.
    pub fn set(&self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        let data = |address: &IpAddr| match address {
            IpAddr::V4(address) => RData::A(A(*address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
        };
        self.zone.lock().records.insert(key(name), (ttl, addresses.iter().map(data).collect()));
    }

    /// `name` is a service at these places: priority, weight, port, host.
    pub fn set_service(&self, name: &str, ttl: u32, places: &[(u16, u16, u16, &str)]) {
        let data = |(priority, weight, port, host): &(u16, u16, u16, &str)| {
            RData::SRV(SRV::new(*priority, *weight, *port, parsed(host)))
        };
        self.zone.lock().records.insert(key(name), (ttl, places.iter().map(data).collect()));
    }

    /// There is no such name any more.
    pub fn forget(&self, name: &str) {
        self.zone.lock().records.remove(&key(name));
    }

    /// From now on it answers like this.
    pub fn conduct(&self, conduct: Conduct) {
        self.zone.lock().conduct = conduct;
    }

    /// How often it was asked for the addresses (A) of `name`, or for it as a service.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        let name = key(name);
        let is_it = |(asked, kind): &&(String, RecordType)| *asked == name && *kind != RecordType::AAAA;
        self.zone.lock().asked.iter().filter(is_it).count()
    }
}

impl Zone {
    fn answer(&mut self, question: &[u8]) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let name = key(&query.name().to_ascii());
        self.asked.push((name.clone(), query.query_type()));
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        match (self.conduct, self.records.get(&name)) {
            (Conduct::Silent, _) => return None,
            (Conduct::Failing, _) => answer.metadata.response_code = ResponseCode::ServFail,
            (Conduct::Answering, None) => answer.metadata.response_code = ResponseCode::NXDomain,
            (Conduct::Answering, Some((ttl, records))) => {
                for data in records.iter().filter(|data| data.record_type() == query.query_type()) {
                    answer.add_answer(Record::from_rdata(query.name().clone(), *ttl, data.clone()));
                }
            }
        }
        answer.add_query(query);
        answer.to_vec().ok()
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn parsed(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("name");
    name.set_fqdn(true);
    name
}
