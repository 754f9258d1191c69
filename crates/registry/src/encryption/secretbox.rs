//! The provider `secretbox`: XSalsa20 and Poly1305, as NaCl has them. The store's key is not authenticated with the value.

use clock::Random;
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};

/// Bytes of a nonce, which stored values begin with, and of what proves that a value was not changed.
const NONCE: usize = 24;
const TAG: usize = 16;

/// Bytes of a key.
pub(super) const KEY: usize = 32;

fn cipher(secret: &[u8]) -> Result<XSalsa20Poly1305, String> {
    if secret.len() != KEY {
        return Err(format!(
            "expected key size {KEY} for secretbox provider, got {}",
            secret.len()
        ));
    }
    Ok(XSalsa20Poly1305::new(Key::from_slice(secret)))
}

pub(super) fn seal(secret: &[u8], random: &dyn Random, value: &[u8]) -> Result<Vec<u8>, String> {
    let mut nonce = [0; NONCE];
    random.bytes(&mut nonce);
    let sealed = cipher(secret)?.encrypt(Nonce::from_slice(&nonce), value);
    let sealed = sealed.map_err(|_opaque| "the value cannot be encrypted".to_owned())?;
    Ok([nonce.as_slice(), &sealed].concat())
}

pub(super) fn open(secret: &[u8], stored: &[u8]) -> Result<Vec<u8>, String> {
    if stored.len() < NONCE + TAG {
        return Err("the stored data was shorter than the required size".to_owned());
    }
    let (nonce, sealed) = stored.split_at(NONCE);
    // Upstream's words, which are about something else.
    cipher(secret)?
        .decrypt(Nonce::from_slice(nonce), sealed)
        .map_err(|_changed| "output array was not large enough for encryption".to_owned())
}
