//! Which events a cluster accepts in which state.

use super::*;

pub(crate) fn cluster(status: ClusterStatus) -> Cluster {
    Cluster {
        name: ClusterName::new("demo").unwrap(),
        arn: "arn:aws:eks:ap-northeast-2:000000000000:cluster/demo".to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        version: "1.33".to_owned(),
        platform_version: "eks.1".to_owned(),
        role_arn: String::new(),
        creator_arn: String::new(),
        network: Network {
            vpc_id: VpcId::new("vpc-00000000").unwrap(),
            subnet_ids: Vec::new(),
            security_group_ids: Vec::new(),
            cluster_security_group_id: String::new(),
            endpoint_public_access: true,
            endpoint_private_access: false,
            public_access_cidrs: Vec::new(),
            addresses: Vec::new(),
            service_cidr: "10.100.0.0/16".to_owned(),
            oidc_issuer: String::new(),
        },
        enabled_logs: Vec::new(),
        authentication_mode: "CONFIG_MAP".to_owned(),
        creator_is_admin: true,
        support_type: "EXTENDED".to_owned(),
        deletion_protection: false,
        bootstrap_addons: true,
        tags: BTreeMap::new(),
        client_request_token: None,
        status,
        endpoint: None,
        certificate_authority_pem: None,
        issues: Vec::new(),
        issuer_keys: None,
        upgrade: None,
        encryption_key: None,
        encrypting: None,
    }
}

fn ready() -> Input {
    Input::ControlPlaneReady {
        endpoint: "https://127.0.0.1:1".to_owned(),
        certificate_authority_pem: "pem".to_owned(),
        issuer_keys: "{}".to_owned(),
        applied: Vec::new(),
    }
}

fn after(status: ClusterStatus, input: Input) -> Result<Option<ClusterStatus>, String> {
    cluster(status)
        .step(input)
        .map(|state| state.map(|cluster| cluster.status))
        .map_err(|refusal| refusal.message)
}

#[test]
fn a_cluster_lives_and_goes() {
    use ClusterStatus::{Active, Creating, Deleting, Failed};
    let failed = || Input::ControlPlaneFailed {
        message: "disk full".to_owned(),
    };
    assert_eq!(after(Creating, ready()), Ok(Some(Active)));
    assert_eq!(after(Creating, failed()), Ok(Some(Failed)));
    assert_eq!(after(Active, failed()), Ok(Some(Active)));
    assert_eq!(after(Active, Input::Delete { nodegroups: 0 }), Ok(Some(Deleting)));
    assert_eq!(after(Failed, Input::Delete { nodegroups: 0 }), Ok(Some(Deleting)));
    assert_eq!(after(Deleting, Input::Delete { nodegroups: 0 }), Ok(Some(Deleting)));
    assert_eq!(after(Deleting, ready()), Ok(Some(Deleting)));
    assert_eq!(after(Deleting, Input::ControlPlaneGone), Ok(None));
    assert_eq!(
        after(Active, Input::Delete { nodegroups: 1 }),
        Err("Cluster has nodegroups attached".to_owned())
    );
    assert!(after(Creating, Input::Delete { nodegroups: 0 }).is_err());
}

#[test]
fn deletion_protection_protects() {
    let mut protected = cluster(ClusterStatus::Active);
    protected.deletion_protection = true;
    assert!(protected.step(Input::Delete { nodegroups: 0 }).is_err());
}

#[test]
fn secrets_come_under_a_key_once_and_when_the_control_plane_says_so() {
    let encrypt = || Input::Encrypt {
        update: "one".to_owned(),
        key: "arn".to_owned(),
    };
    let asked = cluster(ClusterStatus::Active).step(encrypt()).unwrap().unwrap();
    assert_eq!(asked.status, ClusterStatus::Updating);
    assert_eq!(asked.encryption_key.as_deref(), Some("arn"));
    // What was on its way before does not know of the key.
    let early = asked.step(ready()).unwrap().unwrap();
    assert_eq!(early.status, ClusterStatus::Updating);
    let Input::ControlPlaneReady {
        endpoint,
        certificate_authority_pem,
        issuer_keys,
        ..
    } = ready()
    else {
        unreachable!()
    };
    let done = early.step(Input::ControlPlaneReady {
        endpoint,
        certificate_authority_pem,
        issuer_keys,
        applied: vec!["one".to_owned()],
    });
    let done = done.unwrap().unwrap();
    assert_eq!((done.status, done.encrypting.as_deref()), (ClusterStatus::Active, None));
    let again = done.step(encrypt()).unwrap_err();
    assert_eq!(again.message, "Encryption is already enabled for cluster demo");
}
