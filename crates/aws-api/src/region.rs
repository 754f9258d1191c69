//! One AWS region of one account: its records, its operations, and the tasks that make the records true.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use access_rules::{Attributes, User};
use aws_types::region_files::Credentials;
use aws_types::{AccountId, ClusterName, RegionName};
use clock::{Clock, Random};
use futures::StreamExt;
use store::Store;
use supervision::{Restart, Supervisor};
use tokio::sync::Notify;

use crate::caller::{Identities, TokenError};
use crate::control_plane_logs::{self, LogKind};
use crate::host::{ClusterHost, ClusterRef};
use crate::ledger::Ledger;
use crate::partition::Partition;
use crate::{access, cloudformation, cloudtrail, driver, fleet, security};

/// What a partition is made of.
pub struct Options {
    /// Where its records are.
    pub store: Arc<dyn Store>,
    /// Who does its work.
    pub host: Arc<dyn ClusterHost>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub random: Arc<dyn Random>,
    /// Its tasks.
    pub supervisor: Supervisor,
    /// The region that is meant where none is named.
    pub region: RegionName,
    /// The keys of the first account's administrator ([`crate::credentials::load_or_create`]).
    pub credentials: Credentials,
    /// Where the keys of further accounts' administrators are, a file for each.
    pub accounts: Option<PathBuf>,
    /// Whether clients that call too often are told so, as AWS tells them.
    pub throttled: bool,
    /// Where clients on this machine reach the region by TLS, for example `https://localhost:4566`: the base of the issuers of new clusters.
    pub tls_endpoint: String,
}

/// A region of an account. Cheap to share.
pub struct Region {
    /// All others. It outlives the requests that are answered.
    partition: Weak<Partition>,
    pub(crate) ledger: Ledger,
    pub(crate) host: Arc<dyn ClusterHost>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) identities: Identities,
    pub(crate) name: RegionName,
    /// Where clients on this machine reach the region by TLS.
    pub(crate) tls_endpoint: String,
    supervisor: Supervisor,
    drivers: Mutex<BTreeMap<ClusterName, Arc<Notify>>>,
    /// Stacks that have a task.
    pub(crate) stacks_at_work: cloudformation::AtWork,
    fleet: Arc<Notify>,
    /// Held while networks are told of security groups.
    pub(crate) securing: tokio::sync::Mutex<()>,
    /// Tells those who wait for messages of a queue that there may be some.
    pub(crate) messages: Notify,
    /// Calls that changed something.
    pub(crate) trail: cloudtrail::Trail,
    /// What control planes say and is not written down yet.
    pub(crate) lines: control_plane_logs::Lines,
}

impl Region {
    /// The region of that name, with its records.
    pub(crate) fn new(partition: &Arc<Partition>, name: RegionName, ledger: Ledger, identities: Identities) -> Self {
        Self {
            partition: Arc::downgrade(partition),
            ledger,
            host: Arc::clone(&partition.host),
            clock: Arc::clone(&partition.clock),
            random: Arc::clone(&partition.random),
            identities,
            name,
            tls_endpoint: partition.tls_endpoint.clone(),
            supervisor: partition.supervisor.clone(),
            drivers: Mutex::new(BTreeMap::new()),
            stacks_at_work: cloudformation::AtWork::default(),
            fleet: Arc::default(),
            securing: tokio::sync::Mutex::default(),
            messages: Notify::new(),
            trail: cloudtrail::Trail::default(),
            lines: control_plane_logs::Lines::default(),
        }
    }

    /// The other accounts and regions; `None` when the process ends.
    pub(crate) fn partition(&self) -> Option<Arc<Partition>> {
        self.partition.upgrade()
    }

    /// Continues what the records say: control planes are started, half-made and half-deleted resources are finished, lost
    /// instances are replaced. Returns at once; the work is done by tasks.
    pub(crate) fn resume(self: &Arc<Self>) {
        for name in self
            .ledger
            .read(|state| state.clusters.keys().cloned().collect::<Vec<_>>())
        {
            self.drive(&name);
        }
        cloudformation::resume(self);
        let (region, notify) = (Arc::clone(self), Arc::clone(&self.fleet));
        self.supervisor
            .spawn_until_cancelled("ec2 instances".to_owned(), fleet::run(region, notify));
        self.supervisor
            .spawn_until_cancelled("security groups".to_owned(), security::follow(Arc::clone(self)));
        let region = Arc::clone(self);
        self.supervisor
            .spawn_until_cancelled("control plane logs", control_plane_logs::run(region));
        let region = Arc::clone(self);
        self.supervisor
            .spawn_restarting("instance events", Restart::always(), move || {
                let region = Arc::clone(&region);
                async move {
                    let mut events = region.host.instance_events();
                    let mut pods = region.host.fargate_events();
                    loop {
                        let cluster = tokio::select! {
                            Some(event) = events.next() => event.instance.cluster,
                            Some(cluster) = pods.next() => cluster,
                            else => break,
                        };
                        if cluster.region == region.name && cluster.account == *region.account() {
                            region.wake(&cluster.name);
                            region.wake_fleet();
                        }
                    }
                    Ok::<(), std::convert::Infallible>(())
                }
            });
    }

