//! The paths of a kind and what can be done there, as both versions of the document tell it.

use registry::kinds::{Handler, ResourceKind, Subresource, Verb};

use super::definitions;

/// Media types of patches.
pub(super) const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
/// Those of custom resources, which have no strategies.
const CUSTOM_PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];

/// A path with its operations.
pub(super) struct Path {
    pub path: String,
    /// Parameters in the path.
    pub names: Vec<&'static str>,
    pub operations: Vec<Operation>,
}

/// One operation.
pub(super) struct Operation {
    /// HTTP method in lower case.
    pub method: &'static str,
    /// `x-kubernetes-action`.
    pub action: &'static str,
    /// `operationId`.
    pub id: String,
    pub description: String,
    /// Query parameters and their types.
    pub parameters: Vec<(&'static str, &'static str)>,
    pub body: Option<Body>,
    /// Codes and the name of the schema of their bodies.
    pub responses: Vec<(&'static str, String)>,
    /// Group, version and kind of the bodies.
    pub kind: [String; 3],
}

/// What a request carries.
pub(super) struct Body {
    pub schema: String,
    pub required: bool,
    /// Media types; empty for any.
    pub types: &'static [&'static str],
}

const DRY_RUN: &[(&str, &str)] = &[
    ("pretty", "string"),
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
];
const DELETE: &[(&str, &str)] = &[
    ("pretty", "string"),
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];
const LIST: &[(&str, &str)] = &[
    ("pretty", "string"),
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

/// Every path of a kind whose schema has a name.
pub(super) fn of_kind(kind: &ResourceKind, schema: &str) -> Vec<Path> {
    let group = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let namespace: &[&'static str] = if kind.namespaced { &["namespace"] } else { &[] };
    let collection = format!("{group}{scope}/{}", kind.plural);
    let make = Maker { kind, schema };
    let verbs = |wanted: &[Verb], everywhere: bool| {
        let served = wanted.iter().filter(|verb| kind.has(**verb));
        served
            .map(|verb| make.operation(*verb, None, everywhere))
            .collect::<Vec<_>>()
    };
    let mut paths = vec![Path {
        path: collection.clone(),
        names: namespace.to_vec(),
        operations: verbs(&[Verb::List, Verb::Create, Verb::DeleteCollection], false),
    }];
    if kind.namespaced {
        paths.push(Path {
            path: format!("{group}/{}", kind.plural),
            names: Vec::new(),
            operations: verbs(&[Verb::List], true),
        });
    }
    let object: Vec<&'static str> = ["name"].into_iter().chain(namespace.iter().copied()).collect();
    paths.push(Path {
        path: format!("{collection}/{{name}}"),
        names: object.clone(),
        operations: verbs(&[Verb::Get, Verb::Update, Verb::Patch, Verb::Delete], false),
    });
    for below in kind
        .subresources
        .iter()
        .filter(|below| below.handler != Handler::Connect)
    {
        let operations = below.verbs.iter().map(|verb| make.operation(*verb, Some(below), false));
        paths.push(Path {
            path: format!("{collection}/{{name}}/{}", below.name),
            names: object.clone(),
            operations: operations.collect(),
        });
    }
    paths.retain(|path| !path.operations.is_empty());
    paths.sort_by(|a, b| a.path.cmp(&b.path));
    paths
}

struct Maker<'a> {
    kind: &'a ResourceKind,
    schema: &'a str,
}

impl Maker<'_> {
    fn operation(&self, verb: Verb, below: Option<&Subresource>, everywhere: bool) -> Operation {
        let (kind, schema) = self.bodies(below);
        let (method, action) = match verb {
            Verb::Create => ("post", "post"),
            Verb::Update => ("put", "put"),
            Verb::Patch => ("patch", "patch"),
            Verb::Delete => ("delete", "delete"),
            Verb::DeleteCollection => ("delete", "deletecollection"),
            Verb::List | Verb::Watch => ("get", "list"),
            Verb::Get => ("get", "get"),
        };
        let (words, described) = match verb {
            Verb::Create => ("create", "create"),
            Verb::Update => ("replace", "replace the specified"),
            Verb::Patch => ("patch", "partially update the specified"),
            Verb::Delete => ("delete", "delete"),
            Verb::DeleteCollection => ("deleteCollection", "delete collection of"),
            Verb::List | Verb::Watch => ("list", "list or watch objects of kind"),
            Verb::Get => ("read", "read the specified"),
        };
        let required = |schema: String, types| Body {
            schema,
            required: true,
            types,
        };
        let body = match verb {
            Verb::Create | Verb::Update => Some(required(schema.clone(), &[] as &[&str])),
            Verb::Patch => {
                let types = if self.kind.custom.is_some() {
                    CUSTOM_PATCH_TYPES
                } else {
                    PATCH_TYPES
                };
                Some(required(definitions::patch_name(), types))
            }
            Verb::Delete | Verb::DeleteCollection => Some(Body {
                schema: definitions::delete_options_name(),
                required: false,
                types: &[],
            }),
            Verb::Get | Verb::List | Verb::Watch => None,
        };
        Operation {
            method,
            action,
            id: self.id(words, below, everywhere),
            description: format!("{described} {}", self.kind.kind),
            parameters: parameters(verb),
            body,
            responses: self.responses(verb, schema),
            kind,
        }
    }

    /// Kind and schema of the bodies.
    fn bodies(&self, below: Option<&Subresource>) -> ([String; 3], String) {
        match below.and_then(|below| below.kind.as_ref()) {
            Some(gvk) => {
                let schema = kube_types::schema::lookup(gvk).map(|found| found.shape().definition().to_owned());
                (
                    [gvk.group.clone(), gvk.version.clone(), gvk.kind.clone()].map(|text| text.to_string()),
                    schema.unwrap_or_else(|| self.schema.to_owned()),
                )
            }
            None => (
                [&self.kind.group, &self.kind.version, &self.kind.kind].map(ToString::to_string),
                self.schema.to_owned(),
            ),
        }
    }

    fn responses(&self, verb: Verb, schema: String) -> Vec<(&'static str, String)> {
        let codes: &[&'static str] = match verb {
            Verb::Create => &["200", "201", "202"],
            Verb::Update | Verb::Patch => &["200", "201"],
            Verb::Delete => &["200", "202"],
            _ => &["200"],
        };
        let schema = match verb {
            Verb::List | Verb::Watch => definitions::list_name(self.kind, self.schema),
            Verb::Delete | Verb::DeleteCollection => definitions::status_name(),
            _ => schema,
        };
        codes.iter().map(|code| (*code, schema.clone())).collect()
    }

    /// As `readAppsV1NamespacedDeploymentScale`.
    fn id(&self, verb: &str, below: Option<&Subresource>, everywhere: bool) -> String {
        let group = match &*self.kind.group {
            "" => "Core".to_owned(),
            group => capital(group.trim_end_matches(".k8s.io").split('.').next().unwrap_or(group)),
        };
        let scope = if self.kind.namespaced && !everywhere {
            "Namespaced"
        } else {
            ""
        };
        let below = below.map(|below| capital(&below.name)).unwrap_or_default();
        let end = if everywhere { "ForAllNamespaces" } else { "" };
        let version = capital(&self.kind.version);
        format!("{verb}{group}{version}{scope}{}{below}{end}", self.kind.kind)
    }
}

fn parameters(verb: Verb) -> Vec<(&'static str, &'static str)> {
    match verb {
        Verb::Create | Verb::Update => DRY_RUN.to_vec(),
        Verb::Patch => [DRY_RUN, &[("force", "boolean")]].concat(),
        Verb::Delete => DELETE.to_vec(),
        Verb::DeleteCollection => {
            let more = LIST
                .iter()
                .filter(|(name, _)| !matches!(*name, "pretty" | "watch" | "allowWatchBookmarks"));
            DELETE.iter().chain(more).copied().collect()
        }
        Verb::Get => vec![("pretty", "string")],
        Verb::List | Verb::Watch => LIST.to_vec(),
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
