//! A cluster without a server: plans are carried out on the world they were made from, until nothing changes any more.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube_types::ObjectKey;
use plan::{AnyController, AnyObject, Change, MetadataPatch, Observed, Plan, Target, World, whole_seconds};

/// The cluster, its clock, and what its controllers said.
pub(crate) struct Simulation {
    pub world: World,
    pub now: Timestamp,
    /// `reason: message` of every event, in order.
    pub events: Vec<String>,
    /// Runs after each round of plans; holds the assertions that must be true at every moment.
    pub invariant: fn(&World),
    controllers: Vec<Box<dyn AnyController>>,
    revision: u64,
}

macro_rules! for_object {
    ($object:expr, $value:ident => $body:expr) => {
        match $object {
            AnyObject::Pod($value) => $body,
            AnyObject::Node($value) => $body,
            AnyObject::Namespace($value) => $body,
            AnyObject::Service($value) => $body,
            AnyObject::Endpoints($value) => $body,
            AnyObject::EndpointSlice($value) => $body,
            AnyObject::ServiceAccount($value) => $body,
            AnyObject::ConfigMap($value) => $body,
            AnyObject::Deployment($value) => $body,
            AnyObject::ReplicaSet($value) => $body,
            AnyObject::DaemonSet($value) => $body,
            AnyObject::ControllerRevision($value) => $body,
            AnyObject::Job($value) => $body,
            AnyObject::StatefulSet($value) => $body,
            AnyObject::CronJob($value) => $body,
            AnyObject::PersistentVolumeClaim($value) => $body,
            AnyObject::ResourceQuota($value) => $body,
            other => panic!("the simulation has no {}", other.kind()),
        }
    };
}

