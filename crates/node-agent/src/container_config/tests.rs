//! What the runtime is told of containers.

use super::*;

fn check(pod_json: &str, image: cri::Image) -> Result<cri::ContainerConfig, String> {
    let pod: Pod = serde_json::from_str(pod_json).unwrap();
    let one = &pod.spec.as_ref().unwrap().containers[0];
    let prepared = Prepared {
        paths: &PodPaths {
            dir: "/k/pods/u".into(),
            logs: "/l".into(),
        },
        volumes: &HashMap::from([("v".to_owned(), PathBuf::from("/k/v"))]),
        variables: vec![("A".into(), "x".into())],
        image: &image,
        message_file: "/k/msg".into(),
        image_ref: "sha256:1".into(),
        image_name: "i".into(),
        node_memory: 4 << 30,
    };
    container(&pod, one, 2, &prepared).map_err(|error| error.to_string())
}

fn pod(container: &str) -> String {
    format!(r#"{{"metadata":{{"name":"p","namespace":"n","uid":"u"}},"spec":{{"containers":[{container}]}}}}"#)
}

#[test]
fn a_container_is_described_whole() {
    let config = check(
        &pod(r#"{"name":"c","image":"i","command":["$(A)"],"volumeMounts":[{"name":"v","mountPath":"/data","subPathExpr":"d-$(A)","readOnly":true}],
            "resources":{"limits":{"memory":"64Mi","cpu":"500m"}},"securityContext":{"runAsUser":7,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}"#),
        cri::Image::default(),
    )
    .unwrap();
    assert_eq!(config.command, ["x"]);
    assert_eq!(config.log_path, "c/2.log");
    let mounts: Vec<String> = config
        .mounts
        .iter()
        .map(|m| {
            format!(
                "{}={}{}",
                m.container_path,
                m.host_path,
                if m.readonly { " ro" } else { "" }
            )
        })
        .collect();
    assert_eq!(
        mounts,
        [
            "/data=/k/v/d-x ro",
            "/etc/hosts=/k/pods/u/etc-hosts",
            "/dev/termination-log=/k/msg"
        ]
    );
    let linux = config.linux.unwrap();
    let resources = linux.resources.unwrap();
    assert_eq!(
        (
            resources.memory_limit_in_bytes,
            resources.cpu_quota,
            resources.oom_score_adj
        ),
        (64 << 20, 50_000, -997)
    );
    let security = linux.security_context.unwrap();
    assert!(security.no_new_privs && security.masked_paths.contains(&"/proc/kcore".to_owned()));
    assert_eq!(security.capabilities.unwrap().drop_capabilities, ["ALL"]);
}

#[test]
fn root_is_refused_where_it_must_not_be() {
    let container = pod(r#"{"name":"c","securityContext":{"runAsNonRoot":true}}"#);
    let image = |uid: Option<i64>, name: &str| cri::Image {
        uid: uid.map(|value| cri::Int64Value { value }),
        username: name.to_owned(),
        ..Default::default()
    };
    assert!(check(&container, image(Some(5), "")).is_ok());
    assert_eq!(
        check(&container, image(Some(0), "")).unwrap_err(),
        r#"container has runAsNonRoot and image will run as root (pod: "p_n(u)", container: c)"#
    );
    assert_eq!(
        check(&container, image(None, "nginx")).unwrap_err(),
        r#"container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user is non-root (pod: "p_n(u)", container: c)"#
    );
}

#[test]
fn mounts_must_exist_and_stay_inside() {
    let mount = |mount: &str| {
        check(
            &pod(&format!(r#"{{"name":"c","volumeMounts":[{mount}]}}"#)),
            cri::Image::default(),
        )
    };
    assert_eq!(
        mount(r#"{"name":"w","mountPath":"/d"}"#).unwrap_err(),
        r#"cannot find volume "w" to mount into container "c""#
    );
    assert_eq!(
        mount(r#"{"name":"v","mountPath":"/d","subPath":"../x"}"#).unwrap_err(),
        r#"subPath "../x" must be a relative path without '..'"#
    );
}
