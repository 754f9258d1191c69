//! The add-ons of a cluster: their objects are put into it, looked at and taken out of it.

use cluster_lifecycle::addon::{Addon, AddonStatus, Input};

use super::Driver;
use super::flight::{Key, Outcome};
use crate::error::ApiError;
use crate::host::{AddonSpec, HostError};
use crate::ledger::Change;

impl Driver {
    /// What each add-on's status asks for.
    pub(super) async fn work_on_addons(&mut self) -> Result<(), ApiError> {
        if !self.ensured {
            return Ok(());
        }
        let addons: Vec<Addon> = self
            .region
            .ledger
            .read(|state| crate::eks::addon::of_cluster(state, &self.name).cloned().collect());
        if addons
            .iter()
            .any(|addon| matches!(addon.status, AddonStatus::Active | AddonStatus::Degraded))
        {
            self.look_at_addons(&addons).await?;
        }
        for addon in addons {
            let spec = AddonSpec {
                cluster: self.region.cluster_ref(&self.name),
                name: addon.name.clone(),
                values: addon.configuration_values.clone(),
                resolve_conflicts: addon.resolve_conflicts.clone(),
            };
            let name = addon.name.clone();
            match addon.status {
                AddonStatus::Creating | AddonStatus::Updating => self
                    .fly(Key::Addon(name.clone()), |region| async move {
                        Outcome::AddonApplied(name, region.host.apply_addon(spec).await)
                    }),
                AddonStatus::Deleting if addon.preserve => self.step_addon(&name, Input::Gone).await?,
                AddonStatus::Deleting => self.fly(Key::Addon(name.clone()), |region| async move {
                    Outcome::AddonGone(name, region.host.remove_addon(spec).await)
                }),
                _ => {}
            }
        }
        Ok(())
    }

    async fn look_at_addons(&mut self, addons: &[Addon]) -> Result<(), ApiError> {
        let lacking = match self
            .region
            .host
            .lacking_workloads(self.region.cluster_ref(&self.name))
            .await
        {
            Ok(lacking) => lacking,
            Err(error) => {
                self.report(&error);
                return Ok(());
            }
        };
        for addon in addons
            .iter()
            .filter(|addon| matches!(addon.status, AddonStatus::Active | AddonStatus::Degraded))
        {
            let own = lacking.get(&addon.name).cloned().unwrap_or_default();
            // A workload that was just made has no pods yet; only what lasts is an issue.
            let age = self.region.clock.now().duration_since(addon.modified_at).as_secs();
            if own.is_empty() || age > i64::try_from(GRACE.as_secs()).unwrap_or(i64::MAX) {
                self.step_addon(&addon.name, Input::Observed(own)).await?;
            }
        }
        Ok(())
    }

    /// Takes in what became of an add-on's objects.
    pub(super) async fn addon_applied(
        &mut self,
        name: String,
        result: Result<Vec<String>, HostError>,
    ) -> Result<(), ApiError> {
        match result {
            Ok(conflicts) if conflicts.is_empty() => self.step_addon(&name, Input::Applied).await,
            Ok(conflicts) => self.step_addon(&name, Input::Conflicts(conflicts)).await,
            Err(error) => self.addon_failed(name, &error),
        }
    }

    /// Takes in that an add-on's objects are gone.
    pub(super) async fn addon_gone(&mut self, name: String, result: Result<(), HostError>) -> Result<(), ApiError> {
        match result {
            Ok(()) => self.step_addon(&name, Input::Gone).await,
            Err(error) => self.addon_failed(name, &error),
        }
    }

    fn addon_failed(&mut self, name: String, error: &HostError) -> Result<(), ApiError> {
        let now = self.region.clock.now();
        self.backoff.failed(&Key::Addon(name), now);
        self.report(error);
        Ok(())
    }

    async fn step_addon(&mut self, name: &str, input: Input) -> Result<(), ApiError> {
        self.backoff.forget(&Key::Addon(name.to_owned()));
        let key = (self.name.clone(), name.to_owned());
        let now = self.region.clock.now();
        let changed = self.region.ledger.change(|state| {
            let Some(before) = state.addons.get(&key) else { return Ok(((), Vec::new())) };
            let Some((after, ended)) = before.clone().step(input, now) else {
                return Ok(((), vec![Change::remove::<Addon>(key.clone())]));
            };
            let mut changes = Vec::new();
            if let Some((id, outcome)) = ended
                && let Some(update) = state.updates.get(&id)
            {
                changes.push(Change::put(update.clone().step(outcome)));
            }
            if after != *before {
                tracing::info!(cluster = %key.0, addon = key.1, from = before.status.name(), to = after.status.name(), "add-on");
                changes.push(Change::put(after));
            }
            Ok::<_, ApiError>(((), changes))
        });
        changed.await
    }
}

/// How long workloads have until the lack of ready pods is an issue.
const GRACE: std::time::Duration = std::time::Duration::from_secs(60);
