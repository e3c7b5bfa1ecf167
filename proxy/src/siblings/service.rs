//! The socket: questions are answered, answers are told to who waits for them, dead peers are probed.
//!
//! Strangers get no answer at all: whoever can forge an address could have one sent to somebody else otherwise. No answer
//! is longer than its question, and an echo is answered by a packet that nobody answers, so nothing goes back and forth.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, watch};

use super::Siblings;
use super::answer::answer;
use super::packet::{Opcode, PACKET_MAX, Packet};
use super::questions::Answer;
use crate::account::metrics::Ignored;
use crate::runtime::Shared;

/// Questions that wait for the disk tier; beyond them the answer is MISS.
const READING: usize = 64;

/// The socket of `[icp]` as a Pingora service.
pub(crate) struct IcpService {
    pub(crate) shared: Arc<Shared>,
    pub(crate) siblings: Arc<Siblings>,
    /// While true, peers are told to go elsewhere.
    pub(crate) draining: watch::Receiver<bool>,
}

#[async_trait]
impl Service for IcpService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let socket = match self.siblings.socket.try_clone().and_then(UdpSocket::from_std) {
            Ok(socket) => Arc::new(socket),
            Err(error) => return tracing::error!(%error, "the ICP socket cannot be read"),
        };
        let reading = Arc::new(Semaphore::new(READING));
        let mut probing = tokio::time::interval(self.siblings.config.probe);
        let mut datagram = vec![0; PACKET_MAX];
        loop {
            tokio::select! {
                received = socket.recv_from(&mut datagram) => match received {
                    Ok((length, from)) => {
                        let bytes = datagram.get(..length).unwrap_or_default();
                        self.receive(bytes, from, &socket, &reading).await;
                    }
                    // What a peer's host says about a packet of ours (ICMP) says nothing about the socket.
                    Err(error) => tracing::debug!(%error, "ICP socket"),
                },
                _ = probing.tick() => self.siblings.look_after(),
                _ = shutdown.changed() => return,
            }
        }
    }

    fn name(&self) -> &'static str {
        "icp"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

impl IcpService {
    /// Purges may have been missed: nothing that is stored is promised to anybody.
    fn is_behind(&self) -> bool {
        self.shared.lasting.cluster.as_ref().is_some_and(|cluster| cluster.is_behind() || !cluster.is_connected())
    }

    async fn receive(&self, datagram: &[u8], from: SocketAddr, socket: &Arc<UdpSocket>, reading: &Arc<Semaphore>) {
        let siblings = &self.siblings;
        let ignored = |why| siblings.metrics.ignored(why);
        let address = from.ip().to_canonical();
        let from = SocketAddr::new(address, from.port());
        let Ok(packet) = Packet::read(datagram) else { return ignored(Ignored::Malformed) };
        match packet.opcode {
            Opcode::Query | Opcode::Secho => {
                let Some(label) = siblings.admits(address) else { return ignored(Ignored::Stranger) };
                let Some(label) = label else { return ignored(Ignored::Limited) };
                if packet.opcode == Opcode::Secho {
                    return siblings.reply(socket, from, label, Packet { opcode: Opcode::Decho, ..packet });
                }
                if *self.draining.borrow() || self.is_behind() {
                    return siblings.reply(socket, from, label, Packet { opcode: Opcode::MissNofetch, ..packet });
                }
                let runtime = self.shared.runtime();
                if self.shared.lasting.store.disk().is_none() {
                    let opcode = answer(&runtime, packet.url).await;
                    return siblings.reply(socket, from, label, Packet { opcode, ..packet });
                }
                let Ok(permit) = Arc::clone(reading).try_acquire_owned() else {
                    return siblings.reply(socket, from, label, Packet { opcode: Opcode::Miss, ..packet });
                };
                // The disk is not waited for here: the next answer may be one that somebody waits for.
                let (url, request) = (packet.url.to_vec(), packet.request);
                let (siblings, socket, label) = (Arc::clone(siblings), Arc::clone(socket), label.to_owned());
                tokio::spawn(async move {
                    let opcode = answer(&runtime, &url).await;
                    siblings.reply(&socket, from, &label, Packet { opcode, request, url: &url });
                    drop(permit);
                });
            }
            opcode => {
                let Some(index) = siblings.peers.iter().position(|peer| peer.icp == Some(from)) else {
                    return ignored(if siblings.is_peer(address) { Ignored::Unexpected } else { Ignored::Stranger });
                };
                let said = siblings.questions.answer(packet.request, index, packet.url, opcode, Instant::now());
                let Some(peer) = siblings.peers.get(index) else { return };
                match said {
                    Answer::InTime(after) => {
                        peer.metrics.asked(opcode.label());
                        peer.answered(Some(after));
                    }
                    Answer::Late => peer.answered(None),
                    Answer::Unexpected => ignored(Ignored::Unexpected),
                }
            }
        }
    }
}

impl Siblings {
    /// The label of who may ask from there: `Some(None)` when he has asked too often, `None` for a stranger.
    fn admits(&self, address: IpAddr) -> Option<Option<&str>> {
        let now = Instant::now();
        if let Some(peer) = self.peers.iter().find(|peer| peer.is_at(address)) {
            return Some(peer.bucket.take(now).then_some(&*peer.label));
        }
        let allowed = self.config.allow.iter().any(|network| network.contains(&address));
        allowed.then(|| self.others.take(now).then_some("other"))
    }

    fn reply(&self, socket: &UdpSocket, to: SocketAddr, label: &str, packet: Packet<'_>) {
        self.metrics.answered(label, packet.opcode.label());
        if let Some(bytes) = packet.write()
            && let Err(error) = socket.try_send_to(&bytes, to)
        {
            tracing::debug!(%to, %error, "cannot answer");
        }
    }

    /// Forgets old questions, blames who has left them unanswered, asks the dead whether they are back.
    fn look_after(&self) {
        let silent = self.questions.overdue(self.config.timeout, Instant::now());
        self.blame(&silent);
        for (index, peer) in self.peers.iter().enumerate() {
            if !peer.is_alive() {
                self.probe(index);
            }
        }
    }
}
