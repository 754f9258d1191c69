//! A client that does one thing after the other, and knows what must come of it.

use std::collections::BTreeMap;

use clock::{Random, SeededRandom};
use kube_types::dynamic::{Value, json};

use super::object::{FINALIZER, Known};
use super::requests::{APPLY, Answer, JSON_PATCH, MERGE, STRATEGIC, Server, revision};
use super::shared::Shared;
use super::{COLLECTIONS, Collection};

/// Names that a client uses in each collection: few, so that each has a long life.
const NAMES: u64 = 5;
/// States of the past that a client remembers.
const PAST: usize = 5;

/// The objects of a client in one collection at a revision.
struct Snapshot {
    collection: usize,
    revision: u64,
    bodies: BTreeMap<String, Value>,
}

pub struct Client {
    name: String,
    random: SeededRandom,
    /// By collection and name.
    own: BTreeMap<(usize, String), Known>,
    past: Vec<Snapshot>,
}

/// The object that an operation is about.
struct Subject<'a> {
    server: &'a Server<'a>,
    shared: &'a Shared,
    of: &'static Collection,
    index: usize,
    name: String,
    path: String,
}

impl Subject<'_> {
    fn what(&self, operation: &str) -> String {
        format!("{operation} {}", self.path)
    }

    /// Notes an answer to a write; one without a new revision wrote nothing.
    fn note(&self, before: u64, answer: &Answer) {
        if answer.revision() > before {
            self.shared.put(self.index, answer.revision());
        }
    }
}

impl Client {
    pub fn new(number: usize, seed: u64) -> Self {
        Self {
            name: format!("c{number}"),
            random: SeededRandom::new(seed),
            own: BTreeMap::new(),
            past: Vec::new(),
        }
    }

    fn word(&self) -> String {
        // Few keys and values, so that changes meet.
        format!("w{}", self.random.below(4))
    }

