//! Replacing and patching objects, whole or through a subresource.

use std::sync::Arc;

use kube_types::dynamic::Object;
use object_merge::PatchKind;
use object_rules::field::Errors;

use super::decode::{check_namespace, check_own_name};
use super::wish::{Source, Wish};
use super::{Commit, Created, Resource, metadata};
use crate::admission::{Operation, Request, Shown};
use crate::cache::{Item, encode};
use crate::kinds::{Handler, Verb};
use crate::options::WriteOptions;
use crate::registry::Registry;
use crate::request::{Context, MediaType, Reply, RequestBody, Target};
use crate::status::{StatusError, Subject};
use crate::subresources::{approval, ephemeral_containers, finalize, resize, scale};

/// How often a change is made anew on a newer object before the client hears of the conflict.
const ATTEMPTS: usize = 32;

/// Media types of patches that are read.
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Which part of an object a request may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but status.
    Whole,
    Status,
    Scale,
    Finalize,
    Approval,
    EphemeralContainers,
    Resize,
    /// The node of a pod; only the registry itself asks for this.
    Binding,
}

/// What a request has made of an object.
pub(crate) enum Changed {
    /// There was one, and this is what it is now.
    Existing(Created),
    /// There was none.
    New(Created),
}

impl Registry {
    /// Replaces an object or a subresource of it.
    ///
    /// # Errors
    /// The `Status` to send.
    pub async fn update(
        &self,
        context: &Context,
        target: &Target,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        options.check("UpdateOptions")?;
        let (resource, part) = self.part(target, Verb::Update)?;
        let gvk = part.gvk(&resource);
        let mut object = self.decode(context, &gvk, &body, options.field_validation)?;
        check_namespace(&resource.kind, target, &mut object)?;
        check_own_name(target, &mut object)?;
        let missing = object.clone();
        match self
            .change(context, &resource, target, part, Source::Body(object), &options)
            .await
        {
            Err(error) if error.is_not_found() && part == Part::Whole && resource.ruling().rules.create_on_update => {
                let created = self.create_object(context, &resource, missing, &options).await?;
                let reply = self.render_written(context, &resource, created)?;
                Ok(Reply { code: 201, ..reply })
            }
            changed => self.render_part(context, &resource, part, changed?),
        }
    }

    /// Changes parts of an object or a subresource of it; the body's media type says how.
    ///
    /// # Errors
    /// The `Status` to send.
    pub async fn patch(
        &self,
        context: &Context,
        target: &Target,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        let (resource, part) = self.part(target, Verb::Patch)?;
        let kind = match body.media_type {
            MediaType::JsonPatch => Some(PatchKind::Json),
            MediaType::MergePatch => Some(PatchKind::Merge),
            MediaType::StrategicMergePatch if resource.kind.custom.is_none() => Some(PatchKind::Strategic),
            MediaType::ApplyPatch => None,
            _ => return Err(StatusError::unsupported_media_type(PATCHES)),
        };
        options.check_patch(kind.is_none())?;
        let changed = match kind {
            Some(kind) => {
                let source = Source::Patch {
                    kind,
                    patch: body.bytes,
                };
                let changed = self.change(context, &resource, target, part, source, &options).await?;
                Changed::Existing(changed)
            }
            None => self.apply(context, &resource, target, part, &body, &options).await?,
        };
        match changed {
            Changed::Existing(changed) => self.render_part(context, &resource, part, changed),
            Changed::New(created) => {
                let reply = self.render_part(context, &resource, part, created)?;
                Ok(Reply { code: 201, ..reply })
            }
        }
    }

    fn part(&self, target: &Target, verb: Verb) -> Result<(Resource, Part), StatusError> {
        let Some(name) = &target.subresource else {
            return Ok((self.resource(target, verb)?, Part::Whole));
        };
        let kind = self.kind(target)?;
        let part = match self.subresource(&kind, name, verb)?.handler {
            Handler::Status => Part::Status,
            Handler::Scale => Part::Scale,
            Handler::Finalize => Part::Finalize,
            Handler::Approval => Part::Approval,
            Handler::EphemeralContainers => Part::EphemeralContainers,
            Handler::Resize => Part::Resize,
            Handler::Binding | Handler::Eviction | Handler::Token | Handler::Connect => {
                return Err(StatusError::method_not_allowed(
                    &Subject::resource(&kind),
                    verb.as_str(),
                ));
            }
        };
        Ok((self.resource_of(kind)?, part))
    }

