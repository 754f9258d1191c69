//! The table of every served kind. Routes, discovery, authorization, storage, watch and tables follow from it.
//!
//! A built-in kind and a custom resource are the same [`ResourceKind`] value; `kinds/` holds one short declaration per
//! built-in kind, and [`KindTable::built_in`] lists them all.

use std::borrow::Cow;

use kube_types::dynamic::{Map, Value};
use kube_types::{GroupVersionKind, GroupVersionResource};
use object_rules::Rules;

use crate::columns::{AGE_ONLY, Printer};

mod access;
mod apps;
mod core;
mod custom;
mod extensions;
mod network;
mod platform;
mod table;
#[cfg(test)]
mod tests;

pub use custom::Custom;
pub(crate) use custom::{DEFINITIONS, kinds_of};
pub use table::{Group, KindTable};

/// A name that is usually known at compile time.
pub type Name = Cow<'static, str>;

/// What can be asked of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Make an object.
    Create,
    /// Delete one.
    Delete,
    /// Delete many.
    DeleteCollection,
    /// Read one.
    Get,
    /// Read many.
    List,
    /// Change parts of one.
    Patch,
    /// Replace one.
    Update,
    /// Follow changes.
    Watch,
}

impl Verb {
    /// The verb as discovery and RBAC spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// All verbs of an ordinary stored kind, in discovery's order.
pub const ALL_VERBS: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];

/// Who answers requests for a subresource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// `status`: the object, of which only status (and labels, annotations) may change.
    Status,
    /// `scale`: an `autoscaling/v1` view of the replicas.
    Scale,
    /// `binding` of a pod to a node.
    Binding,
    /// `eviction` of a pod.
    Eviction,
    /// `token` of a service account.
    Token,
    /// `finalize` of a namespace.
    Finalize,
    /// `approval` of a certificate signing request.
    Approval,
    /// `ephemeralcontainers` of a pod.
    EphemeralContainers,
    /// `resize` of a pod.
    Resize,
    /// Log, exec, attach, port-forward, proxy: served by kube-api, which connects to the node.
    Connect,
}

/// Where a kind keeps what `scale` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScalePaths {
    /// `spec.selector` is a label selector.
    Selector,
    /// `spec.selector` is a map of labels.
    Map,
    /// As the definition of a custom resource says.
    Custom(custom_resources::Scale),
}

/// A path below an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Last part of the path.
    pub name: Name,
    /// Verbs it has.
    pub verbs: &'static [Verb],
    /// Kind of its bodies; `None` = the resource's own kind.
    pub kind: Option<GroupVersionKind>,
    /// Who answers.
    pub handler: Handler,
}

/// A field that field selectors may name, besides `metadata.name` and `metadata.namespace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectableField {
    /// Name in the selector, as `spec.nodeName`.
    pub name: Name,
    /// Where the value is.
    pub path: FieldPath,
    /// Value where the field is absent.
    pub absent: &'static str,
}

/// The names of the fields on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldPath {
    /// Of a built-in kind.
    BuiltIn(&'static [&'static str]),
    /// Of a custom resource.
    Custom(Vec<String>),
}

impl FieldPath {
    /// The value there.
    pub fn find<'v>(&self, object: &'v Map<String, Value>) -> Option<&'v Value> {
        match self {
            Self::BuiltIn(path) => crate::columns::at(object, path),
            Self::Custom(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                crate::columns::at(object, &path)
            }
        }
    }
}

/// Where and how objects of a kind are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Start of the keys, as `/registry/pods/`.
    pub prefix: Name,
    /// Group of the stored form.
    pub group: Name,
    /// Version of the stored form.
    pub version: Name,
    /// Seconds after which an object goes by itself.
    pub time_to_live: Option<u64>,
}

/// One served kind in one version.
#[derive(Clone, Debug)]
pub struct ResourceKind {
    /// API group; empty for core.
    pub group: Name,
    /// API version.
    pub version: Name,
    /// Kind of an object.
    pub kind: Name,
    /// Kind of a list.
    pub list_kind: Name,
    /// Plural name, the path segment.
    pub plural: Name,
    /// Singular name.
    pub singular: Name,
    /// Short names of kubectl.
    pub short_names: Vec<Name>,
    /// Categories, as `all`.
    pub categories: Vec<Name>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs of the resource itself.
    pub verbs: &'static [Verb],
    /// Paths below an object.
    pub subresources: Vec<Subresource>,
    /// Fields that selectors may name.
    pub fields: Cow<'static, [SelectableField]>,
    /// Where `scale` finds what it shows.
    pub scale: ScalePaths,
    /// Columns of tables; those of a custom resource are in its definition.
    pub printer: &'static Printer,
    /// Where objects are kept; `None` for kinds that are answered and forgotten.
    pub storage: Option<Storage>,
    /// Defaults, validation and the other rules of the kind.
    pub rules: &'static Rules,
    /// The definition of a custom resource; what it says holds besides the rules.
    pub custom: Option<Custom>,
}

