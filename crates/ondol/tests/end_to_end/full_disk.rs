//! A disk that is full: what cannot be kept is refused and says so, what was acknowledged stays, and with room again all goes on.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ondol, provisions, until};

/// Room for the program's own image (a debug build is large), the stores, and something to fill.
const SIZE: &str = "size=700m";

/// A small file system on a directory, taken away at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn on(directory: &Path) -> Self {
        let mut command = Command::new("mount");
        let status = command
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(directory)
            .status();
        assert!(status.expect("mount starts").success());
        Self(directory.to_path_buf())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(status.expect("umount starts").success());
    }
}

/// Writes until nothing more can be written.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file can be made");
    let mut length = 1 << 20;
    while length > 0 {
        let block = vec![0; length];
        while file.write_all(&block).is_ok() {}
        length /= 2;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_none() {
    let Some(provisions) = provisions() else { return };
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can mount a small disk");
        return;
    }
    let ondol = Ondol::down_yet(provisions);
    let disk = SmallDisk::on(ondol.home());
    ondol.start().ok();
    ondol
        .run(["create", "cluster", "--name", "tiny", "--without-nodegroup"])
        .ok();
    ondol
        .kubectl(["create", "configmap", "kept", "--from-literal=a=b"])
        .ok();
    let large = ondol.file("large", &"x".repeat(500_000));
    let filler = ondol.home().join("filler");
    fill(&filler);
    // What the store has in reserve takes some more.
    let mut acknowledged = vec!["kept".to_owned()];
    let refused = (0..200).find_map(|number| {
        let name = format!("large-{number}");
        let said = ondol.kubectl(["create", "configmap", &name, &format!("--from-file={large}")]);
        if said.code == Some(0) {
            acknowledged.push(name);
            None
        } else {
            Some(said.stderr)
        }
    });
    let refused = refused.expect("a full disk takes no more");
    assert!(refused.contains("No space left on device"), "{refused}");
    let said = ondol.run(["image", "load", &ondol.archive("nginx")]).refused();
    assert!(said.contains("No space left on device"), "{said}");
    // Reading goes on.
    ondol.kubectl(["get", "configmap", "kept"]).ok();
    std::fs::remove_file(&filler).expect("the file can be removed");
    let create = || ondol.kubectl(["create", "configmap", "after", "--from-literal=a=b"]);
    until("a write with room again", create, |_| true).await;
    acknowledged.push("after".to_owned());
    for _ in 0..2 {
        let names = until(
            "the list",
            || ondol.kubectl(["get", "configmaps", "-o", "name"]),
            |_| true,
        )
        .await;
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|name| !names.contains(&format!("configmap/{name}\n")))
            .collect();
        assert!(lost.is_empty(), "{lost:?} of {names}");
        ondol.kill_region();
        ondol.start().ok();
    }
    ondol.load_image("nginx");
    ondol.run(["down", "--purge"]).ok();
    drop(disk);
    ondol.down();
}
