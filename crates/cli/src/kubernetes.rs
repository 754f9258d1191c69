//! The cluster's Kubernetes API, as the commands that need it reach it: by its public endpoint and a token.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::{Clock, SystemClock};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};

use crate::session::{CommandError, Made, Session};
use crate::signing;

/// The label of what eksctl made.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "eksctl");
/// The annotation that gives a service account its role.
pub const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
/// The older way in.
const AWS_AUTH: &str = "aws-auth";

type Map = BTreeMap<String, String>;

/// A service account as a command wants it.
#[derive(Debug, Clone, Default)]
pub struct WantedAccount {
    /// Its namespace, which is made if it is not there.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Labels beside eksctl's own.
    pub labels: Map,
    /// Annotations.
    pub annotations: Map,
}

impl Session {
    /// A client of a cluster's API server, for the region's administrator.
    ///
    /// # Errors
    /// When the cluster is not there or has no endpoint yet.
    pub async fn kubernetes(&self, cluster: &str) -> Made<kube::Client> {
        let described = self.existing_cluster(cluster).await?;
        let authority = described.certificate_authority.and_then(|authority| authority.data);
        let (Some(endpoint), Some(authority)) = (described.endpoint, authority) else {
            let status = described.status.unwrap_or_default();
            return Err(CommandError::Usage(format!("cluster {cluster} has no endpoint yet, it is {status}")).into());
        };
        let pem = String::from_utf8(STANDARD.decode(authority)?)?;
        let token = signing::token(cluster, self.aws.region(), self.aws.keys(), SystemClock.now());
        let credentials = kube_client::Credentials::Token(token);
        Ok(kube_client::https(&endpoint, &pem, &credentials, "default")?)
    }

    /// Makes or completes a service account: what others put on it stays.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn ensure_service_account(&self, client: &kube::Client, wanted: &WantedAccount) -> Made<()> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        if namespaces.get_opt(&wanted.namespace).await?.is_none() {
            let namespace = Namespace {
                metadata: named(&wanted.namespace),
                ..Namespace::default()
            };
            namespaces.create(&PostParams::default(), &namespace).await?;
            self.progress.info(format!("created namespace {:?}", wanted.namespace));
        }
        let full = format!("{}/{}", wanted.namespace, wanted.name);
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &wanted.namespace);
        let Some(mut there) = accounts.get_opt(&wanted.name).await? else {
            let mut account = ServiceAccount {
                metadata: named(&wanted.name),
                ..ServiceAccount::default()
            };
            complete(&mut account.metadata, wanted);
            accounts.create(&PostParams::default(), &account).await?;
            self.progress.info(format!("created serviceaccount {full:?}"));
            return Ok(());
        };
        self.progress.info(format!("serviceaccount {full:?} already exists"));
        let before = there.metadata.clone();
        complete(&mut there.metadata, wanted);
        if there.metadata != before {
            accounts.replace(&wanted.name, &PostParams::default(), &there).await?;
            self.progress.info(format!("updated serviceaccount {full:?}"));
        }
        Ok(())
    }

    /// Whether a service account is there that eksctl did not make.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn has_foreign_service_account(&self, client: &kube::Client, namespace: &str, name: &str) -> Made<bool> {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let there = accounts.get_opt(name).await?;
        Ok(there.is_some_and(|account| !is_own(&account.metadata)))
    }

    /// Deletes a service account that eksctl made; of another one only the role's annotation goes.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn delete_service_account(&self, client: &kube::Client, namespace: &str, name: &str) -> Made<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let full = format!("{namespace}/{name}");
        match accounts.get_opt(name).await? {
            None => self
                .progress
                .info(format!("serviceaccount {full:?} was already deleted")),
            Some(account) if is_own(&account.metadata) => {
                accounts.delete(name, &kube::api::DeleteParams::default()).await?;
                self.progress.info(format!("deleted serviceaccount {full:?}"));
            }
            Some(mut account) => {
                if let Some(annotations) = &mut account.metadata.annotations {
                    annotations.remove(ROLE_ANNOTATION);
                }
                accounts.replace(name, &PostParams::default(), &account).await?;
                self.progress.info(format!(
                    "serviceaccount {full:?} was not made by eksctl and is kept, without its role"
                ));
            }
        }
        Ok(())
    }

    /// What `aws-auth` holds; nothing when it is not there.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn aws_auth(&self, client: &kube::Client) -> Made<Map> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
        let found = maps.get_opt(AWS_AUTH).await?;
        Ok(found.and_then(|found| found.data).unwrap_or_default())
    }

    /// Puts other data into `aws-auth`.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn put_aws_auth(&self, client: &kube::Client, data: Map) -> Made<()> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
        match maps.get_opt(AWS_AUTH).await? {
            Some(mut found) => {
                found.data = Some(data);
                maps.replace(AWS_AUTH, &PostParams::default(), &found).await?;
            }
            None => {
                let made = ConfigMap {
                    metadata: named(AWS_AUTH),
                    data: Some(data),
                    ..ConfigMap::default()
                };
                maps.create(&PostParams::default(), &made).await?;
            }
        }
        Ok(())
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn is_own(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY.0)).map(String::as_str) == Some(MANAGED_BY.1)
}

fn complete(metadata: &mut ObjectMeta, wanted: &WantedAccount) {
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(wanted.labels.clone());
    if !labels.contains_key(MANAGED_BY.0) && metadata.uid.is_none() {
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    }
    if labels.is_empty() {
        metadata.labels = None;
    }
    if !wanted.annotations.is_empty() {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.extend(wanted.annotations.clone());
    }
}
