//! The processes of one Ondol, found as the kernel sees them: by their command lines and their parents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Ondol;

/// What a process of Ondol's own is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Region,
    Machine,
    Runtime,
    Agent,
    Shim,
}

impl Role {
    fn of(word: &str) -> Option<Self> {
        match word {
            "region-server" => Some(Self::Region),
            "machine" => Some(Self::Machine),
            "machine-runtime" => Some(Self::Runtime),
            "machine-agent" => Some(Self::Agent),
            "shim" => Some(Self::Shim),
            _ => None,
        }
    }
}

/// A process, told apart from a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub pid: i32,
    started: u64,
}

/// A process of Ondol's own.
#[derive(Debug, Clone)]
pub struct Process {
    pub id: Id,
    pub role: Role,
    /// The instance that it belongs to, or is.
    pub instance: Option<String>,
    /// Whether it is a shim with a container that runs: one of a pod that is being removed has none.
    pub holds_container: bool,
}

impl Id {
    /// Whether this very process still runs, if only to end.
    pub fn lives(&self) -> bool {
        table().get(&self.pid).is_some_and(|entry| entry.id == *self)
    }
}

struct Entry {
    id: Id,
    parent: i32,
    words: Vec<String>,
}

/// Every process of the machine that lives; a zombie does not.
fn table() -> BTreeMap<i32, Entry> {
    let entries = fs::read_dir("/proc").expect("/proc can be listed").flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            if matches!(*fields.first()?, "Z" | "X") {
                return None;
            }
            let (parent, started) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let words = command.split(|byte| *byte == 0);
            let words = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
            let id = Id { pid, started };
            Some((pid, Entry { id, parent, words }))
        })
        .collect()
}

/// An Ondol's processes and what runs in its machines, at one moment.
pub struct Seen {
    /// Its own processes.
    pub ours: Vec<Process>,
    /// The first processes of containers, and of what was executed in them.
    pub containers: BTreeSet<Id>,
    /// All of them, and whatever they started.
    pub all: BTreeSet<Id>,
}

impl Ondol {
    /// Looks at the processes.
    pub fn processes(&self) -> Seen {
        let (table, machines) = (table(), self.home().join("m"));
        let mut seen = Seen {
            ours: Vec::new(),
            containers: BTreeSet::new(),
            all: BTreeSet::new(),
        };
        for entry in table.values() {
            let chain: Vec<&Entry> = ancestors(&table, entry).collect();
            let instance = chain.iter().find_map(|entry| instance_of(entry, &machines));
            let role = entry.words.get(1).and_then(|word| Role::of(word));
            let is_region = role == Some(Role::Region) && entry.words.get(2).map(Path::new) == Some(self.home());
            let of_region = chain.iter().any(|entry| {
                entry.words.get(1).is_some_and(|word| word == "region-server")
                    && entry.words.get(2).map(Path::new) == Some(self.home())
            });
            if instance.is_none() && !of_region {
                continue;
            }
            seen.all.insert(entry.id);
            let parent_role = chain
                .get(1)
                .and_then(|parent| parent.words.get(1))
                .and_then(|word| Role::of(word));
            match role {
                Some(Role::Region) if !is_region => {}
                Some(role) => seen.ours.push(Process {
                    id: entry.id,
                    role,
                    instance,
                    holds_container: role == Role::Shim && table.values().any(|other| other.parent == entry.id.pid),
                }),
                None if parent_role == Some(Role::Shim) => {
                    seen.containers.insert(entry.id);
                }
                None => {}
            }
        }
        seen
    }
}

/// The process, its parent, its parent's parent, and so on.
fn ancestors<'a>(table: &'a BTreeMap<i32, Entry>, entry: &'a Entry) -> impl Iterator<Item = &'a Entry> {
    std::iter::successors(Some(entry), |entry| table.get(&entry.parent))
}

/// The instance whose first process this is.
fn instance_of(entry: &Entry, machines: &Path) -> Option<String> {
    let directory = PathBuf::from(entry.words.get(2)?);
    let is_machine = entry.words.get(1)? == "machine" && directory.parent() == Some(machines);
    is_machine.then(|| directory.file_name().map(|name| name.to_string_lossy().into_owned()))?
}
