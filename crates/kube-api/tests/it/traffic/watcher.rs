//! A watcher that keeps a copy of a collection by events alone, and compares it with lists and with what was written.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http_body_util::BodyExt;
use kube_types::dynamic::Value;

use super::requests::{Server, revision};
use super::shared::Shared;
use super::{COLLECTIONS, LIMIT};

/// Follows one collection, whole or by label.
pub struct Watcher {
    collection: usize,
    selector: &'static str,
    copy: BTreeMap<String, Value>,
    /// Everything up to this revision has been seen; 0 before the first list.
    seen: u64,
    /// Where this round began.
    from: u64,
    puts: BTreeSet<u64>,
    deletions: BTreeSet<String>,
    stream: Option<Body>,
    read: Vec<u8>,
}

impl Watcher {
    /// Two watchers of each collection, and one of those objects of each that have a label.
    pub fn all() -> Vec<Self> {
        let new = |(collection, selector)| Self {
            collection,
            selector,
            copy: BTreeMap::new(),
            seen: 0,
            from: 0,
            puts: BTreeSet::new(),
            deletions: BTreeSet::new(),
            stream: None,
            read: Vec::new(),
        };
        [(0, ""), (0, ""), (1, ""), (1, ""), (0, "group%3Dw1"), (1, "group%3Dw1")]
            .map(new)
            .into_iter()
            .collect()
    }

    fn path(&self, query: &str) -> String {
        format!(
            "{}?labelSelector={}&{query}",
            COLLECTIONS[self.collection].path, self.selector
        )
    }

    /// Goes on from where it was; lists anew when the server does not know that revision any more.
    pub async fn begin(&mut self, server: &Server<'_>, shared: &Shared) {
        shared.work();
        if self.seen == 0 {
            self.list(server).await;
        }
        self.from = self.seen;
        self.puts.clear();
        self.deletions.clear();
        self.follow_from_here(server).await;
    }

    async fn list(&mut self, server: &Server<'_>) {
        let list = server.get(&self.path("")).await;
        assert_eq!(list.code, 200, "{}", list.body);
        self.seen = list.revision();
        self.copy = objects(&list.body);
    }

    async fn follow_from_here(&mut self, server: &Server<'_>) {
        let query = format!("watch=true&allowWatchBookmarks=true&resourceVersion={}", self.seen);
        self.stream = Some(server.watch(&self.path(&query)).await);
        self.read.clear();
    }

    /// Follows until the clients rest and everything that they wrote was seen; then compares.
    pub async fn follow(&mut self, server: &Server<'_>, shared: &Shared) {
        loop {
            if shared.is_resting() {
                break;
            }
            match tokio::time::timeout(std::time::Duration::from_millis(200), self.event()).await {
                Ok(Some(event)) => self.take(server, &event).await,
                Ok(None) => self.follow_from_here(server).await,
                // Nothing comes: the clients may have come to rest meanwhile.
                Err(_elapsed) => {}
            }
        }
        self.compare(server, shared).await;
    }

    /// Whether the last of the writes has been seen. What a selection does not show is not waited for.
    fn has_all(&self, shared: &Shared) -> bool {
        let (puts, _) = shared.since(self.collection, self.from);
        !self.selector.is_empty() || puts.last().is_none_or(|last| self.seen >= *last)
    }

    async fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(end + 1);
                let line = std::mem::replace(&mut self.read, rest);
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.stream.as_mut()?.frame().await?.unwrap();
            self.read.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    async fn take(&mut self, server: &Server<'_>, event: &Value) {
        let (kind, object) = (event["type"].as_str().unwrap(), &event["object"]);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if kind == "ERROR" {
            // After a restart the server knows no events from before; whoever missed some is told.
            assert_eq!(object["code"], 410, "{object}");
            self.list(server).await;
            self.from = self.seen;
            self.follow_from_here(server).await;
            return;
        }
        assert!(
            revision(object) > self.seen || kind == "BOOKMARK",
            "{kind} {name} at {} after {}",
            revision(object),
            self.seen
        );
        self.seen = self.seen.max(revision(object));
        let before = self.copy.get(&name);
        match kind {
            "ADDED" => assert!(before.is_none(), "{name} was there: {object}"),
            "MODIFIED" => assert!(before.is_some(), "{name} was not there: {object}"),
            "DELETED" => assert!(before.is_some(), "{name} was not there: {object}"),
            "BOOKMARK" => return,
            other => panic!("{other}: {object}"),
        }
        if let Some(before) = before.filter(|_| kind != "ADDED") {
            assert_eq!(before["metadata"]["uid"], object["metadata"]["uid"], "{object}");
        }
        if kind == "DELETED" {
            self.deletions
                .insert(object["metadata"]["uid"].as_str().unwrap().to_owned());
            self.copy.remove(&name);
        } else {
            self.puts.insert(revision(object));
            self.copy.insert(name, object.clone());
        }
    }

    /// The copy becomes what a list shows, event by event; and each write was told, and nothing else.
    async fn compare(&mut self, server: &Server<'_>, shared: &Shared) {
        let list = server.get(&self.path("")).await;
        let wanted = objects(&list.body);
        let equal = |copy: &BTreeMap<String, Value>| {
            copy.len() == wanted.len()
                && copy
                    .iter()
                    .all(|(name, object)| revision(object) == revision(&wanted[name]))
        };
        let deadline = tokio::time::Instant::now() + LIMIT;
        while !(self.has_all(shared) && self.copy.keys().eq(wanted.keys()) && equal(&self.copy)) {
            match tokio::time::timeout_at(deadline, self.event()).await {
                Ok(Some(event)) => self.take(server, &event).await,
                Ok(None) => self.follow_from_here(server).await,
                Err(_elapsed) => panic!(
                    "{} {}: the watch does not become the list: {:?} of {:?}",
                    COLLECTIONS[self.collection].path,
                    self.selector,
                    self.copy.keys(),
                    wanted.keys()
                ),
            }
        }
        for (name, object) in &wanted {
            assert_eq!(without_kind(&self.copy[name]), without_kind(object), "{name}");
        }
        self.seen = self.seen.max(list.revision());
        if self.selector.is_empty() {
            let (puts, deletions) = shared.since(self.collection, self.from);
            let told: BTreeSet<u64> = self.puts.range(self.from + 1..).copied().collect();
            let differing: Vec<&Value> = (self.copy.values())
                .filter(|object| told.contains(&revision(object)) != puts.contains(&revision(object)))
                .collect();
            assert_eq!(told, puts, "{}: {differing:?}", COLLECTIONS[self.collection].path);
            assert!(self.deletions.is_subset(&deletions), "a deletion that nobody asked for");
        }
        self.stream = None;
    }
}

/// The objects of a list by name.
fn objects(list: &Value) -> BTreeMap<String, Value> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items
        .into_iter()
        .map(|item| (item["metadata"]["name"].as_str().unwrap().to_owned(), item))
        .collect()
}

fn without_kind(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["kind", "apiVersion"] {
        object.as_object_mut().unwrap().remove(field);
    }
    object
}
