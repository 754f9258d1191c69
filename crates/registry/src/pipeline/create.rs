//! Making objects.

use std::sync::Arc;

use kube_types::dynamic::{Object, Value};
use object_rules::field::Errors;
use object_rules::shape;

use super::decode::check_namespace;
use super::ownership::{self, Ownership};
use super::{Allocation, Commit, Part, Resource, metadata};
use crate::admission::{Operation, Request};
use crate::cache::Item;
use crate::kinds::{Handler, Verb};
use crate::options::WriteOptions;
use crate::registry::Registry;
use crate::request::{Context, Reply, RequestBody, Target};
use crate::status::{StatusError, Subject};

/// How often a name is made up before the server gives up. Source: `maxNameGenerationCreateAttempts`.
const NAME_ATTEMPTS: usize = 8;
/// How often addresses and quota are taken anew when another writer was faster.
const ALLOCATION_ATTEMPTS: usize = 128;
/// Characters appended to `generateName`, and the length that leaves for them.
const SUFFIX_LENGTH: usize = 5;
const LONGEST_PREFIX: usize = 63 - SUFFIX_LENGTH;
/// Bytes from which on an object is kept for a second try without its owners.
const LARGE: usize = 128 << 10;

/// A made object, stored or, in a dry run, as it would be.
pub(crate) enum Created {
    Stored(Arc<Item>),
    DryRun(Object),
}

