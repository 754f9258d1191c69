//! Deleting objects: at once, gracefully, or when their finalizers are gone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube_types::dynamic::{Object, Value, json};
use object_rules::Grace;

use super::{Allocation, Commit, Created, Resource, metadata};
use crate::admission::{Operation, Request};
use crate::cache::Item;
use crate::kinds::Verb;
use crate::options::{DeleteOptions, ListOptions, Propagation};
use crate::registry::Registry;
use crate::request::{Context, Reply, Target};
use crate::status::{StatusError, Subject};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What the next step of a deletion is.
enum Step {
    /// The object goes now.
    Remove,
    /// The object is marked, and goes later.
    Mark(Object),
    /// It is marked already, and nothing is to be done.
    Wait,
}

impl Registry {
    /// Deletes an object, or begins to.
    ///
    /// # Errors
    /// The `Status` to send.
    pub async fn delete(
        &self,
        context: &Context,
        target: &Target,
        options: DeleteOptions,
    ) -> Result<Reply, StatusError> {
        let resource = self.resource(target, Verb::Delete)?;
        self.delete_object(context, &resource, target, &options).await
    }

    pub(crate) async fn delete_object(
        &self,
        context: &Context,
        resource: &Resource,
        target: &Target,
        options: &DeleteOptions,
    ) -> Result<Reply, StatusError> {
        let name = target.name.as_deref().unwrap_or_default();
        loop {
            let Some(item) = self.newest(resource, target.namespace.as_deref(), name).await? else {
                return Err(resource.not_found(name));
            };
            let object = item.object();
            check_preconditions(resource, &object, options)?;
            let mut request = Request::new(self, context, resource, Operation::Delete, options.dry_run);
            request.old = Some(&object);
            request.announce_deletion(&object).await?;
            request.validate(&object).await?;
            let committed = match next_step(resource, &object, options, self.clock.now()) {
                Step::Wait => return self.reply(context, resource, &item, true),
                Step::Mark(marked) if options.dry_run => {
                    return self.render_written(context, resource, Created::DryRun(marked));
                }
                Step::Remove if options.dry_run => return self.reply(context, resource, &item, false),
                Step::Mark(marked) if metadata::same(&marked, &object) => {
                    return self.reply(context, resource, &item, true);
                }
                Step::Mark(marked) => match self
                    .put(resource, &marked, item.revision, Allocation::default())
                    .await?
                {
                    Commit::Done(item) => return self.reply(context, resource, &item, true),
                    lost => lost,
                },
                Step::Remove => {
                    let allocation = self.allocate(resource, None, Some(&object)).await?;
                    self.remove(resource, &item, allocation).await?
                }
            };
            if let Commit::Done(item) = committed {
                return self.reply(context, resource, &item, false);
            }
            if options.preconditions.resource_version.is_some() {
                return Err(StatusError::modified(&resource.subject(), name));
            }
        }
    }

    /// The object when it is still there or its kind answers so, else a `Status`.
    fn reply(
        &self,
        context: &Context,
        resource: &Resource,
        item: &Arc<Item>,
        remains: bool,
    ) -> Result<Reply, StatusError> {
        if remains || resource.ruling().rules.returns_deleted {
            return self.render_written(context, resource, Created::Stored(item.clone()));
        }
        let mut details = json!({"name": *item.extract.name, "kind": resource.kind.plural, "uid": *item.extract.uid});
        if !resource.kind.group.is_empty() {
            details["group"] = Value::from(&*resource.kind.group);
        }
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
        Ok(Reply::ok(serde_json::to_vec(&status).map_err(StatusError::internal)?))
    }

