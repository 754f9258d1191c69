//! The webhooks and policies of a cluster, compiled; compiled again only when a configuration has changed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use cel_rules::{Environment, Program};
use kube_types::dynamic::{Object, Value};
use store::Revision;

use super::conditions::{self, Condition};
use super::matching::Matcher;
use super::policies::{self, Policy};
use crate::cache::ResourceCache;
use crate::registry::Registry;
use crate::webhook::Endpoint;

pub(crate) const GROUP: &str = "admissionregistration.k8s.io";
/// Configurations, policies and bindings; none of them is itself subject to any of them.
pub(super) const CONFIGURATIONS: [&str; 6] = [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

/// What is configured, and its compiled form.
#[derive(Default)]
pub(crate) struct Configured {
    caches: OnceLock<[Arc<ResourceCache>; 6]>,
    compiled: ArcSwap<Hooks>,
}

/// Everything that is configured at one moment.
#[derive(Default)]
pub(crate) struct Hooks {
    versions: [Revision; 6],
    pub mutating: Vec<Hook>,
    pub validating: Vec<Hook>,
    pub validating_policies: Vec<Policy>,
    pub mutating_policies: Vec<Policy>,
}

/// One webhook.
pub(crate) struct Hook {
    /// Name of the configuration that it is in.
    pub configuration: String,
    pub name: String,
    pub matcher: Matcher,
    pub conditions: Vec<Condition>,
    pub endpoint: Option<Endpoint>,
    pub timeout: Duration,
    /// Refuse when the call fails.
    pub must_answer: bool,
    /// May be called in a dry run.
    pub dry_run: bool,
    pub reinvoked: bool,
}

impl Hooks {
    /// Whether nothing is configured.
    pub fn is_empty(&self) -> bool {
        self.mutating.is_empty()
            && self.validating.is_empty()
            && self.validating_policies.is_empty()
            && self.mutating_policies.is_empty()
    }
}

impl Registry {
    /// The webhooks and policies as they are configured now.
    pub(super) fn hooks(&self) -> Arc<Hooks> {
        let configured = &self.configured;
        let Some(caches) = configured.caches.get().or_else(|| {
            let found = CONFIGURATIONS.map(|plural| self.built_in(GROUP, plural).ok().map(|found| found.cache));
            let all: Vec<Arc<ResourceCache>> = found.into_iter().flatten().collect();
            let all: [Arc<ResourceCache>; 6] = all.try_into().ok()?;
            Some(configured.caches.get_or_init(|| all))
        }) else {
            return Arc::default();
        };
        let versions = std::array::from_fn(|index| caches[index].last());
        let known = configured.compiled.load_full();
        if known.versions == versions {
            return known;
        }
        let objects = |index: usize| -> Vec<Object> {
            let (items, _) = caches[index].select("", None, |_| true, usize::MAX);
            items.iter().map(|item| item.object()).collect()
        };
        let hooks = Arc::new(Hooks {
            versions,
            mutating: webhooks(&objects(0)),
            validating: webhooks(&objects(1)),
            validating_policies: policies::compile_all(&objects(2), &objects(3), false),
            mutating_policies: policies::compile_all(&objects(4), &objects(5), true),
        });
        configured.compiled.store(hooks.clone());
        hooks
    }
}

/// By the names of the configurations, and within one as they are listed.
fn webhooks(configurations: &[Object]) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for configuration in configurations {
        for webhook in crate::columns::list(&configuration.0, &["webhooks"]) {
            match Matcher::read(webhook, "rules") {
                Ok(matcher) => hooks.push(hook(configuration.name().unwrap_or_default(), webhook, matcher)),
                Err(error) => tracing::error!(error, "a webhook is left out"),
            }
        }
    }
    hooks
}

fn hook(configuration: &str, webhook: &Value, matcher: Matcher) -> Hook {
    let environment = conditions::environment();
    Hook {
        configuration: configuration.to_owned(),
        name: webhook["name"].as_str().unwrap_or_default().to_owned(),
        matcher,
        conditions: conditions::compile(&environment, &webhook["matchConditions"]),
        endpoint: Endpoint::from_client_config(&webhook["clientConfig"]),
        timeout: Duration::from_secs(webhook["timeoutSeconds"].as_u64().unwrap_or(10)),
        must_answer: webhook["failurePolicy"] != "Ignore",
        dry_run: matches!(webhook["sideEffects"].as_str(), Some("None" | "NoneOnDryRun")),
        reinvoked: webhook["reinvocationPolicy"] == "IfNeeded",
    }
}

/// An expression that compiles, or why it does not.
pub(super) fn program(environment: &Environment, text: &str) -> Result<Program, String> {
    environment
        .compile(text)
        .map_err(|error| format!("compilation failed: {error}"))
}
