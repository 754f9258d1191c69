//! The way to the members: TLS, users, which errors mean what.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::EtcdLocation;
use super::wire::auth_client::AuthClient;
use super::wire::{AuthenticateRequest, kv_client::KvClient, lease_client::LeaseClient};
use super::wire::{maintenance_client::MaintenanceClient, watch_client::WatchClient};
use crate::StoreError;

/// A member that does not answer its connection's pings within this time is given up.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A request takes at most this long, elections included.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// Connections to all members; requests go to one that is up.
pub(super) struct Connection {
    channel: Channel,
    members: Vec<Endpoint>,
    user: Option<(String, String)>,
    token: RwLock<Option<MetadataValue<Ascii>>>,
}

impl Connection {
    /// Prepares the connections; they are made when they are first needed.
    pub fn new(location: &EtcdLocation) -> Result<Self, StoreError> {
        let members = location.members.iter().map(|member| endpoint(location, member));
        let members = members.collect::<Result<Vec<Endpoint>, StoreError>>()?;
        let user = match &location.user {
            Some((user, file)) => {
                let password = read(file)?;
                Some((user.clone(), password.trim_end_matches(['\r', '\n']).to_owned()))
            }
            None => None,
        };
        Ok(Self {
            channel: Channel::balance_list(members.clone().into_iter()),
            members,
            user,
            token: RwLock::default(),
        })
    }

    pub fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    }

    pub fn watch(&self) -> WatchClient<Channel> {
        WatchClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    pub fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    /// One client for each member.
    pub fn maintenance(&self) -> impl Iterator<Item = MaintenanceClient<Channel>> {
        self.members
            .iter()
            .map(|member| MaintenanceClient::new(member.connect_lazy()))
    }

    /// A request with the credentials that are known and the wish to hear from a member that has a leader.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("hasleader", MetadataValue::from_static("true"));
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = token {
            metadata.insert("token", token);
        }
        request
    }

    /// Asks, within a limit, and again after logging in when the server wants that.
    pub async fn ask<T, F>(&self, what: &str, ask: impl Fn() -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let limited = async || match tokio::time::timeout(REQUEST_LIMIT, ask()).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(Status::unavailable(format!("{what}: no answer: {elapsed}"))),
        };
        match limited().await {
            Err(status) if self.wants_login(&status) => {
                self.log_in().await?;
                limited().await
            }
            answer => answer,
        }
    }

    /// Is this the answer to a request without a valid token?
    pub fn wants_login(&self, status: &Status) -> bool {
        let says = |text: &str| status.message().contains(text);
        let nobody = status.code() == Code::Unauthenticated
            || says("user name is empty")
            // Rights have changed since the token was given.
            || says("revision in header is old");
        self.user.is_some() && nobody
    }

    /// Gets a new token.
    pub async fn log_in(&self) -> Result<(), Status> {
        let Some((name, password)) = self.user.clone() else {
            return Ok(());
        };
        let request = AuthenticateRequest { name, password };
        let answer = AuthClient::new(self.channel.clone()).authenticate(request).await?;
        let token = answer.into_inner().token.parse();
        let token = token.map_err(|error| Status::internal(format!("etcd's token is no header: {error}")))?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }
}

fn endpoint(location: &EtcdLocation, member: &str) -> Result<Endpoint, StoreError> {
    let scheme = if location.tls { "https" } else { "http" };
    let invalid = |error: tonic::transport::Error| StoreError::Unavailable(member.to_owned(), Some(Arc::new(error)));
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{member}"))
        .map_err(invalid)?
        .connect_timeout(CONNECT_LIMIT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_LIMIT)
        .keep_alive_while_idle(true)
        .initial_connection_window_size(8 << 20)
        .initial_stream_window_size(4 << 20);
    if location.tls {
        let mut tls = ClientTlsConfig::new();
        if let Some(ca) = &location.ca {
            tls = tls.ca_certificate(Certificate::from_pem(read(ca)?));
        }
        if let Some((certificate, key)) = &location.client_certificate {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        endpoint = endpoint.tls_config(tls).map_err(invalid)?;
    }
    Ok(endpoint)
}

fn read(file: &std::path::Path) -> Result<String, StoreError> {
    std::fs::read_to_string(file)
        .map_err(|error| StoreError::Unavailable(format!("cannot read {}", file.display()), Some(Arc::new(error))))
}

/// What etcd refuses a request for. It tells by text; the codes say less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Compacted,
    Future,
    LeaseNotFound,
    TooLarge,
    Invalid,
    Unavailable,
}

pub(super) fn refusal(status: &Status) -> Refusal {
    let message = status.message();
    let says = |text: &str| message.contains(text);
    if says("required revision has been compacted") {
        Refusal::Compacted
    } else if says("required revision is a future revision") {
        Refusal::Future
    } else if says("requested lease not found") {
        Refusal::LeaseNotFound
    } else if says("request is too large") || says("message larger than max") {
        Refusal::TooLarge
    } else if status.code() == Code::InvalidArgument {
        Refusal::Invalid
    } else {
        Refusal::Unavailable
    }
}

/// An error of which nothing more is known than that it did not work.
pub(super) fn unavailable(what: &str, status: Status) -> StoreError {
    match refusal(&status) {
        Refusal::Invalid => StoreError::Invalid(format!("{what}: {}", status.message())),
        _ => StoreError::Unavailable(format!("etcd: {what}"), Some(Arc::new(status))),
    }
}
