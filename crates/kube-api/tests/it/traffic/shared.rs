//! What all clients write: a counter, an object that each owns a key of, and the record of every write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kube_types::dynamic::json;

use super::requests::{APPLY, Server};
use super::{COLLECTIONS, texts};

const COUNTER: &str = "/api/v1/namespaces/traffic/configmaps/counter";
const TOGETHER: &str = "/api/v1/namespaces/traffic/configmaps/together";

/// Revisions of writes, and uids of deleted objects.
type Written = (BTreeSet<u64>, BTreeSet<String>);

/// The record that all clients keep.
#[derive(Default)]
pub struct Shared {
    counted: AtomicU64,
    applied: Mutex<BTreeMap<String, String>>,
    /// By collection.
    written: Mutex<BTreeMap<usize, Written>>,
    resting: AtomicBool,
}

/// Makes the shared objects. Their revisions are not recorded: watchers begin later.
pub async fn make(server: &Server<'_>) {
    for (name, data) in [("counter", json!({"n": "0"})), ("together", json!({"from": "nobody"}))] {
        let object = json!({"metadata": {"name": name}, "data": data});
        assert_eq!(server.send("POST", COLLECTIONS[0].path, &object).await.code, 201);
    }
}

impl Shared {
    /// A write was acknowledged.
    pub fn put(&self, collection: usize, revision: u64) {
        let mut written = self.written.lock().unwrap();
        let new = written.entry(collection).or_default().0.insert(revision);
        assert!(new, "revision {revision} was given twice");
    }

    /// A deletion was acknowledged.
    pub fn deleted(&self, collection: usize, uid: &str) {
        let mut written = self.written.lock().unwrap();
        written.entry(collection).or_default().1.insert(uid.to_owned());
    }

    /// The writes of a collection that are later than a revision, and all deletions.
    pub fn since(&self, collection: usize, revision: u64) -> Written {
        let written = self.written.lock().unwrap();
        let Some((puts, deletions)) = written.get(&collection) else {
            return Default::default();
        };
        (puts.range(revision + 1..).copied().collect(), deletions.clone())
    }

    /// How many writes there were.
    pub fn written(&self) -> usize {
        let written = self.written.lock().unwrap();
        written
            .values()
            .map(|(puts, deletions)| puts.len() + deletions.len())
            .sum()
    }

    /// The clients have done their share of this round.
    pub fn rest(&self) {
        self.resting.store(true, Ordering::SeqCst);
    }

    pub fn work(&self) {
        self.resting.store(false, Ordering::SeqCst);
    }

    pub fn is_resting(&self) -> bool {
        self.resting.load(Ordering::SeqCst)
    }

    /// Reads, adds one, writes; again when another client was faster.
    pub async fn count_up(&self, server: &Server<'_>, client: &str) {
        loop {
            let mut counter = server.get(COUNTER).await.body;
            let n: u64 = counter["data"]["n"].as_str().unwrap().parse().unwrap();
            counter["data"]["n"] = (n + 1).to_string().into();
            let answer = server
                .send("PUT", &format!("{COUNTER}?fieldManager={client}"), &counter)
                .await;
            match answer.code {
                200 => {
                    self.put(0, answer.revision());
                    self.counted.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                409 => {}
                other => panic!("{other}: {}", answer.body),
            }
        }
    }

    /// Applies this client's own key; the server makes such writes again until nobody was faster.
    pub async fn apply(&self, server: &Server<'_>, client: &str, number: u64) {
        let before = server.get(TOGETHER).await.body["data"][client].clone();
        let configuration = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "together"},
            "data": {client: number.to_string()}});
        let path = format!("{TOGETHER}?fieldManager={client}");
        let answer = server.send_as("PATCH", &path, APPLY, &configuration).await;
        assert_eq!(answer.code, 200, "{}", answer.body);
        assert_eq!(answer.body["data"][client], number.to_string());
        if before != number.to_string().as_str() {
            self.put(0, answer.revision());
        }
        self.applied
            .lock()
            .unwrap()
            .insert(client.to_owned(), number.to_string());
    }

    /// No count was lost, and everybody's key is as it was applied last.
    pub async fn check(&self, server: &Server<'_>) {
        let counter = server.get(COUNTER).await.body;
        assert_eq!(
            counter["data"]["n"],
            self.counted.load(Ordering::SeqCst).to_string(),
            "{counter}"
        );
        let together = server.get(TOGETHER).await.body;
        let mut wanted = self.applied.lock().unwrap().clone();
        wanted.insert("from".to_owned(), "nobody".to_owned());
        assert_eq!(texts(&together["data"]), wanted, "{together}");
    }
}
