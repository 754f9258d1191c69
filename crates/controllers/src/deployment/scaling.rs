//! Sizes of sets: single ones, and all in proportion when the deployment is scaled in the middle of a rollout.

use k8s_openapi::api::apps::v1::ReplicaSet;
use plan::{Change, EventRecord, MetadataPatch, Plan, Step, Target, object_reference};

use super::Rollout;
use super::revision::{DESIRED_REPLICAS, MAX_REPLICAS, REVISION};
use super::rollout::available;
use crate::replica_set::replicas;

impl Rollout<'_> {
    /// Was the deployment scaled since its sets were sized?
    pub(super) fn is_scaling_event(&self) -> bool {
        let wanted = self.wanted();
        let active = self.sets().filter(|set| replicas(set) > 0);
        active
            .filter_map(|set| annotated(set, DESIRED_REPLICAS))
            .any(|desired| desired != wanted)
    }

    /// Fits the sets to the wanted number. Source of the rule: `DeploymentController.scale`.
    pub(super) fn scale(&mut self) {
        let active: Vec<usize> = (0..self.old.len())
            .filter(|index| replicas(&self.old[*index]) > 0)
            .collect();
        let new_active = self.new.as_ref().is_some_and(|new| replicas(new) > 0);
        match (active.as_slice(), new_active) {
            ([], _) if self.new.is_some() => self.resize_new(self.wanted()),
            ([], _) => {
                if let Some(latest) = self.old.len().checked_sub(1) {
                    self.resize_old(latest, self.wanted());
                }
            }
            ([only], false) => self.resize_old(*only, self.wanted()),
            _ if self.is_saturated() => active.into_iter().for_each(|index| self.resize_old(index, 0)),
            _ if !super::is_recreate(self.deployment) => self.scale_in_proportion(&active, new_active),
            _ => {}
        }
    }

    /// Gives the new set a size.
    pub(super) fn resize_new(&mut self, size: i32) {
        let Some(mut set) = self.new.take() else { return };
        self.resize(&mut set, size);
        self.new = Some(set);
    }

    /// Gives an old set a size.
    pub(super) fn resize_old(&mut self, index: usize, size: i32) {
        let mut set = self.old[index].clone();
        self.resize(&mut set, size);
        self.old[index] = set;
    }

    /// Notes on a set what it was sized for.
    pub(super) fn annotate_size(&self, set: &mut ReplicaSet) {
        let annotations = set.metadata.annotations.get_or_insert_default();
        annotations.insert(DESIRED_REPLICAS.to_owned(), self.wanted().to_string());
        annotations.insert(MAX_REPLICAS.to_owned(), (self.wanted() + self.max_surge()).to_string());
    }

    /// The event that tells of a new size.
    pub(super) fn scaled_event(&self, direction: &str, name: &str, from: i32, to: i32) -> EventRecord {
        let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
        EventRecord::normal(object_reference(self.deployment), "ScalingReplicaSet", message)
    }

    /// The plan made of what was decided.
    pub(super) fn finish(mut self) -> Plan {
        let changed = self.old.iter().chain(&self.new).filter_map(|set| {
            let observed = self
                .observed
                .iter()
                .find(|observed| observed.metadata.uid == set.metadata.uid)?;
            (observed.as_ref() != set).then(|| {
                let sizing = replicas(observed) != replicas(set);
                let mut step = Step::from(Change::update(set.clone()));
                step.on_success = sizing.then(|| {
                    let direction = if replicas(set) > replicas(observed) {
                        "up"
                    } else {
                        "down"
                    };
                    let name = set.metadata.name.as_deref().unwrap_or_default();
                    self.scaled_event(direction, name, replicas(observed), replicas(set))
                });
                step
            })
        });
        let changed: Vec<Step> = changed.collect();
        self.steps.extend(changed);
        // A new revision changes the deployment itself, so that its status has to wait for the next look.
        if let Some(revision) = self.revision.take() {
            let patch = MetadataPatch {
                annotations: [(REVISION.to_owned(), Some(revision))].into(),
                ..MetadataPatch::default()
            };
            self.steps.push(
                Change::PatchMetadata {
                    target: Target::of(self.deployment),
                    patch,
                }
                .into(),
            );
        } else if let Some(status) = self
            .status
            .take()
            .filter(|status| self.deployment.status.as_ref() != Some(status))
        {
            let mut deployment = self.deployment.clone();
            deployment.status = Some(status);
            self.steps.push(Change::update_status(deployment).into());
        }
        Plan {
            steps: self.steps,
            events: Vec::new(),
            look_again_in: self.look_again_in,
        }
    }

    fn resize(&self, set: &mut ReplicaSet, size: i32) {
        if let Some(spec) = &mut set.spec {
            spec.replicas = Some(size);
        }
        self.annotate_size(set);
    }

    fn is_saturated(&self) -> bool {
        let Some(new) = &self.new else { return false };
        let wanted = self.wanted();
        replicas(new) == wanted && annotated(new, DESIRED_REPLICAS) == Some(wanted) && available(new) == wanted
    }

    fn scale_in_proportion(&mut self, active: &[usize], new_active: bool) {
        let most = if self.wanted() > 0 {
            self.wanted() + self.max_surge()
        } else {
            0
        };
        // `None` stands for the new set.
        let mut places: Vec<Option<usize>> = active.iter().copied().map(Some).collect();
        places.extend(new_active.then_some(None));
        let set_at = |place: &Option<usize>| place.map_or(self.new.as_ref(), |index| self.old.get(index));
        let size_at = |place: &Option<usize>| set_at(place).map_or(0, replicas);
        let to_add = most - places.iter().map(size_at).sum::<i32>();
        // Large sets get their share first; among equals the newer one grows and the older one shrinks.
        places.sort_by(|left, right| {
            let age = |place: &Option<usize>| set_at(place).and_then(|set| set.metadata.creation_timestamp.clone());
            let by_age = if to_add > 0 {
                age(right).cmp(&age(left))
            } else {
                age(left).cmp(&age(right))
            };
            size_at(right).cmp(&size_at(left)).then(by_age)
        });
        let mut added = 0;
        let mut sizes = Vec::new();
        for place in &places {
            let share = set_at(place).map_or(0, |set| self.share(set, to_add, added));
            added += share;
            sizes.push(size_at(place) + share);
        }
        if let Some(first) = sizes.first_mut() {
            *first = (*first + to_add - added).max(0);
        }
        for (place, size) in places.into_iter().zip(sizes) {
            match place {
                Some(index) => self.resize_old(index, size),
                None => self.resize_new(size),
            }
        }
    }

    /// A set's share of what is to be added. Source of the rule: `GetReplicaSetProportion`.
    fn share(&self, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
        if replicas(set) == 0 || to_add == 0 || to_add == added {
            return 0;
        }
        let allowed = to_add - added;
        let fraction = self.fraction(set);
        if to_add > 0 {
            fraction.min(allowed)
        } else {
            fraction.max(allowed)
        }
    }

    fn fraction(&self, set: &ReplicaSet) -> i32 {
        if self.wanted() == 0 {
            return -replicas(set);
        }
        let status = self
            .deployment
            .status
            .as_ref()
            .and_then(|status| status.replicas)
            .unwrap_or(0);
        let before = annotated(set, MAX_REPLICAS).filter(|most| *most > 0).unwrap_or(status);
        if before == 0 {
            return 0;
        }
        let after = i64::from(self.wanted() + self.max_surge());
        let scaled = i64::from(replicas(set)) * after;
        let rounded = (scaled * 2 + i64::from(before)) / (2 * i64::from(before));
        i32::try_from(rounded).unwrap_or(i32::MAX) - replicas(set)
    }
}

fn annotated(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}
