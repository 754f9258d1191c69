//! What the region knows, in memory for reading and in the store before anything is done about it.
//!
//! Every change is decided on the present state, written in one transaction, and only then visible: write, then act.
//!
//! A ledger is one region's of one account. What IAM and STS remember is the whole account's: each of its regions has it in memory, and a
//! change of it is seen by all of them. [`Books`] are all ledgers of one store.

mod books;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_types::{ClusterName, InstanceId, NodegroupName, SubnetId, VpcId};
use cluster_lifecycle::access_entry::AccessEntry;
use cluster_lifecycle::addon::Addon;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::fargate::{FargateNode, FargateProfile};
use cluster_lifecycle::identity_provider::IdentityProvider;
use cluster_lifecycle::nodegroup::Nodegroup;
use cluster_lifecycle::pod_identity::PodIdentityAssociation;
use cluster_lifecycle::update::Update;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Outcome, RangeRequest, Store, StoreError, Transaction, Write};
use tokio::sync::{Mutex, Notify};

use crate::catalogue::{AccountItem, Item, ItemKind};
use crate::cloudformation::stack::Stack;
use crate::ec2::document::Document;
use crate::fleet::group::AutoScalingGroup;
use crate::fleet::instance::Ec2Instance;
use crate::iam::entity::{Entity, EntityKind};
use crate::iam::key::AccessKey;
use crate::iam::oidc::OidcProvider;
use crate::iam::policy::ManagedPolicy;
use crate::iam::profile::InstanceProfile;
use crate::network::{Subnet, Vpc};
use crate::sts::Session;

pub use books::Books;

/// What the region remembers of one kind of resource.
pub trait Record: Clone + Serialize + DeserializeOwned + Send + 'static {
    /// What tells one from another.
    type Key: Ord + Clone + Send + 'static;
    /// Where they are in the store.
    const FOLDER: &'static str;
    /// This one's key.
    fn key(&self) -> Self::Key;
    /// A key as the rest of a path in the store.
    fn path(key: &Self::Key) -> String;
    /// Those that are there.
    fn table(state: &mut State) -> &mut BTreeMap<Self::Key, Self>;
}

