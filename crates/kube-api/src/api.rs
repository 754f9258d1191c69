//! One cluster's API: what it is made of, and the way of a request through it.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use access_rules::User;
use axum::body::Body;
use clock::{Clock, Random};
use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderMap, Request};
use registry::{Context, Registry, StatusError, Subject, Warnings};
use supervision::Supervisor;

use crate::authentication::{Anonymous, Authentication, TokenAuthenticator, impersonated};
use crate::connect::{NodeDialer, NodeTls};
use crate::health::VersionInfo;
use crate::metrics::Metrics;
use crate::negotiate::{ANYTHING, Negotiated, negotiate};
use crate::pki::{ClusterPki, PkiError};
use crate::request_info::RequestInfo;
use crate::respond::{self, Answer};
use crate::tokens::ServiceAccountTokens;
use crate::webhook_caller::WebhookCaller;
use crate::{aggregation, discovery, health, openapi, resources};

/// How long a request may take that is no watch, log, exec, attach, port-forward or proxy.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What a cluster's API is made of.
pub struct Options {
    /// Its objects.
    pub registry: Arc<Registry>,
    /// Its keys.
    pub pki: Arc<ClusterPki>,
    /// Signs and checks service-account tokens; the same that the registry was opened with.
    pub tokens: Arc<ServiceAccountTokens>,
    /// Further kinds of bearer tokens, asked in order.
    pub token_authenticators: Vec<Arc<dyn TokenAuthenticator>>,
    /// Where requests without credentials are let through.
    pub anonymous: Anonymous,
    /// Reaches the nodes.
    pub dialer: Arc<dyn NodeDialer>,
    /// What `/version` says.
    pub version: VersionInfo,
    /// `host:port` by which clients are told to reach the server.
    pub external_address: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Request ids and the spread of watch deadlines.
    pub random: Arc<dyn Random>,
    /// Parent of the connections' tasks.
    pub supervisor: Supervisor,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The cluster's keys are unusable.
    #[error("read the serving certificate")]
    Pki(#[from] PkiError),
    /// TLS refuses them.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
    /// The clients' CA is unusable.
    #[error("set up the verification of client certificates")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// The API of one cluster. Clones share everything.
#[derive(Clone)]
pub struct KubeApi(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry>,
    pub(crate) pki: Arc<ClusterPki>,
    pub(crate) tokens: Arc<ServiceAccountTokens>,
    pub(crate) authentication: Authentication,
    pub(crate) dialer: Arc<dyn NodeDialer>,
    pub(crate) node_tls: NodeTls,
    pub(crate) version: std::sync::RwLock<VersionInfo>,
    pub(crate) external_address: String,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) supervisor: Supervisor,
    pub(crate) metrics: Metrics,
    pub(crate) discovery: discovery::Cache,
    pub(crate) aggregation: aggregation::Aggregation,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A component in this process, whose identity is known.
    Component(User),
    /// A TLS client, with the user of its certificate if it sent one.
    Remote(Option<User>),
}

/// One request on its way, without its body.
pub(crate) struct Call {
    pub(crate) info: RequestInfo,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) context: Context,
    pub(crate) negotiated: Negotiated,
}

impl KubeApi {
    /// Puts the API together and tells the token issuer where to look bound objects up.
    ///
    /// # Errors
    /// When the cluster's keys are unusable.
    pub fn new(options: Options) -> Result<Self, ServeError> {
        options.tokens.attach(&options.registry);
        let node_tls = NodeTls::new(&options.pki)?;
        let shared = Arc::new(Shared {
            authentication: Authentication {
                service_accounts: options.tokens.clone(),
                others: options.token_authenticators,
                anonymous: options.anonymous,
            },
            registry: options.registry,
            pki: options.pki,
            tokens: options.tokens,
            dialer: options.dialer,
            node_tls,
            version: std::sync::RwLock::new(options.version),
            external_address: options.external_address,
            random: options.random,
            supervisor: options.supervisor,
            metrics: Metrics::new(),
            discovery: discovery::Cache::default(),
            aggregation: aggregation::Aggregation::default(),
            clock: options.clock,
        });
        shared.registry.attach_caller(Arc::new(WebhookCaller::new(&shared)));
        let api = Self(shared);
        aggregation::start(&api);
        Ok(api)
    }

    /// The objects behind the API.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    /// What `/version` says from now on: a cluster that was upgraded.
    pub fn set_version(&self, version: VersionInfo) {
        *self.0.version.write().unwrap_or_else(PoisonError::into_inner) = version;
    }

