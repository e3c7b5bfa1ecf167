//! What is sealed, and what is evicted, when the power goes: the recordings of `replay`, of two moments it seldom meets.

use std::collections::HashMap;

use super::super::record::{Disk, Event, Loss, Random, Recorder};
use super::replay::{Mark, Recording, SEGMENT, directory, small};
use super::*;

/// The table is on the device before the segment is cut to it: one that was cut and has none would be given up, and all
/// that is older with it.
#[test]
fn nothing_that_is_sealed_is_lost_with_the_power() {
    let directory = directory();
    let recorder = Recorder::new(directory.path());
    let store = DiskStore::open_with(small(directory.path()), recorder.io(), SEGMENT).unwrap();
    let mut recording = Recording::new(store.shared.nonce());
    for each in 0..8 {
        let whole = content(each, 5000);
        assert!(store.insert(&key(each), response(whole.clone())));
        recording.stored.insert(each, vec![(each + 1, whole)]);
    }
    store.flush();
    // The name of the segment is on the device too.
    store.sync();
    drop(store);
    let events = recorder.events();
    let cut = events.iter().rposition(|event| matches!(event, Event::Resize { .. })).unwrap();
    for seed in 0..200 {
        let loss = if seed % 2 == 0 { Loss::Journal } else { Loss::Any };
        let disk = Disk::after_power_loss(&events[..=cut], loss, &mut Random(seed));
        let found = recording.verify(&disk, &HashMap::new(), &format!("loss {seed} ({loss:?})"));
        assert_eq!(found, 8, "loss {seed} ({loss:?})");
    }
}

/// Stores and removes small content, and has many segments evicted at once by large content.
fn record_evictions(seed: u64) -> (Recording, Vec<Event>) {
    let directory = directory();
    let recorder = Recorder::new(directory.path());
    let store = DiskStore::open_with(small(directory.path()), recorder.io(), SEGMENT / 2).unwrap();
    let (mut recording, mut random) = (Recording::new(store.shared.nonce()), Random(seed));
    let mut version = 0;
    let mut put = |recording: &mut Recording, each: u64, length: usize| {
        version += 1;
        let whole = content(version, length);
        recording.stored.entry(each).or_default().push((version, whole.clone()));
        store.insert(&key(each), response(whole));
        store.flush();
        version
    };
    for round in 0..6 {
        // Each once: what comes back would be hidden by what came later.
        for each in round * 60..round * 60 + 60 {
            let newest = put(&mut recording, each, 4000 + random.below(4000));
            // Its tombstone is in another segment than the record.
            if let Some(each) = each.checked_sub(10).filter(|each| each % 2 == 0) {
                let hash = store.shared.hash(&key(each)).unwrap();
                assert!(runtime().block_on(store.remove(&key(each)).durable()));
                recorder.mark(recording.marks.len());
                recording.marks.push(Mark::Removed { key: each, hash, version: newest });
            }
        }
        // The tombstones reach the device. What is evicted from now on need not.
        store.sync();
        put(&mut recording, 1000 + round, (1 << 20) + 7);
    }
    drop(store);
    let events = recorder.events();
    (recording, events)
}

/// A segment goes after those that are older: its tombstones are about what is in them. The device may see it otherwise.
#[test]
fn a_tombstone_that_is_gone_before_what_it_removed_takes_that_along() {
    for seed in 0..2 {
        let (recording, events) = record_evictions(seed);
        let is_removal = |event: &Event| matches!(event, Event::Remove { path } if path.starts_with("segments"));
        let removals: Vec<usize> = (0..events.len()).filter(|at| is_removal(&events[*at])).collect();
        assert!(removals.len() > 10, "{} segments were evicted", removals.len());
        for loss in 0..40 {
            let mut random = Random(seed * 1_000_003 + loss);
            // Just after an eviction: what a sync follows soon is certain again.
            let end = removals[random.below(removals.len())] + 1;
            let floors = recording.floors(&events[..end], |events, at, hash| recording.is_on_device(events, at, hash));
            let disk = Disk::after_power_loss(&events[..end], Loss::Any, &mut random);
            recording.verify(&disk, &floors, &format!("seed {seed}, loss {loss} after {end} operations"));
        }
    }
}
