//! Service-account tokens: signed with the cluster's key, checked against the objects that they are bound to.

use std::sync::{Arc, OnceLock, Weak};

use access_rules::User;
use access_rules::service_account::{Claims, ClaimsError, DELETION_GRACE, Kubernetes, Reference};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::{Clock, Random};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kube_types::GroupVersionResource;
use kube_types::meta::ObjectMeta;
use registry::{Context, GetOptions, IssuedToken, Registry, Target, TokenClaims, TokenError, TokenIssuer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::authentication::{TokenAuthenticator, with_authenticated};
use crate::pki::ClusterPki;

/// The audience of tokens that name none, besides the issuer itself.
pub const DEFAULT_AUDIENCE: &str = "https://kubernetes.default.svc";

/// Signs and checks the tokens of one cluster. Made before the registry, which issues through it; [`Self::attach`]
/// gives it the registry afterwards, in which bound objects are looked up.
pub struct ServiceAccountTokens {
    issuer: String,
    audiences: Vec<String>,
    key_id: String,
    signing: EncodingKey,
    checking: DecodingKey,
    public_key: RsaPublicKey,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    registry: OnceLock<Weak<Registry>>,
    /// Who knows tokens of other forms, for reviews.
    others: OnceLock<Vec<Arc<dyn TokenAuthenticator>>>,
}

/// The numbers of an RSA key, big-endian.
#[derive(Debug, Clone)]
struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// Why the cluster's key cannot sign tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The key is not an RSA key in PEM.
    #[error("read the service-account key")]
    Pem(#[from] jsonwebtoken::errors::Error),
    /// Its public half cannot be taken apart.
    #[error("read the service-account public key: {0}")]
    Public(String),
}

#[derive(Deserialize)]
struct Bound {
    metadata: ObjectMeta,
}

#[derive(Serialize)]
struct KeySet<'a> {
    keys: [Key<'a>; 1],
}

#[derive(Serialize)]
struct Key<'a> {
    #[serde(rename = "use")]
    usage: &'a str,
    kty: &'a str,
    kid: &'a str,
    alg: &'a str,
    n: String,
    e: String,
}