    /// Reads, changes and writes an object until nobody else was faster.
    pub(crate) async fn change(
        &self,
        context: &Context,
        resource: &Resource,
        target: &Target,
        part: Part,
        source: Source,
        options: &WriteOptions,
    ) -> Result<Created, StatusError> {
        let name = target.name.as_deref().unwrap_or_default();
        for _ in 0..ATTEMPTS {
            let Some(item) = self.newest(resource, target.namespace.as_deref(), name).await? else {
                return Err(resource.not_found(name));
            };
            let mut attempt = Attempt {
                registry: self,
                context,
                resource,
                part,
                options,
                item: &item,
                old: item.object(),
                tracked: true,
                internal: matches!(source, Source::Edit(_)),
            };
            let mut outcome = attempt.run(&source).await;
            // What is too large to be stored may be small enough without its owners.
            if outcome.as_ref().is_err_and(|error| error.code() == 413) && !matches!(source, Source::Apply { .. }) {
                attempt.tracked = false;
                outcome = attempt.run(&source).await;
            }
            match outcome? {
                Some(Commit::Done(item)) => return Ok(Created::Stored(item)),
                Some(Commit::Moved | Commit::Taken) => {}
                None => {
                    let new = attempt.dry_run(&source).await?;
                    return Ok(Created::DryRun(new));
                }
            }
        }
        Err(StatusError::modified(&resource.subject(), name))
    }

    fn render_part(
        &self,
        context: &Context,
        resource: &Resource,
        part: Part,
        changed: Created,
    ) -> Result<Reply, StatusError> {
        match part {
            Part::Scale => {
                let object = match changed {
                    Created::Stored(item) => item.object(),
                    Created::DryRun(object) => object,
                };
                scale::render(&scale::view(&resource.kind.scale, &object))
            }
            _ => self.render_written(context, resource, changed),
        }
    }
}

impl Part {
    /// Name of the subresource.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Status => Some("status"),
            Self::Scale => Some("scale"),
            Self::Finalize => Some("finalize"),
            Self::Approval => Some("approval"),
            Self::EphemeralContainers => Some("ephemeralcontainers"),
            Self::Resize => Some("resize"),
            Self::Binding => Some("binding"),
        }
    }
}

/// One try of a change on one state of the object.
pub(super) struct Attempt<'a> {
    pub(super) registry: &'a Registry,
    pub(super) context: &'a Context,
    pub(super) resource: &'a Resource,
    pub(super) part: Part,
    pub(super) options: &'a WriteOptions,
    pub(super) item: &'a Arc<Item>,
    /// The object in the stored version.
    pub(super) old: Object,
    /// Whether the owners of fields are kept.
    pub(super) tracked: bool,
    /// Made by the registry, for a request that was admitted as something else.
    pub(super) internal: bool,
}

