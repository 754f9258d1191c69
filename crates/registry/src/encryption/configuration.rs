//! `EncryptionConfiguration` of `apiserver.config.k8s.io/v1`: the file, its rules in upstream's words, and what they mean.

mod plugin;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube_types::dynamic::Value;
use object_rules::field::Errors;
use serde::Deserialize;

use super::envelope::KeyService;
use super::{GroupResource, secretbox};

const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "EncryptionConfiguration";

/// Bytes of keys for AES.
const AES_KEYS: &[usize] = &[16, 24, 32];

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// It is no such document.
    #[error("error decoding encryption provider configuration: {0}")]
    Decode(String),
    /// It breaks rules.
    #[error("invalid encryption configuration: {0}")]
    Invalid(String),
}

/// Which resources are encrypted, and how.
#[derive(Clone, Debug, Default)]
pub struct EncryptionConfiguration {
    /// In the order of the file.
    pub rules: Vec<Rule>,
}

/// The providers of some resources.
#[derive(Clone, Debug)]
pub struct Rule {
    /// As `secrets`, `deployments.apps`, `*.apps`, `*.` and `*.*`.
    pub resources: Vec<String>,
    /// The first one writes.
    pub providers: Vec<Provider>,
}

/// Who encrypts.
#[derive(Clone)]
pub enum Provider {
    /// Nobody.
    Identity,
    /// AES in Galois counter mode.
    AesGcm(Vec<Key>),
    /// AES in cipher block chaining mode.
    AesCbc(Vec<Key>),
    /// XSalsa20 with Poly1305.
    Secretbox(Vec<Key>),
    /// A key service, by envelopes.
    Kms {
        /// Name of the provider, which is a part of what is stored.
        name: String,
        /// Who has the key.
        service: Arc<dyn KeyService>,
    },
}

/// A key and its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The name, which is a part of what is stored.
    pub name: String,
    /// 16, 24 or 32 bytes; 32 for `secretbox`.
    pub secret: Vec<u8>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identity => f.write_str("Identity"),
            Self::AesGcm(keys) => f.debug_tuple("AesGcm").field(keys).finish(),
            Self::AesCbc(keys) => f.debug_tuple("AesCbc").field(keys).finish(),
            Self::Secretbox(keys) => f.debug_tuple("Secretbox").field(keys).finish(),
            Self::Kms { name, .. } => f.debug_struct("Kms").field("name", name).finish_non_exhaustive(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    api_version: String,
    kind: String,
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    providers: Vec<Providers>,
}

/// One of these may be given. An empty `identity: {}` counts, so that presence is looked at, not the value.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Providers {
    aesgcm: Option<Keys>,
    aescbc: Option<Keys>,
    secretbox: Option<Keys>,
    identity: Option<Nothing>,
    kms: Option<Kms>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    keys: Vec<NamedSecret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedSecret {
    #[serde(default)]
    name: String,
    #[serde(default)]
    secret: String,
}

/// A plugin behind a socket.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Kms {
    pub api_version: Option<String>,
    #[serde(default)]
    pub name: String,
    #[serde(rename = "cachesize")]
    pub cache_size: Option<i64>,
    #[serde(default)]
    pub endpoint: String,
    pub timeout: Option<String>,
}

impl EncryptionConfiguration {
    /// Secrets are encrypted with one key, and those that are not yet are read as they are.
    #[must_use]
    pub fn of_secrets(key: Key) -> Self {
        Self {
            rules: vec![Rule {
                resources: vec!["secrets".to_owned()],
                providers: vec![Provider::AesGcm(vec![key]), Provider::Identity],
            }],
        }
    }

