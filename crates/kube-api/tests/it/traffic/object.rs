//! What the model says of one object, and whether an answer agrees.

use std::collections::BTreeMap;

use kube_types::dynamic::{Value, json};

use super::requests::revision;
use super::{Collection, texts};

pub const FINALIZER: &str = "traffic.example.com/held";

/// An object that one client writes alone.
#[derive(Clone, Debug)]
pub struct Known {
    pub payload: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub held: bool,
    pub deleting: bool,
    /// The object as the server gave it last.
    pub body: Value,
}

impl Known {
    /// An object that is about to be made by a client.
    pub fn new(client: &str) -> Self {
        Self {
            payload: BTreeMap::new(),
            labels: BTreeMap::from([("client".to_owned(), client.to_owned())]),
            held: false,
            deleting: false,
            body: Value::Null,
        }
    }

    /// The body of a request that wants the object to be like this.
    pub fn wish(&self, of: &Collection, name: &str) -> Value {
        let mut object = self.body.clone();
        if object.is_null() {
            object = json!({"metadata": {"name": name}});
        }
        object["apiVersion"] = of.api_version.into();
        object["kind"] = of.kind.into();
        object["metadata"]["labels"] = json!(self.labels);
        let metadata = object["metadata"].as_object_mut().unwrap();
        if self.held {
            metadata.insert("finalizers".to_owned(), json!([FINALIZER]));
        } else {
            metadata.remove("finalizers");
        }
        object[of.payload] = json!(self.payload);
        object
    }

    /// Fails unless an answer is this object, later than or equal to what was known, and takes it for the newest.
    pub fn confirm(&mut self, what: &str, of: &Collection, answer: &Value) {
        let metadata = &answer["metadata"];
        assert_eq!(texts(&answer[of.payload]), self.payload, "{what}: {answer}");
        assert_eq!(texts(&metadata["labels"]), self.labels, "{what}: {answer}");
        let held = metadata["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        assert_eq!(held, self.held, "{what}: {answer}");
        assert_eq!(
            metadata["deletionTimestamp"].is_string(),
            self.deleting,
            "{what}: {answer}"
        );
        if !self.body.is_null() {
            assert_eq!(metadata["uid"], self.body["metadata"]["uid"], "{what}");
            assert_eq!(
                metadata["creationTimestamp"], self.body["metadata"]["creationTimestamp"],
                "{what}"
            );
            assert!(
                revision(answer) >= revision(&self.body),
                "{what}: back to an older revision"
            );
            if revision(answer) == revision(&self.body) {
                assert_eq!(*answer, self.body, "{what}: one revision, two objects");
            }
            self.check_generation(what, of, answer);
        }
        self.body = answer.clone();
    }

    /// The generation of custom resources counts changes of the payload, and the beginning of the deletion.
    fn check_generation(&self, what: &str, of: &Collection, answer: &Value) {
        if !of.custom {
            return;
        }
        let count = |object: &Value| object["metadata"]["generation"].as_i64().unwrap_or(0);
        let begins = self.deleting && !self.body["metadata"]["deletionTimestamp"].is_string();
        let changed = answer.get(of.payload) != self.body.get(of.payload);
        assert_eq!(
            count(answer),
            count(&self.body) + i64::from(begins || changed),
            "{what}: {answer}"
        );
    }
}
