//! What the kernel alone takes, measured beside our own figures: the part that no implementation can avoid.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::figures::Durations;
use crate::command::{TaskError, at};

/// How often each is measured.
const TIMES: usize = 30;

/// Starting the same program in new namespaces by util-linux's `unshare`; `None` where that is not possible.
pub fn start_in_namespaces(program: &Path) -> Option<Durations> {
    let mut durations = Durations::default();
    for _ in 0..TIMES {
        let mut command = Command::new("unshare");
        command
            .args(["--fork", "--pid", "--mount", "--net", "--ipc", "--uts"])
            .arg(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = Instant::now();
        if !command.status().is_ok_and(|status| status.success()) {
            return None;
        }
        durations.add(started.elapsed());
    }
    Some(durations)
}

/// Appending a kibibyte to a file in `directory` and waiting until it is on disk.
pub fn append_durably(directory: &Path) -> Result<Durations, TaskError> {
    let path = directory.join("floor");
    let mut file = std::fs::File::create(&path).map_err(at(&path))?;
    let mut durations = Durations::default();
    for _ in 0..TIMES * 10 {
        let started = Instant::now();
        file.write_all(&[7; 1024]).map_err(at(&path))?;
        file.sync_data().map_err(at(&path))?;
        durations.add(started.elapsed());
    }
    std::fs::remove_file(&path).map_err(at(&path))?;
    Ok(durations)
}
