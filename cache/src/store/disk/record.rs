//! A recorder for tests: what the engine asked of the device, in order, and what a crash may have left of it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::io::Io;

/// What a device writes whole or not at all, and what the page cache takes whole.
const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// An operation that has succeeded. Paths are relative to the directory; a file is known by a number.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Create {
        file: usize,
        path: PathBuf,
    },
    Resize {
        file: usize,
        length: usize,
    },
    Write {
        file: usize,
        at: usize,
        data: Vec<u8>,
    },
    Sync {
        file: usize,
    },
    SyncNames {
        directory: PathBuf,
    },
    Rename {
        file: usize,
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// Something the test wants to know the place of.
    Mark(usize),
}

#[derive(Debug, Default)]
struct Trace {
    events: Vec<Event>,
    /// By device and inode. An inode that is used again is another file.
    files: HashMap<(u64, u64), usize>,
    names: HashMap<PathBuf, usize>,
    count: usize,
}

/// Takes down what happens beneath `root`.
#[derive(Debug)]
pub(super) struct Recorder {
    root: PathBuf,
    trace: Mutex<Trace>,
}

impl Recorder {
    pub(super) fn new(root: &Path) -> Arc<Self> {
        Arc::new(Self { root: root.to_owned(), trace: Mutex::default() })
    }

    /// Goes on from `disk`, which has been written to `root`; its files are those of the first events.
    pub(super) fn resume(root: &Path, disk: &Disk) -> Arc<Self> {
        let recorder = Self::new(root);
        for (path, content) in disk.files() {
            let file = File::open(root.join(path)).unwrap();
            recorder.created(&file, &root.join(path), content.len() as u64);
            recorder.written(&file, content, 0);
            recorder.synced(&file);
        }
        for directory in ["", "segments", "large"] {
            recorder.synced_names(&root.join(directory));
        }
        recorder
    }

    /// Operations that are recorded.
    pub(super) fn io(self: &Arc<Self>) -> Io {
        Io { recorder: Some(Arc::clone(self)), ..Io::default() }
    }

    pub(super) fn mark(&self, mark: usize) {
        self.trace.lock().events.push(Event::Mark(mark));
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.trace.lock().events.clone()
    }

    pub(super) fn created(&self, file: &File, path: &Path, size: u64) {
        let mut trace = self.trace.lock();
        let number = trace.count;
        trace.count += 1;
        trace.files.insert(inode(file), number);
        let path = self.relative(path);
        trace.names.insert(path.clone(), number);
        trace.events.push(Event::Create { file: number, path });
        trace.events.push(Event::Resize { file: number, length: size.try_into().unwrap() });
    }

    pub(super) fn resized(&self, file: &File, length: u64) {
        self.note(file, |file| Event::Resize { file, length: length.try_into().unwrap() });
    }

    pub(super) fn written(&self, file: &File, data: &[u8], at: u64) {
        self.note(file, |file| Event::Write { file, at: at.try_into().unwrap(), data: data.to_vec() });
    }

    pub(super) fn synced(&self, file: &File) {
        self.note(file, |file| Event::Sync { file });
    }

    pub(super) fn synced_names(&self, directory: &Path) {
        let directory = self.relative(directory);
        self.trace.lock().events.push(Event::SyncNames { directory });
    }

    pub(super) fn renamed(&self, from: &Path, to: &Path) {
        let (from, to) = (self.relative(from), self.relative(to));
        let mut trace = self.trace.lock();
        let file = trace.names.remove(&from).unwrap();
        trace.names.insert(to.clone(), file);
        trace.events.push(Event::Rename { file, from, to });
    }

    pub(super) fn removed(&self, path: &Path) {
        let path = self.relative(path);
        let mut trace = self.trace.lock();
        // Nothing happened where there was nothing.
        if trace.names.remove(&path).is_some() {
            trace.events.push(Event::Remove { path });
        }
    }

    fn note(&self, file: &File, event: impl FnOnce(usize) -> Event) {
        let mut trace = self.trace.lock();
        let number = trace.files[&inode(file)];
        trace.events.push(event(number));
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap().to_owned()
    }
}

fn inode(file: &File) -> (u64, u64) {
    let metadata = file.metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

/// Numbers that are the same each time.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        usize::try_from((self.0 >> 33) % bound.max(1) as u64).unwrap()
    }
}

/// Which of the operations that were not synced reached the device.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// Names and lengths in their order up to some point, as a journal has them.
    Journal,
    /// Any of them.
    Any,
}

/// What is on the device.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    contents: BTreeMap<usize, Vec<u8>>,
    names: BTreeMap<PathBuf, usize>,
}

