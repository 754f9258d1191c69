//! Merging keeps what others wrote.

use super::*;

fn entry(name: &str) -> Entry {
    let (cluster, context) = Entry::names(name, "ap-northeast-2", "admin");
    Entry {
        cluster,
        context,
        server: "https://127.0.0.1:6443".to_owned(),
        certificate_authority_data: "LS0t".repeat(100),
        command: "/usr/bin/ondol".to_owned(),
        args: vec!["get-token".to_owned(), "--cluster-name".to_owned(), name.to_owned()],
        env: vec![("ONDOL_HOME".to_owned(), "/home/a/.ondol".to_owned())],
    }
}

#[test]
fn a_new_file_is_a_kubeconfig() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/config");
    write(&path, &entry("demo"), true).unwrap();
    let content = fs::read_to_string(&path).unwrap().replace(&"LS0t".repeat(100), "<ca>");
    insta::assert_snapshot!(content, @r"
    apiVersion: v1
    clusters:
    - cluster:
        certificate-authority-data: <ca>
        server: https://127.0.0.1:6443
      name: demo.ap-northeast-2.eksctl.io
    contexts:
    - context:
        cluster: demo.ap-northeast-2.eksctl.io
        user: admin@demo.ap-northeast-2.eksctl.io
      name: admin@demo.ap-northeast-2.eksctl.io
    current-context: admin@demo.ap-northeast-2.eksctl.io
    kind: Config
    preferences: {}
    users:
    - name: admin@demo.ap-northeast-2.eksctl.io
      user:
        exec:
          apiVersion: client.authentication.k8s.io/v1beta1
          args:
          - get-token
          - --cluster-name
          - demo
          command: /usr/bin/ondol
          env:
          - name: ONDOL_HOME
            value: /home/a/.ondol
          interactiveMode: IfAvailable
          provideClusterInfo: false
    ");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!folder.path().join("new/config.lock").exists());
}

#[test]
fn what_others_wrote_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let theirs = "apiVersion: v1\nkind: Config\ncurrent-context: work\nclusters:\n- name: work\n  cluster: {server: https://work, x-own: [1, true, '007']}\ncontexts:\n- name: work\n  context: {cluster: work, user: me, namespace: team}\nusers:\n- name: me\n  user: {token: abc}\nextensions: [{name: x}]\n";
    fs::write(&path, theirs).unwrap();
    let before = read(&path).unwrap();
    write(&path, &entry("demo"), false).unwrap();
    write(&path, &entry("demo"), false).unwrap();
    write(&path, &entry("other"), true).unwrap();
    let Some(Yaml::List(clusters)) = read(&path).unwrap().remove("clusters") else {
        panic!("clusters are a list")
    };
    let names: Vec<_> = clusters.iter().filter_map(name_of).collect();
    assert_eq!(
        names,
        [
            "work",
            "demo.ap-northeast-2.eksctl.io",
            "other.ap-northeast-2.eksctl.io"
        ]
    );
    assert!(remove(&path, "demo.ap-northeast-2.eksctl.io").unwrap());
    assert!(remove(&path, "other.ap-northeast-2.eksctl.io").unwrap());
    assert!(!remove(&path, "other.ap-northeast-2.eksctl.io").unwrap());
    let mut after = read(&path).unwrap();
    assert_eq!(after.insert("current-context".to_owned(), text("work")), Some(text("")));
    after.remove("preferences");
    assert_eq!(after, before);
}

#[test]
fn a_file_that_is_none_or_is_locked_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, "just text").unwrap();
    assert!(
        write(&path, &entry("demo"), true)
            .unwrap_err()
            .to_string()
            .contains("is not a kubeconfig")
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "just text");
    fs::write(folder.path().join("config.lock"), "").unwrap();
    assert!(matches!(
        write(&path, &entry("demo"), true),
        Err(KubeconfigError::Locked { .. })
    ));
}
