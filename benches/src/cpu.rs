//! What a process and its children used, as the kernel counts it (proc(5)).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Result;

/// One process, as `/proc/PID/stat` has it.
struct Process {
    parent: u32,
    /// User and system time, ticks; that of children that ended included.
    ticks: u64,
    /// Resident pages.
    resident: u64,
}

/// What a process tree has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time of all its processes.
    pub cpu: Duration,
    /// Resident bytes of all its processes; shared pages count once for each.
    pub resident: u64,
}

/// What the process `root` and its descendants have used.
///
/// # Errors
///
/// `/proc` cannot be read, or `root` is not there.
pub fn usage(root: u32) -> Result<Usage> {
    let processes = processes()?;
    if !processes.contains_key(&root) {
        return Err(format!("process {root} is gone").into());
    }
    let (mut ticks, mut pages) = (0, 0);
    for (pid, process) in &processes {
        if descends(*pid, root, &processes) {
            ticks += process.ticks;
            pages += process.resident;
        }
    }
    let cpu = Duration::from_millis(ticks * 1000 / clock_ticks_per_second().max(1));
    Ok(Usage { cpu, resident: pages * page_size() as u64 })
}

fn processes() -> Result<HashMap<u32, Process>> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end between the listing and the reading.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        if let Some(process) = stat.as_deref().and_then(parse) {
            processes.insert(pid, process);
        }
    }
    Ok(processes)
}

/// The name, in parentheses, may hold spaces and parentheses itself; numbers follow the last of them.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    // Counted from `state`, field 3 of proc(5): ppid, then utime, stime, cutime, cstime, then rss.
    let ticks = (11..=14).map(number).sum::<Option<u64>>()?;
    Some(Process { parent: u32::try_from(number(1)?).ok()?, ticks, resident: number(21)? })
}

fn descends(pid: u32, root: u32, processes: &HashMap<u32, Process>) -> bool {
    let mut at = pid;
    while at != root {
        match processes.get(&at) {
            Some(process) if process.parent != 0 => at = process.parent,
            _ => return false,
        }
    }
    true
}

/// Confines this thread, and the threads and processes it starts from now on, to one core.
///
/// # Errors
///
/// There is no such core.
pub fn confine(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("cannot run on core {core}: {error}").into())
}

/// Connections need a descriptor each, here and in the servers, who inherit the limit.
///
/// # Errors
///
/// The system refuses.
pub fn raise_descriptor_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_no_field() {
        let numbers = (1..=40).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let process = parse(&format!("77 (a) b (c)) S {numbers}")).unwrap();
        assert_eq!((process.parent, process.ticks, process.resident), (1, 11 + 12 + 13 + 14, 21));
    }

    #[test]
    fn time_of_this_process_grows_with_work() {
        let before = usage(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while usage(std::process::id()).unwrap().cpu - before.cpu < Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0 && before.resident > 0);
    }
}
