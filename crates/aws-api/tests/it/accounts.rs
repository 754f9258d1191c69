//! Several accounts and regions in one process.

use aws_api::credentials;
use aws_types::AccountId;
use clock::SystemRandom;

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_regions_are_apart_and_stay_so_after_a_restart() {
    let mut fixture = Fixture::start().await;
    let account = AccountId::new("222222222222").unwrap();
    // Made while the region runs, as `ondol account create` does.
    let keys = credentials::load_or_create_for(&fixture.path("accounts/222222222222.json"), account, &SystemRandom);
    let keys = serde_json::to_string(&keys.unwrap()).unwrap();
    fixture.python_with("accounts.py", &keys).await;
    // Clusters that go by `aws-auth` know the nodes of a new group by it.
    assert!(
        fixture
            .host()
            .world()
            .node_roles
            .contains("arn:aws:iam::222222222222:role/node")
    );
    fixture.restart().await;
    fixture.python_with("accounts_after.py", &keys).await;
}
