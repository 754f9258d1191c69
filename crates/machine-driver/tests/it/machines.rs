//! Machines of root.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use machine_driver::cgroup::{Enforcement, Limits, MachineGroup};
use machine_driver::{Machine, MachineSpec, launch};
use supervision::wait_until;

use crate::possible;

const LIMIT: Duration = Duration::from_secs(120);
const LIMITS: Limits = Limits {
    processors: 2,
    memory_bytes: 512 << 20,
};

/// A directory with a machine in it, ended when dropped, however the test ends.
pub struct Bench {
    pub directory: PathBuf,
    pub group: String,
    temporary: Option<tempfile::TempDir>,
}

impl Bench {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut bench = Self::at(temporary.path());
        bench.temporary = Some(temporary);
        bench
    }

    /// The same for a directory that somebody else removes.
    pub fn at(directory: &Path) -> Self {
        let group = format!("test/{}", directory.file_name().unwrap().display());
        Self {
            directory: directory.to_owned(),
            group,
            temporary: None,
        }
    }

    pub fn spec(&self, more: &[&str]) -> MachineSpec {
        let words = ["machine".to_owned(), self.directory.display().to_string()];
        MachineSpec {
            directory: self.directory.clone(),
            program: std::env::current_exe().unwrap(),
            arguments: words.into_iter().chain(more.iter().map(ToString::to_string)).collect(),
            host_name: "ip-10-0-0-7".to_owned(),
            group: self.group.clone(),
            limits: LIMITS,
        }
    }

    async fn start(&self, fabric: Option<BorrowedFd<'_>>) -> Machine {
        launch(&self.spec(&[]), fabric).await.unwrap()
    }

    /// What the child sees, once it has written it down.
    pub async fn facts(&self, differs_from: Option<&str>) -> BTreeMap<String, String> {
        let path = self.directory.join("facts");
        self.until("the child's facts", || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let facts: BTreeMap<String, String> = text
                .lines()
                .filter_map(|line| {
                    line.split_once('=')
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                })
                .collect();
            if differs_from.is_some_and(|old| facts["pid"] == old) {
                Err("the old child".to_owned())
            } else {
                Ok(facts)
            }
        })
        .await
    }

    async fn until<T, S: Display>(&self, what: &str, look: impl Fn() -> Result<T, S>) -> T {
        let found = wait_until(what, LIMIT, async || look()).await;
        found.unwrap_or_else(|error| {
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            panic!("{error}\nlog: {log}")
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        block_on(async {
            if let Some(machine) = Machine::find(&self.directory).unwrap() {
                machine.terminate().await.unwrap();
            }
        });
        // The kernel may still count the last process for a moment after its end was told.
        let group = MachineGroup::named(&self.group);
        let removed = block_on(wait_until("an empty control group", LIMIT, async || {
            group.remove().map_err(|error| supervision::error_chain(&error))
        }));
        removed.unwrap();
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn is_root() -> bool {
    possible(if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err("not root".to_owned())
    })
    .is_some()
}

pub fn a_machine_has_namespaces_of_its_own() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    block_on(async {
        let machine = bench.start(None).await;
        let facts = bench.facts(None).await;
        assert_eq!(Machine::find(&bench.directory).unwrap().as_ref(), Some(&machine));
        assert_eq!(
            launch(&bench.spec(&[]), None).await.unwrap(),
            machine,
            "a second launch finds the first"
        );
        let fact = |name: &str| facts[name].as_str();
        assert_eq!((fact("parent"), fact("host")), ("1", "ip-10-0-0-7"));
        assert_eq!((fact("forward"), fact("loopback"), fact("run")), ("1", "true", "0"));
        assert_ne!(
            fact("net"),
            fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap()
        );
        let ours = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let theirs = fs::read_to_string(format!("/proc/{}/mountinfo", machine.pid)).unwrap();
        assert!(
            theirs
                .lines()
                .any(|line| line.contains(" /run ") && line.contains("tmpfs")),
            "{theirs}"
        );
        let tmpfs_on_run = |text: &str| text.lines().filter(|line| line.contains(" /run ")).count();
        assert!(
            tmpfs_on_run(&ours) < tmpfs_on_run(&theirs),
            "the host's /run was mounted over"
        );
        // In a session of its own: a terminal that is closed does not end it.
        let stat = fs::read_to_string(format!("/proc/{}/stat", machine.pid)).unwrap();
        let session = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().to_owned();
        assert_eq!(session, machine.pid.to_string());
    });
}

/// Not a test: starts a machine and is killed before it could do anything else.
pub fn launch_and_die(directory: &Path) -> ExitCode {
    let bench = std::mem::ManuallyDrop::new(Bench::at(directory));
    block_on(async {
        bench.start(None).await;
    });
    nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap();
    ExitCode::FAILURE
}

pub fn a_machine_outlives_whoever_started_it() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let me = std::env::current_exe().unwrap();
    let status = Command::new(me)
        .arg("launch-and-die")
        .arg(&bench.directory)
        .status()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    block_on(async {
        let facts = bench.facts(None).await;
        let found = Machine::find(&bench.directory).unwrap().expect("the machine runs on");
        assert_eq!(facts["parent"], "1");
        found.terminate().await.unwrap();
        assert_eq!(Machine::find(&bench.directory).unwrap(), None);
    });
}

