//! Input that cannot be used, of files, archives and directories: each refusal says what and where, and nothing is lost by it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::processes::Role;
use crate::support::{EXAMPLES, Ondol, Said, provisions};

/// What is changed in the example, and what the refusal must name.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    ("10.10.0.0/16", "10.10.0.0/40", &["vpc.cidr", "10.10.0.0/40"]),
    ("10.10.0.0/16", "10.10.0.0/8", &["vpc.cidr", "10.10.0.0/8"]),
    ("10.10.0.0/16", "ten", &["vpc.cidr", "ten"]),
    ("gateway: Single", "gateway: Lonely", &["vpc.nat.gateway", "Lonely"]),
    ("t3.medium", "t3.enormous", &["managedNodeGroups[0]", "t3.enormous"]),
    (
        "instanceType:",
        "instanceTipe:",
        &["managedNodeGroups[0].instanceTipe", "line 23", "instanceType"],
    ),
    ("name: warm", "nome: warm", &["metadata.nome", "line 7"]),
    ("  name: warm\n", "", &["metadata.name"]),
    ("name: warm", "name: -warm", &["metadata.name", "-warm"]),
    ("\"1.35\"", "\"1.20\"", &["metadata.version", "1.20"]),
    (
        "desiredCapacity: 2",
        "desiredCapacity: two",
        &["desiredCapacity", "line 24"],
    ),
    (
        "desiredCapacity: 2",
        "desiredCapacity: 9",
        &["managedNodeGroups[0]", "desired capacity 9", "max size 4"],
    ),
    (
        "  - name: workers\n    instance",
        "  - instance",
        &["managedNodeGroups[0].name"],
    ),
    (
        "labels:\n      role: worker",
        "labels: worker",
        &["managedNodeGroups[0].labels"],
    ),
    ("kind: ClusterConfig", "kind: Clusterconfig", &["kind", "Clusterconfig"]),
    ("v1alpha5", "v1alpha9", &["apiVersion", "v1alpha9"]),
    ("metadata:", "metadata: [", &["line"]),
    ("\n  name: warm", "\n\tname: warm", &["line 7"]),
];

#[tokio::test]
async fn a_cluster_file_is_refused_with_the_field_and_the_line() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    let file = ondol.home().join("cluster.yaml");
    let good = fs::read_to_string(format!("{EXAMPLES}/cluster.yaml")).expect("the example is there");
    for (from, to, expected) in MISTAKES {
        assert!(good.contains(from), "{from}");
        fs::write(&file, good.replace(from, to)).expect("the file can be written");
        let path = file.to_string_lossy();
        let said = ondol.run(["create", "cluster", "-f", &path]).refused();
        for part in expected.iter().chain([&&*path]) {
            assert!(said.contains(*part), "{to:?} is refused without {part:?}: {said}");
        }
    }
    let said = ondol
        .run(["create", "cluster", "-f", "/nowhere/cluster.yaml"])
        .refused();
    assert!(said.contains("/nowhere/cluster.yaml"), "{said}");
    let left = ondol
        .aws(["eks", "list-clusters", "--query", "clusters", "--output", "text"])
        .ok();
    assert_eq!(left.trim(), "", "a refused file has left a cluster");
    let left = ondol
        .aws(["ec2", "describe-vpcs", "--query", "Vpcs[].VpcId", "--output", "text"])
        .ok();
    assert_eq!(left.trim(), "", "a refused file has left a VPC");
    ondol.down();
}

#[tokio::test]
async fn a_damaged_archive_is_refused_whole() {
    let Some(provisions) = provisions() else { return };
    let good = provisions.archive("nginx");
    let ondol = Ondol::up(provisions);
    ondol.load_image("busybox");
    let before = ondol.run(["image", "list"]).ok();
    let length = fs::metadata(&good).expect("the archive is there").len();
    let copy = |name: &str| {
        let path = ondol.home().join(name);
        fs::copy(&good, &path).expect("the archive can be copied");
        path
    };
    let truncated = copy("truncated.tar");
    set_length(&truncated, length / 2);
    let changed = copy("changed.tar");
    flip(&changed, length / 2);
    let text = ondol.home().join("text.tar");
    fs::write(&text, "no archive at all\n".repeat(1000)).expect("it can be written");
    let empty = ondol.home().join("empty.tar");
    File::create(&empty).expect("it can be made");
    let absent = ondol.home().join("absent.tar");
    for path in [truncated, changed, text, empty, absent, ondol.home().to_path_buf()] {
        let said = ondol.run(["image", "load", &path.to_string_lossy()]).refused();
        assert!(said.contains(&*path.to_string_lossy()), "{}: {said}", path.display());
        assert_eq!(ondol.run(["image", "list"]).ok(), before, "after {}", path.display());
    }
    ondol.load_image("nginx");
    assert!(ondol.run(["image", "list"]).ok().contains("nginx:latest"));
    ondol.down();
}

