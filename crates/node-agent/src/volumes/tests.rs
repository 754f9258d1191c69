//! Volumes in a temporary directory.

use std::collections::BTreeMap;

use pod_lifecycle::downward::Addresses;
use pod_lifecycle::environment::Objects;

use super::*;

fn set_up_with(dir: &Path, volumes: &str, data: &str, second: i64) -> Result<HashMap<String, PathBuf>, String> {
    let pod: Pod = serde_json::from_str(&format!(
        r#"{{"metadata":{{"name":"p","uid":"u"}},"spec":{{"containers":[],"volumes":{volumes}}}}}"#
    ))
    .unwrap();
    let map = serde_json::from_str(&format!(r#"{{"data":{data}}}"#)).unwrap();
    let objects = Objects {
        config_maps: [("m".to_owned(), map)].into(),
        ..Objects::default()
    };
    let inputs = Inputs {
        pod: &pod,
        objects: &objects,
        tokens: &BTreeMap::new(),
        addresses: &Addresses::default(),
        node: &BTreeMap::new(),
    };
    let paths = PodPaths {
        dir: dir.join("pods/u"),
        logs: dir.join("logs"),
    };
    set_up(&paths, &pod, &inputs, Timestamp::from_second(second).unwrap()).map_err(|failure| failure.message())
}

#[test]
fn files_are_swapped_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let volumes = r#"[{"name":"v","configMap":{"name":"m"}}]"#;
    let path = set_up_with(dir.path(), volumes, r#"{"a":"1","b":"2"}"#, 1).unwrap()["v"].clone();
    assert!(path.ends_with("pods/u/volumes/kubernetes.io~configmap/v"));
    assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "1");
    assert_eq!(fs::read_link(path.join("a")).unwrap(), Path::new("..data/a"));
    let first = fs::read_link(path.join("..data")).unwrap();
    assert_eq!(first, Path::new("..1970_01_01_00_00_01.000000000"));

    set_up_with(dir.path(), volumes, r#"{"a":"1","b":"2"}"#, 2).unwrap();
    assert_eq!(
        fs::read_link(path.join("..data")).unwrap(),
        first,
        "nothing changed, nothing is written"
    );

    set_up_with(dir.path(), volumes, r#"{"a":"3"}"#, 3).unwrap();
    assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "3");
    assert!(!path.join("b").exists() && !path.join(&first).exists());
}

#[test]
fn failures_are_worded_as_upstream() {
    let dir = tempfile::tempdir().unwrap();
    let check = |volume: &str, message: &str| {
        assert_eq!(
            set_up_with(dir.path(), &format!("[{volume}]"), "{}", 1).unwrap_err(),
            message
        );
    };
    check(
        r#"{"name":"v","configMap":{"name":"none"}}"#,
        r#"MountVolume.SetUp failed for volume "v" : configmap "none" not found"#,
    );
    check(
        r#"{"name":"v","hostPath":{"path":"/proc/self/status","type":"Directory"}}"#,
        r#"MountVolume.SetUp failed for volume "v" : hostPath type check failed: /proc/self/status is not a directory"#,
    );
    check(
        r#"{"name":"v","persistentVolumeClaim":{"claimName":"c"}}"#,
        r#"MountVolume.SetUp failed for volume "v" : volume source persistentVolumeClaim is not supported on this node"#,
    );
}

#[test]
fn empty_directories_live_as_long_as_the_pod() {
    let dir = tempfile::tempdir().unwrap();
    let volumes = r#"[{"name":"v","emptyDir":{}},{"name":"h","hostPath":{"path":"/proc"}}]"#;
    let paths = set_up_with(dir.path(), volumes, "{}", 1).unwrap();
    fs::write(paths["v"].join("x"), "kept").unwrap();
    assert_eq!(fs::metadata(&paths["v"]).unwrap().permissions().mode() & 0o777, 0o777);
    let again = set_up_with(dir.path(), volumes, "{}", 2).unwrap();
    assert_eq!(fs::read_to_string(again["v"].join("x")).unwrap(), "kept");
    assert_eq!(again["h"], Path::new("/proc"));
    tear_down(&dir.path().join("pods/u")).unwrap();
    assert!(!dir.path().join("pods/u").exists());
    tear_down(&dir.path().join("pods/u")).unwrap();
}
