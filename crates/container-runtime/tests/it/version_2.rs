//! Cgroup version 2, on hosts that have version 1: the tests of [`super::containers`] again, in a guest of QEMU without KVM.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Turns the guest's memory into a root that can be pivoted away from, which an initramfs cannot.
const FIRST: &str = "#!/bin/busybox sh
/bin/busybox mkdir -p /newroot
/bin/busybox mount -t tmpfs -o size=90% root /newroot
for entry in bin lib lib64 program second modules; do
  /bin/busybox cp -a /$entry /newroot/
done
/bin/busybox cp -a /layers/. /newroot/
exec /bin/busybox switch_root /newroot /second
";

/// What a distribution's first process does for cgroups, then the tests.
const SECOND: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ LD_LIBRARY_PATH=/lib
mkdir -p /proc /sys /dev /tmp /run /etc /root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
insmod /modules/overlay.ko
ip link set lo up
echo '+memory +cpu +pids' > /sys/fs/cgroup/cgroup.subtree_control
/program containers:: --test-threads=1
poweroff -f
";

#[test]
fn limits_hold_on_cgroup_version_2() {
    let Some(layer) = super::image::layer() else { return };
    let host = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if host.contains("memory") {
        println!("this host has version 2 itself: the other tests show it");
        return;
    }
    if let Err(why) = in_guest(&layer) {
        assert!(
            std::env::var_os("CI").is_none() && !why.contains("test result"),
            "{why}"
        );
        println!("skipped: no guest: {why}");
    }
}

fn in_guest(layer: &Path) -> Result<(), String> {
    let work = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (kernel, overlay) = kernel()?;
    let root = work.path().join("root");
    build_root(&root, layer, &overlay)?;
    let initrd = work.path().join("initrd");
    let pack = format!("find . | cpio -o -H newc --quiet > {}", initrd.display());
    run(Command::new("sh").args(["-c", &pack]).current_dir(&root))?;
    let output = Command::new("timeout")
        .args([
            "420",
            "qemu-system-x86_64",
            "-M",
            "q35",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "1400",
        ])
        .args([
            "-display",
            "none",
            "-monitor",
            "none",
            "-serial",
            "stdio",
            "-no-reboot",
            "-net",
            "none",
        ])
        .args(["-append", "console=ttyS0 quiet panic=-1", "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    if text.contains("test result: ok") {
        Ok(())
    } else {
        Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Debian's kernel for clouds, and its overlay module.
fn kernel() -> Result<(PathBuf, PathBuf), String> {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-kernel");
    let unpacked = work.join("unpacked");
    if !unpacked.exists() {
        std::fs::create_dir_all(work.join("deb")).map_err(|error| error.to_string())?;
        let fetch =
            "apt-get download -q $(apt-cache depends linux-image-cloud-amd64 | awk '/Depends/ {print $2; exit}')";
        run(Command::new("sh").args(["-c", fetch]).current_dir(work.join("deb")))?;
        run(Command::new("sh")
            .args(["-c", "dpkg-deb -x deb/*.deb unpacking && mv unpacking unpacked"])
            .current_dir(&work))?;
    }
    let find = |pattern: &str| {
        let output = Command::new("find")
            .arg(&unpacked)
            .args(["-name", pattern])
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .next()
            .map(PathBuf::from)
            .ok_or_else(|| format!("the kernel's package has no {pattern}"))
    };
    Ok((find("vmlinuz-*")?, find("overlay.ko")?))
}

fn build_root(root: &Path, layer: &Path, overlay: &Path) -> Result<(), String> {
    let made_of = |path: &str| root.join(path);
    for directory in ["bin", "lib", "lib64", "modules", "layers"] {
        std::fs::create_dir_all(made_of(directory)).map_err(|error| error.to_string())?;
    }
    let copy = |from: &Path, to: PathBuf| {
        std::fs::copy(from, &to)
            .map(drop)
            .map_err(|error| format!("{}: {error}", from.display()))
    };
    copy(&layer.join("bin/busybox"), made_of("bin/busybox"))?;
    copy(overlay, made_of("modules/overlay.ko"))?;
    run(Command::new("strip")
        .arg("-o")
        .arg(made_of("program"))
        .arg(std::env::current_exe().map_err(|error| error.to_string())?))?;
    let libraries = Command::new("ldd")
        .arg(made_of("program"))
        .output()
        .map_err(|error| error.to_string())?;
    for path in String::from_utf8_lossy(&libraries.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(Path::new)
    {
        let directory = if path.starts_with("/lib64") { "lib64" } else { "lib" };
        copy(path, made_of(directory).join(path.file_name().unwrap_or_default()))?;
    }
    // The tests look for the layer where it is on this host.
    let target = layer.strip_prefix("/").map_err(|error| error.to_string())?;
    let parent = root.join("layers").join(target.parent().unwrap_or(Path::new("")));
    std::fs::create_dir_all(&parent).map_err(|error| error.to_string())?;
    run(Command::new("cp").arg("-a").arg(layer).arg(&parent))?;
    for (name, text) in [("init", FIRST), ("second", SECOND)] {
        std::fs::write(made_of(name), text).map_err(|error| error.to_string())?;
        run(Command::new("chmod").arg("755").arg(made_of(name)))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