    pub(crate) fn version(&self) -> VersionInfo {
        self.0.version.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Body>, caller: Caller) -> Answer {
        let started = Instant::now();
        let query = query_pairs(request.uri().query().unwrap_or_default());
        let info = RequestInfo::read(request.method(), request.uri().path(), &query);
        let labels = self.0.metrics.begin(&info, &query);
        let long_running = info.is_long_running();
        let logged = tracing::enabled!(tracing::Level::DEBUG).then(|| {
            (
                request.method().clone(),
                request.uri().clone(),
                agent(request.headers()),
            )
        });
        let answer = if long_running {
            self.answer(request, info, query, caller).await
        } else {
            match tokio::time::timeout(REQUEST_TIMEOUT, self.answer(request, info, query, caller)).await {
                Ok(answer) => answer,
                Err(elapsed) => respond::status(&timed_out(elapsed), respond::Wire::default()),
            }
        };
        self.0.metrics.end(labels, answer.status(), started.elapsed());
        if let Some((method, uri, agent)) = logged {
            let (code, took) = (answer.status().as_u16(), started.elapsed());
            tracing::debug!(%method, %uri, code, ?took, agent, "request");
        }
        answer
    }

    async fn answer(
        &self,
        request: Request<Body>,
        info: RequestInfo,
        query: Vec<(String, String)>,
        caller: Caller,
    ) -> Answer {
        let negotiated = negotiate(request.headers(), &query, ANYTHING);
        let wire = negotiated
            .as_ref()
            .map_or_else(|_refused| respond::Wire::default(), |found| found.wire);
        let request_id = self.0.random.uuid();
        let context = match self.admit(request.headers(), &info, caller).await {
            Ok(user) => Context {
                user,
                user_agent: agent(request.headers()),
                request_id: request_id.clone(),
                warnings: Warnings::default(),
                form: negotiated
                    .as_ref()
                    .map_or_else(|_refused| registry::Form::Object, |found| found.form),
                encoding: wire.written.encoding(),
            },
            Err(error) => return respond::status(&error, wire),
        };
        let warnings = context.warnings.clone();
        let route = self.0.aggregation.route_of(&info.path);
        let mut answer = match negotiated {
            // Whoever answers it knows what it can write.
            _ if let Some(route) = &route => aggregation::answer(self, request, &context, route).await,
            Ok(negotiated) => {
                self.dispatch(
                    request,
                    Call {
                        info,
                        query,
                        context,
                        negotiated,
                    },
                )
                .await
            }
            // Streams and files of the nodes, and one document, have forms of their own.
            Err(error) if !info.is_long_running() && info.path != openapi::VERSION_2 => respond::status(&error, wire),
            Err(_refused) => {
                let negotiated = Negotiated::default();
                self.dispatch(
                    request,
                    Call {
                        info,
                        query,
                        context,
                        negotiated,
                    },
                )
                .await
            }
        };
        let headers = answer.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert("audit-id", id);
        }
        respond::add_warnings(headers, &warnings.take());
        answer
    }

    /// Who asks, and may they?
    async fn admit(&self, headers: &HeaderMap, info: &RequestInfo, caller: Caller) -> Result<User, StatusError> {
        let user = match caller {
            Caller::Component(user) => user,
            Caller::Remote(certificate) => {
                self.0
                    .authentication
                    .user(certificate.as_ref(), headers, &info.path)
                    .await?
            }
        };
        let user = impersonated(&self.0.registry, &user, headers).await?;
        let attributes = info.attributes(&user);
        let decision = self.0.registry.authorize(&attributes).await;
        if decision.is_allowed() {
            return Ok(user);
        }
        let mut problem = attributes.refusal();
        if !decision.reason().is_empty() {
            problem = format!("{problem}: {}", decision.reason());
        }
        let subject = Subject::new(info.group.clone(), info.resource.clone());
        Err(StatusError::forbidden(&subject, &info.name, &problem))
    }

    async fn dispatch(&self, request: Request<Body>, call: Call) -> Answer {
        if call.info.is_resource {
            return resources::answer(self, request, call).await;
        }
        let (parts, _) = request.into_parts();
        if let Some(answer) = discovery::answer(self, &parts, &call) {
            return answer;
        }
        health::answer(self, &parts, &call).await
    }
}

fn timed_out(_elapsed: tokio::time::error::Elapsed) -> StatusError {
    let text = "request did not complete within the allotted timeout";
    StatusError::timeout(text, 0)
}

fn agent(headers: &HeaderMap) -> String {
    headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// The decoded pairs of a query string.
pub(crate) fn query_pairs(query: &str) -> Vec<(String, String)> {
    access_rules::sigv4::decode_query(query)
}