    /// The same with Secrets in envelopes of a key service from now on; what is stored otherwise stays readable.
    #[must_use]
    pub fn with_key_service(&self, name: &str, service: Arc<dyn KeyService>) -> Self {
        let secrets = GroupResource::parse("secrets");
        let named = |rule: &&Rule| {
            rule.resources
                .iter()
                .any(|name| GroupResource::parse(name).names(&secrets.group, &secrets.resource))
        };
        let mut providers = vec![Provider::Kms {
            name: name.to_owned(),
            service,
        }];
        providers.extend(self.rules.iter().filter(named).flat_map(|rule| rule.providers.clone()));
        if !providers.iter().any(|provider| matches!(provider, Provider::Identity)) {
            providers.push(Provider::Identity);
        }
        let mut rules = vec![Rule {
            resources: vec!["secrets".to_owned()],
            providers,
        }];
        // What names Secrets alone has become a part of the first rule.
        rules.extend(self.rules.iter().map(|rule| {
            Rule {
                resources: rule
                    .resources
                    .iter()
                    .filter(|name| *name != "secrets")
                    .cloned()
                    .collect(),
                providers: rule.providers.clone(),
            }
        }));
        Self { rules }
    }

    /// Reads the file's text, YAML or JSON.
    ///
    /// # Errors
    /// When it is no such document, breaks upstream's rules, or asks for a plugin of version 1.
    pub fn read(text: &str) -> Result<Self, EncryptionError> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| EncryptionError::Decode(error.to_string()))?;
        if file.api_version != API_VERSION || file.kind != KIND {
            let problem = format!(
                "got unexpected config type: {}, Kind={}, expected {API_VERSION}, Kind={KIND}",
                file.api_version, file.kind
            );
            return Err(EncryptionError::Decode(problem));
        }
        let mut errors = Errors::new();
        let rules = check(&file, &mut errors);
        if !errors.is_empty() {
            let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Err(EncryptionError::Invalid(problems.join(", ")));
        }
        check_masks(&rules)?;
        Ok(Self { rules })
    }
}

/// A rule that an earlier, wider one leaves nothing to is refused. Source: `getTransformerOverridesAndKMSPluginProbes`.
fn check_masks(rules: &[Rule]) -> Result<(), EncryptionError> {
    let mut earlier: BTreeSet<String> = BTreeSet::new();
    for rule in rules {
        for name in &rule.resources {
            let resource = GroupResource::parse(name);
            let wider = [format!("*.{}", resource.group), "*.*".to_owned()];
            if let Some(mask) = wider.iter().find(|mask| earlier.contains(*mask)) {
                let problem = format!("resource {name:?} is masked by earlier rule {mask:?}");
                return Err(EncryptionError::Invalid(problem));
            }
            let all = if resource.resource == "*" && resource.group.is_empty() {
                "*.".to_owned()
            } else {
                name.clone()
            };
            earlier.insert(all);
        }
    }
    Ok(())
}

fn at_least_one(errors: &mut Errors, field: &str, of: &str) {
    errors.required(field, format!("at least one {of} is required"));
}

fn check(file: &File, errors: &mut Errors) -> Vec<Rule> {
    if file.resources.is_empty() {
        at_least_one(errors, "resources", "resources");
    }
    let mut rules = Vec::new();
    let mut plugins = BTreeSet::new();
    for (index, entry) in file.resources.iter().enumerate() {
        let resources = format!("resources[{index}].resources");
        let providers = format!("resources[{index}].providers");
        if entry.resources.is_empty() {
            at_least_one(errors, &resources, &resources);
        }
        check_overlap(&entry.resources, &resources, errors);
        check_names(&entry.resources, &resources, errors);
        if entry.providers.is_empty() {
            at_least_one(errors, &providers, &providers);
        }
        let read = entry.providers.iter().enumerate();
        let read =
            read.filter_map(|(place, given)| provider(given, &format!("{providers}[{place}]"), &mut plugins, errors));
        rules.push(Rule {
            providers: read.collect(),
            resources: entry.resources.clone(),
        });
    }
    rules
}

fn check_overlap(names: &[String], field: &str, errors: &mut Errors) {
    let resources: Vec<GroupResource> = names.iter().map(|name| GroupResource::parse(name)).collect();
    let (mut twice, mut overlaps) = (false, false);
    for (place, one) in resources.iter().enumerate() {
        for other in &resources[place + 1..] {
            if one == other {
                twice = true;
                continue;
            }
            let all = [one, other].iter().any(|resource| resource.breadth() == 2);
            let group = one.group == other.group && (one.resource == "*" || other.resource == "*");
            overlaps |= all || group;
        }
    }
    let shown = || {
        names
            .iter()
            .map(|name| Value::from(name.as_str()))
            .collect::<Vec<Value>>()
    };
    if twice {
        errors.invalid(field, shown(), "the same resource cannot be specified multiple times");
    }
    if overlaps {
        let detail = "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked";
        errors.invalid(field, shown(), detail);
    }
}

