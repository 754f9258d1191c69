//! All accounts and regions of one process: AWS as far as a client can see. Keys say which account calls, and a signature's scope which
//! region is meant; a region of an account is there as soon as somebody asks it something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use access_rules::eks_token::{EksToken, EksTokenError};
use access_rules::sigv4::{self, Presented};
use aws_types::{AccountId, RegionName};
use axum::Router;
use clock::{Clock, Random};
use jiff::Timestamp;
use serde_json::json;
use supervision::Supervisor;
use tokio::sync::Mutex;

use crate::accounts::Accounts;
use crate::caller::{AuthenticationError, Caller, Identities, TokenError};
use crate::error::ApiError;
use crate::host::{ClusterHost, ClusterRef};
use crate::iam::entity::{Entity, EntityKind};
use crate::ledger::{Books, Change, LedgerError, State};
use crate::operations::Context;
use crate::region::{Options, Region};
use crate::throttle::Throttle;
use crate::{control, issuer, server};

/// The role of every account but the first, which the first account's administrators may assume; AWS Organizations makes it.
const ORGANIZATION_ROLE: &str = "OrganizationAccountAccessRole";

/// All accounts and regions.
pub struct Partition {
    books: Books,
    accounts: Accounts,
    /// The region that unsigned requests and commands mean.
    home: RegionName,
    pub(crate) host: Arc<dyn ClusterHost>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) supervisor: Supervisor,
    pub(crate) tls_endpoint: String,
    /// What clients may call, where that is limited.
    pub(crate) throttle: Option<Throttle>,
    regions: RwLock<BTreeMap<(AccountId, RegionName), Arc<Region>>>,
    /// Held while a region is made.
    making: Mutex<()>,
    /// Whether regions work on what their records say.
    resumed: AtomicBool,
}

impl Partition {
    /// Reads the records of every account and region. Nothing is done yet: see [`Partition::resume`].
    ///
    /// # Errors
    /// When the store fails or holds what is no record.
    pub async fn open(options: Options) -> Result<Arc<Self>, LedgerError> {
        let first = options.credentials.account_id.clone();
        let books = Books::open(options.store, &first, &options.region).await?;
        let mut known = books.known().await?;
        known.insert((first, options.region.clone()));
        let partition = Arc::new(Self {
            books,
            accounts: Accounts::new(options.credentials, options.accounts),
            home: options.region,
            host: options.host,
            clock: options.clock,
            random: options.random,
            supervisor: options.supervisor,
            tls_endpoint: options.tls_endpoint,
            throttle: options.throttled.then(Throttle::default),
            regions: RwLock::default(),
            making: Mutex::default(),
            resumed: AtomicBool::new(false),
        });
        for (account, region) in known {
            partition.make(&account, &region).await?;
        }
        Ok(partition)
    }

    /// The HTTP service: every AWS service of every account and region on one endpoint, the documents of the clusters' issuers, and
    /// Ondol's own below `/_ondol/`.
    pub fn router(self: &Arc<Self>) -> Router {
        control::routes(self)
            .merge(issuer::routes(self))
            .fallback_service(server::service(self))
    }

    /// Continues what the records of every region say.
    pub fn resume(self: &Arc<Self>) {
        self.resumed.store(true, Ordering::SeqCst);
        self.regions().iter().for_each(Region::resume);
    }

    /// Every region of every account that somebody has asked something, the home first.
    pub fn regions(&self) -> Vec<Arc<Region>> {
        let regions = self.regions.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Arc<Region>> = regions.values().cloned().collect();
        all.sort_by_key(|region| !self.is_home(region));
        all
    }

    fn is_home(&self, region: &Region) -> bool {
        region.account() == self.accounts.first() && region.name == self.home
    }

    /// The first account's region that the process was started as.
    ///
    /// # Panics
    /// Never: it is made when the partition is opened.
    pub fn home(&self) -> Arc<Region> {
        self.existing(self.accounts.first(), &self.home)
            .expect("the home is made when the partition is opened")
    }

    /// A region of an account, if somebody has asked it something.
    pub fn existing(&self, account: &AccountId, region: &RegionName) -> Option<Arc<Region>> {
        let regions = self.regions.read().unwrap_or_else(PoisonError::into_inner);
        regions.get(&(account.clone(), region.clone())).cloned()
    }

    /// The region that a cluster is in.
    pub fn of(&self, cluster: &ClusterRef) -> Option<Arc<Region>> {
        self.existing(&cluster.account, &cluster.region)
    }

    /// Whether there is such a region.
    pub(crate) fn has_region(&self, name: &str) -> bool {
        name == self.home.as_str() || aws_types::region::REGIONS.iter().any(|region| region.name == name)
    }

