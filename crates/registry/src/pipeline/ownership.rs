//! Who owns which field: the `managedFields` of every write. The rules are `object_merge::apply`'s; here is what each
//! endpoint means to them.

use std::sync::Arc;

use kube_types::GroupVersionKind;
use kube_types::dynamic::{Map, Object, Value};
use object_merge::apply::{
    self, ApplyError, Filter, Managed, ObjectType, PathElement, SCALE_VERSION, Step, Versions, Writer, conflict_message,
};

use super::{Part, Resource};
use crate::kinds::{KindTable, ResourceKind, ScalePaths};
use crate::options::WriteOptions;
use crate::registry::Registry;
use crate::request::Context;
use crate::status::StatusError;

/// Longest name of a manager. Source: `FieldManagerMaxLength`.
pub(crate) const LONGEST_MANAGER: usize = 128;

/// The field of the metadata.
pub(crate) const FIELD: &str = "managedFields";

/// The type of a kind's objects, by which their fields are owned.
pub(crate) fn object_type(kind: &ResourceKind) -> ObjectType {
    match &kind.custom {
        Some(custom) => custom.version().object_type.clone(),
        None => apply::built_in(&kind.gvk()).unwrap_or_else(ObjectType::deduced),
    }
}

/// One writer at one endpoint.
pub(crate) struct Ownership<'a> {
    kinds: Arc<KindTable>,
    resource: &'a Resource,
    part: Part,
    manager: String,
    now: String,
    api_version: String,
    object_type: ObjectType,
}

impl<'a> Ownership<'a> {
    pub fn new(
        registry: &'a Registry,
        context: &Context,
        resource: &'a Resource,
        part: Part,
        options: &WriteOptions,
    ) -> Self {
        let manager = if options.field_manager.is_empty() {
            from_user_agent(&context.user_agent)
        } else {
            options.field_manager.clone()
        };
        let (api_version, object_type) = match part {
            Part::Scale => (SCALE_VERSION.to_owned(), scale_type()),
            _ => (resource.kind.api_version(), object_type(&resource.kind)),
        };
        Self {
            kinds: registry.kinds(),
            resource,
            part,
            manager,
            now: super::stamp(registry.clock.now()),
            api_version,
            object_type,
        }
    }

    fn writer(&self) -> Writer<'_> {
        Writer {
            name: &self.manager,
            api_version: &self.api_version,
            subresource: self.part.name().unwrap_or_default(),
            now: &self.now,
            object_type: &self.object_type,
            versions: self,
        }
    }

    /// The entries of an object that is created, both in the version asked for; `sent` are those that it brings along.
    pub fn created(&self, object: &Object, sent: Option<&Value>) -> Option<Value> {
        let before = || match apply::is_reset(sent) {
            true => Managed::default(),
            false => readable(sent),
        };
        match self.writer().update(before, &Map::new(), &object.0, true) {
            Ok(managed) => managed.and_then(entries),
            Err(error) => {
                tracing::warn!(%error, "the owners of a new object cannot be told");
                None
            }
        }
    }

    /// The entries after a change from `live` to `new`, both in the version asked for. `kept` are the entries of the
    /// live object, `sent` those that the client gave.
    pub fn changed(&self, live: &Object, new: &Object, kept: Option<&Value>, sent: Option<Value>) -> Option<Value> {
        // Through a subresource nobody can set the entries; elsewhere, who leaves them out keeps them.
        let sent = sent.filter(|sent| self.part == Part::Whole && Some(sent) != kept);
        let reset = apply::is_reset(sent.as_ref());
        let given = sent
            .map(|sent| readable(Some(&sent)))
            .filter(|given| reset || !given.is_empty());
        let before = given.clone();
        let before = || before.unwrap_or_else(|| readable(kept));
        match self.writer().update(before, &live.0, &new.0, false) {
            Ok(Some(managed)) => entries(managed),
            Ok(None) => given.map_or_else(|| kept.cloned(), entries),
            Err(error) => {
                tracing::warn!(%error, "the owners of a changed object cannot be told");
                kept.cloned()
            }
        }
    }

    /// The workload's entries after its scale was changed.
    pub fn scaled(&self, live: &Object, new: &Object, kept: Option<&Value>) -> Option<Value> {
        let parent = readable(kept);
        let path = self.replicas();
        let before = apply::to_scale(&parent, |_| Some(&path));
        match self.writer().update(|| before, &live.0, &new.0, false) {
            Ok(Some(scale)) => entries(self.to_parent(parent, scale)),
            Ok(None) => kept.cloned(),
            Err(error) => {
                tracing::warn!(%error, "the owners of a scale cannot be told");
                kept.cloned()
            }
        }
    }

    fn to_parent(&self, parent: Managed, scale: Managed) -> Managed {
        let path = self.replicas();
        apply::to_parent(parent, scale, &self.resource.kind.api_version(), |_| Some(&path))
    }

    /// The live object (or scale) with an applied configuration, and the entries then.
    pub fn applied(
        &self,
        live: &Map<String, Value>,
        kept: Option<&Value>,
        applied: &Map<String, Value>,
        force: bool,
    ) -> Result<(Object, Option<Value>), StatusError> {
        let found = Object(applied.clone()).gvk();
        let wanted = self.part.gvk(self.resource);
        if found != wanted {
            return Err(StatusError::bad_request(format!(
                "invalid object type: {}/{}, Kind={}",
                found.group, found.version, found.kind
            )));
        }
        let parent = Managed::decode(kept).map_err(|error| refusal(&error.into()))?;
        let is_scale = matches!(self.part, Part::Scale);
        let path = self.replicas();
        let managed = if is_scale {
            apply::to_scale(&parent, |_| Some(&path))
        } else {
            parent.clone()
        };
        let outcome = self.writer().apply(managed, live, applied, force);
        let (object, managed) = outcome.map_err(|error| refusal(&error))?;
        let managed = if is_scale {
            self.to_parent(parent, managed)
        } else {
            managed
        };
        Ok((Object(object), entries(managed)))
    }
}