    /// The Fargate profile that takes a pod of these labels, if one does.
    pub fn fargate_profile_for(
        &self,
        cluster: &ClusterName,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<String> {
        self.ledger.read(|state| {
            let profiles = state.fargate_profiles_of(cluster);
            let found = cluster_lifecycle::fargate::profile_for(profiles, namespace, labels);
            found.map(|profile| profile.name.clone())
        })
    }

    /// The Kubernetes user behind a bearer token of `aws eks get-token`; `None` for a token of another kind.
    ///
    /// # Errors
    /// When the token proves nothing, or its identity has no access to the cluster.
    pub async fn authenticate_eks_token(&self, cluster: &ClusterName, token: &str) -> Result<Option<User>, TokenError> {
        let outcome = self.mapped(cluster, token).await;
        let at = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let line = match &outcome {
            Ok(Some((user, arn))) => format!(
                "time=\"{at}\" level=info msg=\"access granted\" arn=\"{arn}\" groups=\"{:?}\" method=POST path=/authenticate uid=\"{}\" username=\"{}\"",
                user.groups,
                user.uid.as_deref().unwrap_or_default(),
                user.name
            ),
            Ok(None) => return Ok(None),
            Err(error) => format!(
                "time=\"{at}\" level=warning msg=\"access denied\" error={:?} method=POST path=/authenticate",
                supervision::error_chain(error)
            ),
        };
        self.log(cluster, LogKind::Authenticator, line);
        outcome.map(|found| found.map(|(user, _)| user))
    }

    /// The user behind a token, and the ARN that it was mapped from.
    async fn mapped(&self, cluster: &ClusterName, token: &str) -> Result<Option<(User, String)>, TokenError> {
        let no_cluster = || TokenError::NoCluster(cluster.to_string());
        let partition = self.partition().ok_or_else(no_cluster)?;
        let Some(caller) = partition.authenticate_token(cluster.as_str(), token)? else {
            return Ok(None);
        };
        let found = self.ledger.read(|state| {
            let known = state.clusters.get(cluster).ok_or_else(no_cluster)?;
            let user = access::by_records(state, known, &caller);
            Ok::<_, TokenError>((known.clone(), user))
        })?;
        let (known, user) = found;
        if let Some(user) = user {
            return Ok(Some((user, caller.canonical_arn())));
        }
        let not_mapped = || TokenError::NotMapped {
            arn: caller.arn.clone(),
            cluster: cluster.to_string(),
        };
        if known.authentication_mode == "API" {
            return Err(not_mapped());
        }
        let data = self.host.identity_mappings(self.cluster_ref(cluster)).await;
        let data = data.map_err(|error| TokenError::Mappings {
            cluster: cluster.to_string(),
            source: Box::new(error),
        })?;
        let user = self
            .ledger
            .read(|state| access::by_config_map(state, &known, &caller, &data));
        user.map(|user| Some((user, caller.canonical_arn())))
            .ok_or_else(not_mapped)
    }

    /// Whether an access policy of the identity behind a user allows what is asked in a cluster, and which.
    pub fn access_policy_allows(&self, cluster: &ClusterName, attributes: &Attributes<'_>) -> Option<String> {
        self.ledger
            .read(|state| access::allows(state, state.clusters.get(cluster)?, attributes))
    }

    /// Whether pods of a service account get a role by EKS Pod Identity.
    pub fn has_pod_identity(&self, cluster: &ClusterName, namespace: &str, service_account: &str) -> bool {
        self.ledger.read(|state| {
            let mut known = state.pod_identities.values().filter(|known| known.cluster == *cluster);
            known.any(|known| known.namespace == namespace && known.service_account == service_account)
        })
    }

    /// The issuer of a cluster's service-account tokens.
    pub fn issuer(&self, cluster: &ClusterName) -> Option<String> {
        self.ledger.read(|state| {
            state
                .clusters
                .get(cluster)
                .map(|cluster| cluster.network.oidc_issuer.clone())
        })
    }

    /// The account whose region this is.
    pub fn account(&self) -> &AccountId {
        self.identities.account()
    }

    /// A cluster of this region.
    pub fn cluster_ref(&self, name: &ClusterName) -> ClusterRef {
        ClusterRef {
            account: self.account().clone(),
            region: self.name.clone(),
            name: name.clone(),
        }
    }

    /// An id such as `vpc-` and 17 hexadecimal digits.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.random.hex(17))
    }

    /// Makes sure that a task works on the cluster, and tells it to look.
    pub(crate) fn drive(self: &Arc<Self>, name: &ClusterName) {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = drivers.get(name) {
            notify.notify_one();
            return;
        }
        let notify = Arc::new(Notify::new());
        drivers.insert(name.clone(), Arc::clone(&notify));
        let (region, cluster) = (Arc::clone(self), name.clone());
        self.supervisor
            .spawn_until_cancelled(format!("eks cluster {name}"), async move {
                driver::run(Arc::clone(&region), cluster.clone(), notify).await;
            });
    }

    /// Tells the cluster's task to look, if there is one.
    pub(crate) fn wake(&self, name: &ClusterName) {
        if let Some(notify) = self.drivers.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            notify.notify_one();
        }
    }

    /// Tells the task of instances and Auto Scaling groups to look.
    pub(crate) fn wake_fleet(&self) {
        self.fleet.notify_one();
    }

    /// The task of a cluster that is gone ends; one that was made meanwhile under the same name gets a task of its own.
    pub(crate) fn retire(self: &Arc<Self>, name: &ClusterName) {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if self.ledger.read(|state| state.clusters.contains_key(name)) {
            self.drive(name);
        }
    }

    pub(crate) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }
}
