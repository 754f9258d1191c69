//! Who calls: the identity behind a signature.

use access_rules::User;
use access_rules::eks_token::{EksToken, EksTokenError};
use access_rules::identity::MASTERS;
use access_rules::sigv4::{self, Presented, SignatureError};
use aws_types::region_files::Credentials;
use aws_types::{AccountId, arn};
use jiff::Timestamp;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// The identity's ARN.
    pub arn: String,
    /// The identity's unique id, `AIDA…`.
    pub user_id: String,
    /// The key that signed.
    pub access_key_id: String,
}

/// Every identity that can sign: today the built-in administrator.
#[derive(Debug, Clone)]
pub struct Identities {
    administrator: Credentials,
}

/// Why a request's signature does not prove an identity.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// The signature is missing, malformed, old or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Nobody has that access key.
    #[error("access key {0} is not known")]
    UnknownKey(String),
}

impl Identities {
    /// The identities of a region whose administrator has these keys.
    pub fn new(administrator: Credentials) -> Self {
        Self { administrator }
    }

    /// The account that owns everything.
    pub fn account(&self) -> &AccountId {
        &self.administrator.account_id
    }

    /// The secret of an access key and who it stands for. Session tokens belong to temporary credentials, which nobody has.
    fn find(&self, access_key_id: &str, session_token: Option<&str>) -> Option<(&str, Caller)> {
        let keys = &self.administrator;
        if keys.access_key_id != access_key_id || session_token.is_some() {
            return None;
        }
        let caller = Caller {
            account: keys.account_id.clone(),
            arn: arn::user(&keys.account_id, &keys.user_name),
            user_id: format!("AIDA{}", &keys.access_key_id[4..]),
            access_key_id: keys.access_key_id.clone(),
        };
        Some((&keys.secret_access_key, caller))
    }

    /// Who signed a request.
    ///
    /// # Errors
    /// When the signature does not prove it.
    pub fn authenticate(
        &self,
        presented: &Presented,
        request: &sigv4::Request<'_>,
        now: Timestamp,
    ) -> Result<Caller, AuthenticationError> {
        let Some((secret, caller)) = self.find(&presented.access_key_id, presented.session_token.as_deref()) else {
            return Err(AuthenticationError::UnknownKey(presented.access_key_id.clone()));
        };
        presented.verify(request, secret, now)?;
        Ok(caller)
    }

    /// Who made a cluster's bearer token; `None` for tokens of another kind.
    ///
    /// # Errors
    /// When it is a token of this kind that proves nothing.
    pub fn authenticate_token(&self, cluster: &str, token: &str, now: Timestamp) -> Result<Option<Caller>, TokenError> {
        let token = match EksToken::parse(token) {
            Err(EksTokenError::NotOurs) => return Ok(None),
            parsed => parsed?,
        };
        let Some((secret, caller)) = self.find(token.access_key_id(), token.session_token()) else {
            return Err(TokenError::UnknownKey(token.access_key_id().to_owned()));
        };
        token.verify(cluster, secret, now)?;
        Ok(Some(caller))
    }
}

/// Why a bearer token proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Its form, age, cluster or signature.
    #[error(transparent)]
    Token(#[from] EksTokenError),
    /// Nobody has that access key.
    #[error("access key {0} is not known")]
    UnknownKey(String),
    /// The cluster grants this identity nothing.
    #[error("{arn} has no access to cluster {cluster}")]
    NotMapped {
        /// The identity.
        arn: String,
        /// The cluster.
        cluster: String,
    },
    /// The region has no such cluster.
    #[error("no cluster found for name: {0}")]
    NoCluster(String),
}

impl Caller {
    /// The Kubernetes user that a cluster's creator is, with what aws-iam-authenticator adds.
    pub fn administrator(&self) -> User {
        let mut user = User::authenticated("kubernetes-admin", [MASTERS]);
        user.uid = Some(format!("aws-iam-authenticator:{}:{}", self.account, self.user_id));
        let extra = [
            ("accessKeyId", self.access_key_id.clone()),
            ("arn", self.arn.clone()),
            ("canonicalArn", self.arn.clone()),
            ("principalId", self.user_id.clone()),
            ("sessionName", String::new()),
        ];
        user.extra = extra
            .into_iter()
            .map(|(key, value)| (key.to_owned(), vec![value]))
            .collect();
        user
    }
}
