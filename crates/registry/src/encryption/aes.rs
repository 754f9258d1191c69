//! The providers `aesgcm` and `aescbc`: keys by name, the first of which writes.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey};
use aws_lc_rs::cipher::{PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use clock::Random;

use super::configuration::Key;

/// Length of a block of AES, and of what `aescbc` begins with.
const BLOCK: usize = 16;

const TOO_SHORT: &str = "the stored data was shorter than the required size";

/// How a key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Gcm,
    Cbc,
}

/// The keys of one provider.
pub(super) struct Keys {
    mode: Mode,
    keys: Vec<Key>,
}

impl Keys {
    pub fn new(mode: Mode, keys: Vec<Key>) -> Self {
        Self { mode, keys }
    }

    /// How values of this provider begin.
    pub fn prefix(&self) -> &'static str {
        match self.mode {
            Mode::Gcm => "k8s:enc:aesgcm:v1:",
            Mode::Cbc => "k8s:enc:aescbc:v1:",
        }
    }

    pub fn seal(&self, random: &dyn Random, additional: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let key = self.keys.first().ok_or("there is no key")?;
        let body = match self.mode {
            Mode::Gcm => seal_gcm(&key.secret, random, additional, value)?,
            Mode::Cbc => seal_cbc(&key.secret, random, value)?,
        };
        Ok([self.prefix().as_bytes(), key.name.as_bytes(), b":", &body].concat())
    }

    /// The value, and whether the first key has encrypted it; `stored` is what follows the prefix.
    pub fn open(&self, additional: &[u8], stored: &[u8]) -> Result<(Vec<u8>, bool), String> {
        let mut problem = "no matching key was found for the provided AES transformer".to_owned();
        for (place, key) in self.keys.iter().enumerate() {
            let named = stored.strip_prefix(key.name.as_bytes());
            let Some(body) = named.and_then(|rest| rest.strip_prefix(b":")) else {
                continue;
            };
            let opened = match self.mode {
                Mode::Gcm => open_gcm(&key.secret, additional, body),
                Mode::Cbc => open_cbc(&key.secret, body),
            };
            match opened {
                Ok(value) => return Ok((value, place == 0)),
                Err(text) => problem = text,
            }
        }
        Err(problem)
    }
}

fn gcm(secret: &[u8]) -> Result<LessSafeKey, String> {
    let algorithm = match secret.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    let key = UnboundKey::new(algorithm, secret).map_err(|error| error.to_string())?;
    Ok(LessSafeKey::new(key))
}

/// A nonce, and what AES in Galois counter mode makes of the value.
pub(super) fn seal_gcm(secret: &[u8], random: &dyn Random, additional: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
    let mut nonce = [0; aead::NONCE_LEN];
    random.bytes(&mut nonce);
    let mut body = value.to_vec();
    gcm(secret)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(additional), &mut body)
        .map_err(|error| error.to_string())?;
    Ok([nonce.as_slice(), &body].concat())
}

pub(super) fn open_gcm(secret: &[u8], additional: &[u8], stored: &[u8]) -> Result<Vec<u8>, String> {
    let (nonce, body) = stored.split_at_checked(aead::NONCE_LEN).ok_or(TOO_SHORT)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|error| error.to_string())?;
    let mut body = body.to_vec();
    let opened = gcm(secret)?.open_in_place(nonce, Aad::from(additional), &mut body);
    // Go's words.
    let opened = opened.map_err(|_changed| "cipher: message authentication failed".to_owned())?;
    Ok(opened.to_vec())
}

fn cbc(secret: &[u8]) -> Result<UnboundCipherKey, String> {
    let algorithm = match secret.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    UnboundCipherKey::new(algorithm, secret).map_err(|error| error.to_string())
}

fn seal_cbc(secret: &[u8], random: &dyn Random, value: &[u8]) -> Result<Vec<u8>, String> {
    let mut vector = [0; BLOCK];
    random.bytes(&mut vector);
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(cbc(secret)?).map_err(|error| error.to_string())?;
    let mut body = value.to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from(vector));
    key.less_safe_encrypt(&mut body, context)
        .map_err(|error| error.to_string())?;
    Ok([vector.as_slice(), &body].concat())
}

fn open_cbc(secret: &[u8], stored: &[u8]) -> Result<Vec<u8>, String> {
    let (vector, body) = stored.split_first_chunk::<BLOCK>().ok_or(TOO_SHORT)?;
    if body.len() % BLOCK != 0 {
        return Err("the stored data is not a multiple of the block size".to_owned());
    }
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(cbc(secret)?).map_err(|error| error.to_string())?;
    let mut body = body.to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from(*vector));
    let opened = key.decrypt(&mut body, context);
    let opened = opened.map_err(|_padding| "invalid padding on input".to_owned())?;
    Ok(opened.to_vec())
}