    /// One operation on one of the servers.
    pub async fn act(&mut self, servers: &[Server<'_>; 2], shared: &Shared) {
        let server = &servers[usize::from(self.random.below(2) == 1)];
        let index = usize::from(self.random.below(2) == 1);
        let of = &COLLECTIONS[index];
        let name = format!("{}-{}", self.name, self.random.below(NAMES));
        let subject = Subject {
            server,
            shared,
            of,
            index,
            path: format!("{}/{name}", of.path),
            name,
        };
        match self.random.below(20) {
            0..=2 => self.create(&subject).await,
            3..=5 => self.replace(&subject).await,
            6 => self.replace_an_old_one(&subject).await,
            7..=9 => self.patch(&subject).await,
            10 | 11 => self.apply(&subject).await,
            12 => self.hold(&subject).await,
            13 | 14 => self.delete(&subject).await,
            15 => self.read(&subject).await,
            16 => self.list_own(&subject).await,
            17 => self.list_the_past(&subject).await,
            18 => shared.count_up(server, &self.name).await,
            _ => shared.apply(server, &self.name, self.random.below(1000)).await,
        }
    }

    fn known(&self, subject: &Subject<'_>) -> Option<Known> {
        self.own.get(&(subject.index, subject.name.clone())).cloned()
    }

    fn keep(&mut self, subject: &Subject<'_>, known: Known) {
        self.own.insert((subject.index, subject.name.clone()), known);
    }

    async fn create(&mut self, subject: &Subject<'_>) {
        let what = subject.what("create");
        let mut wanted = Known::new(&self.name);
        wanted.payload.insert(self.word(), self.word());
        wanted.held = self.random.below(4) == 0;
        let dry = self.random.below(5) == 0;
        let path = format!(
            "{}?fieldManager={}{}",
            subject.of.path,
            self.name,
            if dry { "&dryRun=All" } else { "" }
        );
        let answer = subject
            .server
            .send("POST", &path, &wanted.wish(subject.of, &subject.name))
            .await;
        if self.known(subject).is_some() {
            assert_eq!((answer.code, answer.reason()), (409, "AlreadyExists"), "{what}");
            return;
        }
        assert_eq!(answer.code, 201, "{what}: {}", answer.body);
        if !dry {
            subject.note(0, &answer);
            wanted.confirm(&what, subject.of, &answer.body);
            self.keep(subject, wanted);
        }
    }

    /// Changes what is wanted of an object in one or two places.
    fn change(&self, known: &mut Known) {
        match self.random.below(4) {
            0 => {
                known.labels.insert("group".to_owned(), self.word());
            }
            1 => {
                known.payload.remove(&self.word());
            }
            _ => {
                known.payload.insert(self.word(), self.word());
            }
        }
    }

    async fn replace(&mut self, subject: &Subject<'_>) {
        let what = subject.what("replace");
        let Some(mut known) = self.known(subject) else {
            let wish = Known::new(&self.name).wish(subject.of, &subject.name);
            let answer = subject.server.send("PUT", &subject.path, &wish).await;
            // Custom resources need a version, but are looked for first.
            assert_eq!(answer.code, 404, "{what}: {}", answer.body);
            return;
        };
        let before = revision(&known.body);
        let unchanged = known.clone();
        if self.random.below(6) > 0 {
            self.change(&mut known);
        }
        // A field that was absent and is an empty object now has changed, where the schema keeps it.
        let absent = subject.of.custom && unchanged.body.get(subject.of.payload).is_none();
        let same = known.payload == unchanged.payload && known.labels == unchanged.labels && !absent;
        let dry = self.random.below(6) == 0;
        let path = format!(
            "{}?fieldManager={}{}",
            subject.path,
            self.name,
            if dry { "&dryRun=All" } else { "" }
        );
        let answer = subject
            .server
            .send("PUT", &path, &known.wish(subject.of, &subject.name))
            .await;
        assert_eq!(answer.code, 200, "{what}: {}", answer.body);
        if dry {
            return;
        }
        if same {
            assert_eq!(answer.revision(), before, "{what}: nothing was changed");
        } else {
            assert!(answer.revision() > before, "{what}: {}", answer.body);
        }
        subject.note(before, &answer);
        known.confirm(&what, subject.of, &answer.body);
        self.keep(subject, known);
    }

    async fn replace_an_old_one(&mut self, subject: &Subject<'_>) {
        let Some(known) = self.known(subject) else { return };
        let mut wish = known.wish(subject.of, &subject.name);
        let other = self.random.below(2) == 0;
        let (field, value) = if other {
            ("uid", "another")
        } else {
            ("resourceVersion", "1")
        };
        wish["metadata"][field] = value.into();
        let answer = subject.server.send("PUT", &subject.path, &wish).await;
        assert_eq!(
            (answer.code, answer.reason()),
            (409, "Conflict"),
            "{}: {}",
            subject.what("conflict"),
            answer.body
        );
    }

    async fn patch(&mut self, subject: &Subject<'_>) {
        let what = subject.what("patch");
        let (key, value) = (self.word(), self.word());
        let removes = self.random.below(4) == 0;
        let payload = subject.of.payload;
        let (media_type, patch) = match self.random.below(3) {
            0 => {
                let path = format!("/{payload}/{key}");
                let there = self
                    .known(subject)
                    .is_some_and(|known| known.payload.contains_key(&key));
                let op = match (removes, there) {
                    (true, true) => json!({"op": "remove", "path": path}),
                    (true, false) => return,
                    (false, _) => json!({"op": "add", "path": path, "value": value}),
                };
                (
                    JSON_PATCH,
                    json!([{"op": "test", "path": "/metadata/name", "value": subject.name}, op]),
                )
            }
            number => {
                let media_type = if number == 1 || subject.of.custom {
                    MERGE
                } else {
                    STRATEGIC
                };
                let value = if removes { Value::Null } else { value.as_str().into() };
                (media_type, json!({payload: {key.as_str(): value}}))
            }
        };
        let path = format!("{}?fieldManager={}", subject.path, self.name);
        let known = self.known(subject);
        // A JSON patch cannot add to a map that is not there.
        let nowhere = known.as_ref().is_some_and(|known| known.body.get(payload).is_none());
        let answer = subject.server.send_as("PATCH", &path, media_type, &patch).await;
        let Some(mut known) = known else {
            assert_eq!(answer.code, 404, "{what}: {}", answer.body);
            return;
        };
        if media_type == JSON_PATCH && nowhere {
            assert_eq!(answer.code, 422, "{what}: {}", answer.body);
            return;
        }
        assert_eq!(answer.code, 200, "{what} {patch}: {}", answer.body);
        let before = revision(&known.body);
        if removes {
            known.payload.remove(&key);
        } else {
            known.payload.insert(key, value);
        }
        subject.note(before, &answer);
        known.confirm(&what, subject.of, &answer.body);
        self.keep(subject, known);
    }

    /// Applies a key that nothing else writes, or leaves it out, which takes it away.
    async fn apply(&mut self, subject: &Subject<'_>) {
        let what = subject.what("apply");
        let mut configuration = json!({"apiVersion": subject.of.api_version, "kind": subject.of.kind,
            "metadata": {"name": subject.name, "labels": {"client": self.name}}});
        let value = (self.random.below(3) > 0).then(|| self.word());
        if let Some(value) = &value {
            configuration[subject.of.payload] = json!({"applied": value});
        }
        let path = format!("{}?fieldManager={}-apply&force=true", subject.path, self.name);
        let answer = subject.server.send_as("PATCH", &path, APPLY, &configuration).await;
        let known = self.known(subject);
        assert_eq!(
            answer.code,
            if known.is_some() { 200 } else { 201 },
            "{what}: {}",
            answer.body
        );
        let mut known = known.unwrap_or_else(|| Known::new(&self.name));
        let before = revision(&known.body);
        match value {
            Some(value) => known.payload.insert("applied".to_owned(), value),
            None => known.payload.remove("applied"),
        };
        subject.note(before, &answer);
        known.confirm(&what, subject.of, &answer.body);
        self.keep(subject, known);
    }

    /// Gives an object a finalizer or takes it away; what is being deleted goes with its last one.
    async fn hold(&mut self, subject: &Subject<'_>) {
        let what = subject.what("hold");
        let Some(mut known) = self.known(subject) else { return };
        let hold = !known.held && !known.deleting;
        let finalizers = if hold { json!([FINALIZER]) } else { Value::Null };
        let patch = json!({"metadata": {"finalizers": finalizers}});
        let answer = subject.server.send_as("PATCH", &subject.path, MERGE, &patch).await;
        assert_eq!(answer.code, 200, "{what}: {}", answer.body);
        let before = revision(&known.body);
        let was_held = known.held;
        known.held = hold;
        if known.deleting && was_held {
            self.gone(subject, &known);
            return;
        }
        subject.note(before, &answer);
        known.confirm(&what, subject.of, &answer.body);
        self.keep(subject, known);
    }

    fn gone(&mut self, subject: &Subject<'_>, known: &Known) {
        let uid = known.body["metadata"]["uid"].as_str().unwrap();
        subject.shared.deleted(subject.index, uid);
        self.own.remove(&(subject.index, subject.name.clone()));
    }

    async fn delete(&mut self, subject: &Subject<'_>) {
        let what = subject.what("delete");
        let known = self.known(subject);
        let uid = known
            .as_ref()
            .and_then(|known| known.body["metadata"]["uid"].as_str())
            .unwrap_or("none");
        let wrong = self.random.below(4) == 0;
        let uid = if wrong { "another" } else { uid };
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background",
            "preconditions": {"uid": uid}});
        let answer = subject.server.send("DELETE", &subject.path, &options).await;
        let Some(mut known) = known else {
            assert_eq!(answer.code, 404, "{what}: {}", answer.body);
            return;
        };
        if wrong {
            assert_eq!(answer.code, 409, "{what}: {}", answer.body);
            return;
        }
        assert_eq!(answer.code, 200, "{what}: {}", answer.body);
        if !known.held {
            self.gone(subject, &known);
            return;
        }
        let before = revision(&known.body);
        known.deleting = true;
        subject.note(before, &answer);
        known.confirm(&what, subject.of, &answer.body);
        self.keep(subject, known);
    }

    async fn read(&mut self, subject: &Subject<'_>) {
        let answer = subject.server.get(&subject.path).await;
        match self.known(subject) {
            Some(known) => assert_eq!(answer.body, known.body, "{}", subject.what("read")),
            None => assert_eq!(answer.code, 404, "{}: {}", subject.what("read"), answer.body),
        }
    }

    /// The objects of this client in a collection, as lists show them.
    fn bodies(&self, index: usize) -> BTreeMap<String, Value> {
        let of_index = self.own.iter().filter(|((of, _), _)| *of == index);
        of_index
            .map(|((_, name), known)| (name.clone(), without_kind(&known.body)))
            .collect()
    }

    async fn list_own(&mut self, subject: &Subject<'_>) {
        let limit = self.random.below(4);
        let query = format!("labelSelector=client%3D{}", self.name);
        if let Some((revision, found)) = list(subject.server, subject.of, &query, limit).await {
            let bodies = self.bodies(subject.index);
            assert_eq!(found, bodies, "{} limit {limit}", subject.what("list beside"));
            if self.past.len() == PAST {
                self.past.remove(0);
            }
            self.past.push(Snapshot {
                collection: subject.index,
                revision,
                bodies,
            });
        }
    }

    /// Lists a state of the past exactly; it is the same, or too old.
    async fn list_the_past(&mut self, subject: &Subject<'_>) {
        let Some(past) = self
            .past
            .get(usize::try_from(self.random.below(PAST as u64)).unwrap_or(0))
        else {
            return;
        };
        let query = format!(
            "labelSelector=client%3D{}&resourceVersion={}&resourceVersionMatch=Exact",
            self.name, past.revision
        );
        let of = &COLLECTIONS[past.collection];
        if let Some((revision, found)) = list(subject.server, of, &query, self.random.below(3)).await {
            assert_eq!(revision, past.revision);
            assert_eq!(found, past.bodies, "{} at {revision}", of.path);
        }
    }

    /// Everything of this client is there, and nothing else.
    pub async fn check_all(&mut self, server: &Server<'_>) {
        for (index, of) in COLLECTIONS.iter().enumerate() {
            let query = format!("labelSelector=client%3D{}", self.name);
            let (_, found) = list(server, of, &query, 0).await.unwrap();
            assert_eq!(found, self.bodies(index), "{} of {}", of.path, self.name);
        }
    }
}

