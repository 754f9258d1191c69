//! What an Ondol had on this machine while it ran, so that a test can say that nothing of it is left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Ondol;
use super::processes::Id;

/// Everything of an Ondol that was seen outside its state directory.
#[derive(Default)]
pub struct Footprint {
    processes: BTreeSet<Id>,
    /// As `/proc` names them: `net:[4026532008]`.
    namespaces: BTreeSet<String>,
    control_groups: BTreeSet<PathBuf>,
    /// Links and packet rules of the machine itself, from before.
    links: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl Footprint {
    /// What the machine has before an Ondol starts.
    pub fn before() -> Self {
        Self {
            links: links(),
            tables: tables(),
            ..Self::default()
        }
    }

    /// Adds what there is now.
    pub fn look(&mut self, ondol: &Ondol) {
        let own = namespaces_of(Path::new("/proc/self"));
        let all = ondol.processes().all;
        for id in &all {
            let process = PathBuf::from(format!("/proc/{}", id.pid));
            let tasks = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
            let of_tasks = tasks.flat_map(|task| namespaces_of(&task.path()));
            self.namespaces.extend(of_tasks.filter(|name| !own.contains(name)));
            self.control_groups.extend(control_groups_of(&process));
        }
        self.processes.extend(all);
    }

    /// What of it is still there, and what names the state directory `home`.
    pub fn left(&self, home: &Path) -> Vec<String> {
        let home = home.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let held = |line: &&str| line.contains(&home) || self.namespaces.iter().any(|name| line.contains(name));
        let mut left: Vec<String> = mounts
            .lines()
            .filter(held)
            .map(|line| format!("mount {line}"))
            .collect();
        for entry in fs::read_dir("/proc").expect("/proc can be listed").flatten() {
            left.extend(self.of_process(&entry.path(), &home));
        }
        let groups = self.control_groups.iter().filter(|group| group.exists());
        left.extend(groups.map(|group| format!("control group {}", group.display())));
        left.extend(links().difference(&self.links).map(|name| format!("link {name}")));
        left.extend(
            tables()
                .difference(&self.tables)
                .map(|name| format!("packet rules {name}")),
        );
        left
    }

    /// Why a process counts as left: it is one of ours, or holds a namespace of ours.
    fn of_process(&self, process: &Path, home: &str) -> Option<String> {
        let pid: i32 = process.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(process.join("stat")).ok()?;
        // What is dead and waits to be reaped by the system's first process holds nothing.
        if matches!(stat.rsplit_once(')')?.1.split_whitespace().next()?, "Z" | "X") {
            return None;
        }
        let command = fs::read(process.join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let files = files.filter_map(|file| Some(fs::read_link(file.path()).ok()?.to_string_lossy().into_owned()));
        let held: Vec<String> = namespaces_of(process)
            .into_iter()
            .chain(files)
            .filter(|name| self.namespaces.contains(name))
            .collect();
        // The kernel gives a namespace's number again, so one that is held may be that of a test which runs beside this one.
        let is_ours = command.contains(home) || (!held.is_empty() && !belongs_to_another(pid, home));
        is_ours.then(|| format!("process {pid}: {command} {held:?}"))
    }
}

/// Whether a process runs in a machine or region of another Ondol, by the state directory in its parents' commands.
fn belongs_to_another(pid: i32, home: &str) -> bool {
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| *pid > 1) {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let words: Vec<&str> = command.split('\0').collect();
        if let [_, "machine" | "region-server", directory, ..] = words[..] {
            return !directory.contains(home);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
        next = fields.and_then(|mut fields| fields.nth(1)?.parse().ok());
    }
    false
}

/// The namespaces that a process or thread is in.
fn namespaces_of(process: &Path) -> BTreeSet<String> {
    let links = fs::read_dir(process.join("ns")).into_iter().flatten().flatten();
    links
        .filter_map(|link| Some(fs::read_link(link.path()).ok()?.to_string_lossy().into_owned()))
        .collect()
}

/// The control groups of machines that a process is in, and those above them that are Ondol's.
fn control_groups_of(process: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts: Vec<PathBuf> = mounts
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| line.split(' ').nth(4).map(PathBuf::from))
        .collect();
    let text = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut groups = Vec::new();
    for path in paths.filter(|path| path.split('/').any(|part| part == "ondol")) {
        // `<base>/ondol/<this Ondol>/<instance>/…`: the part that names this Ondol is the highest that is its own.
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let own = parts
            .iter()
            .position(|part| *part == "ondol")
            .map_or(parts.len(), |at| at + 2);
        let path: PathBuf = parts.iter().take(own).collect();
        groups.extend(
            mounts
                .iter()
                .map(|mount| mount.join(&path))
                .filter(|group| group.exists()),
        );
    }
    groups
}

/// Links of the machine's own network namespace with names as Ondol gives them. Others may come and go.
fn links() -> BTreeSet<String> {
    let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = links.map(|link| link.file_name().to_string_lossy().into_owned());
    let is_hex = |text: &str| text.len() == 14 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    names
        .filter(|name| name.starts_with("eni") || name.strip_prefix('e').is_some_and(is_hex))
        .collect()
}

/// Packet rules of the machine's own network namespace under the names that Ondol uses; none where `nft` is not installed.
fn tables() -> BTreeSet<String> {
    let listed = Command::new("nft").args(["list", "tables"]).output();
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let names = text
        .lines()
        .filter(|line| line.ends_with(" vpc") || line.ends_with(" kube-proxy"));
    names.map(str::to_owned).collect()
}
