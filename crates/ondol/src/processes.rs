//! Which processes belong to this Ondol, and what memory each holds, read from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use aws_api::host::Process;

/// What a process of ours can be, by the first word of its arguments.
const ROLES: &[&str] = &[
    "region-server",
    "machine",
    "machine-runtime",
    "machine-agent",
    "machine-proxy",
    "shim",
    "network-agent",
    "serve-page",
];

/// The processes below `roots` (the region process and every machine's first), themselves included.
pub fn below(roots: &[u32]) -> io::Result<Vec<Process>> {
    let children = children_by_parent()?;
    let mut found = BTreeSet::new();
    let mut queue = roots.to_vec();
    while let Some(pid) = queue.pop() {
        if found.insert(pid) {
            queue.extend(children.get(&pid).into_iter().flatten());
        }
    }
    // A process that ended while we looked is no longer ours to report.
    Ok(found.into_iter().filter_map(describe).collect())
}

fn children_by_parent() -> io::Result<BTreeMap<u32, Vec<u32>>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    Ok(children)
}

/// The parent's id: the second field after the command's name, which is in parentheses and may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn describe(pid: u32) -> Option<Process> {
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let program = Path::new(words.first()?).file_name()?.to_string_lossy().into_owned();
    let ours = words.get(1).filter(|word| ROLES.contains(&word.as_str()));
    let of = words.get(2).map(|word| {
        Path::new(word)
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    });
    Some(Process {
        pid,
        role: ours.map_or(program, Clone::clone),
        of: ours.and(of).unwrap_or_default(),
        memory_bytes: proportional_set_size(pid)?,
    })
}

/// Bytes of memory, shared pages divided among those who share them (`proc_pid_smaps(5)`).
fn proportional_set_size(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_and_its_children_are_found_with_their_memory() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        // A process that has only begun to run its program has neither words nor memory yet.
        let both = supervision::wait_until("both processes", std::time::Duration::from_secs(60), async || {
            let found = below(&[std::process::id()]).unwrap();
            let sees = |pid: u32| found.iter().any(|process| process.pid == pid);
            if sees(std::process::id()) && sees(child.id()) {
                Ok(found)
            } else {
                Err(format!("{found:?}"))
            }
        });
        let found = both.await.unwrap();
        assert!(found.iter().all(|process| process.memory_bytes > 0), "{found:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