/// An object without what only single objects say.
fn without_kind(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["kind", "apiVersion"] {
        object.as_object_mut().unwrap().remove(field);
    }
    object
}

/// Reads a list page by page: all pages are of one revision, in order, without an object twice. `None` when history is
/// gone before the end.
async fn list(server: &Server<'_>, of: &Collection, query: &str, limit: u64) -> Option<(u64, BTreeMap<String, Value>)> {
    let mut found = BTreeMap::new();
    let mut last = String::new();
    let mut page = format!("{}?{query}&limit={limit}", of.path);
    let mut at = None;
    loop {
        let answer = server.get(&page).await;
        if answer.code == 410 {
            return None;
        }
        assert_eq!(answer.code, 200, "{page}: {}", answer.body);
        let revision = *at.get_or_insert(answer.revision());
        assert_eq!(answer.revision(), revision, "{page}: another revision in the middle");
        let items = answer.body["items"].as_array().cloned().unwrap_or_default();
        assert!(limit == 0 || items.len() as u64 <= limit, "{page}");
        for item in items {
            let name = item["metadata"]["name"].as_str().unwrap().to_owned();
            assert!(name > last, "{page}: {name} after {last}");
            assert!(super::requests::revision(&item) <= revision, "{page}: {item}");
            last = name.clone();
            found.insert(name, without_kind(&item));
        }
        let next = answer.body["metadata"]["continue"].as_str().unwrap_or_default();
        if next.is_empty() {
            return Some((revision, found));
        }
        let plain = query.split('&').next().unwrap_or_default();
        page = format!("{}?{plain}&limit={limit}&continue={next}", of.path);
    }
}