fn set_length(path: &Path, length: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("it can be opened");
    file.set_len(length).expect("it can be cut");
}

fn flip(path: &Path, at: u64) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("it can be opened");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).expect("it can be sought");
    file.read_exact(&mut byte).expect("it can be read");
    file.seek(SeekFrom::Start(at)).expect("it can be sought");
    file.write_all(&[!byte[0]]).expect("it can be written");
}

#[tokio::test]
async fn a_home_has_one_region_however_often_it_is_started() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::down_yet(provisions);
    let start = || {
        let mut command = Command::new(ondol.binary());
        command
            .args(["up", "--port", "0", "--load-balancer-port", "0"])
            .envs(ondol.environment());
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ondol starts")
    };
    let starts: Vec<Child> = (0..4).map(|_| start()).collect();
    let said = starts
        .into_iter()
        .map(|start| Said::of(start.wait_with_output().expect("it ends")));
    let endpoints: Vec<String> = said.map(|said| endpoint_in(&said.ok())).collect();
    assert!(
        endpoints.iter().all(|endpoint| *endpoint == endpoints[0]),
        "{endpoints:?}"
    );
    let regions: Vec<_> = ondol
        .processes()
        .ours
        .into_iter()
        .filter(|process| process.role == Role::Region)
        .collect();
    assert_eq!(regions.len(), 1, "{regions:?}");
    assert!(ondol.start().ok().contains("is running already"));
    ondol.down();
}

fn endpoint_in(text: &str) -> String {
    let words = text.split_whitespace();
    words.filter(|word| word.starts_with("http://")).collect()
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::down_yet(provisions);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let address = taken.local_addr().expect("it is bound");
    let port = address.port().to_string();
    let said = ondol
        .run(["up", "--port", &port, "--load-balancer-port", "0"])
        .refused();
    for part in [&*address.to_string(), "Address already in use", "--port"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Load balancers take another port then, and say so.
    let said = ondol.run(["up", "--port", "0", "--load-balancer-port", &port]).ok();
    let expected = format!("port {port} cannot be had: load balancers answer by host name on port ");
    assert!(said.contains(&expected), "{said}");
    assert_ne!(ondol.http_address(), address.to_string());
    drop(taken);
    ondol.down();
}

#[tokio::test]
async fn a_home_that_cannot_hold_overlays_is_refused_at_once() {
    let Some(provisions) = provisions() else { return };
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can mount a file system of this kind");
        return;
    }
    let ondol = Ondol::down_yet(provisions);
    // An overlay cannot be the writable layer of another. It is in a mount namespace that ends with the shell.
    let script = "set -e; mkdir -p $ONDOL_HOME/../$NAME/l $ONDOL_HOME/../$NAME/u $ONDOL_HOME/../$NAME/w
        mount -t overlay overlay -o lowerdir=$ONDOL_HOME/../$NAME/l,upperdir=$ONDOL_HOME/../$NAME/u,workdir=$ONDOL_HOME/../$NAME/w $ONDOL_HOME
        exec \"$ONDOL\" up --port 0 --load-balancer-port 0";
    let layers = tempfile::tempdir().expect("a temporary directory can be made");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).envs(ondol.environment());
    command.env("NAME", layers.path().file_name().expect("it has a name"));
    command.env("ONDOL", ondol.binary());
    let said = Said::of(command.output().expect("unshare starts")).refused();
    let home: PathBuf = ondol.home().to_path_buf();
    for part in [&*home.to_string_lossy(), "overlay", "--simulated", "ext4"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(ondol.processes().ours.is_empty(), "a region that was refused runs on");
    // Elsewhere it works.
    ondol.start().ok();
    ondol.down();
}
