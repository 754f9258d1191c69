//! What the region knows, in memory for reading and in the store before anything is done about it.
//!
//! Every change is decided on the present state, written in one transaction, and only then visible: write, then act.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_types::{ClusterName, NodegroupName, SubnetId, VpcId};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::Nodegroup;
use cluster_lifecycle::update::Update;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Outcome, RangeRequest, Store, StoreError, Transaction, Write};
use tokio::sync::Mutex;

use crate::network::{Subnet, Vpc};

/// Everything that the region remembers.
#[derive(Debug, Default, Clone)]
pub struct State {
    /// Clusters.
    pub clusters: BTreeMap<ClusterName, Cluster>,
    /// Node groups.
    pub nodegroups: BTreeMap<(ClusterName, NodegroupName), Nodegroup>,
    /// Updates by their id.
    pub updates: BTreeMap<String, Update>,
    /// VPCs.
    pub vpcs: BTreeMap<VpcId, Vpc>,
    /// Subnets.
    pub subnets: BTreeMap<SubnetId, Subnet>,
}

impl State {
    /// The node groups of a cluster.
    pub fn nodegroups_of<'a>(&'a self, cluster: &'a ClusterName) -> impl Iterator<Item = &'a Nodegroup> {
        self.nodegroups.values().filter(move |group| group.cluster == *cluster)
    }
}

/// One record to write or remove.
#[derive(Debug, Clone)]
pub enum Change {
    /// A cluster as it is now.
    Cluster(Box<Cluster>),
    /// A cluster that is gone, with its updates.
    NoCluster(ClusterName),
    /// A node group as it is now.
    Nodegroup(Box<Nodegroup>),
    /// A node group that is gone.
    NoNodegroup(ClusterName, NodegroupName),
    /// An update as it is now.
    Update(Update),
    /// A VPC as it is now.
    Vpc(Vpc),
    /// A VPC that is gone.
    NoVpc(VpcId),
    /// A subnet as it is now.
    Subnet(Subnet),
    /// A subnet that is gone.
    NoSubnet(SubnetId),
}