fn check_names(names: &[String], field: &str, errors: &mut Errors) {
    for (place, name) in names.iter().enumerate() {
        let resource = GroupResource::parse(name);
        let detail = if name.to_lowercase() != *name {
            "resource name should not contain capital letters"
        } else if name == "*" {
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
        } else if ["apiserveripinfo", "serviceipallocations", "servicenodeportallocations"].contains(&name.as_str()) {
            "resources which do not have REST API/s cannot be encrypted"
        } else if resource.group == "events.k8s.io" {
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"
        } else if resource.group == "extensions" {
            "'extensions' group has been removed and cannot be used for encryption"
        } else if resource.group == "*" && resource.resource != "*" {
            "encrypting the same resource across groups is not supported"
        } else {
            continue;
        };
        errors.invalid(format!("{field}[{place}]"), name.as_str(), detail);
    }
}

/// The one provider of an element; `plugins` are the names of those before it.
fn provider(given: &Providers, field: &str, plugins: &mut BTreeSet<String>, errors: &mut Errors) -> Option<Provider> {
    let present = [
        given.kms.is_some(),
        given.aesgcm.is_some(),
        given.aescbc.is_some(),
        given.secretbox.is_some(),
        given.identity.is_some(),
    ];
    match present.iter().filter(|present| **present).count() {
        0 => {
            let detail =
                "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity";
            errors.invalid(field, Value::Null, detail);
        }
        1 => {}
        _ => {
            let detail =
                "more than one provider specified in a single element, should split into different list elements";
            errors.invalid(field, Value::Null, detail);
        }
    }
    let mut keys = |name: &str, given: &Keys, lengths: &[usize]| {
        read_keys(given, &format!("{field}.{name}.keys"), lengths, errors)
    };
    if let Some(given) = &given.aesgcm {
        Some(Provider::AesGcm(keys("aesgcm", given, AES_KEYS)))
    } else if let Some(given) = &given.aescbc {
        Some(Provider::AesCbc(keys("aescbc", given, AES_KEYS)))
    } else if let Some(given) = &given.secretbox {
        Some(Provider::Secretbox(keys("secretbox", given, &[secretbox::KEY])))
    } else if let Some(given) = &given.kms {
        plugin::read(given, &format!("{field}.kms"), plugins, errors)
    } else {
        given.identity.as_ref().map(|_| Provider::Identity)
    }
}

fn read_keys(given: &Keys, field: &str, lengths: &[usize], errors: &mut Errors) -> Vec<Key> {
    if given.keys.is_empty() {
        at_least_one(errors, field, "keys");
    }
    let read = given.keys.iter().enumerate();
    read.filter_map(|(place, key)| read_key(key, &format!("{field}[{place}]"), lengths, errors))
        .collect()
}

fn read_key(given: &NamedSecret, field: &str, lengths: &[usize], errors: &mut Errors) -> Option<Key> {
    if given.name.is_empty() {
        errors.required(format!("{field}.name"), "name is a mandatory field for a key");
    }
    let secret_field = format!("{field}.secret");
    if given.secret.is_empty() {
        errors.required(&secret_field, "secret is a mandatory field for a key");
        return None;
    }
    let Ok(secret) = STANDARD.decode(&given.secret) else {
        errors.invalid(&secret_field, "REDACTED", "secrets must be base64 encoded");
        return None;
    };
    if !lengths.contains(&secret.len()) {
        let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
        let detail = format!(
            "secret is not of the expected length, got {}, expected one of [{}]",
            secret.len(),
            lengths.join(" ")
        );
        errors.invalid(&secret_field, "REDACTED", detail);
        return None;
    }
    Some(Key {
        name: given.name.clone(),
        secret,
    })
}
