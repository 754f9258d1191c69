//! What `pod` promises, as tests.

use super::*;
use crate::field::Errors;
use kube_types::dynamic::Value;

fn pod(spec: Value) -> Object {
    let mut pod = Object::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})).unwrap();
    (POD.defaults)(&mut pod);
    pod
}

fn problems(spec: Value) -> String {
    let mut errors = Errors::new();
    (POD.validate)(&pod(spec), &mut errors);
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn container(change: Value) -> Value {
    let mut container = json!({"name": "c", "image": "nginx"});
    for (field, value) in change.as_object().unwrap() {
        container[field] = value.clone();
    }
    json!({"containers": [container]})
}

#[test]
fn a_short_pod_is_filled() {
    let filled = pod(
        json!({"serviceAccount": "x", "containers": [{"name": "c", "image": "nginx:1.25",
        "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 80}},
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}],
        "volumes": [{"name": "a"}, {"name": "b", "configMap": {"name": "m"}}]}),
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&filled).unwrap());
}

#[test]
fn images_without_a_fixed_tag_are_always_pulled() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0", "IfNotPresent"),
    ] {
        let filled = pod(json!({"containers": [{"name": "c", "image": image}]}));
        assert_eq!(filled.0["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn what_is_wrong_with_a_pod_is_said_in_upstreams_words() {
    let cases = [
        json!({}),
        json!({"containers": [{}]}),
        json!({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}),
        container(json!({"ports": [{"containerPort": 70000, "name": "HTTP"}, {"name": "x"}]})),
        container(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]})),
        container(json!({"env": [{"name": "a=b"}, {"name": "X", "valueFrom": {}}]})),
        container(json!({"resources": {"requests": {"cpu": "2", "gpu": "1"}, "limits": {"cpu": "1", "memory": "-1"}}})),
        container(json!({"livenessProbe": {"successThreshold": 2}, "imagePullPolicy": "Sometimes"})),
        json!({"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Maybe", "dnsPolicy": "None",
            "tolerations": [{"operator": "Equal"}], "hostname": "A", "volumes": [{"name": "v", "secret": {}}]}),
    ];
    let all: Vec<String> = cases.into_iter().map(problems).collect();
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn only_some_fields_of_a_pod_may_change() {
    let old = pod(json!({"containers": [{"name": "c", "image": "a"}], "activeDeadlineSeconds": 10}));
    let check = |new: &Object| {
        let mut errors = Errors::new();
        (POD.validate_update)(new, &old, &mut errors);
        errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>()
    };
    let image = pod(
        json!({"containers": [{"name": "c", "image": "b", "imagePullPolicy": "Always"}], "activeDeadlineSeconds": 5}),
    );
    assert_eq!(check(&image), Vec::<String>::new());
    let longer = pod(json!({"containers": [{"name": "c", "image": "a"}], "activeDeadlineSeconds": 50}));
    assert_eq!(check(&longer), ["spec.activeDeadlineSeconds"]);
    let command =
        pod(json!({"containers": [{"name": "c", "image": "a", "command": ["x"]}], "activeDeadlineSeconds": 10}));
    assert_eq!(check(&command), ["spec"]);
}

#[test]
fn the_class_of_service_follows_from_requests_and_limits() {
    for (resources, class) in [
        (json!({}), "BestEffort"),
        (json!({"requests": {"cpu": "1"}}), "Burstable"),
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
        (json!({"limits": {"cpu": "1"}}), "Burstable"),
        (
            json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}),
            "Burstable",
        ),
    ] {
        let mut made = pod(container(json!({"resources": resources})));
        (POD.prepare_create)(&mut made);
        assert_eq!(made.0["status"]["qosClass"], class, "{resources}");
    }
}

#[test]
fn grace_is_asked_for_or_the_pods_own() {
    let running = |spec: Value, phase: &str| {
        let mut pod = pod(spec);
        pod.0.insert("status".to_owned(), json!({"phase": phase}));
        pod
    };
    let bound = json!({"nodeName": "n", "terminationGracePeriodSeconds": 7});
    for (pod, asked, grace) in [
        (running(bound.clone(), "Running"), None, 7),
        (running(bound.clone(), "Running"), Some(3), 3),
        (running(bound.clone(), "Running"), Some(-1), 1),
        (running(bound, "Failed"), None, 0),
        (running(json!({}), "Pending"), Some(9), 0),
    ] {
        assert_eq!((POD.grace)(&pod, asked), Grace::Seconds(grace));
    }
}

#[test]
fn what_is_wrong_with_affinity_and_volumes_is_said_in_upstreams_words() {
    let term = |requirement: Value| {
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [requirement]}]}}})
    };
    let node = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    for (affinity, problem) in [
        (
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
            format!("{node}: Required value: must have at least one node selector term"),
        ),
        (
            term(json!({"key": "a", "operator": "In"})),
            format!("{node}[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"),
        ),
        (
            term(json!({"key": "a", "operator": "Gt", "values": ["1", "2"]})),
            format!(
                "{node}[0].matchExpressions[0].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'"
            ),
        ),
        (
            term(json!({"key": "a", "operator": "Near"})),
            format!("{node}[0].matchExpressions[0].operator: Invalid value: \"Near\": not a valid selector operator"),
        ),
        (
            json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 101, "podAffinityTerm": {}}]}}),
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: \
             must be in the range 1-100\nspec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]\
             .podAffinityTerm.topologyKey: Required value: can not be empty"
                .to_owned(),
        ),
    ] {
        let spec = json!({"containers": [{"name": "c", "image": "i"}], "affinity": affinity});
        assert_eq!(problems(spec), problem);
    }
    for (volume, problem) in [
        (
            json!({"hostPath": {"path": "/a", "type": "Disk"}}),
            "spec.volumes[0].hostPath.type: Unsupported value: \"Disk\": supported values: \"\", \"BlockDevice\", \
             \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
        ),
        (
            json!({"nfs": {"server": "s", "path": "a"}}),
            "spec.volumes[0].nfs.path: Invalid value: \"a\": must be an absolute path",
        ),
        (
            json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 60}}]}}),
            "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: \
             may not specify a duration less than 10 minutes",
        ),
    ] {
        let mut volume = volume;
        volume["name"] = "v".into();
        let spec = json!({"containers": [{"name": "c", "image": "i"}], "volumes": [volume]});
        assert_eq!(problems(spec), problem);
    }
}
