//! The whole of what a write does with `managedFields`, as the pipeline asks for it.

use std::borrow::Cow;
use std::sync::OnceLock;

use kube_types::dynamic::{Map, Value};

use super::compare::{Comparison, compare};
use super::conflict::{self, Conflict};
use super::field_set::field_set;
use super::managers::{Managed, ManagedError, Operation, Owner};
use super::schema::ObjectType;
use super::set::Set;
use super::updater::{UpdateError, Updater, Versions};
use super::validate::{TypedError, validate};

/// At most so many entries of updates. Source: `DefaultMaxUpdateManagers`.
const MOST_UPDATERS: usize = 10;
/// Who owns what was there before the first apply on an object without entries.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager whose client-side applies are taken over.
const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotations together take no more bytes than this. Source: `apimachinery/pkg/api/validation`.
const LARGEST_ANNOTATIONS: usize = 256 * 1024;

/// Metadata that nobody owns.
const UNOWNED: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Who writes, through which endpoint, when.
pub struct Writer<'a> {
    /// Name of the manager.
    pub name: &'a str,
    /// The version in which it writes.
    pub api_version: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// The time, as objects carry it.
    pub now: &'a str,
    /// The type of the objects in that version.
    pub object_type: &'a ObjectType,
    /// All versions of the kind.
    pub versions: &'a dyn Versions,
}

/// Why a configuration is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 409, one cause for each.
    #[error("{}", conflict::message(.0))]
    Conflicts(Vec<Conflict>),
    /// The entries of the live object cannot be read: 500.
    #[error("failed to decode managed fields: {0}")]
    Managed(#[from] ManagedError),
    /// The configuration or the live object does not fit the type: 500.
    #[error("{0}")]
    Typed(String),
}

impl From<UpdateError> for ApplyError {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Typed(error) => Self::Typed(error.to_string()),
            UpdateError::Conflicts(conflicts) => Self::Conflicts(conflicts),
        }
    }
}

