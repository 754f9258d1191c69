//! The providers `aesgcm`, `aescbc` and `secretbox`: keys by name, the first of which writes.

use clock::Random;

use super::configuration::Key;
use super::{aes, secretbox};

/// How a key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Gcm,
    Cbc,
    Secretbox,
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
            Mode::Secretbox => "k8s:enc:secretbox:v1:",
        }
    }

    pub fn seal(&self, random: &dyn Random, additional: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let key = self.keys.first().ok_or("there is no key")?;
        let body = match self.mode {
            Mode::Gcm => aes::seal_gcm(&key.secret, random, additional, value)?,
            Mode::Cbc => aes::seal_cbc(&key.secret, random, value)?,
            Mode::Secretbox => secretbox::seal(&key.secret, random, value)?,
        };
        Ok([self.prefix().as_bytes(), key.name.as_bytes(), b":", &body].concat())
    }

    /// The value, and whether the first key has encrypted it; `stored` is what follows the prefix.
    pub fn open(&self, additional: &[u8], stored: &[u8]) -> Result<(Vec<u8>, bool), String> {
        let cipher = match self.mode {
            Mode::Gcm | Mode::Cbc => "AES",
            Mode::Secretbox => "Secretbox",
        };
        let mut problem = format!("no matching key was found for the provided {cipher} transformer");
        for (place, key) in self.keys.iter().enumerate() {
            let named = stored.strip_prefix(key.name.as_bytes());
            let Some(body) = named.and_then(|rest| rest.strip_prefix(b":")) else {
                continue;
            };
            let opened = match self.mode {
                Mode::Gcm => aes::open_gcm(&key.secret, additional, body),
                Mode::Cbc => aes::open_cbc(&key.secret, body),
                Mode::Secretbox => secretbox::open(&key.secret, body),
            };
            match opened {
                Ok(value) => return Ok((value, place == 0)),
                Err(text) => problem = text,
            }
        }
        Err(problem)
    }
}
