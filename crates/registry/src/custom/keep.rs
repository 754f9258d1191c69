//! Keeps definitions as they must be: accepts names, says that a resource is served, and lets a deleted definition go
//! when its objects are gone. Source: `controller/{status,establish,apiapproval,finalizer}`.

use std::sync::Arc;
use std::time::Duration;

use access_rules::User;
use custom_resources::definition::{
    Condition, Taken, condition_is, needs_cleanup, remove_finalizer, set_condition, settle,
};
use kube_types::dynamic::Object;
use tokio::sync::watch;

use crate::kinds::ResourceKind;
use crate::options::{DeleteOptions, ListOptions, WriteOptions};
use crate::pipeline::{Part, Resource, Source, stamp};
use crate::registry::Registry;
use crate::request::{Context, Target};
use crate::status::StatusError;

/// How often definitions are looked at when nothing is seen to change.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Registry {
    /// Follows the definitions until the registry closes.
    pub(crate) async fn keep_definitions(self: &Arc<Self>) -> Result<(), StatusError> {
        let definitions = self.built_in("apiextensions.k8s.io", "customresourcedefinitions")?;
        loop {
            // Subscribed before looking, so that nothing that happens meanwhile is overlooked.
            let mut changes = vec![definitions.cache.subscribe()];
            let all: Vec<Object> = self.caches.served().definitions().into_values().collect();
            for definition in &all {
                let kept = self.keep_definition(&definitions, definition, &all, &mut changes).await;
                match kept {
                    Ok(()) => {}
                    Err(error) if error.is_conflict() || error.is_not_found() => {}
                    Err(error) => {
                        let name = definition.name().unwrap_or_default();
                        tracing::warn!(name, %error, "a custom resource definition is looked at again later");
                    }
                }
            }
            let waits = changes.iter_mut().map(|change| Box::pin(change.changed()));
            let any = futures::future::select_all(waits);
            // Whether something changed or the time is over, the next thing is to look.
            if let Ok((Err(_closed), _, _)) = tokio::time::timeout(LOOK_AGAIN, any).await {
                return Ok(());
            }
        }
    }

    async fn keep_definition(
        &self,
        definitions: &Resource,
        definition: &Object,
        all: &[Object],
        changes: &mut Vec<watch::Receiver<u64>>,
    ) -> Result<(), StatusError> {
        if needs_cleanup(definition) {
            return self.clean_up(definitions, definition, changes).await;
        }
        let taken = Taken::by_others(definition, all.iter());
        let now = stamp(self.clock.now());
        let mut settled = definition.clone();
        settle(&mut settled, &taken, &now);
        if settled == *definition {
            return Ok(());
        }
        self.edit(definitions, definition, Part::Status, move |object| {
            settle(object, &taken, &now)
        })
        .await
    }

    /// Deletes the objects of a definition, and lets it go when none is left.
    async fn clean_up(
        &self,
        definitions: &Resource,
        definition: &Object,
        changes: &mut Vec<watch::Receiver<u64>>,
    ) -> Result<(), StatusError> {
        let now = stamp(self.clock.now());
        let name = definition.name().unwrap_or_default();
        let served = self.caches.served();
        let kind = served.kinds.iter().find(|kind| {
            kind.custom
                .as_ref()
                .is_some_and(|custom| custom.definition.name == name)
        });
        let last = match kind {
            None => ("NeverEstablished", "resource was never established"),
            Some(kind) => {
                let resource = self.resource_of(kind.clone())?;
                changes.push(resource.cache.subscribe());
                let pending = Condition::new(
                    "Terminating",
                    "True",
                    "InstanceDeletionInProgress",
                    "CustomResource deletion is in progress",
                );
                if !condition_is(definition, "Terminating", "True") || self.has_objects(&resource) {
                    let time = now.clone();
                    self.edit(definitions, definition, Part::Status, move |object| {
                        set_condition(object, &pending, &time);
                    })
                    .await?;
                }
                self.delete_objects(kind).await?;
                if self.has_objects(&resource) {
                    return Ok(());
                }
                ("InstanceDeletionCompleted", "removed all instances")
            }
        };
        self.edit(definitions, definition, Part::Status, move |object| {
            set_condition(object, &Condition::new("Terminating", "False", last.0, last.1), &now);
        })
        .await?;
        self.edit(definitions, definition, Part::Whole, remove_finalizer).await
    }

    fn has_objects(&self, resource: &Resource) -> bool {
        !resource.cache.select("", None, |_| true, 1).0.is_empty()
    }

    async fn delete_objects(&self, kind: &ResourceKind) -> Result<(), StatusError> {
        let target = Target::collection(kind.gvr(), None);
        self.delete_collection(
            &own_context(),
            &target,
            ListOptions::default(),
            DeleteOptions::default(),
        )
        .await?;
        Ok(())
    }

    async fn edit(
        &self,
        definitions: &Resource,
        definition: &Object,
        part: Part,
        change: impl Fn(&mut Object) + Send + Sync + 'static,
    ) -> Result<(), StatusError> {
        let uid = definition.uid().unwrap_or_default().to_owned();
        let name = definition.name().unwrap_or_default();
        let target = Target::object(definitions.kind.gvr(), None, name);
        let gone = definitions.not_found(name);
        let edit = Arc::new(move |object: &mut Object| {
            // A definition of the same name may have come after this one.
            if object.uid() != Some(uid.as_str()) {
                return Err(gone.clone());
            }
            change(object);
            Ok(())
        });
        self.change(
            &own_context(),
            definitions,
            &target,
            part,
            Source::Edit(edit),
            &WriteOptions::default(),
        )
        .await?;
        Ok(())
    }
}

fn own_context() -> Context {
    Context::for_user(User::master("system:apiserver"))
}