impl Disk {
    /// After the process ended: everything it did is there.
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Create { file, path } => {
                self.content(*file);
                self.names.insert(path.clone(), *file);
            }
            Event::Resize { file, length } => self.content(*file).resize(*length, 0),
            Event::Write { file, at, data } => self.write(*file, *at, data),
            Event::Rename { file, from, to } => {
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
            }
            Event::Remove { path } => {
                self.names.remove(path);
            }
            Event::Sync { .. } | Event::SyncNames { .. } | Event::Mark(_) => {}
        }
    }

    /// The states a write may be left in when the process ends in the middle of it: by pages, but for none and all.
    pub(super) fn torn(&self, event: &Event) -> Vec<Self> {
        let Event::Write { file, at, data } = event else { return Vec::new() };
        let first = (at / PAGE + 1) * PAGE;
        let cuts = (first..at + data.len()).step_by(PAGE);
        let torn = |cut: usize| {
            let mut disk = self.clone();
            disk.write(*file, *at, &data[..cut - at]);
            disk
        };
        cuts.map(torn).collect()
    }

    /// After the power went: of what was not synced anything may be missing, sector by sector.
    pub(super) fn after_power_loss(events: &[Event], loss: Loss, random: &mut Random) -> Self {
        let mut stable = Self::default();
        let mut volatile: Vec<&Event> = Vec::new();
        for event in events {
            match event {
                Event::Sync { file } => {
                    // A journal is written in order, so a sync brings every name before it along.
                    let reached = |event: &Event| match loss {
                        Loss::Journal => is_name(event).is_some() || is_of(event, *file),
                        Loss::Any => is_of(event, *file),
                    };
                    stable.settle(&mut volatile, reached);
                }
                Event::SyncNames { directory } => stable.settle(&mut volatile, |event| match loss {
                    Loss::Journal => is_name(event).is_some(),
                    Loss::Any => is_name(event).is_some_and(|path| path.parent() == Some(directory.as_path())),
                }),
                Event::Mark(_) => {}
                event => volatile.push(event),
            }
        }
        // How much of it got through: nothing, next to nothing, …, all of it.
        let share = random.below(5) * 25;
        let journal = random.below(volatile.len() + 1);
        let mut sectors: HashMap<(usize, usize), Vec<&Event>> = HashMap::new();
        for (index, event) in volatile.iter().enumerate() {
            match event {
                Event::Write { file, at, data } => {
                    for sector in at / SECTOR..(at + data.len()).div_ceil(SECTOR) {
                        sectors.entry((*file, sector)).or_default().push(event);
                    }
                }
                event => {
                    let reached = match loss {
                        Loss::Journal => index < journal,
                        Loss::Any => random.below(100) < share,
                    };
                    if reached {
                        stable.apply(event);
                    }
                }
            }
        }
        let mut sectors: Vec<_> = sectors.into_iter().collect();
        sectors.sort_by_key(|(place, _)| *place);
        for ((file, sector), writes) in sectors {
            let through = if random.below(100) < share { 1 + random.below(writes.len()) } else { 0 };
            for event in writes.iter().take(through) {
                let Event::Write { at, data, .. } = event else { continue };
                let from = (sector * SECTOR).max(*at);
                let to = ((sector + 1) * SECTOR).min(at + data.len());
                // A file whose length did not reach the device ends earlier.
                let content = stable.content(file);
                let kept = to.min(content.len()).max(from) - from;
                if from + kept <= content.len() {
                    content[from..from + kept].copy_from_slice(&data[from - at..from - at + kept]);
                }
            }
        }
        stable
    }

    fn settle<'a>(&mut self, volatile: &mut Vec<&'a Event>, reached: impl Fn(&'a Event) -> bool) {
        volatile.retain(|event| {
            let reached = reached(event);
            if reached {
                self.apply(event);
            }
            !reached
        });
    }

    fn content(&mut self, file: usize) -> &mut Vec<u8> {
        self.contents.entry(file).or_default()
    }

    fn write(&mut self, file: usize, at: usize, data: &[u8]) {
        let content = self.content(file);
        let end = at + data.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[at..end].copy_from_slice(data);
    }

    fn files(&self) -> impl Iterator<Item = (&PathBuf, &Vec<u8>)> {
        self.names.iter().map(|(path, file)| (path, &self.contents[file]))
    }

    /// Writes it to `directory`, which is empty. Pages of zeros are left out.
    pub(super) fn materialize(&self, directory: &Path) {
        for name in ["segments", "large"] {
            std::fs::create_dir(directory.join(name)).unwrap();
        }
        for (path, content) in self.files() {
            let file = File::create_new(directory.join(path)).unwrap();
            file.set_len(content.len() as u64).unwrap();
            for (index, page) in content.chunks(PAGE).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    file.write_all_at(page, (index * PAGE) as u64).unwrap();
                }
            }
        }
    }
}

/// The name an operation is about; `None` when it is about content.
fn is_name(event: &Event) -> Option<&Path> {
    match event {
        Event::Create { path, .. } | Event::Remove { path } | Event::Rename { to: path, .. } => Some(path),
        _ => None,
    }
}

fn is_of(event: &Event, number: usize) -> bool {
    matches!(event, Event::Resize { file, .. } | Event::Write { file, .. } if *file == number)
}
