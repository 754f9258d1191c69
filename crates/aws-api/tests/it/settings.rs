//! Settings of a control plane that change while it runs: what the host is told of the key of Secrets and of identity
//! providers, and what clients see of it.

use access_rules::oidc::Provider;
use aws_api::host::ControlPlaneSpec;

use crate::fixture::{Fixture, tool};

fn told(fixture: &Fixture) -> ControlPlaneSpec {
    let world = fixture.host().world();
    let demo = world
        .control_planes
        .iter()
        .find(|(cluster, _)| cluster.name.as_str() == "demo");
    demo.unwrap().1.clone()
}

fn providers(fixture: &Fixture) -> Vec<Provider> {
    told(fixture).identity_providers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_gets_a_key_for_its_secrets() {
    if tool("python").is_none() {
        return;
    }
    let fixture = Fixture::start().await;
    fixture.python("create.py").await;
    fixture.python_with("settings.py", "encryption").await;
    let key = told(&fixture).encryption_key.unwrap();
    let region = &fixture.running().region;
    let sealed = region.encrypt_for("demo", &key, b"seed").unwrap();
    assert_eq!(region.decrypt_for("demo", &key, &sealed).unwrap(), b"seed");
    let refused = region.decrypt_for("other", &key, &sealed).unwrap_err();
    assert_eq!(refused.code, "InvalidCiphertextException");
    assert_eq!(
        region.check_key("arn:aws:kms:x:0:key/none").unwrap_err().code,
        "NotFoundException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_provider_is_associated_survives_a_restart_and_goes() {
    if tool("python").is_none() {
        return;
    }
    let mut fixture = Fixture::start().await;
    fixture.python("create.py").await;
    fixture.python_with("settings.py", "associate").await;
    let associated = providers(&fixture);
    assert_eq!(associated.len(), 1);
    assert_eq!(associated[0].issuer_url, "https://issuer.example.com/a");
    assert_eq!(associated[0].required_claims["team"], "blue");
    fixture.host().world().control_planes.clear();
    fixture.restart().await;
    let limit = std::time::Duration::from_secs(60);
    let told_again = supervision::wait_until("the host is told again", limit, || async {
        let world = fixture.host().world();
        (!world.control_planes.is_empty()).then_some(()).ok_or("not yet")
    });
    told_again.await.unwrap();
    assert_eq!(providers(&fixture), associated);
    fixture.python_with("settings.py", "disassociate").await;
    assert!(providers(&fixture).is_empty());
}
