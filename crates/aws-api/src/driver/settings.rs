//! Settings of a control plane that change while it runs: the key of its Secrets, and its identity provider.

use access_rules::oidc::Provider;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::identity_provider::{IdentityProvider, Input};

use super::Driver;
use crate::eks::identity_provider::of_cluster;
use crate::error::ApiError;
use crate::ledger::Change;

impl Driver {
    /// Records of the changes that the control plane has yet to take in.
    pub(super) fn unapplied(&self, cluster: &Cluster) -> Vec<String> {
        self.region.ledger.read(|state| {
            let providers = of_cluster(state, &cluster.name).filter_map(|provider| provider.update.clone());
            providers.chain(cluster.encrypting.clone()).collect()
        })
    }

    /// The identity providers that the control plane is to know.
    pub(super) fn identity_providers(&self, cluster: &Cluster) -> Vec<Provider> {
        self.region.ledger.read(|state| {
            let wanted = of_cluster(state, &cluster.name).filter(|provider| provider.is_wanted());
            wanted.map(spec).collect()
        })
    }

    /// The control plane has taken changes in.
    pub(super) async fn applied(&self, updates: &[String]) -> Result<(), ApiError> {
        let decided = self.region.ledger.change(|state| {
            let mut changes = Vec::new();
            for provider in of_cluster(state, &self.name) {
                let Some(id) = provider.update.clone().filter(|id| updates.contains(id)) else {
                    continue;
                };
                if let Some(update) = state.updates.get(&id) {
                    changes.push(Change::put(update.clone().step(Ok(()))));
                }
                changes.push(match provider.clone().step(Input::Applied { update: id })? {
                    Some(after) => Change::put(after),
                    None => Change::remove::<IdentityProvider>((provider.cluster.clone(), provider.name.clone())),
                });
            }
            Ok::<_, ApiError>(((), changes))
        });
        decided.await
    }
}

fn spec(provider: &IdentityProvider) -> Provider {
    Provider {
        issuer_url: provider.issuer_url.clone(),
        client_id: provider.client_id.clone(),
        username_claim: provider.username_claim.clone(),
        username_prefix: provider.username_prefix.clone(),
        groups_claim: provider.groups_claim.clone(),
        groups_prefix: provider.groups_prefix.clone(),
        required_claims: provider.required_claims.clone(),
        authority_pem: None,
    }
}
