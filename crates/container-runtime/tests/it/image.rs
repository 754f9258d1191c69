//! A busybox root file system from Debian's package, unpacked once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PROGRAMS: &[&str] = &[
    "sh", "ls", "cat", "echo", "id", "sleep", "env", "hostname", "grep", "mkdir", "touch", "kill", "mount", "head",
    "tail", "true", "false", "dd", "stty", "ps", "chmod", "mknod", "nc", "printf", "stat", "wc", "tr", "test",
    "readlink", "unshare", "cp", "ln", "rm", "find", "df",
];

/// The unpacked layer; `None` (after saying why) where the package cannot be had. With CI set that is a failure.
pub fn layer() -> Option<PathBuf> {
    static LAYER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match LAYER.get_or_init(unpack) {
        Ok(path) => Some(path.clone()),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "no test image: {why}");
            println!("skipped: no test image: {why}");
            None
        }
    }
}

fn unpack() -> Result<PathBuf, String> {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("busybox-image");
    let layer = work.join("layer");
    if layer.join("etc/group").exists() {
        return Ok(layer);
    }
    let fresh = work.join(format!("new-{}", std::process::id()));
    std::fs::create_dir_all(fresh.join("deb")).map_err(|error| error.to_string())?;
    run(Command::new("apt-get")
        .args(["download", "-q", "busybox-static"])
        .current_dir(fresh.join("deb")))?;
    let package = std::fs::read_dir(fresh.join("deb"))
        .map_err(|error| error.to_string())?
        .filter_map(Result::ok)
        .next()
        .ok_or("no package came")?;
    run(Command::new("dpkg-deb")
        .arg("-x")
        .arg(package.path())
        .arg(fresh.join("unpacked")))?;
    let made = fresh.join("layer");
    for directory in ["bin", "etc", "proc", "sys", "dev", "root", "var"] {
        std::fs::create_dir_all(made.join(directory)).map_err(|error| error.to_string())?;
    }
    run(Command::new("mkdir").args(["-m", "1777"]).arg(made.join("tmp")))?;
    let busybox = ["bin/busybox", "usr/bin/busybox"]
        .map(|path| fresh.join("unpacked").join(path))
        .into_iter()
        .find(|path| path.is_file());
    std::fs::copy(busybox.ok_or("no busybox in the package")?, made.join("bin/busybox"))
        .map_err(|error| error.to_string())?;
    for program in PROGRAMS {
        std::os::unix::fs::symlink("busybox", made.join("bin").join(program)).map_err(|error| error.to_string())?;
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var:/bin/sh\n";
    std::fs::write(made.join("etc/passwd"), passwd).map_err(|error| error.to_string())?;
    std::fs::write(made.join("etc/group"), "root:x:0:\nwww:x:33:\nlogs:x:50:www\n")
        .map_err(|error| error.to_string())?;
    // Another test process may have won the race; its layer is as good.
    if std::fs::rename(&made, &layer).is_err() && !layer.join("etc/group").exists() {
        return Err(format!("cannot move the layer to {}", layer.display()));
    }
    std::fs::remove_dir_all(&fresh).map_err(|error| error.to_string())?;
    Ok(layer)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
