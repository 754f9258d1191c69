//! Resources of the smaller services: kept as the members that answers show, by kind and key. Everything that a service
//! remembers beside them (versions, policies, messages) is in members that its views leave out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::operations::Context;

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ItemKind {
    /// SSM: a parameter, by name.
    Parameter,
    /// KMS: a key, by id.
    Key,
    /// KMS: an alias, by name.
    KeyAlias,
    /// KMS: a grant, by id.
    Grant,
    /// ECR: a repository, by name.
    Repository,
    /// CloudWatch Logs: a group, by name.
    LogGroup,
    /// CloudWatch Logs: a stream, by group and name.
    LogStream,
    /// CloudWatch Logs: the events of one call, by group, stream and number.
    LogBatch,
    /// ELB: a load balancer, by ARN.
    LoadBalancer,
    /// ELB: a target group, by ARN.
    TargetGroup,
    /// ELB: a listener, by ARN.
    Listener,
    /// ELB: a rule of a listener, by ARN.
    ListenerRule,
    /// SQS: a queue, by name.
    Queue,
    /// SQS: a message, by queue and number.
    Message,
    /// EventBridge: a rule, by bus and name.
    EventRule,
    /// ACM: a certificate, by ARN.
    Certificate,
    /// CloudTrail: a call, by time and id.
    TrailEvent,
    /// EC2: a fleet, by id.
    Fleet,
    /// Auto Scaling: a launch configuration, by name.
    LaunchConfiguration,
    /// IAM: the account's alias.
    AccountAlias,
    /// IAM: the account's rules for passwords.
    PasswordPolicy,
    /// IAM: a user's password, by the user's id.
    LoginProfile,
    /// IAM: a virtual MFA device, by serial number.
    MfaDevice,
    /// IAM: whose MFA device it is, by the user's id and serial number.
    MfaAssignment,
    /// IAM: a SAML identity provider, by ARN.
    SamlProvider,
    /// IAM: a server's certificate, by name.
    ServerCertificate,
    /// IAM: a user's signing certificate, by the user's id and its own.
    SigningCertificate,
    /// IAM: a user's SSH public key, by the user's id and its own.
    SshPublicKey,
    /// IAM: a user's credential for one service, by the user's id and its own.
    ServiceCredential,
    /// IAM: the last credential report.
    CredentialReport,
    /// EKS: a registered cluster of another maker, by name.
    RegisteredCluster,
    /// EKS: an EKS Anywhere subscription, by id.
    AnywhereSubscription,
    /// Service Quotas: a wish for more, by id.
    QuotaRequest,
    /// S3: a bucket, by name.
    Bucket,
    /// S3: an object, by bucket and key.
    BucketObject,
}

impl ItemKind {
    /// Whether every region of an account sees its resources: IAM's and S3's.
    fn is_of_account(self) -> bool {
        matches!(
            self,
            Self::AccountAlias
                | Self::PasswordPolicy
                | Self::LoginProfile
                | Self::MfaDevice
                | Self::MfaAssignment
                | Self::SamlProvider
                | Self::ServerCertificate
                | Self::SigningCertificate
                | Self::SshPublicKey
                | Self::ServiceCredential
                | Self::CredentialReport
                | Self::Bucket
                | Self::BucketObject
        )
    }
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// What tells it from others of its kind.
    pub key: String,
    /// Its members.
    pub body: Value,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A resource that is the account's and not a region's: IAM's and S3's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountItem(pub Item);

impl Item {
    /// One without tags.
    pub fn new(kind: ItemKind, key: impl Into<String>, body: Value) -> Self {
        Self {
            kind,
            key: key.into(),
            body,
            tags: BTreeMap::new(),
        }
    }

    /// The same with tags.
    pub fn tagged(mut self, tags: BTreeMap<String, String>) -> Self {
        self.tags = tags;
        self
    }

