//! The request as webhooks and expressions see it.

use kube_types::GroupVersionKind;
use kube_types::dynamic::{Object, Value, json};

use super::matching::Subject;
use super::{Operation, Request, Shown};
use crate::kinds::ResourceKind;
use crate::reviews::user_info;
use crate::subresources::scale;

impl Request<'_> {
    /// What rules look at, in the version that was asked for.
    pub(super) fn subject<'s>(&'s self, object: Option<&'s Object>) -> Subject<'s> {
        let kind = &self.resource.kind;
        Subject {
            operation: self.operation.name(),
            group: &kind.group,
            version: &kind.version,
            resource: &kind.plural,
            subresource: self.subresource.unwrap_or_default(),
            namespace: self.namespace(object),
            name: self.name(object),
        }
    }

    /// Name of the object; empty while it is still to be made up.
    pub(super) fn name<'s>(&'s self, object: Option<&'s Object>) -> &'s str {
        match self.named {
            Some((_, name)) => name,
            None => object.or(self.old).and_then(Object::name).unwrap_or_default(),
        }
    }

    /// Namespace of the object; a namespace is in itself.
    pub(super) fn namespace<'s>(&'s self, object: Option<&'s Object>) -> &'s str {
        let kind = &self.resource.kind;
        if kind.group.is_empty() && kind.plural == "namespaces" {
            return self.name(object);
        }
        match self.named {
            Some((namespace, _)) => namespace,
            None if kind.namespaced => object.or(self.old).and_then(Object::namespace).unwrap_or_default(),
            None => "",
        }
    }

    /// Every version of the resource, the one asked for first.
    pub(super) fn versions(&self) -> Vec<&ResourceKind> {
        let asked = &*self.resource.kind;
        let prefix = |kind: &ResourceKind| kind.storage.as_ref().map(|storage| storage.prefix.clone());
        let others = self
            .kinds
            .iter()
            .filter(|kind| prefix(kind).is_some() && prefix(kind) == prefix(asked) && kind.gvr() != asked.gvr());
        std::iter::once(asked).chain(others.map(|kind| &**kind)).collect()
    }

    /// An object in a version, or as the part that a subresource shows.
    pub(super) fn shown(&self, object: &Object, version: &ResourceKind) -> Object {
        match &self.shows {
            Shown::Itself => {
                let stored = self.resource.ruling();
                let mut object = object.clone();
                if stored.gvr() != version.gvr() {
                    object = crate::convert::convert(object, stored, version);
                }
                object.0.insert("kind".to_owned(), (*version.kind).into());
                object.0.insert("apiVersion".to_owned(), version.api_version().into());
                object
            }
            Shown::Scale(paths) => scale::view(paths, object),
            Shown::Other(_) => object.clone(),
        }
    }

    /// Kind of what is shown in a version.
    pub(super) fn shown_kind(&self, version: &ResourceKind) -> GroupVersionKind {
        match &self.shows {
            Shown::Itself => version.gvk(),
            Shown::Scale(_) => GroupVersionKind::new("autoscaling", "v1", "Scale"),
            Shown::Other(kind) => kind.clone(),
        }
    }

    /// An `AdmissionRequest` in a version, without its objects.
    pub(super) fn review(&self, uid: &str, object: Option<&Object>, version: &ResourceKind) -> Value {
        let asked = &self.resource.kind;
        let subresource = self.subresource.unwrap_or_default();
        let mut review = json!({
            "uid": uid,
            "kind": kind_value(&self.shown_kind(version)),
            "resource": resource_value(version),
        });
        if !subresource.is_empty() {
            review["subResource"] = subresource.into();
        }
        review["requestKind"] = kind_value(&self.shown_kind(asked));
        review["requestResource"] = resource_value(asked);
        if !subresource.is_empty() {
            review["requestSubResource"] = subresource.into();
        }
        for (field, text) in [("name", self.name(object)), ("namespace", self.namespace(object))] {
            if !text.is_empty() {
                review[field] = text.into();
            }
        }
        review["operation"] = self.operation.name().into();
        review["userInfo"] = user_info(&self.context.user);
        review["dryRun"] = self.dry_run.into();
        review["options"] = self.options();
        review
    }

    fn options(&self) -> Value {
        let kind = match self.operation {
            Operation::Connect => return Value::Null,
            Operation::Create => "CreateOptions",
            Operation::Update => "UpdateOptions",
            Operation::Delete => "DeleteOptions",
        };
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        options
    }
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

fn kind_value(kind: &GroupVersionKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource_value(kind: &ResourceKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "resource": kind.plural})
}
