//! An object with its owners, to which tests do things.

use kube_types::GroupVersionKind;
use kube_types::dynamic::{Map, Value, json};

use crate::apply::updater::Versions;
use crate::apply::*;

/// One object, known in one version.
pub(super) struct World {
    pub of: ObjectType,
    pub api_version: &'static str,
    pub filter: Filter,
    pub live: Map<String, Value>,
    pub managed: Managed,
    clock: u32,
}

impl Versions for World {
    fn object_type(&self, api_version: &str) -> Option<ObjectType> {
        (api_version == self.api_version).then(|| self.of.clone())
    }

    fn convert(&self, object: &Map<String, Value>, api_version: &str) -> Option<Map<String, Value>> {
        (api_version == self.api_version).then(|| object.clone())
    }

    fn filter(&self, _api_version: &str) -> Filter {
        self.filter.clone()
    }
}

pub(super) fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

impl World {
    pub fn new(of: ObjectType, api_version: &'static str) -> Self {
        Self {
            of,
            api_version,
            filter: Filter::All,
            live: Map::new(),
            managed: Managed::default(),
            clock: 0,
        }
    }

    pub fn of_kind(group: &str, kind: &str) -> Self {
        let version = if group.is_empty() { "v1" } else { "apps/v1" };
        let gvk = GroupVersionKind::new(group.to_owned(), "v1", kind.to_owned());
        Self::new(built_in(&gvk).unwrap(), version)
    }

    fn now(&mut self) -> String {
        self.clock += 1;
        format!("2026-01-01T00:00:{:02}Z", self.clock)
    }

    fn writer<'a>(&'a self, name: &'a str, now: &'a str, subresource: &'a str) -> Writer<'a> {
        Writer {
            name,
            api_version: self.api_version,
            subresource,
            now,
            object_type: &self.of,
            versions: self,
        }
    }

    pub fn update(&mut self, name: &str, new: Value) -> &mut Self {
        let (now, new) = (self.now(), map(new));
        let created = self.live.is_empty();
        let before = || self.managed.clone();
        let managed = self
            .writer(name, &now, "")
            .update(before, &self.live, &new, created)
            .unwrap();
        if let Some(managed) = managed {
            self.managed = managed;
        }
        self.live = new;
        self
    }

    pub fn try_apply(&mut self, name: &str, applied: Value, force: bool) -> Result<(), ApplyError> {
        let (now, applied) = (self.now(), map(applied));
        let outcome = self
            .writer(name, &now, "")
            .apply(self.managed.clone(), &self.live, &applied, force)?;
        (self.live, self.managed) = outcome;
        // Decoding drops what an apply has emptied.
        self.live.retain(|_, value| !value.is_null());
        Ok(())
    }

    pub fn apply(&mut self, name: &str, applied: Value) -> &mut Self {
        self.try_apply(name, applied, false).unwrap();
        self
    }

    /// Each owner and its fields, one a line.
    pub fn owners(&self) -> String {
        let mut lines: Vec<String> = self
            .managed
            .owners
            .iter()
            .map(|owner| {
                let paths: Vec<String> = owner.set.paths().iter().map(|path| shown_path(path)).collect();
                format!(
                    "{} {:?}: {}",
                    owner.manager.name,
                    owner.manager.operation,
                    paths.join(" ")
                )
            })
            .collect();
        lines.sort();
        lines.join("\n")
    }

    pub fn value(&self) -> Value {
        Value::Object(self.live.clone())
    }
}

pub(super) fn container(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image})
}

pub(super) fn deployment(replicas: Value, containers: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}}})
}

pub(super) fn apply_map(fields: Vec<Field>, element: Option<TypeId>, atomic: bool) -> crate::apply::schema::Map {
    crate::apply::schema::Map::new(fields, element, atomic)
}