impl Versions for Ownership<'_> {
    fn object_type(&self, api_version: &str) -> Option<ObjectType> {
        if api_version == self.api_version {
            return Some(self.object_type.clone());
        }
        self.in_version(api_version).map(object_type)
    }

    fn convert(&self, object: &Map<String, Value>, api_version: &str) -> Option<Map<String, Value>> {
        let present = object.get("apiVersion").and_then(Value::as_str)?;
        let (from, to) = (self.in_version(present)?, self.in_version(api_version)?);
        let mut converted = crate::convert::convert(Object(object.clone()), from, to);
        // A version that a webhook makes is taken to have the fields of the same names.
        if let Some(custom) = &to.custom {
            custom.version().prune(&mut converted);
        }
        Some(converted.0)
    }

    fn filter(&self, _api_version: &str) -> Filter {
        filter(self.part, self.resource.ruling())
    }
}

impl Ownership<'_> {
    /// Where the replicas are.
    fn replicas(&self) -> Vec<PathElement> {
        match &self.resource.kind.scale {
            ScalePaths::Custom(scale) => scale.replicas_parts().map(PathElement::field).collect(),
            // Every workload keeps them there.
            _ => vec![PathElement::field("spec"), PathElement::field("replicas")],
        }
    }

    /// The same stored kind in a version.
    fn in_version(&self, api_version: &str) -> Option<&ResourceKind> {
        let prefix = self.resource.prefix();
        let same = |kind: &ResourceKind| kind.storage.as_ref().is_some_and(|storage| storage.prefix == prefix);
        let found = self
            .kinds
            .iter()
            .find(|kind| same(kind) && kind.api_version() == api_version);
        found.map(|kind| &**kind)
    }
}

/// What the strategy of an endpoint takes back is owned by nobody. Source: each strategy's `GetResetFields`.
fn filter(part: Part, kind: &ResourceKind) -> Filter {
    match part {
        Part::Whole | Part::Finalize if kind.rules.status => Filter::except(&[&["status"]]),
        Part::Whole | Part::Finalize | Part::Binding | Part::Scale => Filter::All,
        Part::Status if kind.custom.is_some() => Filter::except(&[&["spec"], &["metadata"]]),
        Part::Status => Filter::except(match (&*kind.group, &*kind.kind) {
            ("", "Pod") => &[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ],
            ("apps", "Deployment") => &[&["spec"], &["metadata", "labels"]],
            ("apiextensions.k8s.io" | "flowcontrol.apiserver.k8s.io" | "resource.k8s.io", _)
            | ("storage.k8s.io", "VolumeAttachment") => &[&["spec"], &["metadata"]],
            _ => &[&["spec"]],
        }),
        Part::Approval => Filter::except(&[&["spec"], &["status", "certificate"]]),
        Part::EphemeralContainers => Filter::Only(vec![vec![Step::Field("spec"), Step::Field("ephemeralContainers")]]),
        Part::Resize => {
            let lists = ["containers", "initContainers"];
            let fields = ["resources", "resizePolicy"];
            let path = |list, field| vec![Step::Field("spec"), Step::Field(list), Step::Any, Step::Field(field)];
            let paths = lists
                .into_iter()
                .flat_map(|list| fields.into_iter().map(move |field| path(list, field)));
            Filter::Only(paths.collect())
        }
    }
}

fn scale_type() -> ObjectType {
    apply::built_in(&GroupVersionKind::new("autoscaling", "v1", "Scale")).unwrap_or_else(ObjectType::deduced)
}

/// Entries that cannot be read count as none.
fn readable(entries: Option<&Value>) -> Managed {
    Managed::decode(entries).unwrap_or_else(|error| {
        tracing::debug!(%error, "managed fields are left out");
        Managed::default()
    })
}

fn entries(managed: Managed) -> Option<Value> {
    (!managed.is_empty()).then(|| managed.encode())
}

/// The characters before the first slash that can be printed, as many as fit.
fn from_user_agent(agent: &str) -> String {
    let mut name = String::new();
    let printable = agent.split('/').next().unwrap_or_default().chars();
    for letter in printable.filter(|letter| !letter.is_control()) {
        if name.len() + letter.len_utf8() > LONGEST_MANAGER {
            break;
        }
        name.push(letter);
    }
    name
}

fn refusal(error: &ApplyError) -> StatusError {
    match error {
        ApplyError::BadRequest(problem) => StatusError::bad_request(problem),
        ApplyError::Conflicts(conflicts) => conflicts.iter().fold(
            StatusError::new(409, "Conflict", conflict_message(conflicts)),
            |error, conflict| {
                let message = format!("conflict with {}", conflict.owner());
                error.with_cause("FieldManagerConflict", message, &conflict.field())
            },
        ),
        ApplyError::Managed(_) | ApplyError::Typed(_) => StatusError::new(500, "", error.to_string()),
    }
}
