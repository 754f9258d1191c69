//! The accounts of a partition: whose administrators' keys there are. Every account but the first is a file in a directory, named by its
//! id, which may appear at any time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use aws_types::AccountId;
use aws_types::region_files::Credentials;
use clock::Random;

use crate::credentials;

/// The administrators of all accounts.
pub struct Accounts {
    first: Credentials,
    directory: Option<PathBuf>,
    others: RwLock<BTreeMap<AccountId, Credentials>>,
}

impl Accounts {
    /// The first account, and those whose files are in the directory.
    pub fn new(first: Credentials, directory: Option<PathBuf>) -> Self {
        let accounts = Self {
            first,
            directory,
            others: RwLock::default(),
        };
        accounts.look();
        accounts
    }

    /// The account that owns what nobody said otherwise of.
    pub fn first(&self) -> &AccountId {
        &self.first.account_id
    }

    /// The administrator of an account, if there is such an account.
    pub fn of(&self, account: &AccountId) -> Option<Credentials> {
        self.find(|keys| keys.account_id == *account)
    }

    /// The administrator of an account that has records, whatever became of its file: then nobody knows the keys.
    pub fn of_records(&self, account: &AccountId, random: &dyn Random) -> Credentials {
        self.of(account)
            .unwrap_or_else(|| credentials::generate(account.clone(), random))
    }

    /// The administrator who has an access key.
    pub fn by_key(&self, access_key_id: &str) -> Option<Credentials> {
        self.find(|keys| keys.access_key_id == access_key_id)
    }

    /// Whoever fits; files are looked at again when nobody does.
    fn find(&self, fits: impl Fn(&Credentials) -> bool) -> Option<Credentials> {
        if fits(&self.first) {
            return Some(self.first.clone());
        }
        let known = || {
            let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
            others.values().find(|keys| fits(keys)).cloned()
        };
        known().or_else(|| {
            self.look();
            known()
        })
    }

    /// Reads the files that are there now.
    fn look(&self) {
        let Some(directory) = &self.directory else { return };
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(directory = %directory.display(), %error, "accounts cannot be looked at");
                return;
            }
        };
        let files = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut found = BTreeMap::new();
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
            match credentials::read(&file) {
                Ok(keys) if keys.account_id != self.first.account_id => {
                    found.insert(keys.account_id.clone(), keys);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = supervision::error_chain(&error), "an account cannot be read");
                }
            }
        }
        *self.others.write().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

#[cfg(test)]
mod tests {
    use clock::SystemRandom;

    use super::*;

    #[test]
    fn an_account_is_there_as_soon_as_its_file_is() {
        let directory = tempfile::tempdir().unwrap();
        let id = |text: &str| AccountId::new(text).unwrap();
        let first = credentials::generate(id("000000000000"), &SystemRandom);
        let accounts = Accounts::new(first.clone(), Some(directory.path().join("accounts")));
        assert_eq!(accounts.by_key(&first.access_key_id), Some(first));
        assert_eq!(accounts.of(&id("222222222222")), None);
        let file = directory.path().join("accounts/222222222222.json");
        let second = credentials::load_or_create_for(&file, id("222222222222"), &SystemRandom).unwrap();
        assert_eq!(accounts.of(&id("222222222222")), Some(second.clone()));
        assert_eq!(accounts.by_key(&second.access_key_id), Some(second));
        assert_eq!(accounts.by_key("AKIANOBODY"), None);
    }
}