    /// The region of that name of an account; `None` when there is no such account or region.
    pub(crate) async fn region(
        self: &Arc<Self>,
        account: &AccountId,
        name: &str,
    ) -> Result<Option<Arc<Region>>, LedgerError> {
        let Ok(region) = RegionName::new(name) else {
            return Ok(None);
        };
        if let Some(known) = self.existing(account, &region) {
            return Ok(Some(known));
        }
        let is_account = self.accounts.of(account).is_some();
        if !is_account || !self.has_region(name) {
            return Ok(None);
        }
        self.make(account, &region).await.map(Some)
    }

    async fn make(self: &Arc<Self>, account: &AccountId, name: &RegionName) -> Result<Arc<Region>, LedgerError> {
        let _one_at_a_time = self.making.lock().await;
        if let Some(known) = self.existing(account, name) {
            return Ok(known);
        }
        let ledger = self.books.ledger(account, name).await?;
        let identities = Identities::new(self.accounts.of_records(account, &*self.random));
        let region = Arc::new(Region::new(self, name.clone(), ledger, identities));
        if account != self.accounts.first() {
            let given = self.give_role(&region).await;
            given.map_err(|error| LedgerError::Account(Box::new(error)))?;
        }
        let mut regions = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        regions.insert((account.clone(), name.clone()), Arc::clone(&region));
        drop(regions);
        if self.resumed.load(Ordering::SeqCst) {
            region.resume();
        }
        Ok(region)
    }

    /// The role by which the first account gets into a new one.
    async fn give_role(&self, region: &Arc<Region>) -> Result<(), ApiError> {
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": format!("arn:aws:iam::{}:root", self.accounts.first())},
        }]});
        let policy =
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
        let context = Context {
            region: Arc::clone(region),
            caller: region.identities.administrator(),
        };
        let input = json!({"RoleName": ORGANIZATION_ROLE, "AssumeRolePolicyDocument": trust.to_string()});
        let mut role = Entity::new(&context, EntityKind::Role, &input)?;
        role.inline.insert("AdministratorAccess".to_owned(), policy.to_string());
        let given = region.ledger.change(|state: &State| {
            // An account that has anybody had the role before; who removed it does not want it.
            let is_new = state.entities.is_empty();
            Ok(((), is_new.then(|| Change::put(role)).into_iter().collect()))
        });
        given.await
    }

    /// The secret of an access key, and who it stands for.
    fn find(&self, id: &str, token: Option<&str>, now: Timestamp) -> Result<(String, Caller), AuthenticationError> {
        let mut seen: Vec<AccountId> = Vec::new();
        for region in self.regions() {
            if seen.contains(region.account()) {
                continue;
            }
            seen.push(region.account().clone());
            match region
                .ledger
                .read(|state| region.identities.find(state, id, token, now))
            {
                Err(AuthenticationError::UnknownKey(_)) => {}
                found => return found,
            }
        }
        // An account in which nothing was done yet has its administrator only.
        let keys = self.accounts.by_key(id).filter(|_| token.is_none());
        let keys = keys.ok_or_else(|| AuthenticationError::UnknownKey(id.to_owned()))?;
        Ok((keys.secret_access_key.clone(), Identities::new(keys).administrator()))
    }

    /// Who signed a request.
    ///
    /// # Errors
    /// When the signature does not prove it.
    pub(crate) fn authenticate(
        &self,
        presented: &Presented,
        request: &sigv4::Request<'_>,
    ) -> Result<Caller, AuthenticationError> {
        let now = self.clock.now();
        let (secret, caller) = self.find(&presented.access_key_id, presented.session_token.as_deref(), now)?;
        presented.verify(request, &secret, now)?;
        Ok(caller)
    }

    /// Who made a cluster's bearer token; `None` for tokens of another kind.
    ///
    /// # Errors
    /// When it is a token of this kind that proves nothing.
    pub(crate) fn authenticate_token(&self, cluster: &str, token: &str) -> Result<Option<Caller>, TokenError> {
        let token = match EksToken::parse(token) {
            Err(EksTokenError::NotOurs) => return Ok(None),
            parsed => parsed?,
        };
        let now = self.clock.now();
        let (secret, caller) = self.find(token.access_key_id(), token.session_token(), now)?;
        token.verify(cluster, &secret, now)?;
        Ok(Some(caller))
    }

    /// The ports that clusters' issuers name: those that the endpoint had on the days when the clusters were made.
    pub fn issuer_ports(&self) -> BTreeSet<u16> {
        let regions = self.regions();
        let of_region = |region: &Arc<Region>| {
            region.ledger.read(|state| {
                let issuers = state.clusters.values().map(|cluster| &cluster.network.oidc_issuer);
                issuers.filter_map(|url| issuer::port_of(url)).collect::<Vec<_>>()
            })
        };
        regions.iter().flat_map(of_region).collect()
    }

    /// What the first cluster that fits has, whichever account and region it is in.
    pub(crate) fn of_clusters<T>(&self, look: impl Fn(&cluster_lifecycle::cluster::Cluster) -> Option<T>) -> Option<T> {
        self.regions()
            .iter()
            .find_map(|region| region.ledger.read(|state| state.clusters.values().find_map(&look)))
    }
}