impl Attempt<'_> {
    /// Answers what became of the write, or `None` in a dry run.
    async fn run(&self, source: &Source) -> Result<Option<Commit>, StatusError> {
        let (registry, resource) = (self.registry, self.resource);
        let (new, allocation) = self.prepare(self.desired(source)?).await?;
        if self.options.dry_run {
            return Ok(None);
        }
        if metadata::may_go(resource.ruling(), &new) && self.part != Part::Status {
            let allocation = registry.allocate(resource, None, Some(&self.old)).await?;
            let removed = registry.remove(resource, self.item, allocation).await?;
            // The client sees the object as it wrote it last.
            return Ok(Some(match removed {
                Commit::Done(last) => Commit::Done(Arc::new(last_written(resource, &new, &last)?)),
                lost => lost,
            }));
        }
        if metadata::same(&new, &self.old)
            && !resource.is_outdated(self.item)
            && !registry.is_stale(resource, self.item)
        {
            return Ok(Some(Commit::Done(self.item.clone())));
        }
        registry
            .put(resource, &new, self.item.revision, allocation)
            .await
            .map(Some)
    }

    async fn dry_run(&self, source: &Source) -> Result<Object, StatusError> {
        let (mut new, _) = self.prepare(self.desired(source)?).await?;
        new.metadata_mut()
            .insert("resourceVersion".to_owned(), self.item.revision.to_string().into());
        Ok(new)
    }

    /// The steps between the wish and the write.
    async fn prepare(&self, wish: Wish) -> Result<(Object, super::Allocation), StatusError> {
        let (resource, old) = (self.resource, &self.old);
        let rules = resource.ruling().rules;
        let mut object = wish.object;
        let new = &mut object;
        self.keep_other_parts(new)?;
        metadata::restore(new, old, wish.owners);
        let mut request = Request::new(
            self.registry,
            self.context,
            resource,
            Operation::Update,
            self.options.dry_run,
        );
        request.subresource = self.part.name();
        request.old = Some(old);
        request.internal = self.internal;
        if self.part == Part::Scale {
            request.shows = Shown::Scale(resource.kind.scale.clone());
        }
        request.mutate(new).await?;
        resource.settle(new)?;
        if self.part == Part::Whole {
            self.registry
                .check_escalation(self.context, resource, new, Some(old))
                .await?;
        }
        self.follow_rules(new);
        let mut allocation = match self.part {
            Part::Whole => self.registry.allocate(resource, Some(new), Some(old)).await?,
            _ => super::Allocation::default(),
        };
        if rules.generation && metadata::spec_differs(resource.ruling(), new, old) {
            metadata::bump_generation(new);
        }
        let mut errors = Errors::new();
        object_rules::metadata::validate_update(new, old, &mut errors);
        self.check_part(new, &mut errors);
        resource.check(old.name().unwrap_or_default(), &errors)?;
        if self.part == Part::Whole {
            for warning in resource.ruling().warnings(new, Some(old)) {
                self.context.warnings.add(warning);
            }
        }
        request.validate(new).await?;
        request.take_quota(new, &mut allocation)?;
        Ok((object, allocation))
    }

    /// What is wrong with this part of the object.
    fn check_part(&self, new: &Object, errors: &mut Errors) {
        let (resource, old) = (self.resource, &self.old);
        let rules = resource.ruling().rules;
        match self.part {
            Part::Status => resource.ruling().check_status(new, old, errors),
            Part::Whole | Part::Scale => {
                resource.ruling().check_change(new, old, errors);
                crate::admission::expressions::check(&resource.kind, new, Some(old), errors);
            }
            Part::EphemeralContainers | Part::Resize => (rules.validate)(new, errors),
            Part::Approval => object_rules::certificate::check_approval(new, old, errors),
            Part::Finalize | Part::Binding => {}
        }
    }

    /// Restores what the kind's own rules keep, and writes what its type always writes.
    fn follow_rules(&self, new: &mut Object) {
        let kind = self.resource.ruling();
        match self.part {
            Part::Status => (kind.rules.prepare_status)(new, &self.old),
            Part::Whole | Part::Scale => (kind.rules.prepare_update)(new, &self.old),
            _ => {}
        }
        object_rules::shape::complete(&kind.group, &kind.kind, new);
    }

    /// Takes from the old object what this part must not change.
    fn keep_other_parts(&self, new: &mut Object) -> Result<(), StatusError> {
        let rules = self.resource.ruling().rules;
        match self.part {
            Part::Whole if rules.status => keep(new, &self.old, |field| field == "status"),
            Part::Whole | Part::Scale | Part::Binding => {}
            Part::Status => keep(new, &self.old, |field| !matches!(field, "status" | "metadata")),
            Part::Finalize => finalize::keep_but_finalizers(new, &self.old),
            Part::Approval => approval::keep_but_conditions(new, &self.old),
            Part::EphemeralContainers => ephemeral_containers::keep_others(self.resource, new, &self.old)?,
            Part::Resize => resize::keep_others(self.resource, new, &self.old)?,
        }
        Ok(())
    }
}

/// The object that a change asked for and that went with it, at the revision of its deletion.
fn last_written(resource: &Resource, new: &Object, last: &Item) -> Result<Item, StatusError> {
    let kind = resource.ruling();
    let value = encode(&kind.kind, &kind.api_version(), &new.0).map_err(StatusError::internal)?;
    Ok(Item::assemble(last.extract.clone(), &value, last.revision))
}

/// Makes the top-level fields that `is_kept` names equal to the old object's.
pub(crate) fn keep(new: &mut Object, old: &Object, is_kept: impl Fn(&str) -> bool) {
    new.0
        .retain(|field, _| !is_kept(field) || matches!(field.as_str(), "kind" | "apiVersion"));
    for (field, value) in &old.0 {
        if is_kept(field) {
            new.0.insert(field.clone(), value.clone());
        }
    }
}