/// Why the ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store fails.
    #[error("read the region's records")]
    Read(#[source] StoreError),
    /// A record cannot be understood.
    #[error("understand record {key}")]
    Parse {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The region's records.
pub struct Ledger {
    store: Arc<dyn Store>,
    state: RwLock<State>,
    writing: Mutex<()>,
}

const CLUSTERS: &str = "/eks/clusters/";
const NODEGROUPS: &str = "/eks/nodegroups/";
const UPDATES: &str = "/eks/updates/";
const VPCS: &str = "/ec2/vpcs/";
const SUBNETS: &str = "/ec2/subnets/";

impl Ledger {
    /// Reads everything.
    ///
    /// # Errors
    /// When the store fails or holds what is no record.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, LedgerError> {
        let mut state = State::default();
        for cluster in read::<Cluster>(&*store, CLUSTERS).await? {
            state.clusters.insert(cluster.name.clone(), cluster);
        }
        for group in read::<Nodegroup>(&*store, NODEGROUPS).await? {
            state
                .nodegroups
                .insert((group.cluster.clone(), group.name.clone()), group);
        }
        for update in read::<Update>(&*store, UPDATES).await? {
            state.updates.insert(update.id.clone(), update);
        }
        for vpc in read::<Vpc>(&*store, VPCS).await? {
            state.vpcs.insert(vpc.id.clone(), vpc);
        }
        for subnet in read::<Subnet>(&*store, SUBNETS).await? {
            state.subnets.insert(subnet.id.clone(), subnet);
        }
        Ok(Self {
            store,
            state: RwLock::new(state),
            writing: Mutex::new(()),
        })
    }

    /// Looks at the present state. The closure must be short: writers wait for it.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decides on the present state, writes what is decided, and then makes it visible. Changes happen one after another.
    ///
    /// # Errors
    /// What the decision answers, or a store that fails; nothing is changed then.
    pub async fn change<T, E: From<StoreError>>(
        &self,
        decide: impl FnOnce(&State) -> Result<(T, Vec<Change>), E>,
    ) -> Result<T, E> {
        let _one_at_a_time = self.writing.lock().await;
        let (answer, changes) = self.read(decide)?;
        if changes.is_empty() {
            return Ok(answer);
        }
        let writes = self.read(|state| changes.iter().flat_map(|change| change.writes(state)).collect());
        match self
            .store
            .commit(Transaction {
                expect: Vec::new(),
                writes,
            })
            .await?
        {
            Outcome::Committed { .. } => {}
            // Nothing is expected, so nothing can be refused.
            Outcome::Refused { .. } => {
                return Err(StoreError::Unavailable("a write without conditions was refused".to_owned(), None).into());
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            change.apply(&mut state);
        }
        Ok(answer)
    }
}

async fn read<T: DeserializeOwned>(store: &dyn Store, prefix: &'static str) -> Result<Vec<T>, LedgerError> {
    let found = store
        .range(RangeRequest::prefix(prefix))
        .await
        .map_err(LedgerError::Read)?;
    let parse = |item: store::KeyValue| {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        serde_json::from_slice(&item.value).map_err(|source| LedgerError::Parse { key, source })
    };
    found.items.into_iter().map(parse).collect()
}

fn put(key: String, record: &impl Serialize) -> Write {
    let value = serde_json::to_vec(record).expect("records are plain structures with string keys");
    Write::Put {
        key: key.into(),
        value: value.into(),
        lease: None,
    }
}

fn delete(key: String) -> Write {
    Write::Delete { key: key.into() }
}

impl Change {
    fn writes(&self, state: &State) -> Vec<Write> {
        match self {
            Self::Cluster(cluster) => vec![put(format!("{CLUSTERS}{}", cluster.name), cluster)],
            Self::NoCluster(name) => {
                let updates = state.updates.values().filter(|update| update.cluster == *name);
                let updates = updates.map(|update| delete(format!("{UPDATES}{}", update.id)));
                std::iter::once(delete(format!("{CLUSTERS}{name}")))
                    .chain(updates)
                    .collect()
            }
            Self::Nodegroup(group) => vec![put(format!("{NODEGROUPS}{}/{}", group.cluster, group.name), group)],
            Self::NoNodegroup(cluster, name) => vec![delete(format!("{NODEGROUPS}{cluster}/{name}"))],
            Self::Update(update) => vec![put(format!("{UPDATES}{}", update.id), update)],
            Self::Vpc(vpc) => vec![put(format!("{VPCS}{}", vpc.id), vpc)],
            Self::NoVpc(id) => vec![delete(format!("{VPCS}{id}"))],
            Self::Subnet(subnet) => vec![put(format!("{SUBNETS}{}", subnet.id), subnet)],
            Self::NoSubnet(id) => vec![delete(format!("{SUBNETS}{id}"))],
        }
    }

    fn apply(self, state: &mut State) {
        match self {
            Self::Cluster(cluster) => drop(state.clusters.insert(cluster.name.clone(), *cluster)),
            Self::NoCluster(name) => {
                state.updates.retain(|_, update| update.cluster != name);
                state.clusters.remove(&name);
            }
            Self::Nodegroup(group) => {
                state
                    .nodegroups
                    .insert((group.cluster.clone(), group.name.clone()), *group);
            }
            Self::NoNodegroup(cluster, name) => drop(state.nodegroups.remove(&(cluster, name))),
            Self::Update(update) => drop(state.updates.insert(update.id.clone(), update)),
            Self::Vpc(vpc) => drop(state.vpcs.insert(vpc.id.clone(), vpc)),
            Self::NoVpc(id) => drop(state.vpcs.remove(&id)),
            Self::Subnet(subnet) => drop(state.subnets.insert(subnet.id.clone(), subnet)),
            Self::NoSubnet(id) => drop(state.subnets.remove(&id)),
        }
    }
}