    /// Deletes what a list selects, one by one, and answers the list as it was.
    ///
    /// # Errors
    /// The `Status` to send; what was deleted before the failure stays deleted.
    pub async fn delete_collection(
        &self,
        context: &Context,
        target: &Target,
        list: ListOptions,
        options: DeleteOptions,
    ) -> Result<Reply, StatusError> {
        let resource = self.resource(target, Verb::DeleteCollection)?;
        let selection = self.select(&resource, target, &list).await?;
        for item in &selection.items {
            let namespace = item.extract.namespace.as_deref();
            let one = Target {
                namespace: namespace.map(str::to_owned),
                ..Target::object(target.gvr.clone(), None, &item.extract.name)
            };
            match self.delete_object(context, &resource, &one, &options).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        self.render_list(context, &resource, &selection)
    }
}

fn check_preconditions(resource: &Resource, object: &Object, options: &DeleteOptions) -> Result<(), StatusError> {
    let name = object.name().unwrap_or_default();
    // Upstream names the kind here, not the resource. Source: `rest.BeforeDelete`.
    let fail = |what: &str, given: &str, found: &str, guess: &str| {
        let problem = format!(
            "the {what} in the precondition ({given}) does not match the {what} in record ({found}). The object might \
             have been {guess}"
        );
        Err(StatusError::conflict(&Subject::kind(&resource.kind), name, &problem))
    };
    let uid = object.uid().unwrap_or_default();
    if let Some(given) = options.preconditions.uid.as_deref().filter(|given| *given != uid) {
        return fail("UID", given, uid, "deleted and then recreated");
    }
    let version = object.resource_version().unwrap_or_default();
    if let Some(given) = options
        .preconditions
        .resource_version
        .as_deref()
        .filter(|given| *given != version)
    {
        return fail("ResourceVersion", given, version, "modified");
    }
    Ok(())
}

/// Decides from the object and the options alone. Source: `registry/generic/registry/store.go`, `rest/delete.go`.
fn next_step(resource: &Resource, object: &Object, options: &DeleteOptions, now: Timestamp) -> Step {
    let rules = resource.ruling().rules;
    let grace = (rules.grace)(object, options.grace_period_seconds);
    let metadata_of = |field: &str| object.metadata().and_then(|m| m.get(field)).and_then(Value::as_i64);
    if object.is_deleting()
        && let (Grace::Seconds(_), Some(pending)) = (grace, metadata_of("deletionGracePeriodSeconds"))
    {
        return match options.grace_period_seconds {
            Some(asked) if asked < pending => shorten(resource, object, pending, asked.max(0), now),
            _ if pending == 0 && metadata::may_go(resource.ruling(), object) => Step::Remove,
            _ => Step::Wait,
        };
    }
    let mut marked = object.clone();
    let finalizers = finalizers(rules.orphan_by_default, object, options);
    set_finalizers(&mut marked, finalizers);
    (rules.mark_deleting)(&mut marked, &metadata::stamp(now));
    let pending = !marked.finalizers().is_empty() || (rules.held)(&marked);
    match grace {
        Grace::Seconds(seconds) if !object.is_deleting() => {
            metadata::bump_generation(&mut marked);
            let end = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
            let metadata = marked.metadata_mut();
            metadata.insert("deletionTimestamp".to_owned(), metadata::stamp(end).into());
            metadata.insert("deletionGracePeriodSeconds".to_owned(), seconds.into());
            if seconds > 0 || pending {
                Step::Mark(marked)
            } else {
                Step::Remove
            }
        }
        _ if pending => {
            metadata::mark_deleting(&mut marked, now);
            Step::Mark(marked)
        }
        _ => Step::Remove,
    }
}

/// A pending deletion may only be made shorter.
fn shorten(resource: &Resource, object: &Object, pending: i64, asked: i64, now: Timestamp) -> Step {
    let mut marked = object.clone();
    let end = object
        .metadata_text("deletionTimestamp")
        .and_then(|text| text.parse::<Timestamp>().ok())
        .unwrap_or(now);
    let begun = end.checked_sub(SignedDuration::from_secs(pending)).unwrap_or(now);
    let wanted = begun.checked_add(SignedDuration::from_secs(asked)).unwrap_or(now);
    let run_out = wanted < now;
    let seconds = if run_out && asked > 0 { 1 } else { asked };
    let end = if run_out { now } else { wanted };
    let metadata = marked.metadata_mut();
    metadata.insert("deletionTimestamp".to_owned(), metadata::stamp(end).into());
    metadata.insert("deletionGracePeriodSeconds".to_owned(), seconds.into());
    if metadata::may_go(resource.ruling(), &marked) {
        Step::Remove
    } else {
        Step::Mark(marked)
    }
}

/// The finalizers that make the garbage collector orphan or delete dependents first: options, then what the object
/// says, then the kind's default.
fn finalizers(orphan_by_default: bool, object: &Object, options: &DeleteOptions) -> Vec<String> {
    let present = object.finalizers();
    let has = |name: &str| present.iter().any(|finalizer| finalizer == name);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(propagation)) => (
            propagation == Propagation::Orphan,
            propagation == Propagation::Foreground,
        ),
        (None, None) if has(ORPHAN) => (true, false),
        (None, None) if has(FOREGROUND) => (false, true),
        (None, None) => (orphan_by_default, false),
    };
    let mut wanted: Vec<String> = present
        .iter()
        .filter(|f| *f != ORPHAN && *f != FOREGROUND)
        .cloned()
        .collect();
    if orphan {
        wanted.push(ORPHAN.to_owned());
    }
    if foreground {
        wanted.push(FOREGROUND.to_owned());
    }
    wanted
}

fn set_finalizers(object: &mut Object, finalizers: Vec<String>) {
    let metadata = object.metadata_mut();
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), finalizers.into());
    }
}
