//! What the client of a change wants the object to be, and who owns which field of it then.

use std::sync::Arc;

use kube_types::dynamic::{Map, Object, Value};
use object_merge::PatchKind;
use object_rules::field::Errors;

use super::change::Attempt;
use super::decode::conform;
use super::ownership;
use super::{Part, Resource};
use crate::options::FieldValidation;
use crate::status::{StatusError, Subject};
use crate::subresources::scale;

/// A change that may be made again on a newer object.
pub(crate) type Edit = Arc<dyn Fn(&mut Object) -> Result<(), StatusError> + Send + Sync>;

/// Where the new state comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// A whole object (or scale) that replaces the old one.
    Body(Object),
    Patch {
        kind: PatchKind,
        patch: bytes::Bytes,
    },
    /// A configuration whose fields the client wants to own.
    Apply {
        configuration: Map<String, Value>,
    },
    /// A change that the registry makes itself; it belongs to nobody.
    Edit(Edit),
}

/// The object in the stored version, defaults filled in, and its `managedFields`, which are not in it.
pub(crate) struct Wish {
    pub object: Object,
    pub owners: Option<Value>,
}

impl Attempt<'_> {
    /// What the client wants.
    pub(super) fn desired(&self, source: &Source) -> Result<Wish, StatusError> {
        let kept = owners_of(&self.old);
        match source {
            Source::Body(sent) => self.replaced(sent.clone(), true),
            Source::Patch { kind, patch } => {
                let patched = || {
                    let gvk = self.part.gvk(self.resource);
                    object_merge::apply_patch(*kind, &gvk, &Value::Object(self.current().0), patch)
                        .map_err(|error| patch_error(&error))
                };
                let mut object =
                    Object::from_value(patched()?).map_err(|error| StatusError::bad_request(error.to_string()))?;
                match self.conform(&mut object, self.options.field_validation) {
                    Ok(()) => self.replaced(object, false),
                    Err(error) => Err(unfit(&self.part.gvk(self.resource).kind, &patched()?, error)),
                }
            }
            Source::Apply { configuration } => {
                let force = self.options.force.unwrap_or(false);
                let live = self.current();
                let (mut object, owners) = self.ownership().applied(&live.0, kept, configuration, force)?;
                // What is not declared was refused before; what the configuration emptied is dropped here.
                self.conform(&mut object, FieldValidation::Ignore)?;
                let object = match self.part {
                    Part::Scale => self.scaled(&object)?,
                    _ => {
                        let object = self.resource.to_stored(object);
                        self.check_preconditions(&object, false)?;
                        object
                    }
                };
                Ok(Wish { object, owners })
            }
            Source::Edit(edit) => {
                let mut object = self.old.clone();
                edit(&mut object)?;
                let owners = kept.cloned();
                Ok(Wish { object, owners })
            }
        }
    }

    /// The wish behind a whole object or scale.
    fn replaced(&self, mut object: Object, by_put: bool) -> Result<Wish, StatusError> {
        let kept = owners_of(&self.old);
        if self.part == Part::Scale {
            let parent = self.scaled(&object)?;
            let view = scale::view(&self.resource.kind.scale, &parent);
            let owners = self
                .tracked
                .then(|| self.ownership().scaled(&self.current(), &view, kept));
            return Ok(Wish {
                object: parent,
                owners: owners.flatten(),
            });
        }
        let sent = object.metadata_mut().shift_remove(ownership::FIELD);
        let object = self.resource.to_stored(object);
        self.check_preconditions(&object, by_put)?;
        let owners = self.tracked.then(|| {
            let ownership = self.ownership();
            if self.resource.kind.converts() {
                let new = self.resource.to_requested(object.clone());
                ownership.changed(&self.current(), &new, kept, sent)
            } else {
                ownership.changed(&self.old, &object, kept, sent)
            }
        });
        Ok(Wish {
            object,
            owners: owners.flatten(),
        })
    }

    /// What the client sees of the object now.
    fn current(&self) -> Object {
        match self.part {
            Part::Scale => scale::view(&self.resource.kind.scale, &self.old),
            _ => self.resource.to_requested(self.old.clone()),
        }
    }

    fn conform(&self, object: &mut Object, validation: FieldValidation) -> Result<(), StatusError> {
        conform(
            self.registry,
            self.context,
            &self.part.gvk(self.resource),
            object,
            Vec::new(),
            validation,
        )
    }

    fn ownership(&self) -> ownership::Ownership<'_> {
        ownership::Ownership::new(self.registry, self.context, self.resource, self.part, self.options)
    }

    fn scaled(&self, scale: &Object) -> Result<Object, StatusError> {
        self.check_preconditions(scale, false)?;
        let mut object = self.old.clone();
        scale::apply(&self.resource.kind.scale, scale, &mut object)?;
        Ok(object)
    }

    /// The uid and resourceVersion that the client gives must be those of the object.
    fn check_preconditions(&self, new: &Object, replace: bool) -> Result<(), StatusError> {
        let resource = self.resource;
        let name = self.old.name().unwrap_or_default();
        let uid = self.old.uid().unwrap_or_default();
        if let Some(given) = new.uid().filter(|given| *given != uid) {
            let key = resource.store_key(self.old.namespace(), name);
            let subject = resource.subject();
            return Err(StatusError::precondition_failed(&subject, name, &key, given, uid));
        }
        match new.resource_version().filter(|given| *given != "0") {
            None if replace && !resource.ruling().rules.unconditional_update => {
                let mut errors = Errors::new();
                errors.invalid("metadata.resourceVersion", 0, "must be specified for an update");
                // Upstream names the resource here, not the kind.
                Err(StatusError::invalid(&resource.subject(), name, &errors))
            }
            Some(given) if given.parse::<u64>().is_err() => {
                let mut errors = Errors::new();
                let detail = format!("strconv.ParseUint: parsing \"{given}\": invalid syntax");
                errors.invalid("resourceVersion", given, detail);
                resource.check(name, &errors)
            }
            Some(given) if given != self.item.revision.to_string() => {
                Err(StatusError::modified(&resource.subject(), name))
            }
            _ => Ok(()),
        }
    }
}

impl Part {
    /// Kind of the bodies.
    pub(crate) fn gvk(self, resource: &Resource) -> kube_types::GroupVersionKind {
        match self {
            Self::Scale => kube_types::GroupVersionKind::new("autoscaling", "v1", "Scale"),
            _ => resource.kind.gvk(),
        }
    }
}

fn owners_of(object: &Object) -> Option<&Value> {
    object.metadata().and_then(|metadata| metadata.get(ownership::FIELD))
}

/// What a patch makes of an object does not fit the kind: upstream shows the whole object. Source: `jsonPatcher`.
fn unfit(kind: &str, patched: &Value, error: StatusError) -> StatusError {
    let Some((_, problem)) = error.message().split_once(&format!("cannot be handled as a {kind}: ")) else {
        return error;
    };
    let mut errors = Errors::new();
    errors.invalid("patch", patched.to_string(), problem);
    StatusError::invalid(&Subject::default(), "", &errors)
}

pub(crate) fn patch_error(error: &object_merge::PatchError) -> StatusError {
    let message = error.to_string();
    match error {
        object_merge::PatchError::BadRequest(_) => StatusError::bad_request(message),
        object_merge::PatchError::Unprocessable(_) => StatusError::new(422, "Invalid", message),
        object_merge::PatchError::TooLarge(_) => StatusError::new(413, "RequestEntityTooLarge", message),
        object_merge::PatchError::Internal(_) => StatusError::internal(message),
    }
}
