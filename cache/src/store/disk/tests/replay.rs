//! What the engine asked of the device is recorded, and every crash it allows is played: after each operation, in the
//! middle of each write, and with what was not synced lost or out of order when the power goes. Whatever is left, a start
//! serves what was stored or nothing, and nothing that was removed.

use std::collections::HashMap;

use super::super::format::{Header, Kind};
use super::super::record::{Disk, Event, Loss, Random, Recorder};
use super::*;

const KEYS: u64 = 24;
pub(super) const SEGMENT: u64 = 64 << 10;

/// Traces in an ordinary run, and power losses of each; `FOREBAY_SEEDS` asks for more traces.
const LOSSES: u64 = 60;

fn seeds() -> u64 {
    std::env::var("FOREBAY_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2)
}

pub(super) fn small(path: &Path) -> DiskConfig {
    DiskConfig { size: 5 << 20, max_object: 2 << 20, ..config(path) }
}

/// The length of what is stored as `version`; one in thirty has a file of its own.
fn length(version: u64) -> usize {
    let version = usize::try_from(version).unwrap();
    if version.is_multiple_of(30) { (1 << 20) + version * 7 } else { 100 + version * 911 % 9000 }
}

/// In memory where that is possible: thousands of starts sync a lot.
pub(super) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Some are long enough for a file of their own.
fn coded(version: u64) -> Bytes {
    let coded = format!("version {version}, coded");
    Bytes::from(if version.is_multiple_of(70) { coded.repeat(70_000) } else { coded })
}

/// What the test knows of a moment of the recording.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// All versions of the key up to this one are removed, and that was acknowledged.
    Removed { key: u64, hash: u64, version: u64 },
}

pub(super) struct Recording {
    events: Vec<Event>,
    pub(super) marks: Vec<Mark>,
    /// Versions that were ever stored, by key.
    pub(super) stored: HashMap<u64, Vec<(u64, Bytes)>>,
    nonce: u64,
}

/// Stores, replaces, freshens, codes, uses, removes and restarts; old segments and files make room meanwhile.
fn record(seed: u64) -> Recording {
    let directory = directory();
    let recorder = Recorder::new(directory.path());
    let open = || DiskStore::open_with(small(directory.path()), recorder.io(), SEGMENT).unwrap();
    let (mut store, mut random) = (open(), Random(seed));
    let (mut marks, mut stored) = (Vec::new(), HashMap::<u64, Vec<(u64, Bytes)>>::new());
    for version in 1..=280 {
        let each = random.below(usize::try_from(KEYS).unwrap()) as u64;
        match random.below(20) {
            0..2 => {
                let hash = store.shared.hash(&key(each)).unwrap();
                assert!(runtime().block_on(store.remove(&key(each)).durable()));
                recorder.mark(marks.len());
                marks.push(Mark::Removed { key: each, hash, version });
            }
            2 => {
                let held = get(&store, &key(each));
                if let Some(variant) = held.iter().next() {
                    let fresh = Arc::new(variant.response.made_stale(crate::clock::Timestamp::from_secs(1)));
                    store.freshen(&key(each), &variant.response, fresh, variant.large.as_deref());
                }
            }
            3..7 => {
                let _ = store.variants(&key(each));
            }
            7 if version % 4 == 0 => {
                drop(store);
                store = open();
            }
            7 => store.sync(),
            _ => {
                let whole = content(version, length(version));
                stored.entry(each).or_default().push((version, whole.clone()));
                let response = response(whole);
                if store.insert(&key(each), Arc::clone(&response)) && version % 5 == 0 && length(version) < 9000 {
                    store.add_coded(&key(each), &response, None, Coding::Gzip, coded(version));
                }
            }
        }
        if random.below(3) == 0 {
            store.flush();
        }
    }
    store.flush();
    let nonce = store.shared.nonce();
    drop(store);
    Recording { events: recorder.events(), marks, stored, nonce }
}

impl Recording {
    /// Of nothing yet.
    pub(super) fn new(nonce: u64) -> Self {
        Self { events: Vec::new(), marks: Vec::new(), stored: HashMap::new(), nonce }
    }

