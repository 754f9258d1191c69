//! Envelope encryption, as upstream's KMS v2: a seed that a key service encrypts, and under it a key for every value.
//!
//! The seed is made in this process and stays in memory; what the key service makes of it goes into every value. A key
//! service that says no makes values unreadable, those that are in memory included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hkdf;
use clock::Random;

use super::aes::{open_gcm, seal_gcm};

/// Bytes of a seed, and of the number from which the key of one value is made.
const SEED: usize = 32;
const INFO: usize = 32;

/// Numbers of the fields of upstream's message `EncryptedObject`.
const DATA: u64 = 1;
const KEY_ID: u64 = 2;
const WRAPPED: u64 = 3;
const SOURCE: u64 = 5;
/// The seed is one from which keys are derived (`HKDF_EXTENDED_NONCE_AES_GCM_SEED`).
const DERIVED: u64 = 1;

/// Why a key service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyServiceError(pub String);

/// Encrypts seeds with a key that it does not give away.
pub trait KeyService: Send + Sync {
    /// The key that encrypts now.
    fn key_id(&self) -> String;

    /// Encrypts a seed.
    ///
    /// # Errors
    /// When the key may not be used.
    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, KeyServiceError>;

    /// Decrypts a seed that this service has encrypted.
    ///
    /// # Errors
    /// When the key may not be used, or the seed is none of this service's.
    fn decrypt(&self, key_id: &str, cipher: &[u8]) -> Result<Vec<u8>, KeyServiceError>;

    /// Whether the key may be used now.
    ///
    /// # Errors
    /// Why not.
    fn ready(&self) -> Result<(), KeyServiceError>;
}

/// A provider that keeps values in envelopes.
pub(super) struct Envelope {
    prefix: String,
    service: Arc<dyn KeyService>,
    /// The seed that writes.
    own: Mutex<Option<Arc<Seed>>>,
    /// Seeds of values that were read, by what the service made of them.
    known: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

struct Seed {
    plain: Vec<u8>,
    wrapped: Vec<u8>,
    key_id: String,
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
        self.service
            .ready()
            .map_err(|error| format!("failed to decrypt DEK, error: {error}"))
    }

    pub fn seal(&self, random: &dyn Random, additional: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |error| format!("failed to encrypt DEK, error: {error}");
        self.service.ready().map_err(failed)?;
        let seed = self.own(random).map_err(failed)?;
        let mut info = [0; INFO];
        random.bytes(&mut info);
        let sealed = seal_gcm(&derive(&seed.plain, &info)?, random, additional, value)?;
        let mut body = self.prefix.clone().into_bytes();
        put_bytes(&mut body, DATA, &[info.as_slice(), &sealed].concat());
        put_bytes(&mut body, KEY_ID, seed.key_id.as_bytes());
        put_bytes(&mut body, WRAPPED, &seed.wrapped);
        put_number(&mut body, SOURCE << 3);
        put_number(&mut body, DERIVED);
        Ok(body)
    }

    /// The value, and whether the key that encrypts now has encrypted its seed; `stored` is what follows the prefix.
    pub fn open(&self, additional: &[u8], stored: &[u8]) -> Result<(Vec<u8>, bool), String> {
        let message = Message::read(stored).ok_or("failed to decode the encrypted object")?;
        if message.source != DERIVED {
            return Err(format!("unsupported source of keys {}", message.source));
        }
        let seed = self.seed(&message)?;
        let (info, sealed) = message
            .data
            .split_at_checked(INFO)
            .ok_or("the stored data was shorter than the required size")?;
        let value = open_gcm(&derive(&seed, info)?, additional, sealed)?;
        Ok((value, message.key_id == self.service.key_id()))
    }

    fn own(&self, random: &dyn Random) -> Result<Arc<Seed>, KeyServiceError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let key_id = self.service.key_id();
        if let Some(seed) = own.as_ref().filter(|seed| seed.key_id == key_id) {
            return Ok(seed.clone());
        }
        let mut plain = vec![0; SEED];
        random.bytes(&mut plain);
        let wrapped = self.service.encrypt(&plain)?;
        let seed = Arc::new(Seed { plain, wrapped, key_id });
        *own = Some(seed.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(seed.wrapped.clone(), seed.plain.clone());
        Ok(seed)
    }

    fn seed(&self, message: &Message<'_>) -> Result<Vec<u8>, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seed) = known.get(message.wrapped) {
            return Ok(seed.clone());
        }
        let seed = self
            .service
            .decrypt(message.key_id, message.wrapped)
            .map_err(|error| format!("failed to decrypt DEK, error: {error}"))?;
        known.insert(message.wrapped.to_vec(), seed.clone());
        Ok(seed)
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

/// Upstream's message `EncryptedObject`, as far as it is used.
#[derive(Default)]
struct Message<'a> {
    data: &'a [u8],
    key_id: &'a str,
    wrapped: &'a [u8],
    source: u64,
}

impl<'a> Message<'a> {
    fn read(mut rest: &'a [u8]) -> Option<Self> {
        let mut message = Self::default();
        while !rest.is_empty() {
            let tag = take_number(&mut rest)?;
            let number = take_number(&mut rest)?;
            match tag & 7 {
                0 if tag >> 3 == SOURCE => message.source = number,
                0 => {}
                2 => {
                    let (bytes, after) = rest.split_at_checked(usize::try_from(number).ok()?)?;
                    rest = after;
                    match tag >> 3 {
                        DATA => message.data = bytes,
                        KEY_ID => message.key_id = std::str::from_utf8(bytes).ok()?,
                        WRAPPED => message.wrapped = bytes,
                        _ => {}
                    }
                }
                _ => return None,
            }
        }
        Some(message)
    }
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_number(body: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        body.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    body.push(number as u8);
}

fn put_bytes(body: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_number(body, field << 3 | 2);
    put_number(body, bytes.len() as u64);
    body.extend_from_slice(bytes);
}