impl Simulation {
    pub fn new(controllers: Vec<Box<dyn AnyController>>) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Self {
            world: World::default(),
            now,
            events: Vec::new(),
            invariant: |_| {},
            controllers,
            revision: 100,
        }
    }

    /// Puts an object into the cluster as a user would.
    pub fn create<K: Observed>(&mut self, mut object: K) -> Arc<K> {
        self.revision += 1;
        let (revision, now) = (self.revision, self.now);
        let metadata = object.metadata_mut();
        if metadata.name.is_none() {
            metadata.name = Some(format!(
                "{}{revision}",
                metadata.generate_name.clone().unwrap_or_default()
            ));
        }
        metadata.uid = Some(format!("uid-{revision}"));
        metadata.resource_version = Some(revision.to_string());
        metadata.generation = Some(1);
        metadata.creation_timestamp = Some(whole_seconds(now));
        let object = Arc::new(object);
        K::index_mut(&mut self.world).insert(object.clone());
        object
    }

    /// Changes an object; `spec` says whether its generation goes up.
    pub fn edit<K: Observed>(&mut self, namespace: &str, name: &str, spec: bool, edit: impl FnOnce(&mut K)) {
        let mut object = K::index(&self.world)
            .named(namespace, name)
            .expect("the object exists")
            .as_ref()
            .clone();
        edit(&mut object);
        self.store(object, spec);
    }

    pub fn advance(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// Runs every controller on every root until no plan changes anything; more than `most` rounds are a hot loop.
    pub fn settle(&mut self, most: usize) -> usize {
        for round in 0..most {
            if !self.round() {
                return round;
            }
        }
        panic!("not settled after {most} rounds; events: {:#?}", self.events);
    }

    /// One plan for every root; true when any changed something.
    pub fn round(&mut self) -> bool {
        let mut changed = false;
        for index in 0..self.controllers.len() {
            let roots = self.roots(index);
            for root in roots {
                let plan = self.controllers[index].plan(&root, &self.world, self.now).plan;
                changed |= !plan.steps.is_empty();
                self.apply(plan);
                (self.invariant)(&self.world);
            }
        }
        changed
    }

    /// What the agents of the nodes would do for the pods chosen: run them and report them ready.
    pub fn make_ready(&mut self, choose: impl Fn(&Pod) -> bool) {
        let pods: Vec<Arc<Pod>> = self.world.pods.all().filter(|pod| choose(pod)).cloned().collect();
        for pod in pods {
            let mut pod = pod.as_ref().clone();
            pod.status = Some(PodStatus {
                phase: Some("Running".into()),
                pod_ip: Some(format!("10.0.0.{}", self.world.pods.len())),
                conditions: Some(vec![PodCondition {
                    type_: "Ready".into(),
                    status: "True".into(),
                    last_transition_time: Some(Time(self.now)),
                    ..PodCondition::default()
                }]),
                ..PodStatus::default()
            });
            self.store(pod, false);
        }
    }

    /// What the agents would do for pods that are being deleted: end them.
    pub fn finish_deletions(&mut self) {
        let deleting = self
            .world
            .pods
            .all()
            .filter(|pod| pod.metadata.deletion_timestamp.is_some());
        let keys: Vec<ObjectKey> = deleting.map(|pod| ObjectKey::of(pod.as_ref())).collect();
        for key in keys {
            self.world.pods.remove(&key);
        }
    }

    fn roots(&self, controller: usize) -> Vec<ObjectKey> {
        let kind = self.controllers[controller].root();
        macro_rules! keys {
            ($($kind:ident => $field:ident),+) => {
                match kind {
                    $(plan::Kind::$kind => self.world.$field.keys().cloned().collect(),)+
                    other => panic!("the simulation has no roots of kind {other}"),
                }
            };
        }
        keys!(Deployment => deployments, ReplicaSet => replica_sets, DaemonSet => daemon_sets, Service => services,
              Namespace => namespaces, Node => nodes, Pod => pods, Job => jobs, StatefulSet => stateful_sets,
              CronJob => cron_jobs, Endpoints => endpoints, ResourceQuota => resource_quotas)
    }

    fn apply(&mut self, plan: Plan) {
        self.events.extend(
            plan.events
                .iter()
                .map(|event| format!("{}: {}", event.reason, event.message)),
        );
        for step in plan.steps {
            let name = self.carry_out(step.change);
            if let Some(event) = step.on_success {
                self.events
                    .push(format!("{}: {}", event.reason, event.message.replace("{name}", &name)));
            }
        }
    }

    /// Carries out a change and gives the name of its object.
    fn carry_out(&mut self, change: Change) -> String {
        match change {
            Change::Create(object) => {
                for_object!(object, object => self.create(*object).metadata.name.clone().unwrap())
            }
            Change::Update(object) => for_object!(object, object => self.store(*object, true)),
            Change::UpdateStatus(object) => for_object!(object, object => self.store(*object, false)),
            Change::PatchMetadata { target, patch } => self.patch(&target, patch),
            Change::Delete { target, .. } => self.delete(&target),
            other => panic!("the simulation cannot carry out {other:?}"),
        }
    }

    fn store<K: Observed>(&mut self, mut object: K, spec: bool) -> String {
        let key = ObjectKey::of(&object);
        let stored = K::index(&self.world)
            .get(&key)
            .unwrap_or_else(|| panic!("{key} exists"));
        assert_eq!(
            stored.metadata().resource_version,
            object.metadata().resource_version,
            "conflict on {key}"
        );
        self.revision += 1;
        let metadata = object.metadata_mut();
        metadata.resource_version = Some(self.revision.to_string());
        if spec {
            metadata.generation = metadata.generation.map(|generation| generation + 1);
        }
        K::index_mut(&mut self.world).insert(Arc::new(object));
        key.name
    }

    fn patch(&mut self, target: &Target, patch: MetadataPatch) -> String {
        match target.resource.kind.as_str() {
            "Pod" => self.patch_typed::<Pod>(target, patch),
            "ReplicaSet" => self.patch_typed::<k8s_openapi::api::apps::v1::ReplicaSet>(target, patch),
            "Deployment" => self.patch_typed::<k8s_openapi::api::apps::v1::Deployment>(target, patch),
            "Service" => self.patch_typed::<k8s_openapi::api::core::v1::Service>(target, patch),
            "PersistentVolumeClaim" => {
                self.patch_typed::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(target, patch)
            }
            other => panic!("the simulation does not patch {other}"),
        }
    }

    fn patch_typed<K: Observed>(&mut self, target: &Target, patch: MetadataPatch) -> String {
        let mut object = K::index(&self.world)
            .get(&target.key())
            .expect("the object exists")
            .as_ref()
            .clone();
        patch_metadata(object.metadata_mut(), patch);
        self.store(object, false)
    }

    fn delete(&mut self, target: &Target) -> String {
        let key = target.key();
        match target.resource.kind.as_str() {
            "Pod" => {
                if let Some(pod) = self.world.pods.get(&key).cloned() {
                    let mut pod = pod.as_ref().clone();
                    pod.metadata.deletion_timestamp = Some(Time(self.now));
                    self.store(pod, false);
                }
            }
            "ReplicaSet" => drop(self.world.replica_sets.remove(&key)),
            "EndpointSlice" => drop(self.world.endpoint_slices.remove(&key)),
            "Endpoints" => drop(self.world.endpoints.remove(&key)),
            "Job" => drop(self.world.jobs.remove(&key)),
            "Node" => drop(self.world.nodes.remove(&key)),
            "ControllerRevision" => drop(self.world.controller_revisions.remove(&key)),
            other => panic!("the simulation does not delete {other}"),
        }
        target.name.clone()
    }
}

fn patch_metadata(metadata: &mut ObjectMeta, patch: MetadataPatch) {
    if let Some(owners) = patch.owner_references {
        metadata.owner_references = Some(owners);
    }
    if let Some(finalizers) = patch.finalizers {
        metadata.finalizers = Some(finalizers);
    }
    let annotations = metadata.annotations.get_or_insert_default();
    for (key, value) in patch.annotations {
        match value {
            Some(value) => annotations.insert(key, value),
            None => annotations.remove(&key),
        };
    }
}