impl ResourceKind {
    /// Group, version and kind.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group.clone(), self.version.clone(), self.kind.clone())
    }

    /// Group, version and resource.
    pub fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource::new(self.group.clone(), self.version.clone(), self.plural.clone())
    }

    /// `apiVersion` of the objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The subresource of a name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether the resource has a verb.
    pub fn has(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// Whether the rules are about objects in another version than this one, which is stored too. Custom resources have
    /// rules for each version, and get into the stored one when they are written.
    pub fn converts(&self) -> bool {
        self.custom.is_none()
            && self
                .storage
                .as_ref()
                .is_some_and(|storage| storage.version != self.version || storage.group != self.group)
    }
}

/// Starts the declaration of a stored, namespaced kind with every verb and the usual names.
fn kind(group: &'static str, version: &'static str, name: &'static str, plural: &'static str) -> ResourceKind {
    ResourceKind {
        group: group.into(),
        version: version.into(),
        kind: name.into(),
        list_kind: format!("{name}List").into(),
        plural: plural.into(),
        singular: name.to_lowercase().into(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: Vec::new(),
        fields: Cow::Borrowed(&[]),
        scale: ScalePaths::Selector,
        printer: &AGE_ONLY,
        storage: Some(Storage {
            prefix: format!("/registry/{plural}/").into(),
            group: group.into(),
            version: version.into(),
            time_to_live: None,
        }),
        rules: object_rules::rules(group, name),
        custom: None,
    }
}

impl ResourceKind {
    fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    fn short(mut self, names: &[&'static str]) -> Self {
        self.short_names = names.iter().map(|name| Name::from(*name)).collect();
        self
    }

    fn category(mut self, category: &'static str) -> Self {
        self.categories.push(category.into());
        self
    }

    fn printer(mut self, printer: &'static Printer) -> Self {
        self.printer = printer;
        self
    }

    fn fields(mut self, fields: &'static [SelectableField]) -> Self {
        self.fields = Cow::Borrowed(fields);
        self
    }

    fn prefix(mut self, prefix: &'static str) -> Self {
        if let Some(storage) = &mut self.storage {
            storage.prefix = prefix.into();
        }
        self
    }

    fn stored_as(mut self, group: &'static str, version: &'static str) -> Self {
        if let Some(storage) = &mut self.storage {
            storage.group = group.into();
            storage.version = version.into();
        }
        self
    }

    fn time_to_live(mut self, seconds: u64) -> Self {
        if let Some(storage) = &mut self.storage {
            storage.time_to_live = Some(seconds);
        }
        self
    }

    /// Answered and forgotten: reviews.
    fn create_only(mut self) -> Self {
        self.verbs = &[Verb::Create];
        self.storage = None;
        self
    }

    fn below(
        mut self,
        name: &'static str,
        verbs: &'static [Verb],
        kind: Option<(&str, &str, &str)>,
        handler: Handler,
    ) -> Self {
        let kind = kind.map(|(group, version, kind)| GroupVersionKind::new(group, version, kind));
        self.subresources.push(Subresource {
            name: name.into(),
            verbs,
            kind,
            handler,
        });
        self
    }

    fn status(self) -> Self {
        self.below("status", READ_AND_CHANGE, None, Handler::Status)
    }

    fn scale(mut self, paths: ScalePaths) -> Self {
        self.scale = paths;
        self.below(
            "scale",
            READ_AND_CHANGE,
            Some(("autoscaling", "v1", "Scale")),
            Handler::Scale,
        )
    }

    fn rules(mut self, rules: &'static Rules) -> Self {
        self.rules = rules;
        self
    }

    fn connect(self, name: &'static str, verbs: &'static [Verb], kind: &'static str) -> Self {
        self.below(name, verbs, Some(("", "v1", kind)), Handler::Connect)
    }
}

const READ_AND_CHANGE: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];
const CREATE: &[Verb] = &[Verb::Create];
const CREATE_AND_GET: &[Verb] = &[Verb::Create, Verb::Get];
const PROXY: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update];

/// A selectable text field.
const fn field(name: &'static str, path: &'static [&'static str]) -> SelectableField {
    SelectableField {
        name: Cow::Borrowed(name),
        path: FieldPath::BuiltIn(path),
        absent: "",
    }
}