impl Writer<'_> {
    fn updater(&self) -> Updater<'_> {
        Updater {
            versions: self.versions,
            api_version: self.api_version,
            of: self.object_type,
        }
    }

    /// The entries after a write that is no apply; `None` when they stay as they are. The entries from before are asked
    /// for only when something has changed. `created` says that there was no object before.
    ///
    /// # Errors
    /// When lists of an object have elements that cannot be told apart.
    pub fn update(
        &self,
        before: impl FnOnce() -> Managed,
        live: &Map<String, Value>,
        new: &Map<String, Value>,
        created: bool,
    ) -> Result<Option<Managed>, UpdateError> {
        let found = compare(self.object_type, live, new)?;
        if found.is_same() {
            return Ok(None);
        }
        let mut managed = before();
        // Objects that nobody has tracked from the start are not tracked until they are applied.
        if managed.is_empty() && !created {
            return Ok(None);
        }
        self.take(&mut managed, live, new, found, self.name)?;
        managed.cap(MOST_UPDATERS);
        Ok(Some(managed))
    }

    fn take(
        &self,
        managed: &mut Managed,
        live: &Map<String, Value>,
        new: &Map<String, Value>,
        found: Comparison,
        name: &str,
    ) -> Result<(), UpdateError> {
        let updater = self.updater();
        let taken = updater.update(managed, live, new, found)?.without(unowned());
        if taken.is_empty() {
            return Ok(());
        }
        let manager = updater.writer(name, Operation::Update, self.subresource);
        let set = match managed.get(&manager) {
            Some(before) => taken.union(&before.set),
            None => taken,
        };
        managed.set(Owner {
            manager,
            time: Some(self.now.to_owned()),
            set,
        });
        Ok(())
    }

    /// The object and its entries after a configuration was applied.
    ///
    /// # Errors
    /// When the configuration does not fit, or others own what it would change and `force` is not given.
    pub fn apply(
        &self,
        mut managed: Managed,
        live: &Map<String, Value>,
        applied: &Map<String, Value>,
        force: bool,
    ) -> Result<(Map<String, Value>, Managed), ApplyError> {
        let metadata = applied.get("metadata").and_then(Value::as_object);
        if metadata.is_some_and(|metadata| metadata.get("managedFields").is_some_and(|entries| !entries.is_null())) {
            return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
        }
        validate(self.object_type, applied, false).map_err(|error| {
            ApplyError::Typed(format!(
                "failed to create typed patch object ({}): {error}",
                named(applied)
            ))
        })?;
        if managed.is_empty() {
            let nothing = Map::new();
            let all = compare(self.object_type, &nothing, live).map_err(UpdateError::Typed)?;
            self.take(&mut managed, &nothing, live, all, BEFORE_FIRST_APPLY)?;
        }
        let (mut object, managed) = match self.try_apply(managed.clone(), live, applied, force) {
            Err(UpdateError::Conflicts(conflicts)) if self.name == KUBECTL => {
                let allowed = self.client_side_fields(live);
                if !conflict::fields(&conflicts).difference(&allowed).is_empty() {
                    let left = conflicts.into_iter().filter(|one| !allowed.has(&one.path));
                    return Err(ApplyError::Conflicts(left.collect()));
                }
                self.try_apply(managed, live, applied, true)?
            }
            outcome => outcome?,
        };
        if self.name == KUBECTL {
            keep_last_applied(&mut object, applied);
        }
        Ok((object, managed))
    }

    fn try_apply(
        &self,
        mut managed: Managed,
        live: &Map<String, Value>,
        applied: &Map<String, Value>,
        force: bool,
    ) -> Result<(Map<String, Value>, Managed), UpdateError> {
        let updater = self.updater();
        let manager = updater.writer(self.name, Operation::Apply, self.subresource);
        let before = managed.clone();
        let object = updater.apply(&mut managed, live, applied, &manager, force)?;
        if let Some(mut mine) = managed.take(&manager) {
            mine.set = mine.set.without(unowned());
            if !mine.set.is_empty() {
                managed.set(mine);
            }
        }
        // Source: `managedFieldsUpdater.Apply`, which leaves times alone where neither object nor owners have changed.
        if object == *live && managed.owns_as(&before) {
            return Ok((object, before));
        }
        if let Some(mut mine) = managed.take(&manager) {
            mine.time = Some(self.now.to_owned());
            managed.set(mine);
        }
        Ok((object, managed))
    }

    /// The fields that `kubectl apply` wrote before it was server-side, and that are still as it wrote them.
    fn client_side_fields(&self, live: &Map<String, Value>) -> Set {
        let Some(text) = annotation(live) else {
            return Set::default();
        };
        let read: Map<String, Value> = match serde_json::from_str(text) {
            Ok(read) => read,
            Err(_unreadable) => return Set::default(),
        };
        let owned = |differs: Comparison| {
            field_set(self.object_type, &read)
                .difference(&differs.modified)
                .difference(&differs.added)
                .difference(&differs.removed)
        };
        let compared = validate(self.object_type, &read, false).and_then(|()| compare(self.object_type, &read, live));
        compared.map(owned).unwrap_or_else(|_: TypedError| Set::default())
    }
}

fn unowned() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| Set::of_fields(UNOWNED))
}

/// `namespace/name; group/version, Kind=kind`
fn named(object: &Map<String, Value>) -> String {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let metadata = |field: &str| {
        let found = object
            .get("metadata")
            .and_then(|metadata| metadata.get(field)?.as_str());
        found.unwrap_or_default()
    };
    let kind = format!("{}, Kind={}", text("apiVersion"), text("kind"));
    let kind: Cow<'_, str> = if text("apiVersion").contains('/') {
        kind.into()
    } else {
        format!("/{kind}").into()
    };
    format!("{}/{}; {kind}", metadata("namespace"), metadata("name"))
}

fn annotation(object: &Map<String, Value>) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()
}

/// Keeps the annotation of client-side applies true, so that one can go back to them.
fn keep_last_applied(object: &mut Map<String, Value>, applied: &Map<String, Value>) {
    if annotation(object).is_none() {
        return;
    }
    let mut applied = Value::Object(applied.clone());
    if let Some(annotations) = applied
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.shift_remove(LAST_APPLIED);
    }
    applied.sort_all_objects();
    let annotations = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations")?.as_object_mut());
    let Some(annotations) = annotations else { return };
    let others: usize = annotations
        .iter()
        .filter(|(key, _)| *key != LAST_APPLIED)
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    let text = format!("{applied}\n");
    let fits = others + LAST_APPLIED.len() + text.len() <= LARGEST_ANNOTATIONS;
    let text = if fits { text } else { String::new() };
    annotations.insert(LAST_APPLIED.to_owned(), text.into());
}
