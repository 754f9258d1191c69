//! Each check: every branch of its words, and the versions in which it changes.

use super::*;

const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

#[test]
fn app_armor() {
    let fields = r#"{"securityContext":{"appArmorProfile":{"type":"Unconfined"}},"containers":[
        {"name":"b","securityContext":{"appArmorProfile":{"type":"Unconfined"}}},
        {"name":"a","securityContext":{"appArmorProfile":{"type":"Other"}}},
        {"name":"c","securityContext":{"appArmorProfile":{"type":"Localhost"}}}]}"#;
    let wanted = "forbidden AppArmor profiles (pod and containers \"b\", \"a\" must not set AppArmor profile type to \
        \"Other\", \"Unconfined\")";
    baseline(fields, &[(0, wanted)]);
    let one = r#"{"securityContext":{"appArmorProfile":{"type":"Unconfined"}},"containers":[]}"#;
    let wanted = "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")";
    baseline(one, &[(0, wanted)]);
    let (a, b) = (format!("{APPARMOR}a"), format!("{APPARMOR}b"));
    let good = [(&*a, "runtime/default"), (&*b, "localhost/x")];
    check(Level::Baseline, &good, r#"{"containers":[]}"#, &[(0, "")]);
    let wrong = [(&*b, "unconfined"), (&*a, "say \"x\"\n")];
    let wanted = format!(
        "forbidden AppArmor profiles (pod and annotations must not set AppArmor profile type to \"Unconfined\", \
         \"{a}=\"say \\\"x\\\"\\n\"\", \"{b}=\"unconfined\"\")"
    );
    check(Level::Baseline, &wrong, one, &[(0, &wanted)]);
    let wanted =
        format!("forbidden AppArmor profile (annotation must not set AppArmor profile type to \"{b}=\"unconfined\"\")");
    check(Level::Baseline, &wrong[..1], r#"{"containers":[]}"#, &[(0, &wanted)]);
}

#[test]
fn capabilities() {
    let spec = r#"{"initContainers":[{"name":"i","securityContext":{"capabilities":{"add":["SYS_TIME","NET_RAW"]}}}],
        "containers":[{"name":"a","securityContext":{"capabilities":{"add":["CHOWN","NET_BIND_SERVICE"]}}},
        {"name":"b","securityContext":{"capabilities":{"add":["NET_ADMIN","NET_RAW"]}}}]}"#;
    let wanted = "non-default capabilities (containers \"i\", \"b\" must not include \"NET_ADMIN\", \"NET_RAW\", \
        \"SYS_TIME\" in securityContext.capabilities.add)";
    baseline(spec, &[(0, wanted)]);
    let spec = format!(
        r#"{{"containers":[{},{}]}}"#,
        container("a", r#""capabilities":{"drop":["NET_RAW"],"add":["CHOWN"]}"#),
        container("b", r#""capabilities":{"drop":["ALL"],"add":["NET_BIND_SERVICE"]}"#)
    );
    let wanted = "unrestricted capabilities (container \"a\" must set securityContext.capabilities.drop=[\"ALL\"]; \
        container \"a\" must not include \"CHOWN\" in securityContext.capabilities.add)";
    restricted(&spec, &[(0, ""), (22, wanted)]);
    // Restricted's own check takes the place of baseline's when it comes, so that nothing is told twice.
    let adds = container("a", r#""capabilities":{"add":["NET_ADMIN"],"drop":["ALL"]}"#);
    let added = "container \"a\" must not include \"NET_ADMIN\" in securityContext.capabilities.add";
    let wanted = [
        format!("non-default capabilities ({added})"),
        format!("unrestricted capabilities ({added})"),
    ];
    let spec = format!(r#"{{"containers":[{adds}]}}"#);
    restricted(&spec, &[(0, &wanted[0]), (22, &wanted[1])]);
}

#[test]
fn the_hosts_namespaces_paths_and_ports() {
    let spec = r#"{"hostNetwork":true,"hostPID":true,"hostIPC":true,"containers":[]}"#;
    baseline(
        spec,
        &[(0, "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)")],
    );
    let spec = r#"{"containers":[],"volumes":[{"name":"w","hostPath":{"path":"/"}},{"name":"e","emptyDir":{}},
        {"name":"v","hostPath":{"path":"/"}}]}"#;
    baseline(spec, &[(0, "hostPath volumes (volumes \"w\", \"v\")")]);
    let spec = r#"{"containers":[{"name":"a","ports":[{"containerPort":1,"hostPort":8080},{"containerPort":2}]},
        {"name":"b","ports":[{"containerPort":1,"hostPort":10000},{"containerPort":2,"hostPort":8080}]}]}"#;
    baseline(
        spec,
        &[(0, "hostPort (containers \"a\", \"b\" use hostPorts 10000, 8080)")],
    );
    let spec = r#"{"containers":[{"name":"a","ports":[{"containerPort":1,"hostPort":80}]}]}"#;
    baseline(spec, &[(0, "hostPort (container \"a\" uses hostPort 80)")]);
}