    /// The change that writes it down.
    pub fn put(self) -> Change {
        if self.kind.is_of_account() {
            Change::put(AccountItem(self))
        } else {
            Change::put(self)
        }
    }

    /// The change that takes it away.
    pub fn removal(&self) -> Change {
        let key = (self.kind, self.key.clone());
        if self.kind.is_of_account() {
            Change::remove::<AccountItem>(key)
        } else {
            Change::remove::<Self>(key)
        }
    }

    /// Its members without those that no answer shows.
    pub fn without(&self, hidden: &[&str]) -> Value {
        let mut view = self.body.clone();
        if let Some(members) = view.as_object_mut() {
            members.retain(|name, _| !hidden.contains(&name.as_str()));
        }
        view
    }
}

/// Those of a kind, in the order of their keys.
pub fn of_kind(state: &State, kind: ItemKind) -> impl Iterator<Item = &Item> {
    beginning(state, kind, "")
}

/// Those of a kind whose keys begin so.
pub fn beginning<'a>(
    state: &'a State,
    kind: ItemKind,
    prefix: &str,
) -> impl Iterator<Item = &'a Item> + Clone + use<'a> {
    let (first, prefix) = ((kind, prefix.to_owned()), prefix.to_owned());
    let of_region = state.items.range(first.clone()..).map(|(_, item)| item);
    let of_account = state.account_items.range(first..).map(|(_, item)| &item.0);
    // A kind is in one of the two tables only.
    let is_wanted = move |item: &&Item| item.kind == kind && item.key.starts_with(&prefix);
    of_region
        .take_while(is_wanted.clone())
        .chain(of_account.take_while(is_wanted))
}

/// The one of that key.
pub fn find<'a>(state: &'a State, kind: ItemKind, key: &str) -> Option<&'a Item> {
    let key = (kind, key.to_owned());
    let of_account = || state.account_items.get(&key).map(|item| &item.0);
    state.items.get(&key).or_else(of_account)
}

/// Writes one down, if the check lets it.
///
/// # Errors
/// What the check answers.
pub async fn create(
    context: &Context,
    item: Item,
    check: impl FnOnce(&State) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let decide = |state: &State| {
        check(state)?;
        Ok(((), vec![item.put()]))
    };
    context.region.ledger.change(decide).await
}

/// Changes one.
///
/// # Errors
/// `missing` when it is not there, or what the change answers.
pub async fn edit<T>(
    context: &Context,
    kind: ItemKind,
    key: &str,
    missing: impl FnOnce() -> ApiError,
    change: impl FnOnce(&State, &mut Item) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let decide = |state: &State| {
        let mut item = find(state, kind, key).ok_or_else(missing)?.clone();
        let answer = change(state, &mut item)?;
        Ok((answer, vec![item.put()]))
    };
    context.region.ledger.change(decide).await
}

/// Takes one away.
///
/// # Errors
/// `missing` when it is not there.
pub async fn remove(
    context: &Context,
    kind: ItemKind,
    key: &str,
    missing: impl FnOnce() -> ApiError,
) -> Result<Item, ApiError> {
    let decide = |state: &State| {
        let item = find(state, kind, key).ok_or_else(missing)?.clone();
        let removal = item.removal();
        Ok((item, vec![removal]))
    };
    context.region.ledger.change(decide).await
}

/// One page of a list: the token is where the next begins.
///
/// # Errors
/// `wrong` when the token was not made here.
pub fn page(
    views: Vec<Value>,
    token: Option<&str>,
    most: Option<i64>,
    usual: usize,
    wrong: impl FnOnce() -> ApiError,
) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let begin: usize = match token.filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => token.parse().map_err(|_not_ours| wrong())?,
    };
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usual).max(1);
    let total = views.len();
    let page: Vec<Value> = views.into_iter().skip(begin).take(most).collect();
    let end = begin + page.len();
    Ok((page, (end < total).then(|| end.to_string())))
}
