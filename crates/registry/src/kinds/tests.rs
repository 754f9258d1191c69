use super::*;

#[test]
fn every_kind_has_a_resource() {
    let table = KindTable::built_in();
    assert!(
        table
            .find(&GroupVersionResource::new("apps", "v1", "deployments"))
            .is_some()
    );
}
