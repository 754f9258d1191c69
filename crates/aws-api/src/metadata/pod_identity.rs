//! The agent of EKS Pod Identity: a pod shows the token of its service account and gets credentials of the associated role.
//!
//! On EC2 this is a pod on every node; here the VPC itself answers, for the clusters that have the add-on, as the node on which the pod is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_types::time::Time;
use aws_types::{ClusterName, VpcId};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::credentials;
use super::facts::{self, Facts};
use super::serve::{Answer, Reply, Request};
use super::tree::moment;
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::{self, Context};
use crate::region::Region;

/// The add-on that must be there.
const ADDON: &str = "eks-pod-identity-agent";
/// What the agent keeps at most.
const MOST_KEPT: usize = 2_000;
/// How long credentials are given out again before others are made.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(3);

/// Credentials that were made for a token, and when.
type Kept = BTreeMap<String, (Timestamp, Value)>;

/// The agents of a VPC's nodes.
pub struct Service {
    region: Arc<Region>,
    vpc: VpcId,
    kept: Mutex<Kept>,
}

fn plain(status: StatusCode, text: impl Into<String>) -> Reply {
    Reply::new(status, "text/plain; charset=utf-8", format!("{}\n", text.into()))
}

impl Service {
    /// The agents of a VPC's nodes.
    pub fn new(region: Arc<Region>, vpc: VpcId) -> Self {
        Self {
            region,
            vpc,
            kept: Mutex::default(),
        }
    }

    async fn reply(&self, request: &Request) -> Reply {
        if request.path != "/v1/credentials" {
            return plain(StatusCode::NOT_FOUND, "404 page not found");
        }
        if request.method != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        }
        // A browser that was led here by another name must not get anything.
        let host = request.header("host").unwrap_or_default();
        if host.trim_end_matches(":80") != super::POD_IDENTITY_ADDRESS.to_string() {
            return plain(StatusCode::BAD_REQUEST, format!("invalid host header: {host}"));
        }
        let Some(token) = request.header("authorization").filter(|token| !token.is_empty()) else {
            return plain(StatusCode::BAD_REQUEST, "Service account token cannot be empty");
        };
        let facts = facts::find(&self.region, &self.vpc, request.from);
        let cluster = facts.as_ref().and_then(|facts| facts.cluster.clone());
        let Some((facts, cluster)) = facts.zip(cluster).filter(|(_, cluster)| self.has_agent(cluster)) else {
            return plain(StatusCode::NOT_FOUND, format!("the add-on {ADDON} is not installed"));
        };
        match self.credentials(&facts, &cluster, token).await {
            Ok(document) => Reply::new(StatusCode::OK, "application/json", document.to_string()),
            Err(error) => {
                let message = format!("{}: {}", error.code, error.message);
                tracing::debug!(instance = %facts.id, message, "pod identity refused");
                plain(error.status, message)
            }
        }
    }

    fn has_agent(&self, cluster: &ClusterName) -> bool {
        let key = (cluster.clone(), ADDON.to_owned());
        self.region.ledger.read(|state| state.addons.contains_key(&key))
    }

    async fn credentials(&self, facts: &Facts, cluster: &ClusterName, token: &str) -> Result<Value, ApiError> {
        let now = self.region.clock.now();
        let kept = self.kept().get(token).cloned();
        if let Some((_, document)) = kept.filter(|(made, _)| now < *made + KEPT_FOR) {
            return Ok(document);
        }
        let role = credentials::role(&self.region, facts).ok_or_else(|| {
            let message = format!("EC2 cannot assume the node's role {}", facts.role);
            ApiError::new("AccessDeniedException", StatusCode::FORBIDDEN, message)
        })?;
        let context = Context {
            region: Arc::clone(&self.region),
            caller: credentials::caller(&self.region, facts, &role),
        };
        let input = json!({"clusterName": cluster, "token": token});
        let answer = operations::perform(context, "eks-auth", "AssumeRoleForPodIdentity", input).await?;
        let made = &answer["credentials"];
        // The answer has it as JSON protocols do; SDKs read a text here.
        let expires: Time = serde_json::from_value(made["expiration"].clone()).map_err(ApiError::internal)?;
        let document = json!({
            "AccessKeyId": made.text("accessKeyId"), "SecretAccessKey": made.text("secretAccessKey"),
            "Token": made.text("sessionToken"), "AccountId": facts.account, "Expiration": moment(expires.0),
        });
        let mut kept = self.kept();
        kept.retain(|_, (made, _)| now < *made + KEPT_FOR);
        if kept.len() < MOST_KEPT {
            kept.insert(token.to_owned(), (now, document.clone()));
        }
        Ok(document)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer for Service {
    fn answer(&self, request: Request) -> BoxFuture<'_, Reply> {
        async move { self.reply(&request).await }.boxed()
    }
}
