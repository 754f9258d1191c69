//! What processes take, read from `/proc`: memory by three measures, and processor time.

use std::fs;
use std::time::Duration;

use super::figures::{Table, mebibytes};

/// Ticks of a second in `/proc/<pid>/stat`: `USER_HZ`, which is 100 on every platform that Ondol runs on.
const TICKS: u64 = 100;

/// Memory of one process or of several together, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// How many processes.
    pub processes: u64,
    /// Shared pages divided among those who share them.
    pub proportional: u64,
    /// All pages that are present, shared ones counted for each.
    pub resident: u64,
    /// Pages that nobody shares.
    pub private: u64,
}

impl Memory {
    /// Of one process; `None` when it has ended.
    pub fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kibibytes.unwrap_or(0) * 1024
        };
        Some(Self {
            processes: 1,
            proportional: bytes("Pss:"),
            resident: bytes("Rss:"),
            private: bytes("Private_Clean:") + bytes("Private_Dirty:"),
        })
    }

    fn add(&mut self, other: Self) {
        self.processes += other.processes;
        self.proportional += other.proportional;
        self.resident += other.resident;
        self.private += other.private;
    }
}

/// Prints the memory of processes by what they are, and answers all of it.
pub fn print_memory(title: &str, processes: &[(u32, String)]) -> Memory {
    let mut kinds: Vec<(String, Memory)> = Vec::new();
    let mut all = Memory::default();
    for (pid, kind) in processes {
        let Some(memory) = Memory::of(*pid) else { continue };
        all.add(memory);
        match kinds.iter_mut().find(|(known, _)| known == kind) {
            Some((_, sum)) => sum.add(memory),
            None => kinds.push((kind.clone(), memory)),
        }
    }
    kinds.push(("together".to_owned(), all));
    let mut table = Table::new(["process", "number", "PSS", "of which private", "PSS each", "RSS each"]);
    for (kind, sum) in kinds {
        let each = |bytes: u64| mebibytes(bytes / sum.processes.max(1));
        table.row([
            kind,
            sum.processes.to_string(),
            mebibytes(sum.proportional),
            mebibytes(sum.private),
            each(sum.proportional),
            each(sum.resident),
        ]);
    }
    table.print(title);
    all
}

/// Processor time that a process has used.
pub fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name is in parentheses and may hold anything; user and system time are the 12th and 13th field after it.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    let ticks: u64 = fields
        .into_iter()
        .flatten()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}
