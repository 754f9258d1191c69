//! The providers of one resource, in order.

use bytes::Bytes;
use clock::Random;

use super::configuration::Provider;
use super::{MARK, envelope, keys};

/// The number of the chain of what is not encrypted.
const PLAIN: u64 = 0;

/// The providers of one resource.
pub(crate) struct Chain {
    /// Tells this chain from those that were in force before; items remember it.
    pub id: u64,
    providers: Vec<Link>,
}

enum Link {
    Identity,
    Keys(keys::Keys),
    Envelope(envelope::Envelope),
}

/// A stored value as it was before it was encrypted.
pub(crate) struct Opened {
    pub value: Bytes,
    /// Whether it is stored as it would be written now.
    pub fresh: bool,
}

impl Chain {
    /// Of resources that no rule names.
    pub fn plain() -> Self {
        Self {
            id: PLAIN,
            providers: vec![Link::Identity],
        }
    }

    pub fn new(id: u64, providers: Vec<Provider>) -> Self {
        let link = |provider| match provider {
            Provider::Identity => Link::Identity,
            Provider::AesGcm(keys) => Link::Keys(keys::Keys::new(keys::Mode::Gcm, keys)),
            Provider::AesCbc(keys) => Link::Keys(keys::Keys::new(keys::Mode::Cbc, keys)),
            Provider::Secretbox(keys) => Link::Keys(keys::Keys::new(keys::Mode::Secretbox, keys)),
            Provider::Kms { name, service } => Link::Envelope(envelope::Envelope::new(&name, service)),
        };
        Self {
            id,
            providers: providers.into_iter().map(link).collect(),
        }
    }

    /// The number by which items remember that they are stored as this chain writes.
    pub fn mark(&self, fresh: bool) -> Option<u64> {
        fresh.then_some(self.id)
    }

    /// What is stored for `value` under a key.
    pub fn seal(&self, random: &dyn Random, key: &[u8], value: &Bytes) -> Result<Bytes, String> {
        match self.providers.first() {
            None | Some(Link::Identity) => Ok(value.clone()),
            Some(Link::Keys(keys)) => keys.seal(random, key, value).map(Bytes::from),
            Some(Link::Envelope(envelope)) => envelope.seal(random, key, value).map(Bytes::from),
        }
    }

    /// The value that was stored under a key. Source: `prefixTransformers.TransformFromStorage`.
    pub fn open(&self, key: &[u8], stored: &Bytes) -> Result<Opened, String> {
        let mut problems: Vec<String> = Vec::new();
        for (place, provider) in self.providers.iter().enumerate() {
            let opened = match provider {
                Link::Identity if !stored.starts_with(MARK) => Ok((stored.clone(), true)),
                Link::Identity if self.id == PLAIN => {
                    Err("identity transformer tried to read encrypted data".to_owned())
                }
                Link::Identity => continue,
                Link::Keys(keys) => match stored.strip_prefix(keys.prefix().as_bytes()) {
                    Some(rest) => keys.open(key, rest).map(|(value, fresh)| (value.into(), fresh)),
                    None => continue,
                },
                Link::Envelope(envelope) => match stored.strip_prefix(envelope.prefix().as_bytes()) {
                    Some(rest) => envelope.open(key, rest).map(|(value, fresh)| (value.into(), fresh)),
                    None => continue,
                },
            };
            match opened {
                Ok((value, fresh)) => {
                    let fresh = fresh && place == 0;
                    return Ok(Opened { value, fresh });
                }
                // Another provider of the same form may have the key.
                Err(problem) => problems.push(problem),
            }
        }
        problems.dedup();
        Err(match problems.as_slice() {
            [] => "no matching prefix found".to_owned(),
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        })
    }

    /// Whether a key service is behind the chain.
    pub fn has_service(&self) -> bool {
        self.providers
            .iter()
            .any(|provider| matches!(provider, Link::Envelope(_)))
    }

    /// Whether the key services behind the chain are well; `None` when there is none.
    pub fn health(&self) -> Option<Result<(), String>> {
        let mut health = None;
        for provider in &self.providers {
            if let Link::Envelope(envelope) = provider {
                let one = envelope.health();
                health = Some(health.unwrap_or(Ok(())).and(one));
            }
        }
        health
    }

    /// Whether the key service behind the chain, if there is one, lets its key be used.
    pub fn ready(&self) -> Result<(), String> {
        match self.providers.first() {
            Some(Link::Envelope(envelope)) => envelope.ready(),
            _ => Ok(()),
        }
    }
}
