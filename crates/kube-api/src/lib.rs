//! The HTTP face of `registry`: TLS, authentication, routes from the table, discovery, watch, logs, exec and proxy.
//!
//! **Invariant:** no route is written for a kind.
#![forbid(unsafe_code)]

mod aggregation;
mod api;
mod audit;
mod authentication;
mod connect;
mod discovery;
mod fairness;
mod fetch;
mod health;
mod held_body;
mod lifecycle;
mod limits;
mod metrics;
mod negotiate;
mod openapi;
pub mod pki;
pub mod request_info;
mod resources;
mod respond;
mod serve;
mod tokens;
mod trust;
mod watch;
mod webhook_caller;

pub use access_rules::oidc::Provider as IdentityProvider;
pub use api::{AccessOptions, Caller, KubeApi, Options, ServeError};
pub use audit::{AuditError, AuditLog, LogOptions, LogReader, parse_policy, read_policy};
pub use authentication::{
    Anonymous, AuthenticationError, IdentityProviders, PeerCertificate, RequestHeader, TokenAuthenticator,
};
pub use connect::{AsyncReadWrite, NodeDialer};
pub use health::VersionInfo;
pub use lifecycle::SHUTDOWN_LIMIT;
pub use pki::{Authority, CertificatePair, ClusterPki, PkiError, ServerNames};
pub use respond::Answer;
pub use serve::InProcess;
pub use tokens::{DEFAULT_AUDIENCE, ServiceAccountTokens, TokenKeyError};
