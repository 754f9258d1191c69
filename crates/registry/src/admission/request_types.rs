//! The types of what expressions about a request may name besides the object.
//!
//! Source: `BuildRequestType` and `BuildNamespaceType` in `apiserver/pkg/admission/plugin/cel/compile.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel_rules::{Environment, Field, ObjectType, Type};

/// An environment with `request` and `authorizer`.
pub(super) fn environment() -> Environment {
    Environment::new()
        .with("request", request())
        .with("authorizer", Type::Opaque("kubernetes.authorization.Authorizer"))
}

fn object(name: &str, fields: &[(&str, Type)]) -> Type {
    let fields = fields.iter().map(|(name, holds)| {
        let field = Field {
            json: (*name).to_owned(),
            holds: holds.clone(),
        };
        ((*name).to_owned(), field)
    });
    Type::Object(Arc::new(ObjectType {
        name: format!("kubernetes.{name}"),
        fields: fields.collect::<BTreeMap<_, _>>(),
    }))
}

fn texts() -> Type {
    Type::list(Type::String)
}

fn request() -> Type {
    use Type::String;
    let kind = object(
        "GroupVersionKind",
        &[("group", String), ("version", String), ("kind", String)],
    );
    let resource = object(
        "GroupVersionResource",
        &[("group", String), ("version", String), ("resource", String)],
    );
    let user = object(
        "UserInfo",
        &[
            ("username", String),
            ("uid", String),
            ("groups", texts()),
            ("extra", Type::map(texts())),
        ],
    );
    object(
        "AdmissionRequest",
        &[
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", String),
            ("name", String),
            ("namespace", String),
            ("operation", String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

/// The type of `namespaceObject`: upstream declares these fields and spells `UID` so.
pub(super) fn namespace() -> Type {
    use Type::{Int, String, Timestamp};
    let labels = || Type::map(String);
    let metadata = object(
        "NamespaceMetadata",
        &[
            ("name", String),
            ("generateName", String),
            ("namespace", String),
            ("labels", labels()),
            ("annotations", labels()),
            ("UID", String),
            ("creationTimestamp", Timestamp),
            ("deletionGracePeriodSeconds", Int),
            ("deletionTimestamp", Timestamp),
            ("generation", Int),
            ("resourceVersion", String),
            ("finalizers", texts()),
        ],
    );
    let condition = object(
        "NamespaceCondition",
        &[
            ("status", String),
            ("type", String),
            ("lastTransitionTime", Timestamp),
            ("message", String),
            ("reason", String),
        ],
    );
    let status = object(
        "NamespaceStatus",
        &[("conditions", Type::list(condition)), ("phase", String)],
    );
    object(
        "Namespace",
        &[
            ("metadata", metadata),
            ("spec", object("NamespaceSpec", &[("finalizers", texts())])),
            ("status", status),
        ],
    )
}