/// Declares [`State`] and where each kind of record is kept: kind, field, folder, key, and how the key is written.
macro_rules! records {
    ($($(#[$doc:meta])* $kind:ty, $field:ident, $folder:literal, $key:ty, $of:expr, $path:expr;)*) => {
        /// Everything that the region remembers.
        #[derive(Debug, Default, Clone)]
        pub struct State {
            $($(#[$doc])* pub $field: BTreeMap<$key, $kind>,)*
        }

        $(impl Record for $kind {
            type Key = $key;
            const FOLDER: &'static str = $folder;
            fn key(&self) -> $key {
                let of: fn(&$kind) -> $key = $of;
                of(self)
            }
            fn path(key: &$key) -> String {
                let path: fn(&$key) -> String = $path;
                path(key)
            }
            fn table(state: &mut State) -> &mut BTreeMap<$key, $kind> {
                &mut state.$field
            }
        })*

        impl State {
            /// Reads what an account, or one of its regions, remembers below a prefix.
            async fn load(&mut self, store: &dyn Store, prefix: &str, of: Owner) -> Result<(), LedgerError> {
                $(if owner::<$kind>() == of {
                    for record in read::<$kind>(store, prefix).await? {
                        self.$field.insert(record.key(), record);
                    }
                })*
                Ok(())
            }

            /// Takes over what an account remembers for all of its regions.
            fn share(&mut self, other: &Self) {
                $(if owner::<$kind>() == Owner::Account {
                    self.$field.clone_from(&other.$field);
                })*
            }
        }
    };
}

records! {
    /// Clusters.
    Cluster, clusters, "/eks/clusters/", ClusterName, |cluster| cluster.name.clone(), ToString::to_string;
    /// Node groups.
    Nodegroup, nodegroups, "/eks/nodegroups/", (ClusterName, NodegroupName),
        |group| (group.cluster.clone(), group.name.clone()), |(cluster, name)| format!("{cluster}/{name}");
    /// Updates by their id.
    Update, updates, "/eks/updates/", String, |update| update.id.clone(), Clone::clone;
    /// Add-ons.
    Addon, addons, "/eks/addons/", (ClusterName, String),
        |addon| (addon.cluster.clone(), addon.name.clone()), |(cluster, name)| format!("{cluster}/{name}");
    /// Access entries by principal.
    AccessEntry, access_entries, "/eks/access-entries/", (ClusterName, String),
        |entry| (entry.cluster.clone(), entry.principal_arn.clone()), |(cluster, arn)| format!("{cluster}/{arn}");
    /// Pod identity associations by id.
    PodIdentityAssociation, pod_identities, "/eks/pod-identities/", (ClusterName, String),
        |known| (known.cluster.clone(), known.id.clone()), |(cluster, id)| format!("{cluster}/{id}");
    /// OIDC identity providers of clusters.
    IdentityProvider, identity_providers, "/eks/identity-providers/", (ClusterName, String),
        |known| (known.cluster.clone(), known.name.clone()), |(cluster, name)| format!("{cluster}/{name}");
    /// Fargate profiles.
    FargateProfile, fargate_profiles, "/eks/fargate-profiles/", (ClusterName, String),
        |profile| (profile.cluster.clone(), profile.name.clone()), |(cluster, name)| format!("{cluster}/{name}");
    /// Nodes of Fargate's pods, by the pod's uid.
    FargateNode, fargate_nodes, "/eks/fargate-nodes/", (ClusterName, String),
        |node| (node.cluster.clone(), node.uid.clone()), |(cluster, uid)| format!("{cluster}/{uid}");
    /// The rest of EC2, by id.
    Document, documents, "/ec2/documents/", String, |document| document.id.clone(), Clone::clone;
    /// Instances that no managed node group has.
    Ec2Instance, instances, "/ec2/instances/", InstanceId, |instance| instance.id.clone(), ToString::to_string;
    /// Auto Scaling groups that no managed node group has.
    AutoScalingGroup, groups, "/autoscaling/groups/", String, |group| group.name.clone(), Clone::clone;
    /// Resources of the smaller services.
    Item, items, "/catalogue/", (ItemKind, String), |item| (item.kind, item.key.clone()),
        |(kind, key)| format!("{kind:?}/{key}");
    /// VPCs.
    Vpc, vpcs, "/ec2/vpcs/", VpcId, |vpc| vpc.id.clone(), ToString::to_string;
    /// Subnets.
    Subnet, subnets, "/ec2/subnets/", SubnetId, |subnet| subnet.id.clone(), ToString::to_string;
    /// Stacks, by ARN.
    Stack, stacks, "/cloudformation/stacks/", String, |stack| stack.id.clone(), Clone::clone;
    /// IAM's users, groups and roles.
    Entity, entities, "/iam/entities/", (EntityKind, String),
        |entity| (entity.kind, entity.name.clone()), |(kind, name)| format!("{}/{name}", kind.name());
    /// Managed policies of the account, by ARN.
    ManagedPolicy, policies, "/iam/policies/", String, |policy| policy.arn.clone(), Clone::clone;
    /// Instance profiles.
    InstanceProfile, instance_profiles, "/iam/instance-profiles/", String, |profile| profile.name.clone(), Clone::clone;
    /// OIDC identity providers, by ARN.
    OidcProvider, oidc_providers, "/iam/oidc-providers/", String, |provider| provider.arn.clone(), Clone::clone;
    /// The rest of IAM.
    AccountItem, account_items, "/iam/items/", (ItemKind, String), |item| (item.0.kind, item.0.key.clone()),
        |(kind, key)| format!("{kind:?}/{key}");
    /// Access keys of users.
    AccessKey, access_keys, "/iam/access-keys/", String, |key| key.id.clone(), Clone::clone;
    /// Temporary credentials.
    Session, sessions, "/sts/sessions/", String, |session| session.access_key_id.clone(), Clone::clone;
}

impl State {
    /// The node groups of a cluster.
    pub fn nodegroups_of<'a>(&'a self, cluster: &'a ClusterName) -> impl Iterator<Item = &'a Nodegroup> {
        self.nodegroups.values().filter(move |group| group.cluster == *cluster)
    }

    /// The Fargate profiles of a cluster.
    pub fn fargate_profiles_of<'a>(&'a self, cluster: &'a ClusterName) -> impl Iterator<Item = &'a FargateProfile> {
        let all = self.fargate_profiles.values();
        all.filter(move |profile| profile.cluster == *cluster)
    }

    /// The nodes of a cluster's Fargate pods.
    pub fn fargate_nodes_of<'a>(&'a self, cluster: &'a ClusterName) -> impl Iterator<Item = &'a FargateNode> {
        self.fargate_nodes.values().filter(move |node| node.cluster == *cluster)
    }

    /// What goes with a cluster that is gone.
    pub fn without_cluster(&self, name: &ClusterName) -> Vec<Change> {
        let updates = self.updates.values().filter(|update| update.cluster == *name);
        let mut changes: Vec<Change> = updates
            .map(|update| Change::remove::<Update>(update.id.clone()))
            .collect();
        Self::of_cluster::<Addon>(&self.addons, name, &mut changes);
        Self::of_cluster::<AccessEntry>(&self.access_entries, name, &mut changes);
        Self::of_cluster::<PodIdentityAssociation>(&self.pod_identities, name, &mut changes);
        Self::of_cluster::<IdentityProvider>(&self.identity_providers, name, &mut changes);
        Self::of_cluster::<FargateProfile>(&self.fargate_profiles, name, &mut changes);
        Self::of_cluster::<FargateNode>(&self.fargate_nodes, name, &mut changes);
        if let Some(cluster) = self.clusters.get(name) {
            changes.push(Change::remove::<Document>(
                cluster.network.cluster_security_group_id.clone(),
            ));
        }
        changes.push(Change::remove::<Cluster>(name.clone()));
        changes
    }
}

impl State {
    /// Removes the records of one kind that belong to a cluster.
    fn of_cluster<R: Record<Key = (ClusterName, String)>>(
        table: &BTreeMap<R::Key, R>,
        name: &ClusterName,
        changes: &mut Vec<Change>,
    ) {
        let own = table.keys().filter(|(cluster, _)| cluster == name).cloned();
        changes.extend(own.map(Change::remove::<R>));
    }
}

/// Whose a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The account's, in every region.
    Account,
    /// A region's.
    Region,
}

/// IAM and STS are the same in every region; whatever else there is stands in one.
fn owner<R: Record>() -> Owner {
    if R::FOLDER.starts_with("/iam/") || R::FOLDER.starts_with("/sts/") {
        Owner::Account
    } else {
        Owner::Region
    }
}

/// One record to write or remove.
pub struct Change {
    owner: Owner,
    /// Below the owner's prefix.
    key: String,
    /// Nothing for one that is gone.
    value: Option<Vec<u8>>,
    apply: Box<dyn Fn(&mut State) + Send>,
}

impl Change {
    /// A record as it is now.
    pub fn put<R: Record>(record: R) -> Self {
        let value = serde_json::to_vec(&record).expect("records are plain structures with string keys");
        Self {
            owner: owner::<R>(),
            key: format!("{}{}", R::FOLDER, R::path(&record.key())),
            value: Some(value),
            apply: Box::new(move |state| drop(R::table(state).insert(record.key(), record.clone()))),
        }
    }

    /// A record that is gone.
    pub fn remove<R: Record>(key: R::Key) -> Self {
        Self {
            owner: owner::<R>(),
            key: format!("{}{}", R::FOLDER, R::path(&key)),
            value: None,
            apply: Box::new(move |state| drop(R::table(state).remove(&key))),
        }
    }

    fn write(&self, prefix: &str) -> Write {
        let key = format!("{prefix}{}", self.key).into();
        match &self.value {
            Some(value) => Write::Put {
                key,
                value: value.clone().into(),
                lease: None,
            },
            None => Write::Delete { key },
        }
    }
}

/// Why the ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store fails.
    #[error("read the region's records")]
    Read(#[source] StoreError),
    /// The store fails.
    #[error("write the region's records")]
    Write(#[source] StoreError),
    /// What every account has at first cannot be made.
    #[error("make the first records of an account")]
    Account(#[source] Box<dyn std::error::Error + Send + Sync>),
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

/// What all regions of an account share.
struct Account {
    /// Where its records are in the store.
    prefix: String,
    /// What each of its regions knows.
    states: RwLock<Vec<Arc<RwLock<State>>>>,
    /// Changes happen one after another.
    writing: Mutex<()>,
}

/// A region's records.
pub struct Ledger {
    store: Arc<dyn Store>,
    /// Where its records are in the store.
    prefix: String,
    account: Arc<Account>,
    state: Arc<RwLock<State>>,
    changed: Notify,
}

impl Ledger {
    /// As if something had been changed.
    pub fn look_again(&self) {
        self.changed.notify_one();
    }

    /// Ends when something was changed since it ended last. There is one who waits.
    pub async fn changed(&self) {
        self.changed.notified().await;
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
        let _one_at_a_time = self.account.writing.lock().await;
        let (answer, changes) = self.read(decide)?;
        if changes.is_empty() {
            return Ok(answer);
        }
        // A record that a decision writes twice is as it was written last.
        let place = |change: &Change| (change.owner == Owner::Account, change.key.clone());
        let last: BTreeMap<(bool, String), &Change> = changes.iter().map(|change| (place(change), change)).collect();
        let writes = last.into_values().map(|change| match change.owner {
            Owner::Account => change.write(&self.account.prefix),
            Owner::Region => change.write(&self.prefix),
        });
        let transaction = Transaction {
            expect: Vec::new(),
            writes: writes.collect(),
        };
        match self.store.commit(transaction).await? {
            Outcome::Committed { .. } => {}
            // Nothing is expected, so nothing can be refused.
            Outcome::Refused { .. } => {
                return Err(StoreError::Unavailable("a write without conditions was refused".to_owned(), None).into());
            }
        }
        self.apply(&changes);
        self.changed.notify_one();
        Ok(answer)
    }

    fn apply(&self, changes: &[Change]) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        changes.iter().for_each(|change| (change.apply)(&mut state));
        drop(state);
        let shared: Vec<&Change> = changes.iter().filter(|change| change.owner == Owner::Account).collect();
        if shared.is_empty() {
            return;
        }
        let states = self.account.states.read().unwrap_or_else(PoisonError::into_inner);
        for state in states.iter().filter(|state| !Arc::ptr_eq(state, &self.state)) {
            let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
            shared.iter().for_each(|change| (change.apply)(&mut state));
        }
    }
}

async fn read<R: Record>(store: &dyn Store, prefix: &str) -> Result<Vec<R>, LedgerError> {
    let found = store
        .range(RangeRequest::prefix(format!("{prefix}{}", R::FOLDER)))
        .await
        .map_err(LedgerError::Read)?;
    let parse = |item: store::KeyValue| {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        serde_json::from_slice(&item.value).map_err(|source| LedgerError::Parse { key, source })
    };
    found.items.into_iter().map(parse).collect()
}