#[test]
fn hosts_of_probes_and_handlers_since_1_34() {
    let spec = r#"{"containers":[
        {"name":"b","livenessProbe":{"httpGet":{"port":1,"host":"x"}},"startupProbe":{"tcpSocket":{"port":1,"host":""}}},
        {"name":"a","lifecycle":{"postStart":{"httpGet":{"port":1,"host":"y"}},"preStop":{"tcpSocket":{"port":1,
            "host":"x"}}}}]}"#;
    let wanted = "probe or lifecycle host (containers \"a\", \"b\" use probe or lifecycle hosts \"x\", \"y\")";
    baseline(spec, &[(0, ""), (34, wanted)]);
    let spec = r#"{"containers":[{"name":"a","readinessProbe":{"tcpSocket":{"port":1,"host":"10.0.0.1"}}}]}"#;
    let wanted = "probe or lifecycle host (container \"a\" uses probe or lifecycle host \"10.0.0.1\")";
    baseline(spec, &[(0, ""), (34, wanted)]);
}

#[test]
fn privileged_containers_of_all_sorts() {
    let spec = r#"{"containers":[{"name":"a","securityContext":{"privileged":true}}],
        "initContainers":[{"name":"z","securityContext":{"privileged":true}}],
        "ephemeralContainers":[{"name":"e","securityContext":{"privileged":true}}]}"#;
    let wanted = "privileged (containers \"z\", \"a\", \"e\" must not set securityContext.privileged=true)";
    baseline(spec, &[(0, wanted)]);
    restricted(
        &format!(r#"{{"containers":[{}]}}"#, container("a", r#""privileged":true"#)),
        &[(
            0,
            "privileged (container \"a\" must not set securityContext.privileged=true)",
        )],
    );
}

#[test]
fn proc_mounts_and_pods_with_users_of_their_own_since_1_35() {
    let spec = format!(
        r#"{{"hostUsers":false,"containers":[{},{}]}}"#,
        container("a", r#""procMount":"Unmasked""#),
        container("b", r#""procMount":"Default""#)
    );
    let wanted = "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")";
    baseline(&spec, &[(0, wanted), (35, "")]);
    restricted(&spec, &[(0, wanted)]);
    let spec = spec.replace("\"hostUsers\":false,", "");
    baseline(&spec, &[(0, wanted)]);
    restricted(&spec, &[(0, wanted)]);
}

#[test]
fn selinux_options() {
    let spec = r#"{"securityContext":{"seLinuxOptions":{"type":"container_engine_t"}},"containers":[]}"#;
    let wanted = "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"container_engine_t\")";
    baseline(spec, &[(0, wanted), (31, "")]);
    let spec = r#"{"securityContext":{"seLinuxOptions":{"type":"spc_t","role":"r"}},"containers":[
        {"name":"b","securityContext":{"seLinuxOptions":{"type":"a_t"}}},
        {"name":"a","securityContext":{"seLinuxOptions":{"type":"container_t","user":"u"}}},
        {"name":"c","securityContext":{"seLinuxOptions":{"level":"s0"}}}]}"#;
    let wanted = "seLinuxOptions (pod and containers \"b\", \"a\" set forbidden securityContext.seLinuxOptions: types \
        \"a_t\", \"spc_t\"; user may not be set; role may not be set)";
    baseline(spec, &[(0, wanted)]);
}

