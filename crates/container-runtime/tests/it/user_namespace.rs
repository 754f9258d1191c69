//! The same as an ordinary user: in a user namespace with the ranges of newuidmap, without cgroups.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use cri_api::v1;

use super::machine::{Machine, Pod};

/// A user made for one test.
struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` (after saying why) where users cannot be made. With CI set that is a failure.
    fn make() -> Option<Self> {
        let name = format!("ondolt{}", std::process::id());
        let made = Command::new("useradd")
            .args(["--no-create-home", "--shell", "/bin/sh", &name])
            .output();
        let usable =
            made.as_ref().is_ok_and(|output| output.status.success()) && Command::new("newuidmap").output().is_ok();
        if !usable {
            assert!(std::env::var_os("CI").is_none(), "no user can be made: {made:?}");
            println!("skipped: useradd or newuidmap is missing, or not root: {made:?}");
            return None;
        }
        let user = nix::unistd::User::from_name(&name).unwrap().unwrap();
        Some(Self {
            name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        })
    }

    fn own(&self, path: &Path) {
        let status = Command::new("chown")
            .arg("-R")
            .arg(format!("{}:{}", self.uid, self.gid))
            .arg(path)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        Command::new("userdel").arg(&self.name).status().unwrap();
    }
}

#[tokio::test]
async fn an_ordinary_user_runs_containers() {
    let Some(layer) = super::image::layer() else { return };
    let Some(account) = Account::make() else { return };
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let own_layer = directory.path().join("layer-of-user");
    assert!(
        Command::new("cp")
            .arg("-a")
            .arg(&layer)
            .arg(&own_layer)
            .status()
            .unwrap()
            .success()
    );
    account.own(&own_layer);
    chown(directory.path(), Some(account.uid), Some(account.gid)).unwrap();
    let program = directory.path().join("program");
    std::fs::copy("/proc/self/exe", &program).unwrap();
    for name in ["run", "root", "logs"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
        account.own(&directory.path().join(name));
    }
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--map-auto", "--"])
        .arg(&program)
        .uid(account.uid)
        .gid(account.gid);
    let mut machine = Machine::launch(&mut command, directory, &own_layer, None).await;

    let facts = machine
        .client
        .status(v1::StatusRequest { verbose: true })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(facts.info["cgroup"], "none");
    let pod = machine.pod("rootless").await;
    let script = "id -u; touch /root/new; echo touch=$?; rm -r /etc/group; test -e /etc/group; echo hidden=$?; mkdir /etc/group; echo again=$?; \
        chmod 600 /etc/passwd; stat -c %u:%a /etc/passwd; grep -c . /proc/1/status; echo x > /dev/null; echo null=$?; exit 7";
    let (status, log) = pod.script_to_end(&mut machine, Pod::script("root", script)).await;
    assert_eq!(status.exit_code, 7, "{log}");
    for line in ["0", "touch=0", "hidden=1", "again=0", "0:600", "null=0"] {
        assert!(
            log.contains(&format!("stdout F {line}\n")),
            "{line:?} is missing in\n{log}"
        );
    }
    let mut config = Pod::script("user", "id -u; id -G; grep Seccomp: /proc/self/status; sleep 1000");
    let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
    security.run_as_user = Some(v1::Int64Value { value: 1000 });
    security.supplemental_groups = vec![2000];
    security.seccomp = Some(v1::SecurityProfile::default());
    config.tty = true;
    let id = pod.run(&mut machine, config).await;
    assert_eq!(
        machine.exec(&id, "id -u; cat /sys/class/net/lo/operstate").await,
        (0, "1000\nunknown\n".to_owned(), String::new())
    );
    let stats = machine
        .client
        .container_stats(v1::ContainerStatsRequest {
            container_id: id.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert!(stats.stats.unwrap().memory.unwrap().working_set_bytes.unwrap().value > 0);

    machine.kill_runtime();
    machine.wait_served().await;
    assert_eq!(machine.status(&id).await.state(), v1::ContainerState::ContainerRunning);
    machine
        .client
        .remove_pod_sandbox(v1::RemovePodSandboxRequest {
            pod_sandbox_id: pod.id.clone(),
        })
        .await
        .unwrap();
    assert_eq!(
        pod.log("user"),
        "stdout F 1000\r\nstdout F 0 2000\r\nstdout F Seccomp:\t2\r\n"
    );
    let root = machine.directory.path().join("root/containers");
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 0);
}