pub fn a_child_that_is_killed_is_started_again() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    block_on(async {
        let machine = bench.start(None).await;
        let mut facts = bench.facts(None).await;
        for _ in 0..3 {
            let pid = facts["pid"].clone();
            let inside = format!("/proc/{}/root/proc/{pid}", machine.pid);
            assert!(Path::new(&inside).exists());
            let kill = Command::new("nsenter")
                .args(["-t", &machine.pid.to_string(), "-p", "-m", "kill", "-9", &pid])
                .status();
            assert!(kill.unwrap().success());
            facts = bench.facts(Some(&pid)).await;
        }
        assert_eq!(
            Machine::find(&bench.directory).unwrap(),
            Some(machine),
            "the machine itself ran on"
        );
    });
}

pub fn orphans_are_reaped() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    block_on(async {
        let machine = launch(&bench.spec(&["orphan"]), None).await.unwrap();
        bench.facts(None).await;
        bench
            .until("no zombies", || {
                let root = format!("/proc/{}/root/proc", machine.pid);
                let states: Vec<String> = fs::read_dir(root)
                    .unwrap()
                    .flatten()
                    .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
                    .collect();
                let others = states
                    .iter()
                    .filter(|stat| stat.contains(") Z") || stat.contains("(sleep)"))
                    .count();
                if others == 0 { Ok(()) } else { Err(states.join("")) }
            })
            .await;
    });
}

pub fn killing_the_first_process_leaves_nothing() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    block_on(async {
        let machine = bench.start(None).await;
        let facts = bench.facts(None).await;
        let namespace = facts["net"].clone();
        let kill = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(machine.pid.cast_signed()),
            nix::sys::signal::Signal::SIGKILL,
        );
        kill.unwrap();
        tokio::time::timeout(LIMIT, machine.exited())
            .await
            .expect("the end is told")
            .unwrap();
        assert_eq!(Machine::find(&bench.directory).unwrap(), None);
        bench
            .until("nobody left in the namespace", || {
                let links = fs::read_dir("/proc")
                    .unwrap()
                    .flatten()
                    .filter_map(|entry| fs::read_link(entry.path().join("ns/net")).ok());
                let left = links.filter(|link| link.to_string_lossy() == namespace).count();
                if left == 0 { Ok(()) } else { Err(left) }
            })
            .await;
        let again = bench.start(None).await;
        assert_ne!(again, machine, "it can be started again");
    });
}

pub fn a_machine_that_is_told_to_stop_stops_its_children() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    block_on(async {
        let machine = bench.start(None).await;
        bench.facts(None).await;
        let kill = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(machine.pid.cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        );
        kill.unwrap();
        tokio::time::timeout(LIMIT, machine.exited())
            .await
            .expect("the end is told")
            .unwrap();
        assert!(bench.directory.join("stopped").exists(), "the child was asked first");
    });
}

pub fn the_kept_descriptor_is_the_first_processes_alone() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    block_on(async {
        let fabric = fs::File::open("/proc/self/ns/net").unwrap();
        let machine = bench.start(Some(fabric.as_fd())).await;
        let facts = bench.facts(None).await;
        assert_eq!(
            facts["namespace_descriptors"], "0",
            "children must not inherit the fabric"
        );
        let held = fs::read_dir(format!("/proc/{}/fd", machine.pid)).unwrap().flatten();
        let number = held
            .filter(|entry| fs::read_link(entry.path()).is_ok_and(|link| link.to_string_lossy().starts_with("net:")))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .next()
            .expect("the first process holds the namespace");
        let again = machine.open_descriptor(number).unwrap();
        let name = |fd: i32| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
        assert_eq!(name(again.as_raw_fd()), name(fabric.as_raw_fd()));
    });
}

pub fn limits_are_set_where_the_host_can() {
    if !is_root() {
        return;
    }
    let enforcement = Enforcement::here();
    if !enforcement.memory {
        assert!(!enforcement.reason.is_empty());
        println!("skipped: {}", enforcement.reason);
        return;
    }
    let bench = Bench::new();
    block_on(async {
        bench.start(None).await;
        let facts = bench.facts(None).await;
        let path = MachineGroup::named(&bench.group).path().unwrap();
        let path = path.strip_prefix("/").unwrap();
        assert!(facts["groups"].contains(&bench.group), "{}", facts["groups"]);
        let read = |file: PathBuf| fs::read_to_string(file).map(|text| text.trim().to_owned());
        let v1 = read(
            Path::new("/sys/fs/cgroup/memory")
                .join(path)
                .join("memory.limit_in_bytes"),
        );
        let v2 = read(Path::new("/sys/fs/cgroup").join(path).join("memory.max"));
        assert_eq!(v1.or(v2).unwrap(), LIMITS.memory_bytes.to_string());
        let v1 = read(Path::new("/sys/fs/cgroup/cpu").join(path).join("cpu.cfs_quota_us"));
        let v2 = read(Path::new("/sys/fs/cgroup").join(path).join("cpu.max"));
        assert!(v1.or(v2).unwrap().starts_with("200000"));
    });
}

pub fn a_machine_that_cannot_start_says_why() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    block_on(async {
        let spec = MachineSpec {
            program: "/nonexistent/program".into(),
            ..bench.spec(&[])
        };
        let error = launch(&spec, None).await.unwrap_err().to_string();
        assert!(
            error.contains("run the machine's program /nonexistent/program: ENOENT"),
            "{error}"
        );
        assert_eq!(Machine::find(&bench.directory).unwrap(), None);
    });
}
