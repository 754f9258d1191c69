//! Finds the program and becomes it, with the words that people know from other runtimes when it cannot be.
#![allow(unsafe_code, reason = "closing descriptors by range has no safe wrapper")]

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::child::ChildError;

/// Replaces this process.
pub fn execute(args: &[String], environment: &[Vec<u8>]) -> Result<Infallible, ChildError> {
    let name = args.first().cloned().unwrap_or_default();
    let refuse = |reason: String| ChildError::Exec {
        program: name.clone(),
        reason,
    };
    let path = find(&name, environment).map_err(refuse)?;
    let refuse = |reason: String| ChildError::Exec {
        program: name.clone(),
        reason,
    };
    let c_string = |bytes: &[u8]| CString::new(bytes).map_err(|error| refuse(error.to_string()));
    let program = c_string(path.as_os_str().as_encoded_bytes())?;
    let args = args
        .iter()
        .map(|arg| c_string(arg.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let environment = environment
        .iter()
        .map(|entry| c_string(entry))
        .collect::<Result<Vec<_>, _>>()?;
    close_on_exec();
    nix::unistd::execve(&program, &args, &environment).map_err(|errno| refuse(describe(errno.into())))
}

/// Everything above the standard streams stays behind.
fn close_on_exec() {
    // SAFETY: takes numbers only; descriptors stay open until the exec.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result < 0 {
        // Every descriptor of the shim is made close-on-exec already; this is the second lock on the door.
        tracing::debug!(error = %io::Error::last_os_error(), "close_range is not known to this kernel");
    }
}

/// Looks along the container's own PATH, as execvp does.
fn find(name: &str, environment: &[Vec<u8>]) -> Result<PathBuf, String> {
    if name.contains('/') {
        return match fs::metadata(name) {
            Ok(_) => Ok(name.into()),
            Err(error) => Err(format!("stat {name}: {}", describe(error))),
        };
    }
    let path = environment
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix(b"PATH="))
        .unwrap_or_default();
    let mut denied = false;
    for directory in path.split(|byte| *byte == b':') {
        let directory = String::from_utf8_lossy(directory);
        let candidate = Path::new(if directory.is_empty() { "." } else { &*directory }).join(name);
        match fs::metadata(&candidate) {
            Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 => return Ok(candidate),
            Ok(_) => denied = true,
            Err(_absent) => {}
        }
    }
    Err(if denied {
        "permission denied".to_owned()
    } else {
        "executable file not found in $PATH".to_owned()
    })
}

/// The kernel's words without the number that Rust appends.
fn describe(error: io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "no such file or directory".to_owned(),
        Some(libc::EACCES) => "permission denied".to_owned(),
        Some(libc::ENOEXEC) => "exec format error".to_owned(),
        _ => error.to_string(),
    }
}
