//! Running other programs, and saying which one failed and how.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use thiserror::Error;

/// Why a task stopped.
#[derive(Debug, Error)]
pub enum TaskError {
    /// The program could not be started.
    #[error("{program} cannot be started: {source}")]
    Start { program: String, source: io::Error },
    /// The program ended with another code than 0.
    #[error("{program} failed ({status}){output}")]
    Failed {
        program: String,
        status: String,
        output: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    /// Something that the task needs is not on this machine.
    #[error("{0}")]
    Missing(String),
    /// The result is not what it must be.
    #[error("{0}")]
    Unexpected(String),
}

/// Runs a program with its output on the terminal.
pub fn run(command: &mut Command) -> Result<(), TaskError> {
    let program = shown(command);
    let status = command.status().map_err(|source| TaskError::Start {
        program: program.clone(),
        source,
    })?;
    if status.success() {
        return Ok(());
    }
    Err(TaskError::Failed {
        program,
        status: status.to_string(),
        output: String::new(),
    })
}

/// Runs a program and returns what it printed on standard output.
pub fn output(command: &mut Command) -> Result<String, TaskError> {
    let program = shown(command);
    let Output { status, stdout, stderr } = command.output().map_err(|source| TaskError::Start {
        program: program.clone(),
        source,
    })?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let output = format!(
        ":\n{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    Err(TaskError::Failed {
        program,
        status: status.to_string(),
        output,
    })
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// A file error with the path it is about.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> TaskError + '_ {
    move |source| TaskError::File {
        path: path.display().to_string(),
        source,
    }
}

/// The workspace's root directory.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The `cargo` that runs this task.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// The path of a program on `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}
