//! Envelope encryption, as upstream's KMS v2: a seed that a key service encrypts, and under it a key for every value.
//!
//! The seed is made in this process and stays in memory; what the key service makes of it goes into every value. Whether values
//! may still be read while a key service says no is the service's to say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hkdf;
use clock::Random;

use super::aes::{open_gcm, seal_gcm};
use super::message::{self, Message, Source};

/// Bytes of a seed, and of the number from which the key of one value is made.
const SEED: usize = 32;
const INFO: usize = 32;

/// Why a key service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyServiceError(pub String);

/// A seed as a key service has encrypted it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wrapped {
    /// The seed, encrypted.
    pub cipher: Vec<u8>,
    /// The key that did it.
    pub key_id: String,
    /// What the service wants to see again when it decrypts.
    pub annotations: BTreeMap<String, Vec<u8>>,
}

/// Encrypts seeds with a key that it does not give away. Calls may block, for a time that the service bounds.
pub trait KeyService: Send + Sync {
    /// The key that encrypts now.
    fn key_id(&self) -> String;

    /// Encrypts a seed.
    ///
    /// # Errors
    /// When the key may not be used.
    fn encrypt(&self, plain: &[u8]) -> Result<Wrapped, KeyServiceError>;

    /// Decrypts a seed that this service has encrypted.
    ///
    /// # Errors
    /// When the key may not be used, or the seed is none of this service's.
    fn decrypt(&self, wrapped: &Wrapped) -> Result<Vec<u8>, KeyServiceError>;

    /// Whether values may be read now, those included whose seeds are known.
    ///
    /// # Errors
    /// Why not.
    fn ready(&self) -> Result<(), KeyServiceError>;

    /// Whether values may be written now.
    ///
    /// # Errors
    /// Why not.
    fn check_writable(&self) -> Result<(), KeyServiceError> {
        self.ready()
    }

    /// Whether the service is well, for the API server's own health.
    ///
    /// # Errors
    /// What is wrong.
    fn check_health(&self) -> Result<(), KeyServiceError> {
        Ok(())
    }
}

/// A provider that keeps values in envelopes.
pub(super) struct Envelope {
    prefix: String,
    service: Arc<dyn KeyService>,
    /// The seed that writes.
    own: Mutex<Option<Arc<Seed>>>,
    /// Seeds of values that were read, by what the service made of them.
    known: Mutex<BTreeMap<Wrapped, Vec<u8>>>,
}

struct Seed {
    plain: Vec<u8>,
    wrapped: Wrapped,
}

fn undecryptable(error: KeyServiceError) -> String {
    format!("failed to decrypt DEK, error: {error}")
}

impl Envelope {
    pub fn new(name: &str, service: Arc<dyn KeyService>) -> Self {
        Self {
            prefix: format!("k8s:enc:kms:v2:{name}:"),
            service,
            own: Mutex::default(),
            known: Mutex::default(),
        }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn ready(&self) -> Result<(), String> {
        self.service.ready().map_err(undecryptable)
    }

    pub fn health(&self) -> Result<(), String> {
        self.service.check_health().map_err(|error| error.to_string())
    }

    pub fn seal(&self, random: &dyn Random, additional: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |error| format!("failed to encrypt DEK, error: {error}");
        self.service
            .check_writable()
            .map_err(|error| failed(error.to_string()))?;
        let seed = self.own(random).map_err(failed)?;
        let mut info = [0; INFO];
        random.bytes(&mut info);
        let sealed = seal_gcm(&derive(&seed.plain, &info)?, random, additional, value)?;
        let message = Message {
            data: [info.as_slice(), &sealed].concat(),
            wrapped: seed.wrapped.clone(),
            source: Source::Seed,
        };
        let mut body = self.prefix.clone().into_bytes();
        message.write(&mut body);
        Ok(body)
    }

    /// The value, and whether it is stored as it would be now; `stored` is what follows the prefix.
    pub fn open(&self, additional: &[u8], stored: &[u8]) -> Result<(Vec<u8>, bool), String> {
        let message = Message::read(stored)?;
        let plain = self.plain(&message.wrapped)?;
        let value = match message.source {
            Source::Key => open_gcm(&plain, additional, &message.data)?,
            Source::Seed => {
                let (info, sealed) = message
                    .data
                    .split_at_checked(INFO)
                    .ok_or("the stored data was shorter than the required size")?;
                open_gcm(&derive(&plain, info)?, additional, sealed)?
            }
        };
        let fresh = message.source == Source::Seed && message.wrapped.key_id == self.service.key_id();
        Ok((value, fresh))
    }

    /// The seed that writes: one under the key that encrypts now. While the service makes none, the last one goes on.
    fn own(&self, random: &dyn Random) -> Result<Arc<Seed>, String> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let key_id = self.service.key_id();
        if let Some(seed) = own.as_ref().filter(|seed| seed.wrapped.key_id == key_id) {
            return Ok(seed.clone());
        }
        match (self.make(random, &key_id), own.as_ref()) {
            (Ok(seed), _) => {
                let seed = Arc::new(seed);
                *own = Some(seed.clone());
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(seed.wrapped.clone(), seed.plain.clone());
                Ok(seed)
            }
            (Err(problem), Some(last)) => {
                tracing::warn!(
                    provider = self.prefix,
                    problem,
                    "values are written under the former key"
                );
                Ok(last.clone())
            }
            (Err(problem), None) => Err(problem),
        }
    }

    fn make(&self, random: &dyn Random, key_id: &str) -> Result<Seed, String> {
        let mut plain = vec![0; SEED];
        random.bytes(&mut plain);
        let wrapped = self.service.encrypt(&plain).map_err(|error| error.to_string())?;
        message::check(&wrapped)?;
        if wrapped.key_id != key_id {
            return Err("the key service encrypted with another key than it said".to_owned());
        }
        Ok(Seed { plain, wrapped })
    }

    fn plain(&self, wrapped: &Wrapped) -> Result<Vec<u8>, String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = known.get(wrapped) {
            return Ok(plain.clone());
        }
        // The service may take its time: others read meanwhile.
        drop(known);
        let plain = self.service.decrypt(wrapped).map_err(undecryptable)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(wrapped.clone(), plain.clone());
        Ok(plain)
    }
}

/// The key of one value.
fn derive(seed: &[u8], info: &[u8]) -> Result<[u8; SEED], String> {
    let mut key = [0; SEED];
    let seed = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, seed);
    let info = [info];
    let expanded = seed
        .expand(&info, hkdf::HKDF_SHA256)
        .map_err(|error| error.to_string())?;
    expanded.fill(&mut key).map_err(|error| error.to_string())?;
    Ok(key)
}
