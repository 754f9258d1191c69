//! Who calls: the identity behind a signature.

use std::collections::BTreeMap;

use access_rules::eks_token::EksTokenError;
use access_rules::sigv4::SignatureError;
use aws_types::region_files::Credentials;
use aws_types::{AccountId, arn};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::State;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// The identity's ARN.
    pub arn: String,
    /// The identity's unique id, `AIDA…`, or `AROA…:session`.
    pub user_id: String,
    /// The key that signed.
    pub access_key_id: String,
    /// The user's name, or the session's.
    pub name: String,
    /// What decides what it may do.
    pub principal: Principal,
    /// Policies that narrow a session down.
    pub session_policies: Option<Vec<String>>,
    /// Tags of the principal, or of the session.
    pub tags: BTreeMap<String, String>,
}

/// What decides what a caller may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Principal {
    /// The account's own administrator: everything.
    Administrator,
    /// The policies of a user and of its groups.
    User(String),
    /// The policies of a role.
    Role(String),
    /// Nobody: for operations that are not signed.
    Anonymous,
}

/// Why a request's signature does not prove an identity.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// The signature is missing, malformed, old or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Nobody has that access key, or the session token is not its own.
    #[error("access key {0} is not known")]
    UnknownKey(String),
    /// The temporary credentials are over.
    #[error("the credentials of access key {0} have expired")]
    Expired(String),
}

/// Why a bearer token proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Its form, age, cluster or signature.
    #[error(transparent)]
    Token(#[from] EksTokenError),
    /// Its access key proves nothing.
    #[error(transparent)]
    Key(#[from] AuthenticationError),
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
    /// The cluster's `aws-auth` cannot be looked at.
    #[error("read the identity mappings of cluster {cluster}")]
    Mappings {
        /// The cluster.
        cluster: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An account's built-in administrator, and with the records everybody of the account who can sign.
#[derive(Debug, Clone)]
pub struct Identities {
    administrator: Credentials,
}

impl Identities {
    /// The identities of an account whose administrator has these keys.
    pub fn new(administrator: Credentials) -> Self {
        Self { administrator }
    }

    /// The account that owns everything.
    pub fn account(&self) -> &AccountId {
        &self.administrator.account_id
    }

    /// The administrator as a caller.
    pub fn administrator(&self) -> Caller {
        let keys = &self.administrator;
        Caller {
            account: keys.account_id.clone(),
            arn: arn::user(&keys.account_id, &keys.user_name),
            user_id: format!("AIDA{}", &keys.access_key_id[4..]),
            access_key_id: keys.access_key_id.clone(),
            name: keys.user_name.clone(),
            principal: Principal::Administrator,
            session_policies: None,
            tags: BTreeMap::new(),
        }
    }

    /// Who calls an operation that is not signed.
    pub fn anonymous(&self) -> Caller {
        Caller {
            arn: "anonymous".to_owned(),
            user_id: String::new(),
            access_key_id: String::new(),
            name: String::new(),
            principal: Principal::Anonymous,
            ..self.administrator()
        }
    }

    /// The secret of an access key of the account, and who it stands for.
    ///
    /// # Errors
    /// When nobody of the account has it, or it is over.
    pub fn find(
        &self,
        state: &State,
        id: &str,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<(String, Caller), AuthenticationError> {
        let unknown = || AuthenticationError::UnknownKey(id.to_owned());
        if id == self.administrator.access_key_id && token.is_none() {
            return Ok((self.administrator.secret_access_key.clone(), self.administrator()));
        }
        if let Some(session) = state.sessions.get(id) {
            if token != Some(&session.token) {
                return Err(unknown());
            }
            if session.expires_at <= now {
                return Err(AuthenticationError::Expired(id.to_owned()));
            }
            return Ok((session.secret.clone(), session.caller.clone()));
        }
        let key = state.access_keys.get(id).filter(|key| key.active && token.is_none());
        let key = key.ok_or_else(unknown)?;
        let user = crate::iam::entity::find(state, crate::iam::entity::EntityKind::User, &key.user);
        let user = user.map_err(|_no_such_user| unknown())?;
        let caller = Caller {
            account: self.account().clone(),
            arn: user.arn.clone(),
            user_id: user.id.clone(),
            access_key_id: id.to_owned(),
            name: user.name.clone(),
            principal: Principal::User(user.name.clone()),
            session_policies: None,
            tags: user.tags.clone(),
        };
        Ok((key.secret.clone(), caller))
    }
}

impl Caller {
    /// The ARN that mappings and policies know: a session's role, anybody else themselves.
    pub fn canonical_arn(&self) -> String {
        match &self.principal {
            Principal::Role(name) => arn::role(&self.account, name),
            _ => self.arn.clone(),
        }
    }
}