impl Registry {
    /// Creates an object, or posts to a subresource (`binding`, `eviction`, `token`).
    ///
    /// # Errors
    /// The `Status` to send.
    pub async fn create(
        &self,
        context: &Context,
        target: &Target,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        options.check("CreateOptions")?;
        let kind = self.kind(target)?;
        if let Some(name) = &target.subresource {
            let handler = self.subresource(&kind, name, Verb::Create)?.handler;
            return self.create_subresource(context, target, handler, body, options).await;
        }
        if kind.storage.is_none() {
            return self.create_unstored(context, target, &kind, body, options).await;
        }
        let resource = self.resource(target, Verb::Create)?;
        if resource.kind.namespaced && target.namespace.is_none() {
            return Err(StatusError::method_not_allowed(&resource.subject(), "create"));
        }
        if kind.custom.as_ref().is_some_and(|custom| custom.definition.terminating) {
            let message = "create not allowed while custom resource definition is terminating";
            return Err(
                StatusError::method_not_allowed(&resource.subject(), "create").with_message(
                    message,
                    &resource.subject(),
                    "",
                ),
            );
        }
        let mut object = self.decode(context, &kind.gvk(), &body, options.field_validation)?;
        check_namespace(&kind, target, &mut object)?;
        if object.resource_version().is_some() {
            return Err(StatusError::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let created = self.create_object(context, &resource, object, &options).await?;
        let reply = self.render_written(context, &resource, created)?;
        Ok(Reply { code: 201, ..reply })
    }

    async fn create_subresource(
        &self,
        context: &Context,
        target: &Target,
        handler: Handler,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        match handler {
            Handler::Binding => self.bind(context, target, body, options).await,
            Handler::Eviction => self.evict(context, target, body, options).await,
            Handler::Token => self.issue_token(context, target, body, options).await,
            other => Err(StatusError::internal(format!(
                "{other:?} is not served by the registry"
            ))),
        }
    }

    /// Takes an object in the requested version through the whole of a creation.
    pub(crate) async fn create_object(
        &self,
        context: &Context,
        resource: &Resource,
        mut object: Object,
        options: &WriteOptions,
    ) -> Result<Created, StatusError> {
        let sent = object.metadata_mut().shift_remove(ownership::FIELD);
        let object = resource.to_stored(object);
        let ownership = Ownership::new(self, context, resource, Part::Whole, options);
        let owners = if resource.kind.converts() {
            ownership.created(&resource.to_requested(object.clone()), sent.as_ref())
        } else {
            ownership.created(&object, sent.as_ref())
        };
        let large = is_large(&object).then(|| object.clone());
        let created = self
            .create_owned(context, resource, object, owners, options.dry_run)
            .await;
        match (created, large) {
            // What is too large to be stored may be small enough without its owners.
            (Err(error), Some(object)) if error.code() == 413 => {
                self.create_owned(context, resource, object, None, options.dry_run)
                    .await
            }
            (created, _) => created,
        }
    }

    /// Whether storing a new object may have to be tried again: with another name, another address or another share of
    /// a quota.
    fn may_be_repeated(&self, resource: &Resource, object: &Object) -> Result<bool, StatusError> {
        let generated = object.name().is_none();
        let takes = crate::services::allocates(resource);
        let namespace = object.namespace().unwrap_or_default();
        let quotas = self.built_in("", "resourcequotas")?;
        Ok(generated || takes || quotas.cache.has_any(&format!("{namespace}/")))
    }

    /// Takes an object in the stored version, whose fields have these owners, through the whole of a creation.
    pub(super) async fn create_owned(
        &self,
        context: &Context,
        resource: &Resource,
        mut object: Object,
        mut owners: Option<Value>,
        dry_run: bool,
    ) -> Result<Created, StatusError> {
        metadata::forget(&mut object);
        let request = Request::new(self, context, resource, Operation::Create, dry_run);
        request.mutate(&mut object).await?;
        resource.settle(&mut object)?;
        let generated = object.name().is_none();
        let prefix = object.metadata_text("generateName").unwrap_or_default().to_owned();
        let mut names_left = if generated && !prefix.is_empty() {
            NAME_ATTEMPTS
        } else {
            1
        };
        let mut allocations_left = ALLOCATION_ATTEMPTS;
        let spare = self.may_be_repeated(resource, &object)?.then(|| object.clone());
        let mut first = Some(object);
        while let Some(mut object) = first.take().or_else(|| spare.clone()) {
            if generated && !prefix.is_empty() {
                let kept: String = prefix.chars().take(LONGEST_PREFIX).collect();
                let name = format!("{kept}{}", self.random.name_suffix(SUFFIX_LENGTH));
                object.metadata_mut().insert("name".to_owned(), name.into());
            }
            let owners = if spare.is_some() { owners.clone() } else { owners.take() };
            let allocation = self.prepare_create(&request, &mut object, owners).await?;
            let name = object.name().unwrap_or_default().to_owned();
            if dry_run {
                let existing = self.newest(resource, object.namespace(), &name).await?;
                return match existing {
                    Some(existing) => Err(already_exists(resource, &name, &existing.object())),
                    None => Ok(Created::DryRun(object)),
                };
            }
            match self.put(resource, &object, 0, allocation).await? {
                Commit::Done(item) => return Ok(Created::Stored(item)),
                Commit::Taken if allocations_left > 0 => {
                    allocations_left -= 1;
                    self.catch_up().await?;
                }
                Commit::Taken => {
                    return Err(StatusError::internal(
                        "what the object needs besides was taken by others",
                    ));
                }
                Commit::Moved => {
                    names_left -= 1;
                    if names_left == 0 {
                        let existing = self.newest(resource, object.namespace(), &name).await?;
                        return Err(match existing {
                            _ if generated => StatusError::generate_name_conflict(&resource.subject(), &name),
                            Some(existing) => already_exists(resource, &name, &existing.object()),
                            None => StatusError::already_exists(&resource.subject(), &name),
                        });
                    }
                }
            }
        }
        // A quota appeared while the object was being checked.
        Err(StatusError::internal(
            "what the object needs besides was taken by others",
        ))
    }

    /// The steps between admission and storing; each one's refusal ends the request.
    async fn prepare_create(
        &self,
        request: &Request<'_>,
        object: &mut Object,
        owners: Option<Value>,
    ) -> Result<Allocation, StatusError> {
        let resource = request.resource;
        let rules = resource.ruling().rules;
        metadata::fill(resource.ruling(), object, self.random.uuid(), self.clock.now(), owners);
        self.check_escalation(request.context, resource, object, None).await?;
        if rules.status && !rules.status_on_create {
            object.0.remove("status");
        }
        (rules.prepare_create)(object);
        shape::complete(&resource.ruling().group, &resource.ruling().kind, object);
        let mut allocation = self.allocate(resource, Some(object), None).await?;
        let mut errors = Errors::new();
        object_rules::metadata::validate(object, resource.kind.namespaced, rules.name, &mut errors);
        resource.ruling().check_new(object, &mut errors);
        crate::admission::expressions::check(&resource.kind, object, None, &mut errors);
        resource.check(object.name().unwrap_or_default(), &errors)?;
        for warning in resource.ruling().warnings(object, None) {
            request.context.warnings.add(warning);
        }
        request.validate(object).await?;
        // Quota comes last, so that nothing refused is counted.
        request.take_quota(object, &mut allocation)?;
        Ok(allocation)
    }
}

/// Whether an object and the names of its fields' owners may together be more than can be stored. Those take less than
/// five times what the object takes.
fn is_large(object: &Object) -> bool {
    fn rest(value: &Value, left: usize) -> Option<usize> {
        match value {
            Value::String(text) => left.checked_sub(text.len()),
            Value::Array(items) => items.iter().try_fold(left, |left, item| rest(item, left)),
            Value::Object(members) => members.iter().try_fold(left, |left, (name, member)| {
                rest(member, left.checked_sub(name.len() + 4)?)
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => left.checked_sub(4),
        }
    }
    let members = object.0.values();
    members
        .into_iter()
        .try_fold(LARGE, |left, member| rest(member, left))
        .is_none()
}

fn already_exists(resource: &Resource, name: &str, existing: &Object) -> StatusError {
    let error = StatusError::already_exists(&resource.subject(), name);
    if !existing.is_deleting() {
        return error;
    }
    let Subject { group, kind } = resource.subject();
    let message = format!("object is being deleted: {}", error.message());
    error.with_message(message, &Subject::new(group, kind), name)
}
