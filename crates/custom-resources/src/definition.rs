//! A CustomResourceDefinition read once: its names and, compiled, its versions.

mod conditions;
mod default_rules;
mod names;
mod own_rules;
mod schema_rules;
mod spec;
mod structural;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use kube_types::dynamic::{Object, Value};
use object_merge::apply::ObjectType;
use object_rules::tree::{Node, at, child, flag, items, text, texts};

pub use conditions::{
    CLEANUP_FINALIZER, Condition, condition_is, needs_cleanup, remove_finalizer, set_condition, settle,
};
pub use names::Taken;
pub use own_rules::RULES;

use crate::json_path::JsonPath;
use crate::rules::{self, Rules};
use crate::scale::Scale;
use crate::schema::Schema;

/// Names under which a resource is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The path segment.
    pub plural: String,
    /// The singular name.
    pub singular: String,
    /// The kind.
    pub kind: String,
    /// The kind of lists.
    pub list_kind: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
}

impl Names {
    fn read(node: Option<&Node>) -> Self {
        let Some(node) = node else { return Self::default() };
        let own = |field: &str| text(node, field).to_owned();
        let list = |field: &str| texts(node, field).map(str::to_owned).collect();
        Self {
            plural: own("plural"),
            singular: own("singular"),
            kind: own("kind"),
            list_kind: own("listKind"),
            short_names: list("shortNames"),
            categories: list("categories"),
        }
    }
}

/// How objects get from one version into another.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Conversion {
    /// Only the name of the version changes.
    #[default]
    None,
    /// A webhook is asked.
    Webhook {
        /// `clientConfig` as it is written.
        client: Node,
        /// Versions of the review that the webhook reads, the preferred first.
        review_versions: Vec<String>,
    },
}

/// A definition whose names are accepted.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Name of the definition.
    pub name: String,
    /// API group.
    pub group: String,
    /// Accepted names.
    pub names: Names,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// All versions, the served and the others.
    pub versions: Vec<Version>,
    /// How objects change their version.
    pub conversion: Conversion,
    /// Unknown fields are kept everywhere; only definitions of the first versions of the API say so.
    pub preserve_unknown: bool,
    /// The definition is being deleted: no new objects.
    pub terminating: bool,
}

/// A column of tables.
#[derive(Clone, Debug)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// Type of the cells.
    pub of: String,
    /// Format of the cells.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// 0 is always shown; greater ones in wide output.
    pub priority: i64,
    /// Where the value is; `None` for a path that cannot be read.
    pub path: Option<JsonPath>,
}

/// One version of a resource.
#[derive(Clone, Debug)]
pub struct Version {
    /// Name, as `v1alpha1`.
    pub name: String,
    /// Whether clients may use it.
    pub served: bool,
    /// Whether objects are stored in it.
    pub storage: bool,
    /// What clients of a deprecated version are told.
    pub deprecation: Option<String>,
    /// The schema as it is written, for OpenAPI.
    pub document: Node,
    /// The schema.
    pub schema: Schema,
    /// The rules in expressions, if there are any.
    pub(crate) rules: Option<Arc<Rules>>,
    /// How objects merge when they are applied.
    pub object_type: ObjectType,
    /// Whether there is a `status` subresource.
    pub status: bool,
    /// What `scale` shows, if there is that subresource.
    pub scale: Option<Scale>,
    /// Columns besides the name.
    pub columns: Vec<Column>,
    /// Fields that selectors may name: dotted path and its parts.
    pub selectable: Vec<(String, Vec<String>)>,
}

impl Definition {
    /// Reads a definition under the names that were accepted for it.
    pub fn read(object: &Object) -> Self {
        let empty = Node::new();
        let spec = child(&object.0, "spec").unwrap_or(&empty);
        let names = Names::read(at(&object.0, &["status", "acceptedNames"]));
        let group = text(spec, "group").to_owned();
        let conversion = match child(spec, "conversion") {
            Some(conversion) if text(conversion, "strategy") == "Webhook" => {
                let webhook = child(conversion, "webhook").unwrap_or(&empty);
                Conversion::Webhook {
                    client: child(webhook, "clientConfig").cloned().unwrap_or_default(),
                    review_versions: texts(webhook, "conversionReviewVersions").map(str::to_owned).collect(),
                }
            }
            _ => Conversion::None,
        };
        Self {
            name: object.name().unwrap_or_default().to_owned(),
            namespaced: text(spec, "scope") == "Namespaced",
            versions: items(spec, "versions")
                .map(|version| Version::read(version, &group, &names.kind))
                .collect(),
            conversion,
            preserve_unknown: flag(spec, "preserveUnknownFields"),
            terminating: object.is_deleting(),
            group,
            names,
        }
    }

    /// Whether the names of a definition are accepted and it is served.
    pub fn is_established(object: &Object) -> bool {
        condition_is(object, "Established", "True")
    }

    /// The version that objects are stored in.
    pub fn storage(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.storage)
    }

    /// The version of a name.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }
}

impl Version {
    fn read(node: &Node, group: &str, kind: &str) -> Self {
        let name = text(node, "name").to_owned();
        let document = at(node, &["schema", "openAPIV3Schema"]).cloned().unwrap_or_default();
        let schema = Schema::parse(&document);
        let deprecation = flag(node, "deprecated").then(|| match text(node, "deprecationWarning") {
            "" => format!("{group}/{name} {kind} is deprecated"),
            warning => warning.to_owned(),
        });
        let selectable = items(node, "selectableFields").map(|field| {
            let path = text(field, "jsonPath").trim_start_matches('.');
            (path.to_owned(), path.split('.').map(str::to_owned).collect())
        });
        Self {
            served: flag(node, "served"),
            storage: flag(node, "storage"),
            deprecation,
            // What cannot be compiled was refused before.
            rules: rules::compile(&schema, "").0.map(Arc::new),
            object_type: crate::merging::object_type(&schema),
            schema,
            status: at(node, &["subresources", "status"]).is_some(),
            scale: at(node, &["subresources", "scale"]).map(Scale::parse),
            columns: Column::all(node),
            selectable: selectable.collect(),
            document,
            name,
        }
    }
}

impl Column {
    fn all(version: &Node) -> Vec<Self> {
        let given: Vec<Self> = items(version, "additionalPrinterColumns").map(Self::read).collect();
        if !given.is_empty() {
            return given;
        }
        let description = "CreationTimestamp is a timestamp representing the server time when this object was created. It is \
                           not guaranteed to be set in happens-before order across separate operations. Clients may not \
                           set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. \
                           Read-only. Null for lists. More info: \
                           https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
        vec![Self {
            name: "Age".to_owned(),
            of: "date".to_owned(),
            format: String::new(),
            description: description.to_owned(),
            priority: 0,
            path: JsonPath::parse(".metadata.creationTimestamp").ok(),
        }]
    }

    fn read(node: &Node) -> Self {
        let own = |field: &str| text(node, field).to_owned();
        let path = text(node, "jsonPath");
        Self {
            name: own("name"),
            of: own("type"),
            format: own("format"),
            description: match text(node, "description") {
                "" => format!("Custom resource definition column (in JSONPath format): {path}"),
                description => description.to_owned(),
            },
            priority: node.get("priority").and_then(Value::as_i64).unwrap_or(0),
            path: JsonPath::parse(path).ok(),
        }
    }
}