#[test]
fn seccomp_by_annotations_before_1_19_and_by_fields_since() {
    let annotations = [
        ("seccomp.security.alpha.kubernetes.io/pod", "unconfined"),
        ("container.seccomp.security.alpha.kubernetes.io/a", "other"),
        ("container.seccomp.security.alpha.kubernetes.io/b", "docker/default"),
        ("container.seccomp.security.alpha.kubernetes.io/nobody", "unconfined"),
    ];
    let spec = r#"{"securityContext":{"seccompProfile":{"type":"Unconfined"}},"containers":[{"name":"a",
        "securityContext":{"seccompProfile":{"type":"Unconfined"}}},{"name":"b"}]}"#;
    let by_annotations = "seccompProfile (forbidden annotations \
        container.seccomp.security.alpha.kubernetes.io/a=\"other\", \
        seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")";
    let by_fields = "seccompProfile (pod and container \"a\" must not set securityContext.seccompProfile.type to \
        \"Unconfined\")";
    check(
        Level::Baseline,
        &annotations,
        spec,
        &[(0, by_annotations), (19, by_fields)],
    );
    let spec = format!(r#"{{"containers":[{}]}}"#, container("a", ""));
    let one = "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")";
    check(Level::Restricted, &annotations[..1], &spec, &[(0, one), (19, "")]);
    let spec = spec.replace("RuntimeDefault", "Unconfined");
    let wanted = "seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")";
    restricted(&spec, &[(0, ""), (19, wanted)]);
}

#[test]
fn sysctls() {
    let spec = r#"{"containers":[],"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_wmem","value":""},
        {"name":"kernel.shm_rmid_forced","value":""},{"name":"net.ipv4.tcp_fin_timeout","value":""},
        {"name":"a.b","value":""},{"name":"net.ipv4.ip_local_reserved_ports","value":""}]}}"#;
    let all = "net.ipv4.tcp_wmem, net.ipv4.tcp_fin_timeout, a.b";
    baseline(
        spec,
        &[
            (
                0,
                &format!("forbidden sysctls ({all}, net.ipv4.ip_local_reserved_ports)"),
            ),
            (27, &format!("forbidden sysctls ({all})")),
            (29, "forbidden sysctls (net.ipv4.tcp_wmem, a.b)"),
            (32, "forbidden sysctls (a.b)"),
        ],
    );
}

#[test]
fn windows_host_processes() {
    let spec = r#"{"securityContext":{"windowsOptions":{"hostProcess":true}},"containers":[
        {"name":"a","securityContext":{"windowsOptions":{"hostProcess":true}}},
        {"name":"b","securityContext":{"windowsOptions":{"hostProcess":false}}}]}"#;
    let wanted = "hostProcess (pod and container \"a\" must not set securityContext.windowsOptions.hostProcess=true)";
    baseline(spec, &[(0, wanted)]);
}

#[test]
fn what_windows_pods_cannot_say_is_not_asked_since_1_25() {
    let spec = r#"{"os":{"name":"windows"},"securityContext":{"runAsNonRoot":true},"containers":[{"name":"a"}]}"#;
    let escalation = "allowPrivilegeEscalation != false (container \"a\" must set \
        securityContext.allowPrivilegeEscalation=false)";
    let capabilities = "unrestricted capabilities (container \"a\" must set \
        securityContext.capabilities.drop=[\"ALL\"])";
    let seccomp = "seccompProfile (pod or container \"a\" must set securityContext.seccompProfile.type to \
        \"RuntimeDefault\" or \"Localhost\")";
    restricted(
        spec,
        &[
            (0, ""),
            (8, escalation),
            (19, &[escalation, seccomp].join(", ")),
            (22, &[escalation, capabilities, seccomp].join(", ")),
            (25, ""),
        ],
    );
}

