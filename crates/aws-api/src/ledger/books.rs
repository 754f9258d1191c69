//! All ledgers of one store: which accounts and regions it holds, and where each one's records are.
//!
//! The first account and region that a store was opened for are its home: their records have no prefix.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_types::{AccountId, RegionName};
use serde::{Deserialize, Serialize};
use store::{RangeRequest, Store, Transaction, Write};
use tokio::sync::Notify;

use super::{Account, Ledger, LedgerError, Owner, State};

/// Where the store says whose its records without a prefix are.
const HOME: &str = "/partition/home";
/// Before the records of accounts other than the home's.
const ACCOUNTS: &str = "/accounts/";
/// Before the records of regions other than the home, below their account's prefix.
const REGIONS: &str = "/regions/";

/// Whose the records without a prefix are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Home {
    account: AccountId,
    region: RegionName,
}

/// The ledgers of a store.
pub struct Books {
    store: Arc<dyn Store>,
    home: Home,
    accounts: Mutex<BTreeMap<AccountId, Arc<Account>>>,
}

impl Books {
    /// Those of a store; one that is new belongs to this account and region.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(store: Arc<dyn Store>, account: &AccountId, region: &RegionName) -> Result<Self, LedgerError> {
        let found = store.range(RangeRequest::key(HOME)).await.map_err(LedgerError::Read)?;
        let home = match found.items.first() {
            Some(item) => serde_json::from_slice(&item.value).map_err(|source| LedgerError::Parse {
                key: HOME.to_owned(),
                source,
            })?,
            None => first(&*store, account, region).await?,
        };
        Ok(Self {
            store,
            home,
            accounts: Mutex::default(),
        })
    }

    /// Every account and region that has records.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn known(&self) -> Result<BTreeSet<(AccountId, RegionName)>, LedgerError> {
        let home = (self.home.account.clone(), self.home.region.clone());
        let mut known = BTreeSet::from([home]);
        for prefix in [ACCOUNTS, REGIONS] {
            let request = RangeRequest {
                keys_only: true,
                ..RangeRequest::prefix(prefix)
            };
            let found = self.store.range(request).await.map_err(LedgerError::Read)?;
            known.extend(
                found
                    .items
                    .iter()
                    .filter_map(|item| self.place_of(&String::from_utf8_lossy(&item.key))),
            );
        }
        Ok(known)
    }

    /// Whose a key is; what an account has for all of its regions counts as its home's.
    fn place_of(&self, key: &str) -> Option<(AccountId, RegionName)> {
        let (account, rest) = match key.strip_prefix(ACCOUNTS) {
            Some(rest) => {
                let (account, rest) = rest.split_once('/')?;
                (AccountId::new(account).ok()?, format!("/{rest}"))
            }
            None => (self.home.account.clone(), key.to_owned()),
        };
        let region = match rest.strip_prefix(REGIONS) {
            Some(rest) => RegionName::new(rest.split('/').next()?).ok()?,
            None => self.home.region.clone(),
        };
        Some((account, region))
    }

    /// The ledger of a region of an account. Opened once for each.
    ///
    /// # Errors
    /// When the store fails or holds what is no record.
    pub async fn ledger(&self, account: &AccountId, region: &RegionName) -> Result<Ledger, LedgerError> {
        let shared = self.account(account);
        let prefix = if *account == self.home.account && *region == self.home.region {
            String::new()
        } else {
            format!("{}{REGIONS}{region}", shared.prefix)
        };
        let mut state = State::default();
        let _nothing_changes = shared.writing.lock().await;
        let other = shared
            .states
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .first()
            .cloned();
        match other {
            Some(other) => state.share(&other.read().unwrap_or_else(PoisonError::into_inner)),
            None => state.load(&*self.store, &shared.prefix, Owner::Account).await?,
        }
        state.load(&*self.store, &prefix, Owner::Region).await?;
        let state = Arc::new(RwLock::new(state));
        let mut states = shared.states.write().unwrap_or_else(PoisonError::into_inner);
        states.push(Arc::clone(&state));
        drop(states);
        Ok(Ledger {
            store: Arc::clone(&self.store),
            prefix,
            account: Arc::clone(&shared),
            state,
            changed: Notify::new(),
        })
    }

    fn account(&self, id: &AccountId) -> Arc<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let prefix = if *id == self.home.account {
                String::new()
            } else {
                format!("{ACCOUNTS}{id}")
            };
            Arc::new(Account {
                prefix,
                states: RwLock::default(),
                writing: tokio::sync::Mutex::default(),
            })
        };
        Arc::clone(accounts.entry(id.clone()).or_insert_with(made))
    }
}

async fn first(store: &dyn Store, account: &AccountId, region: &RegionName) -> Result<Home, LedgerError> {
    let home = Home {
        account: account.clone(),
        region: region.clone(),
    };
    let value = serde_json::to_vec(&home).expect("a plain structure");
    let transaction = Transaction {
        expect: Vec::new(),
        writes: vec![Write::Put {
            key: HOME.into(),
            value: value.into(),
            lease: None,
        }],
    };
    store.commit(transaction).await.map_err(LedgerError::Write)?;
    Ok(home)
}
