//! Where a custom resource keeps what `scale` shows.

use kube_types::dynamic::{Map, Value};
use object_rules::field::Errors;
use object_rules::tree::{Node, text};

/// Paths of replicas and selector; each has at least one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// `specReplicasPath` as it is written.
    pub replicas_path: String,
    replicas: Vec<String>,
    status_path: String,
    status: Vec<String>,
    selector_path: String,
    selector: Vec<String>,
}

fn split(path: &str) -> Vec<String> {
    path.trim_start_matches('.').split('.').map(str::to_owned).collect()
}

fn at<'v>(object: &'v Map<String, Value>, path: &[String]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get(first)?, |value, part| value.get(part))
}

impl Scale {
    /// Reads `subresources.scale`.
    pub fn parse(node: &Node) -> Self {
        let own = |field: &str| text(node, field).to_owned();
        let (replicas_path, status_path) = (own("specReplicasPath"), own("statusReplicasPath"));
        let selector_path = own("labelSelectorPath");
        Self {
            replicas: split(&replicas_path),
            status: split(&status_path),
            selector: split(&selector_path),
            replicas_path,
            status_path,
            selector_path,
        }
    }

    /// The names on the way to the replicas wanted.
    pub fn replicas_parts(&self) -> impl Iterator<Item = &str> {
        self.replicas.iter().map(String::as_str)
    }

    /// Replicas wanted, where they are given.
    pub fn replicas(&self, object: &Map<String, Value>) -> Option<i64> {
        at(object, &self.replicas).and_then(Value::as_i64)
    }

    /// Replicas that there are.
    pub fn status_replicas(&self, object: &Map<String, Value>) -> i64 {
        at(object, &self.status).and_then(Value::as_i64).unwrap_or(0)
    }

    /// The selector as text.
    pub fn selector<'v>(&self, object: &'v Map<String, Value>) -> &'v str {
        if self.selector_path.is_empty() {
            return "";
        }
        at(object, &self.selector).and_then(Value::as_str).unwrap_or_default()
    }

    /// Writes the replicas, making the objects on the way.
    pub fn set_replicas(&self, object: &mut Map<String, Value>, replicas: i64) {
        let Some((last, way)) = self.replicas.split_last() else {
            return;
        };
        let mut node = object;
        for part in way {
            node = object_rules::tree::ensure(node, part);
        }
        node.insert(last.clone(), replicas.into());
    }

    /// What is wrong with the replicas wanted.
    pub fn validate_spec(&self, object: &Map<String, Value>, errors: &mut Errors) {
        number(object, &self.replicas_path, &self.replicas, errors);
    }

    /// What is wrong with the replicas there are, and with the selector.
    pub fn validate_status(&self, object: &Map<String, Value>, errors: &mut Errors) {
        number(object, &self.status_path, &self.status, errors);
        if let Some(value) = at(object, &self.selector).filter(|value| !value.is_string())
            && !self.selector_path.is_empty()
        {
            let detail = format!("{} accessor error: {value} is not a string", self.selector_path);
            errors.invalid(self.selector_path.as_str(), "", detail);
        }
    }
}

fn number(object: &Map<String, Value>, path: &str, parts: &[String], errors: &mut Errors) {
    let Some(value) = at(object, parts) else { return };
    match value.as_i64() {
        None => {
            let detail = format!("{path} accessor error: {value} is not an int64");
            errors.invalid(path, 0, detail);
        }
        Some(number) if number < 0 => errors.invalid(path, number, "should be a non-negative integer"),
        Some(number) if number > i64::from(i32::MAX) => {
            errors.invalid(path, number, format!("should be less than or equal to {}", i32::MAX));
        }
        Some(_) => {}
    }
}