#[test]
fn volumes() {
    let pod = |volumes: &str| format!(r#"{{"containers":[{}],"volumes":[{volumes}]}}"#, container("a", ""));
    let spec = r#"{"name":"n","nfs":{"server":"s","path":"/"}},{"name":"e","emptyDir":{}},{"name":"h","hostPath":{"path":"/"}},
        {"name":"o","nfs":{"server":"s","path":"/"}},{"name":"i","image":{}},{"name":"u"}"#;
    let wanted = "restricted volume types (volumes \"n\", \"h\", \"o\", \"u\" use restricted volume types \"hostPath\", \
        \"nfs\", \"unknown\")";
    restricted(&pod(spec), &[(0, wanted)]);
    let spec = r#"{"name":"p","photonPersistentDisk":{"pdID":"x"}}"#;
    let wanted = "restricted volume types (volume \"p\" uses restricted volume type \"photonPersistentDisk\")";
    restricted(&pod(spec), &[(0, wanted)]);
}

#[test]
fn root() {
    let reason = "runAsNonRoot != true";
    for (of_pod, of_a, of_b, wanted) in [
        ("null", "true", "true", ""),
        ("true", "null", "true", ""),
        (
            "null",
            "null",
            "true",
            "pod or container \"a\" must set securityContext.runAsNonRoot=true",
        ),
        (
            "null",
            "null",
            "null",
            "pod or containers \"a\", \"b\" must set securityContext.runAsNonRoot=true",
        ),
        (
            "false",
            "true",
            "true",
            "pod must not set securityContext.runAsNonRoot=false",
        ),
        (
            "false",
            "null",
            "false",
            "pod and container \"b\" must not set securityContext.runAsNonRoot=false",
        ),
        (
            "true",
            "false",
            "false",
            "containers \"a\", \"b\" must not set securityContext.runAsNonRoot=false",
        ),
        (
            "null",
            "false",
            "null",
            "container \"a\" must not set securityContext.runAsNonRoot=false",
        ),
    ] {
        let of = |name, own| container(name, &format!(r#""runAsNonRoot":{own}"#));
        let spec = format!(
            r#"{{"securityContext":{{"runAsNonRoot":{of_pod}}},"containers":[{},{}]}}"#,
            of("a", of_a),
            of("b", of_b)
        );
        let wanted = Some(wanted).filter(|wanted| !wanted.is_empty());
        let wanted = wanted.map(|wanted| format!("{reason} ({wanted})")).unwrap_or_default();
        restricted(&spec, &[(0, &wanted)]);
        let own_users = spec.replacen('{', "{\"hostUsers\":false,", 1);
        let relaxed: &[(u64, &str)] = if wanted.is_empty() {
            &[(0, "")]
        } else {
            &[(0, &wanted), (35, "")]
        };
        restricted(&own_users, relaxed);
    }
}

#[test]
fn the_user_root_since_1_23() {
    let spec = format!(
        r#"{{"securityContext":{{"runAsUser":0}},"containers":[{},{}]}}"#,
        container("a", r#""runAsUser":0"#),
        container("b", r#""runAsUser":1"#)
    );
    let wanted = "runAsUser=0 (pod and container \"a\" must not set runAsUser=0)";
    restricted(&spec, &[(0, ""), (23, wanted)]);
    let own_users = spec.replacen('{', "{\"hostUsers\":false,", 1);
    restricted(&own_users, &[(0, ""), (23, wanted), (35, "")]);
}
