//! What runs in a test's machine: a first process that keeps one child, which writes down what it sees.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, ExitCode};

use machine_driver::init::{self, ChildSpec};

/// The machine's first process. With `orphan` it first leaves a grandchild without a parent.
pub fn first_process(directory: &Path, more: &[&str]) -> ExitCode {
    if let Err(error) = init::prepare() {
        eprintln!("{}", supervision::error_chain(&error));
        return ExitCode::FAILURE;
    }
    if more.contains(&"orphan") {
        let script = "(sleep 0.05; true) & (exec sleep 0.02) & exit 0";
        assert!(Command::new("sh").args(["-c", script]).status().unwrap().success());
    }
    let child = ChildSpec {
        name: "child",
        program: std::env::current_exe().unwrap(),
        arguments: vec!["child".to_owned(), directory.display().to_string()],
    };
    match init::run(vec![child]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", supervision::error_chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Writes `facts` and then waits for its end. A SIGTERM leaves `stopped`.
pub fn child(directory: &Path) -> ExitCode {
    let read =
        |path: &str| fs::read_to_string(path).map_or_else(|error| format!("{error}"), |text| text.trim().to_owned());
    let link =
        |path: &str| fs::read_link(path).map_or_else(|error| format!("{error}"), |path| path.display().to_string());
    let mut facts = String::new();
    let mut fact = |name: &str, value: String| facts.push_str(&format!("{name}={value}\n"));
    fact("pid", std::process::id().to_string());
    fact("parent", std::os::unix::process::parent_id().to_string());
    fact("first", read("/proc/1/comm"));
    fact("host", read("/proc/sys/kernel/hostname"));
    fact("net", link("/proc/self/ns/net"));
    fact("mnt", link("/proc/self/ns/mnt"));
    fact("forward", read("/proc/sys/net/ipv4/ip_forward"));
    fact(
        "loopback",
        std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| std::net::TcpStream::connect(l.local_addr()?))
            .is_ok()
            .to_string(),
    );
    fact(
        "run",
        fs::read_dir("/run").map_or_else(|error| error.to_string(), |run| run.count().to_string()),
    );
    fact(
        "uid_map",
        read("/proc/self/uid_map")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    );
    fact("groups", read("/proc/self/cgroup").replace('\n', ","));
    let mine = fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .map(|entry| link(&entry.path().display().to_string()));
    fact(
        "namespace_descriptors",
        mine.filter(|target| target.starts_with("net:")).count().to_string(),
    );
    let zombies = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
    });
    fact("zombies", zombies.count().to_string());
    // Renamed into place, so that nobody reads half of it.
    fs::write(directory.join("facts.partial"), facts).unwrap();
    fs::rename(directory.join("facts.partial"), directory.join("facts")).unwrap();
    wait_for_term();
    fs::write(directory.join("stopped"), "").unwrap();
    ExitCode::SUCCESS
}

fn wait_for_term() {
    use nix::sys::signal::{SigSet, Signal};
    use nix::sys::signalfd::SignalFd;
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.thread_block().unwrap();
    let signals = SignalFd::new(&set).unwrap();
    assert!(signals.as_raw_fd() >= 0);
    signals.read_signal().unwrap();
}
