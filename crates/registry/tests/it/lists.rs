//! Lists: which revision, in which pieces.

use kube_types::dynamic::{Value, json};
use proptest::prelude::*;

use crate::world::World;

async fn filled(count: usize) -> World {
    let world = World::new().await;
    for index in 0..count {
        let parity = if index % 2 == 0 { "even" } else { "odd" };
        let object = json!({"metadata": {"name": format!("m{index:03}"), "labels": {"parity": parity}}});
        world.create("v1/configmaps/default", object).await.unwrap();
    }
    world
}

fn names(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

fn token(list: &Value) -> Option<String> {
    list["metadata"]["continue"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn an_empty_list_has_the_stores_revision() {
    let world = World::new().await;
    let list = world.list("v1/pods", "").await.unwrap();
    assert_eq!(names(&list), Vec::<String>::new());
    assert_eq!(
        list["metadata"]["resourceVersion"],
        json!(world.store.revision().await.unwrap().to_string())
    );
}

#[tokio::test]
async fn pages_are_of_one_revision_whatever_happens_meanwhile() {
    let world = filled(7).await;
    let first = world.list("v1/configmaps/default", "limit=3").await.unwrap();
    assert_eq!(
        (names(&first).len(), &first["metadata"]["remainingItemCount"]),
        (3, &json!(4))
    );
    world.delete("v1/configmaps/default/m004", "").await.unwrap();
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "m0035"}}))
        .await
        .unwrap();
    let rest = world
        .list(
            "v1/configmaps/default",
            &format!("limit=10&continue={}", token(&first).unwrap()),
        )
        .await
        .unwrap();
    assert_eq!(names(&rest), ["m003", "m004", "m005", "m006"]);
    assert_eq!(
        rest["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    assert_eq!(token(&rest), None);
}

#[tokio::test]
async fn an_expired_token_comes_back_as_one_that_goes_on_inconsistently() {
    let world = filled(4).await;
    let first = world.list("v1/configmaps/default", "limit=2").await.unwrap();
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "m0021"}}))
        .await
        .unwrap();
    world
        .store
        .compact(world.store.revision().await.unwrap())
        .await
        .unwrap();
    let error = world
        .list(
            "v1/configmaps/default",
            &format!("limit=2&continue={}", token(&first).unwrap()),
        )
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.reason()), (410, "Expired"));
    let fresh = error.status().metadata.continue_.clone().unwrap();
    let rest = world
        .list("v1/configmaps/default", &format!("limit=2&continue={fresh}"))
        .await
        .unwrap();
    assert_eq!(names(&rest), ["m002", "m0021"]);
    assert_ne!(
        rest["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn revisions_are_chosen_as_upstream_does() {
    let world = filled(2).await;
    let before = world.list("v1/configmaps/default", "").await.unwrap()["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "z"}}))
        .await
        .unwrap();
    for (query, expected) in [
        (String::new(), 3),
        ("resourceVersion=0".to_owned(), 3),
        (format!("resourceVersion={before}"), 3),
        (format!("resourceVersion={before}&resourceVersionMatch=NotOlderThan"), 3),
        (format!("resourceVersion={before}&resourceVersionMatch=Exact"), 2),
        (format!("resourceVersion={before}&limit=50"), 2),
    ] {
        let list = world.list("v1/configmaps/default", &query).await.unwrap();
        assert_eq!(names(&list).len(), expected, "{query}");
    }
    let future = world
        .list("v1/configmaps/default", "resourceVersion=99999999")
        .await
        .unwrap_err();
    assert_eq!(future.code(), 504);
    assert!(
        future
            .message()
            .starts_with("Timeout: Too large resource version: 99999999, current: ")
    );
}

#[tokio::test]
async fn fields_that_a_kind_does_not_have_cannot_be_selected_on() {
    let world = filled(1).await;
    let error = world
        .list("v1/configmaps/default", "fieldSelector=spec.x=1")
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        r#""spec.x" is not a known field selector: only "metadata.name", "metadata.namespace""#
    );
    let error = world.list("v1/pods", "fieldSelector=spec.x=1").await.unwrap_err();
    assert_eq!(error.message(), "field label not supported: spec.x");
    let list = world
        .list("v1/configmaps", "fieldSelector=metadata.namespace!=default")
        .await
        .unwrap();
    assert_eq!(names(&list), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However a list is cut into pages, they hold each selected object once, in order.
    #[test]
    fn pages_add_up(count in 0usize..25, limit in 1usize..8, selected in any::<bool>(), write in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = filled(count).await;
            let selector = if selected { "labelSelector=parity=even&" } else { "" };
            let whole = names(&world.list("v1/configmaps/default", selector).await.unwrap());
            let mut pages = Vec::new();
            let mut next = String::new();
            loop {
                let page = world.list("v1/configmaps/default", &format!("{selector}limit={limit}{next}")).await.unwrap();
                pages.extend(names(&page));
                if write {
                    world.create("v1/configmaps/default", json!({"metadata": {"generateName": "m"}})).await.unwrap();
                }
                match token(&page) {
                    Some(token) => next = format!("&continue={token}"),
                    None => break,
                }
            }
            assert_eq!(pages, whole);
        });
    }
}