#[derive(Serialize)]
struct Provider<'a> {
    issuer: &'a str,
    jwks_uri: String,
    response_types_supported: [&'a str; 1],
    subject_types_supported: [&'a str; 1],
    id_token_signing_alg_values_supported: [&'a str; 1],
}

impl ServiceAccountTokens {
    /// `issuer` is the cluster's OIDC issuer URL, as DescribeCluster shows it.
    ///
    /// # Errors
    /// When the cluster's key cannot be read.
    pub fn new(
        pki: &ClusterPki,
        issuer: impl Into<String>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, TokenKeyError> {
        let issuer = issuer.into();
        let public_key = rsa_numbers(pki.service_account_public_der())?;
        Ok(Self {
            audiences: vec![DEFAULT_AUDIENCE.to_owned(), issuer.clone()],
            issuer,
            key_id: URL_SAFE_NO_PAD.encode(Sha256::digest(pki.service_account_public_der())),
            signing: EncodingKey::from_rsa_pem(pki.service_account_key_pem().as_bytes())?,
            checking: DecodingKey::from_rsa_pem(pki.service_account_public_pem().as_bytes())?,
            public_key,
            clock,
            random,
            registry: OnceLock::new(),
            others: OnceLock::new(),
        })
    }

    /// Gives the registry in which bound objects are looked up. The first call counts.
    pub fn attach(&self, registry: &Arc<Registry>) {
        self.registry.get_or_init(|| Arc::downgrade(registry));
    }

    /// Gives those who are asked when a token to be reviewed is none of this issuer's. The first call counts.
    pub(crate) fn attach_others(&self, others: Vec<Arc<dyn TokenAuthenticator>>) {
        self.others.get_or_init(|| others);
    }

    /// The OIDC issuer URL.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `/openid/v1/jwks`.
    #[must_use]
    pub fn key_set(&self) -> Vec<u8> {
        let set = KeySet {
            keys: [Key {
                usage: "sig",
                kty: "RSA",
                kid: &self.key_id,
                alg: "RS256",
                n: URL_SAFE_NO_PAD.encode(&self.public_key.modulus),
                e: URL_SAFE_NO_PAD.encode(&self.public_key.exponent),
            }],
        };
        serde_json::to_vec(&set).expect("texts always serialize")
    }

    /// `/.well-known/openid-configuration`.
    #[must_use]
    pub fn provider_configuration(&self) -> Vec<u8> {
        let provider = Provider {
            issuer: &self.issuer,
            jwks_uri: format!("{}/keys", self.issuer),
            response_types_supported: ["id_token"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: ["RS256"],
        };
        serde_json::to_vec(&provider).expect("texts always serialize")
    }

    /// The user of a token for this API server; `None` when it is none of ours.
    ///
    /// # Errors
    /// When it is ours but does not hold.
    pub async fn authenticate(&self, token: &str) -> Result<Option<User>, TokenError> {
        Ok(self.check(token, &self.audiences).await?.map(|(user, _)| user))
    }

    fn sign(&self, wanted: &TokenClaims) -> Result<IssuedToken, TokenError> {
        let now = self.clock.now();
        let audiences = if wanted.audiences.is_empty() {
            vec![DEFAULT_AUDIENCE.to_owned()]
        } else {
            wanted.audiences.clone()
        };
        let mut claims = Kubernetes {
            namespace: wanted.namespace.clone(),
            serviceaccount: Reference {
                name: wanted.service_account.clone(),
                uid: wanted.service_account_uid.clone(),
            },
            ..Kubernetes::default()
        };
        claims.node = wanted.node.clone().map(|(name, uid)| Reference { name, uid });
        if let Some((kind, name, uid)) = wanted.bound_object.clone() {
            let reference = Some(Reference { name, uid });
            match kind.as_str() {
                "Pod" => claims.pod = reference,
                "Secret" => claims.secret = reference,
                "Node" => claims.node = reference,
                other => {
                    return Err(TokenError(format!(
                        "cannot bind token for serviceaccount to object of type {other}"
                    )));
                }
            }
        }
        let expires = now.as_second() + wanted.expiration_seconds;
        let claims = Claims {
            aud: audiences.clone(),
            exp: expires,
            iat: now.as_second(),
            iss: self.issuer.clone(),
            jti: self.random.uuid(),
            sub: format!("system:serviceaccount:{}:{}", wanted.namespace, wanted.service_account),
            nbf: now.as_second(),
            kubernetes: claims,
        };
        let header = Header {
            typ: None,
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::RS256)
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.signing)
            .map_err(|error| TokenError(format!("sign: {error}")))?;
        let expires = Timestamp::from_second(expires).map_err(|error| TokenError(error.to_string()))?;
        Ok(IssuedToken {
            token,
            expires,
            audiences,
        })
    }

    async fn check(&self, token: &str, audiences: &[String]) -> Result<Option<(User, Vec<String>)>, TokenError> {
        if !ours(token, &self.issuer) {
            return Ok(None);
        }
        // Times and audiences are checked by the claims' own rules below, so that our clock and messages are used.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &validation)
            .map_err(|error| TokenError(format!("signature: {error}")))?
            .claims;
        let now = self.clock.now();
        let common = match claims.check(&self.issuer, audiences, now) {
            Ok(common) => common,
            Err(ClaimsError::OtherIssuer(_)) => return Ok(None),
            Err(error) => return Err(TokenError(error.to_string())),
        };
        self.check_bound(&claims, now).await?;
        Ok(Some((claims.user(), common)))
    }

    /// The account and what the token is bound to must still be the same objects.
    async fn check_bound(&self, claims: &Claims, now: Timestamp) -> Result<(), TokenError> {
        let held = &claims.kubernetes;
        let namespace = Some(held.namespace.as_str());
        self.check_object("serviceaccounts", namespace, &held.serviceaccount, now)
            .await?;
        if let Some(pod) = &held.pod {
            self.check_object("pods", namespace, pod, now).await?;
        }
        if let Some(secret) = &held.secret {
            self.check_object("secrets", namespace, secret, now).await?;
        }
        // With a pod the node is information only; without one the token is bound to the node.
        if let (None, Some(node)) = (&held.pod, &held.node) {
            self.check_object("nodes", None, node, now).await?;
        }
        Ok(())
    }

    async fn check_object(
        &self,
        resource: &str,
        namespace: Option<&str>,
        wanted: &Reference,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let registry = self.registry.get().and_then(Weak::upgrade);
        let registry = registry.ok_or_else(|| TokenError("the registry is not open".to_owned()))?;
        let target = Target::object(GroupVersionResource::new("", "v1", resource), namespace, &wanted.name);
        let context = Context::for_user(User::master("system:apiserver"));
        let reply = registry
            .get(
                &context,
                &target,
                GetOptions {
                    resource_version: "0".to_owned(),
                },
            )
            .await;
        let reply = reply.map_err(|error| TokenError(error.message().to_owned()))?;
        let found: Bound = serde_json::from_slice(&reply.body.into_bytes())
            .map_err(|error| TokenError(format!("read {resource} {:?}: {error}", wanted.name)))?;
        if found.metadata.uid.as_deref() != Some(wanted.uid.as_str()) {
            return Err(TokenError(format!(
                "{resource} {:?} is another object than the token was made for",
                wanted.name
            )));
        }
        let deleted = found.metadata.deletion_timestamp.map(|time| time.0.as_second());
        if deleted.is_some_and(|deleted| now.as_second() > deleted + DELETION_GRACE) {
            return Err(TokenError(format!("{resource} {:?} has been deleted", wanted.name)));
        }
        Ok(())
    }
}

impl TokenIssuer for ServiceAccountTokens {
    fn issue(&self, claims: TokenClaims) -> BoxFuture<'_, Result<IssuedToken, TokenError>> {
        async move { self.sign(&claims) }.boxed()
    }

    fn review<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<(User, Vec<String>)>, TokenError>> {
        let audiences = if audiences.is_empty() {
            &self.audiences
        } else {
            audiences
        };
        async move {
            if let Some(known) = self.check(token, audiences).await? {
                return Ok(Some(known));
            }
            // Tokens of other forms are for the API server itself, whatever they say.
            let common: Vec<String> = audiences
                .iter()
                .filter(|one| self.audiences.contains(one))
                .cloned()
                .collect();
            if common.is_empty() {
                return Ok(None);
            }
            for other in self.others.get().into_iter().flatten() {
                match other.authenticate(token).await {
                    Ok(Some(user)) => return Ok(Some((with_authenticated(user), common))),
                    Ok(None) => {}
                    Err(error) => return Err(TokenError(supervision::error_chain(&error))),
                }
            }
            Ok(None)
        }
        .boxed()
    }
}

/// Is this a JSON web token whose payload names our issuer? Looked at before the signature, so that other tokens go to
/// other authenticators without an error.
fn ours(token: &str, issuer: &str) -> bool {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let payload = token.split('.').nth(1).unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice::<Issuer>(&decoded).is_ok_and(|read| read.iss == issuer)
}

fn rsa_numbers(spki_der: &[u8]) -> Result<RsaPublicKey, TokenKeyError> {
    use x509_parser::prelude::FromDer;
    use x509_parser::public_key::PublicKey;
    let problem = |text: &str| TokenKeyError::Public(text.to_owned());
    let (_, info) = x509_parser::x509::SubjectPublicKeyInfo::from_der(spki_der)
        .map_err(|error| TokenKeyError::Public(error.to_string()))?;
    match info
        .parsed()
        .map_err(|error| TokenKeyError::Public(error.to_string()))?
    {
        PublicKey::RSA(key) => {
            let trimmed = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
            Ok(RsaPublicKey {
                modulus: trimmed(key.modulus),
                exponent: trimmed(key.exponent),
            })
        }
        _ => Err(problem("not an RSA key")),
    }
}
