//! Ask: who has this? All who answer are asked at once; the first HIT ends the waiting.

use std::sync::Arc;
use std::time::Instant;

use forebay_cache::clock::Timestamp;
use tokio::sync::mpsc;

use super::packet::{Opcode, Packet};
use super::{Peer, Siblings};

/// What the peers said.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Who has it.
    pub(crate) hit: Option<Arc<Peer>>,
    /// Not all have answered in time.
    pub(crate) timed_out: bool,
    /// Parents that will not fetch it for us.
    pub(crate) unwilling: Vec<Arc<Peer>>,
}

impl Siblings {
    /// Asks every peer that answers whether it has `url`, and waits for the first HIT, for all, or for as long as their
    /// answers usually take.
    pub(crate) async fn ask(&self, url: &str, now: Timestamp) -> Asked {
        let asked = |(index, peer): (usize, &Arc<Peer>)| (peer.icp.is_some() && peer.is_usable(now)).then_some(index);
        let whom: Vec<usize> = self.peers.iter().enumerate().filter_map(asked).collect();
        let mut said = Asked::default();
        if whom.is_empty() {
            return said;
        }
        let (tell, mut told) = mpsc::unbounded_channel();
        let started = Instant::now();
        let Some(number) = self.questions.begin(url.as_bytes(), whom.clone(), Some(tell), started) else { return said };
        if !self.send(Opcode::Query, number, url, &whom) {
            self.questions.end(number);
            return said;
        }
        let waits = whom.iter().filter_map(|index| self.peers.get(*index));
        let patience = waits.map(|peer| peer.patience(self.config.timeout)).max().unwrap_or(self.config.timeout);
        let mut left = whom.len();
        let wait = async {
            while left > 0 {
                let Some((index, opcode)) = told.recv().await else { return };
                left -= 1;
                let Some(peer) = self.peers.get(index) else { continue };
                match opcode {
                    Opcode::Hit => {
                        said.hit = Some(Arc::clone(peer));
                        return;
                    }
                    Opcode::MissNofetch | Opcode::Denied => said.unwilling.push(Arc::clone(peer)),
                    _ => {}
                }
            }
        };
        let in_time = tokio::time::timeout(patience, wait).await.is_ok();
        self.metrics.wait.observe(started.elapsed().as_secs_f64());
        if in_time && said.hit.is_some() {
            self.questions.leave(number);
        } else {
            let silent = self.questions.end(number);
            said.timed_out = !silent.is_empty();
            self.blame(&silent);
        }
        said
    }

    /// Sends a question to each of `whom`; false when it cannot be put into a packet. What cannot be sent is not answered.
    pub(super) fn send(&self, opcode: Opcode, number: u32, url: &str, whom: &[usize]) -> bool {
        let Some(packet) = (Packet { opcode, request: number, url: url.as_bytes() }).write() else { return false };
        for peer in whom.iter().filter_map(|index| self.peers.get(*index)) {
            if let Some(address) = peer.icp
                && let Err(error) = self.socket.send_to(&packet, address)
            {
                tracing::debug!(peer = %peer.label, %error, "cannot ask");
            }
        }
        true
    }

    /// These have not answered. Who dies of it is asked at once whether it was but a lost packet.
    pub(super) fn blame(&self, silent: &[usize]) {
        for index in silent {
            let Some(peer) = self.peers.get(*index) else { continue };
            peer.metrics.asked("timeout");
            if peer.missed() {
                self.probe(*index);
            }
        }
    }

    /// Asks a dead peer whether it is back: in a way that Squid answers, and one that any echo port does.
    pub(super) fn probe(&self, index: usize) {
        let Some(peer) = self.peers.get(index) else { return };
        // No site has it: the answer costs nothing. It is MISS or DENIED, and either is a sign of life.
        let url = format!("http://{}/", peer.label);
        let now = Instant::now();
        if let Some(number) = self.questions.begin(url.as_bytes(), vec![index], None, now) {
            self.send(Opcode::Query, number, &url, &[index]);
            self.send(Opcode::Secho, number, &url, &[index]);
        }
    }
}
