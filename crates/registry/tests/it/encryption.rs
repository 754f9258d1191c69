//! What the store holds of encrypted resources, and what clients see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube_types::dynamic::{Value, json};
use registry::{EncryptionConfiguration, KeyService, KeyServiceError, Wrapped};

use crate::world::World;

const SECRETS: &str = "v1/secrets/default";
const SECRET: &str = "v1/secrets/default/a";
/// `hunter2`, as a Secret carries it.
const DATA: &str = "aHVudGVyMg==";

const ONE: &str = "{aesgcm: {keys: [{name: one, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}}";
const TWO: &str = "{aesgcm: {keys: [{name: two, secret: YWJjZGVmMDEyMzQ1Njc4OQ==}]}}";
const IDENTITY: &str = "{identity: {}}";

impl World {
    fn encrypt(&self, resources: &str, providers: &[&str]) {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n\
             resources:\n- resources: {resources}\n  providers: [{}]\n",
            providers.join(", ")
        );
        self.encryption.set(&EncryptionConfiguration::read(&text).unwrap());
    }

    async fn raw(&self, key: &str) -> String {
        let read = self
            .store
            .range(store::RangeRequest::key(key.to_owned()))
            .await
            .unwrap();
        String::from_utf8_lossy(&read.items[0].value).into_owned()
    }

    async fn raw_secret(&self) -> String {
        self.raw("/registry/secrets/default/a").await
    }
}

fn secret() -> Value {
    json!({"metadata": {"name": "a"}, "data": {"password": DATA}})
}

#[tokio::test]
async fn an_encrypted_secret_is_read_watched_and_changed_like_any_other() {
    let world = World::new().await;
    world.encrypt("[secrets]", &[ONE]);
    let mut events = world.watch(SECRETS, "").await.unwrap();
    let made = world.create(SECRETS, secret()).await.unwrap();
    let raw = world.raw_secret().await;
    assert!(raw.starts_with("k8s:enc:aesgcm:v1:one:"), "{raw}");
    assert!(!raw.contains(DATA) && !raw.contains("password"));
    assert_eq!(events.next().await, ("ADDED".to_owned(), made.clone()));
    let changed = world.patch(SECRET, json!({"data": {"more": DATA}})).await.unwrap();
    assert_eq!(events.next().await, ("MODIFIED".to_owned(), changed.clone()));
    drop(events);

    let world = world.restart().await;
    assert_eq!(world.get(SECRET).await.unwrap(), changed);
    let listed = world.list(SECRETS, "").await.unwrap();
    assert_eq!(listed["items"][0]["data"], changed["data"]);
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let query = format!("resourceVersion={version}&resourceVersionMatch=Exact");
    let past = world.list(SECRETS, &query).await.unwrap();
    assert_eq!(past["items"][0]["data"], made["data"]);
    world.delete(SECRET, "").await.unwrap();
}

#[tokio::test]
async fn another_api_server_reads_what_this_one_encrypted() {
    let world = World::new().await;
    world.encrypt("[secrets]", &[ONE]);
    let another = world.another().await;
    let made = world.create(SECRETS, secret()).await.unwrap();
    assert_eq!(another.get(SECRET).await.unwrap(), made);
}

