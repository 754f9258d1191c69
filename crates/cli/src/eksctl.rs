//! eksctl's commands: the table of them, what was given, and a file for each resource.

mod access_entry;
mod addon;
mod config;
mod describe;
mod drain;
mod fargate_profile;
pub mod given;
mod identity_mapping;
mod identity_provider;
mod labels;
mod pod_identity;
mod registration;
mod service_account;
mod settings;
mod ssh;
pub mod table;
mod upgrade;

use std::path::Path;

pub use config::{cluster, existing, included, nodegroups};
pub use given::Given;
pub use settings::{encryption, log_setup};
pub use ssh::SshAccesses;

use crate::session::{CommandError, Done};
use crate::{access, change, create, show};

/// Carries a command out.
///
/// # Errors
/// What the command says.
pub async fn run(home: &Path, given: &Given) -> Done {
    given.check()?;
    match given.words() {
        ("create", noun) => run_create(noun, home, given).await,
        ("get", noun) => run_get(noun, home, given).await,
        ("delete", noun) => run_delete(noun, home, given).await,
        ("utils", noun) => run_utils(noun, home, given).await,
        ("scale", "nodegroup") => change::scale(home, given).await,
        ("drain", "nodegroup") => drain::nodegroup(home, given).await,
        ("upgrade", "cluster") => upgrade::cluster(home, given).await,
        ("upgrade", "nodegroup") => upgrade::nodegroup(home, given).await,
        ("update", "nodegroup") => upgrade::update_nodegroup(home, given).await,
        ("update", "addon") => addon::update(home, given).await,
        ("update", "iamserviceaccount") => service_account::update(home, given).await,
        ("update", "podidentityassociation") => pod_identity::update(home, given).await,
        ("associate", "identityprovider") => identity_provider::associate(home, given).await,
        ("disassociate", "identityprovider") => identity_provider::disassociate(home, given).await,
        ("set", "labels") => labels::set(home, given).await,
        ("register", "cluster") => registration::register(home, given).await,
        ("deregister", "cluster") => registration::deregister(home, given).await,
        ("unset", "labels") => labels::unset(home, given).await,
        (verb, noun) => unknown(verb, noun),
    }
}

async fn run_create(noun: &str, home: &Path, given: &Given) -> Done {
    match noun {
        "cluster" => create::cluster(home, given).await,
        "nodegroup" => create::nodegroup(home, given).await,
        "addon" => addon::create(home, given).await,
        "fargateprofile" => fargate_profile::create(home, given).await,
        "iamserviceaccount" => service_account::create(home, given).await,
        "iamidentitymapping" => identity_mapping::create(home, given).await,
        "accessentry" => access_entry::create(home, given).await,
        "podidentityassociation" => pod_identity::create(home, given).await,
        _ => unknown("create", noun),
    }
}

async fn run_get(noun: &str, home: &Path, given: &Given) -> Done {
    match noun {
        "cluster" => show::clusters(home, given).await,
        "nodegroup" => show::nodegroups(home, given).await,
        "addon" => addon::get(home, given).await,
        "fargateprofile" => fargate_profile::get(home, given).await,
        "iamserviceaccount" => service_account::get(home, given).await,
        "iamidentitymapping" => identity_mapping::get(home, given).await,
        "accessentry" => access_entry::get(home, given).await,
        "podidentityassociation" => pod_identity::get(home, given).await,
        "labels" => labels::get(home, given).await,
        "identityprovider" => identity_provider::get(home, given).await,
        _ => unknown("get", noun),
    }
}

async fn run_delete(noun: &str, home: &Path, given: &Given) -> Done {
    match noun {
        "cluster" => change::delete_cluster(home, given).await,
        "nodegroup" => change::delete_nodegroup(home, given).await,
        "addon" => addon::delete(home, given).await,
        "fargateprofile" => fargate_profile::delete(home, given).await,
        "iamserviceaccount" => service_account::delete(home, given).await,
        "iamidentitymapping" => identity_mapping::delete(home, given).await,
        "accessentry" => access_entry::delete(home, given).await,
        "podidentityassociation" => pod_identity::delete(home, given).await,
        _ => unknown("delete", noun),
    }
}

async fn run_utils(noun: &str, home: &Path, given: &Given) -> Done {
    match noun {
        "write-kubeconfig" => access::write_kubeconfig(home, given).await,
        "associate-iam-oidc-provider" => settings::oidc_provider(home, given).await,
        "describe-addon-versions" => describe::addon_versions(home, given).await,
        "describe-addon-configuration" => describe::addon_configuration(home, given).await,
        "describe-cluster-versions" => describe::cluster_versions(home, given).await,
        "describe-stacks" => describe::stacks(home, given).await,
        "update-cluster-logging" => settings::logging(home, given).await,
        "update-cluster-endpoints" | "update-cluster-vpc-config" => settings::network(home, given).await,
        "set-public-access-cidrs" => settings::public_access_cidrs(home, given).await,
        "enable-secrets-encryption" => settings::secrets_encryption(home, given).await,
        "update-authentication-mode" => settings::authentication_mode(home, given).await,
        "migrate-to-access-entry" => settings::migrate_to_access_entry(home, given).await,
        "nodegroup-health" => describe::nodegroup_health(home, given).await,
        "schema" => describe::schema(),
        _ => unknown("utils", noun),
    }
}

fn unknown(verb: &str, noun: &str) -> Done {
    Err(CommandError::Usage(format!(
        "{verb} {noun} is in the table of commands and nothing carries it out"
    ))
    .into())
}