    /// By key, the newest version whose removal must hold after a crash that follows `events`.
    pub(super) fn floors(
        &self,
        events: &[Event],
        is_certain: impl Fn(&[Event], usize, u64) -> bool,
    ) -> HashMap<u64, u64> {
        let mut floors = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            let Event::Mark(mark) = event else { continue };
            let Mark::Removed { key, hash, version } = self.marks[*mark];
            if is_certain(events, at, hash) {
                floors.insert(key, version);
            }
        }
        floors
    }

    /// Whether the removal of `hash` that was acknowledged at `at` has reached the device: its tombstone, and the name of
    /// the segment it is in; without a tombstone, the names that were removed before.
    pub(super) fn is_on_device(&self, events: &[Event], at: usize, hash: u64) -> bool {
        let synced_names = |from: usize, name: &str| {
            events[from..]
                .iter()
                .any(|event| matches!(event, Event::SyncNames { directory } if directory.as_path() == Path::new(name)))
        };
        let tombstone = events[..at].iter().enumerate().rev().find_map(|(place, event)| match event {
            Event::Write { file, data, .. } => {
                let header = Header::decode(data, self.nonce).ok()?;
                let named = header.hash == hash && header.label.kind == Kind::RemoveAll;
                let put = header.hash == hash && header.label.kind.is_put();
                (named || put).then_some((place, *file, named))
            }
            _ => None,
        });
        match tombstone {
            Some((place, file, true)) => {
                let created = |event: &Event| matches!(event, Event::Create { file: other, .. } if *other == file);
                let made = events.iter().position(created).unwrap();
                let synced = |event: &Event| matches!(event, Event::Sync { file: other } if *other == file);
                events[place..].iter().any(synced) && synced_names(made, "segments")
            }
            _ => synced_names(at, "segments") && synced_names(at, "large"),
        }
    }

    /// A start on `disk` serves what was stored or nothing, and nothing that `floors` says is removed; how much it served.
    pub(super) fn verify(&self, disk: &Disk, floors: &HashMap<u64, u64>, what: &str) -> usize {
        let directory = directory();
        disk.materialize(directory.path());
        self.verify_in(directory.path(), Io::default(), floors, what)
    }

    fn verify_in(&self, path: &Path, io: Io, floors: &HashMap<u64, u64>, what: &str) -> usize {
        let store = DiskStore::open_with(small(path), io, SEGMENT).unwrap();
        let mut found = 0;
        for &each in self.stored.keys() {
            for variant in get(&store, &key(each)).iter() {
                found += 1;
                let content = variant.response.content();
                let stored = self.stored.get(&each).into_iter().flatten();
                let version = stored.clone().find(|(_, whole)| whole == content).map(|(version, _)| *version);
                let version = version.unwrap_or_else(|| panic!("{what}: {each} was never stored like this"));
                let floor = floors.get(&each).copied().unwrap_or(0);
                assert!(version > floor, "{what}: {each} has version {version}; up to {floor} they were removed");
                if let Some(made) = variant.coded(Coding::Gzip) {
                    assert_eq!(*made, coded(version), "{what}");
                }
            }
        }
        let _ = store.check();
        assert!(store.check().damaged == 0, "{what}: what is damaged has been dropped");
        assert!(store.degraded().is_none(), "{what}");
        found
    }
}

#[test]
fn a_process_that_ends_after_any_operation_or_in_any_write_leaves_nothing_wrong() {
    for seed in 0..seeds() {
        let recording = record(seed);
        let mut disk = Disk::default();
        let mut served = 0;
        for (at, event) in recording.events.iter().enumerate() {
            let before = &recording.events[..at];
            let floors = recording.floors(before, |_, _, _| true);
            let what = format!("seed {seed}, {at} operations");
            // One state in three in an ordinary run, or it takes minutes.
            if seeds() > 2 || at % 3 == 0 {
                for torn in disk.torn(event).iter().take(3) {
                    recording.verify(torn, &floors, &format!("{what} and a part"));
                }
                served += recording.verify(&disk, &floors, &what);
            }
            disk.apply(event);
        }
        assert!(served > 0 && recording.marks.len() > 10, "a recording of something: {served}");
    }
}

#[test]
fn whatever_a_power_loss_takes_of_what_was_not_synced_nothing_wrong_is_left() {
    for seed in 0..seeds() {
        let recording = record(seed);
        let (mut served, mut certain) = (0, 0);
        for each in 0..LOSSES * 2 {
            let mut random = Random(seed * 1_000_003 + each);
            let loss = if each % 2 == 0 { Loss::Journal } else { Loss::Any };
            let end = random.below(recording.events.len() + 1);
            let events = &recording.events[..end];
            let what = format!("seed {seed}, loss {each} ({loss:?}) after {end} operations");
            let floors = recording.floors(events, |events, at, hash| recording.is_on_device(events, at, hash));
            let disk = Disk::after_power_loss(events, loss, &mut random);
            certain += floors.len();
            served += recording.verify(&disk, &floors, &what);
            // The power goes again while the start puts things in order.
            let directory = directory();
            disk.materialize(directory.path());
            let recorder = Recorder::resume(directory.path(), &disk);
            let begun = recorder.events().len();
            recording.verify_in(directory.path(), recorder.io(), &floors, &what);
            let events = recorder.events();
            let end = begun + random.below(events.len() - begun + 1);
            let again = Disk::after_power_loss(&events[..end], loss, &mut random);
            recording.verify(&again, &floors, &format!("{what}, and again after {end}"));
        }
        assert!(served > 0 && certain > 0, "losses of something: {served} served, {certain} removals certain");
    }
}