#[tokio::test]
async fn a_write_that_changes_nothing_rewrites_what_is_stale() {
    let world = World::new().await;
    let made = world.create(SECRETS, secret()).await.unwrap();
    assert!(world.raw_secret().await.contains(DATA));
    world.encrypt("[secrets]", &[ONE, IDENTITY]);
    let world = world.restart().await;
    let written = world.update(SECRET, made.clone()).await.unwrap();
    assert_ne!(
        written["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
    assert!(world.raw_secret().await.starts_with("k8s:enc:aesgcm:v1:one:"));
    // Now it is as it would be written.
    assert_eq!(world.update(SECRET, written.clone()).await.unwrap(), written);

    world.encrypt("[secrets]", &[TWO, ONE]);
    assert_ne!(world.patch(SECRET, json!({})).await.unwrap(), written);
    assert!(world.raw_secret().await.starts_with("k8s:enc:aesgcm:v1:two:"));
    world.encrypt("[secrets]", &[IDENTITY, TWO]);
    assert_eq!(world.registry.rewrite_stale("", "secrets").await.unwrap(), 1);
    assert!(world.raw_secret().await.contains(DATA));
    assert_eq!(world.registry.rewrite_stale("", "secrets").await.unwrap(), 0);
}

#[tokio::test]
async fn what_cannot_be_decrypted_is_an_internal_error_that_names_the_key() {
    let world = World::new().await;
    world.encrypt("[secrets]", &[ONE]);
    world.create(SECRETS, secret()).await.unwrap();
    world.create("v1/secrets/kube-system", secret()).await.unwrap();
    world.encrypt("[secrets]", &[TWO]);
    let world = world.restart().await;
    let problem = "Internal error occurred: unable to transform key \"/registry/secrets/default/a\": \
                   no matching key was found for the provided AES transformer";
    let refused = [
        world.get(SECRET).await,
        world.list(SECRETS, "").await,
        world.list("v1/secrets", "").await,
        world.update(SECRET, secret()).await,
        world.patch(SECRET, json!({"data": {"x": DATA}})).await,
        world.delete(SECRET, "").await,
    ];
    for refusal in refused {
        let refusal = refusal.unwrap_err();
        assert_eq!((refusal.code(), refusal.message()), (500, problem));
    }
    assert_eq!(world.watch(SECRETS, "").await.err().unwrap().code(), 500);
    assert_eq!(world.create(SECRETS, secret()).await.unwrap_err().code(), 500);
    // Nothing else suffers.
    world.list("v1/configmaps", "").await.unwrap();
    world.encrypt("[secrets]", &[TWO, ONE]);
    let world = world.restart().await;
    assert_eq!(world.get(SECRET).await.unwrap()["data"]["password"], DATA);
}

#[tokio::test]
async fn a_value_that_was_moved_to_another_object_is_not_decrypted() {
    let world = World::new().await;
    world.encrypt("[secrets]", &[ONE]);
    world.create(SECRETS, secret()).await.unwrap();
    let key = "/registry/secrets/default/a";
    let read = world.store.range(store::RangeRequest::key(key)).await.unwrap();
    let moved = store::Transaction::put("/registry/secrets/default/ab", read.items[0].value.clone());
    world.store.commit(moved).await.unwrap();
    let refusal = world.get("v1/secrets/default/ab").await.unwrap_err();
    let problem = "Internal error occurred: unable to transform key \"/registry/secrets/default/ab\": \
                   cipher: message authentication failed";
    assert_eq!((refusal.code(), refusal.message()), (500, problem));
    assert_eq!(world.get(SECRET).await.unwrap()["data"]["password"], DATA);
}

#[tokio::test]
async fn everything_can_be_encrypted_definitions_and_their_resources_included() {
    let world = World::new().await;
    world.encrypt("['*.*']", &[ONE, IDENTITY]);
    let definition = json!({"metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties":
                    {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}});
    let definitions = "apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut events = world.watch(definitions, "").await.unwrap();
    world.create(definitions, definition).await.unwrap();
    loop {
        let (_, object) = events.next().await;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if conditions
            .iter()
            .any(|of| of["type"] == "Established" && of["status"] == "True")
        {
            break;
        }
    }
    drop(events);
    let widget =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
    let made = world.create("example.com/v1/widgets/default", widget).await.unwrap();
    let raw = world.raw("/registry/example.com/widgets/default/a").await;
    assert!(raw.starts_with("k8s:enc:aesgcm:v1:one:"), "{raw}");
    let raw = world.raw("/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com");
    assert!(raw.await.starts_with("k8s:enc:aesgcm:v1:one:"));
    let world = world.restart().await;
    let path = "example.com/v1/widgets/default/a";
    assert_eq!(world.get(path).await.unwrap(), made);
    assert_eq!(world.patch(path, json!({})).await.unwrap(), made);
}

/// A key service that turns bytes around while its key may be used.
#[derive(Default)]
struct Turning {
    disabled: AtomicBool,
}

impl KeyService for Turning {
    fn key_id(&self) -> String {
        "key-1".to_owned()
    }

    fn encrypt(&self, plain: &[u8]) -> Result<Wrapped, KeyServiceError> {
        self.ready()?;
        Ok(Wrapped {
            cipher: plain.iter().map(|byte| !byte).collect(),
            key_id: self.key_id(),
            ..Wrapped::default()
        })
    }

    fn decrypt(&self, wrapped: &Wrapped) -> Result<Vec<u8>, KeyServiceError> {
        Ok(self.encrypt(&wrapped.cipher)?.cipher)
    }

    fn ready(&self) -> Result<(), KeyServiceError> {
        if self.disabled.load(Ordering::Relaxed) {
            return Err(KeyServiceError("the key is disabled".to_owned()));
        }
        Ok(())
    }
}

#[tokio::test]
async fn secrets_are_refused_while_the_key_of_their_service_cannot_be_used() {
    let world = World::new().await;
    let made = world.create(SECRETS, secret()).await.unwrap();
    let service = Arc::new(Turning::default());
    let configuration = EncryptionConfiguration::default().with_key_service("aws", service.clone());
    world.encryption.set(&configuration);
    assert_eq!(world.registry.rewrite_stale("", "secrets").await.unwrap(), 1);
    let raw = world.raw_secret().await;
    assert!(raw.starts_with("k8s:enc:kms:v2:aws:") && !raw.contains(DATA), "{raw}");
    assert_eq!(world.get(SECRET).await.unwrap()["data"], made["data"]);

    service.disabled.store(true, Ordering::Relaxed);
    let problem = "Internal error occurred: unable to transform key \"/registry/secrets/default/a\": \
                   failed to decrypt DEK, error: the key is disabled";
    let refusal = world.get(SECRET).await.unwrap_err();
    assert_eq!((refusal.code(), refusal.message()), (500, problem));
    assert_eq!(world.list("v1/secrets", "").await.unwrap_err().code(), 500);
    let other = json!({"metadata": {"name": "b"}});
    assert_eq!(world.create(SECRETS, other).await.unwrap_err().code(), 500);
    // Another process does not know the seed either.
    world.encryption.set(&configuration);
    let world = world.restart().await;
    assert_eq!(world.get(SECRET).await.unwrap_err().message(), problem);
    service.disabled.store(false, Ordering::Relaxed);
    assert_eq!(world.get(SECRET).await.unwrap()["data"], made["data"]);
    assert_eq!(
        world.list("v1/secrets", "").await.unwrap()["items"][0]["data"],
        made["data"]
    );
}
