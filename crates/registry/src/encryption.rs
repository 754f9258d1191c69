//! What stands between an object and the store: which resources are kept encrypted, and by whom.
//!
//! Every resource has a chain of providers. The first one writes; the first one that knows the form of a stored value reads
//! it. A value that is not as the first provider would write it is stale: the next write replaces it, even one that changes
//! nothing. The key in the store is authenticated with the value, so that no value can be moved to another object.

mod aes;
mod chain;
mod configuration;
mod envelope;
mod keys;
mod message;
mod plugins;
mod secretbox;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

pub use self::configuration::{EncryptionConfiguration, EncryptionError, Key, Provider, Rule};
pub use self::envelope::{KeyService, KeyServiceError, Wrapped};

pub(crate) use self::chain::Chain;

/// How every stored value that is encrypted begins.
const MARK: &[u8] = b"k8s:enc:";

/// The chains of all resources; they may change while the registry runs.
pub struct Encryption {
    rules: ArcSwap<Rules>,
    /// The number of the next chain.
    next: AtomicU64,
}

struct Rules {
    /// Group and plural name, either of which may be `*`, in the order in which they are looked at.
    chains: Vec<(GroupResource, Arc<Chain>)>,
    plain: Arc<Chain>,
}

/// A resource as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GroupResource {
    group: String,
    resource: String,
}

impl GroupResource {
    /// Source: `schema.ParseGroupResource`.
    fn parse(text: &str) -> Self {
        let (resource, group) = text.split_once('.').unwrap_or((text, ""));
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
        }
    }

    /// How far from naming one resource: the nearest name counts.
    fn breadth(&self) -> u8 {
        match (self.group.as_str(), self.resource.as_str()) {
            ("*", "*") => 2,
            (_, "*") => 1,
            _ => 0,
        }
    }

    fn names(&self, group: &str, resource: &str) -> bool {
        (self.group == group || self.group == "*") && (self.resource == resource || self.resource == "*")
    }
}

impl Default for Encryption {
    /// Nothing is encrypted.
    fn default() -> Self {
        let rules = Rules {
            chains: Vec::new(),
            plain: Arc::new(Chain::plain()),
        };
        Self {
            rules: ArcSwap::from_pointee(rules),
            next: AtomicU64::new(1),
        }
    }
}

impl Encryption {
    /// Encrypts as a configuration says.
    #[must_use]
    pub fn of(configuration: &EncryptionConfiguration) -> Self {
        let encryption = Self::default();
        encryption.set(configuration);
        encryption
    }

    /// This is the configuration from now on. What is stored under another is stale.
    pub fn set(&self, configuration: &EncryptionConfiguration) {
        // One resource may be named by several rules, whose providers then follow each other.
        let mut providers: Vec<(GroupResource, Vec<Provider>)> = Vec::new();
        for rule in &configuration.rules {
            for name in &rule.resources {
                let resource = GroupResource::parse(name);
                match providers.iter_mut().find(|(of, _)| *of == resource) {
                    Some((_, known)) => known.extend(rule.providers.iter().cloned()),
                    None => providers.push((resource, rule.providers.clone())),
                }
            }
        }
        let mut chains: Vec<(GroupResource, Arc<Chain>)> = providers
            .into_iter()
            .map(|(resource, providers)| {
                let id = self.next.fetch_add(1, Ordering::Relaxed);
                (resource, Arc::new(Chain::new(id, providers)))
            })
            .collect();
        chains.sort_by_key(|(resource, _)| resource.breadth());
        self.rules.store(Arc::new(Rules {
            chains,
            plain: Arc::new(Chain::plain()),
        }));
    }

    /// Whether the key services of all resources are well; `None` when there is none.
    pub fn health(&self) -> Option<Result<(), String>> {
        let rules = self.rules.load();
        let each = rules.chains.iter().filter_map(|(_, chain)| chain.health());
        each.reduce(Result::and)
    }

    /// The chain of a resource.
    pub(crate) fn chain(&self, group: &str, plural: &str) -> Arc<Chain> {
        let rules = self.rules.load();
        let found = rules.chains.iter().find(|(of, _)| of.names(group, plural));
        found.map_or(&rules.plain, |(_, chain)| chain).clone()
    }
}
