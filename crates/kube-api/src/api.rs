//! One cluster's API: what it is made of, and the way of a request through it.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use access_rules::User;
use axum::body::Body;
use clock::{Clock, Random};
use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, StatusCode, Uri};
use registry::{Annotations, Context, Registry, StatusError, Subject, Warnings};
use supervision::Supervisor;

use crate::audit::{self, AuditLog, LogReader};
use crate::authentication::{
    Anonymous, Authentication, Authorities, IdentityProviders, PeerCertificate, RequestHeader, TokenAuthenticator,
    impersonated, take_token,
};
use crate::connect::{NodeDialer, NodeTls};
use crate::health::VersionInfo;
use crate::lifecycle::Lifecycle;
use crate::metrics::{Components, Metrics};
use crate::negotiate::{ANYTHING, Negotiated, negotiate};
use crate::pki::{ClusterPki, PkiError};
use crate::request_info::RequestInfo;
use crate::respond::{self, Answer};
use crate::tokens::ServiceAccountTokens;
use crate::webhook_caller::WebhookCaller;
use crate::{aggregation, discovery, fairness, health, limits, openapi, resources};

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
    /// What few servers have.
    pub access: AccessOptions,
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

/// Further ways in; none by default.
#[derive(Default)]
pub struct AccessOptions {
    /// Proxies that name the users whose requests they bring.
    pub request_header: Option<RequestHeader>,
    /// Where requests are written down.
    pub audit: Option<Arc<AuditLog>>,
    /// Who reads about every request.
    pub reader: Option<Arc<dyn LogReader>>,
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
    pub(crate) audit: Option<Arc<AuditLog>>,
    reader: Option<Arc<dyn LogReader>>,
    pub(crate) authorities: Authorities,
    pub(crate) identity_providers: Arc<IdentityProviders>,
    pub(crate) dialer: Arc<dyn NodeDialer>,
    pub(crate) node_tls: NodeTls,
    pub(crate) version: std::sync::RwLock<VersionInfo>,
    pub(crate) external_address: String,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) supervisor: Supervisor,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) metrics: Metrics,
    pub(crate) components: Components,
    pub(crate) discovery: discovery::Cache,
    pub(crate) aggregation: aggregation::Aggregation,
    pub(crate) fairness: fairness::Fairness,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A component in this process, whose identity is known.
    Component(User),
    /// A TLS client.
    Remote {
        /// Its certificate, if it sent one.
        certificate: Option<Arc<PeerCertificate>>,
        /// Its address, when the connection has one.
        address: Option<IpAddr>,
    },
}

impl Caller {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Component(_) => None,
            Self::Remote { address, .. } => *address,
        }
    }
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
        let identity_providers = Arc::new(IdentityProviders::new(options.clock.clone()));
        let mut others = options.token_authenticators;
        others.push(identity_providers.clone());
        options.tokens.attach_others(others.clone());
        let AccessOptions {
            request_header,
            audit,
            reader,
        } = options.access;
        let proxies = request_header.as_ref().map(|header| header.authority_pem.as_str());
        let fairness = fairness::Fairness::new();
        let shared = Arc::new(Shared {
            audit,
            reader,
            authorities: Authorities::new(options.pki.ca_pem(), proxies)?,
            authentication: Authentication {
                service_accounts: options.tokens.clone(),
                others,
                request_header,
                anonymous: options.anonymous,
                clock: options.clock.clone(),
            },
            identity_providers,
            registry: options.registry,
            pki: options.pki,
            tokens: options.tokens,
            dialer: options.dialer,
            node_tls,
            version: std::sync::RwLock::new(options.version),
            external_address: options.external_address,
            random: options.random,
            lifecycle: Lifecycle::of(&options.supervisor),
            supervisor: options.supervisor,
            metrics: Metrics::new(|registry| fairness.register(registry)),
            components: Components::default(),
            discovery: discovery::Cache::default(),
            aggregation: aggregation::Aggregation::default(),
            fairness,
            clock: options.clock,
        });
        shared.registry.observe_store(shared.metrics.store_observer());
        shared.registry.attach_caller(Arc::new(WebhookCaller::new(&shared)));
        let api = Self(shared);
        aggregation::start(&api);
        fairness::start(&api);
        Ok(api)
    }

    /// The objects behind the API.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    /// The providers of ID tokens, which may be changed.
    #[must_use]
    pub fn identity_providers(&self) -> &Arc<IdentityProviders> {
        &self.0.identity_providers
    }

    /// Shows the metrics of a component where EKS shows them: `kcm` for the controllers, `ksh` for the scheduler.
    pub fn show_metrics(&self, component: &str, registry: prometheus_client::registry::Registry) {
        self.0.components.add(component, registry);
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
        let reader = self.0.reader.as_ref().filter(|reader| reader.wants_requests());
        let logged = (reader.is_some() || tracing::enabled!(tracing::Level::DEBUG)).then(|| {
            (
                request.method().clone(),
                request.uri().clone(),
                agent(request.headers()),
                caller.address(),
            )
        });
        let lasting = info.is_long_running() && matches!(caller, Caller::Remote { .. });
        let mut answer = self.answer(request, info, query, caller).await;
        if lasting && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer = self.0.lifecycle.until_the_end(answer);
        }
        let answer = self.0.metrics.end(labels, answer, started.elapsed());
        if let Some((method, uri, agent, address)) = logged {
            let (code, took) = (answer.status().as_u16(), started.elapsed());
            if let Some(reader) = reader {
                let id = answer.headers().get(audit::ID_HEADER);
                let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
                let from = address.map(|address| address.to_string()).unwrap_or_default();
                let path = uri.path_and_query().map_or("/", |path| path.as_str());
                // In the words of upstream's `httplog`.
                reader.request(format!(
                    "\"HTTP\" verb=\"{method}\" URI={path:?} latency=\"{took:?}\" userAgent={agent:?} audit-ID={id:?} srcIP={from:?} resp={code}"
                ));
            }
            tracing::debug!(%method, %uri, code, ?took, agent, "request");
        }
        answer
    }

    async fn answer(
        &self,
        mut request: Request<Body>,
        info: RequestInfo,
        query: Vec<(String, String)>,
        caller: Caller,
    ) -> Answer {
        let token = take_token(request.headers_mut());
        let negotiated = negotiate(request.headers(), &query, ANYTHING);
        let wire = negotiated
            .as_ref()
            .map_or_else(|_refused| respond::Wire::default(), |found| found.wire);
        let request_id = audit::identifier(request.headers(), || self.0.random.uuid());
        let audit = self.0.audit.as_ref().filter(|log| log.is_wanted());
        let annotations = audit.map(|_| Annotations::kept()).unwrap_or_default();
        let (record, admitted) = self
            .admit(
                (request.headers(), request.uri()),
                token,
                &info,
                caller,
                (&request_id, &annotations),
            )
            .await;
        let warnings = Warnings::default();
        let mut answer = match admitted {
            Ok(user) => {
                if let Some(record) = &record {
                    record.attach(&mut request);
                }
                let context = Context {
                    user,
                    user_agent: agent(request.headers()),
                    request_id: request_id.clone(),
                    warnings: warnings.clone(),
                    annotations,
                    form: negotiated
                        .as_ref()
                        .map_or_else(|_refused| registry::Form::Object, |found| found.form),
                    encoding: wire.written.encoding(),
                };
                let answered = self.in_turn(request, info, query, context, negotiated);
                limits::guarded(answered, record.as_ref()).await
            }
            Err(error) => respond::status(&error, wire),
        };
        let headers = answer.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(audit::ID_HEADER, id);
        }
        respond::add_warnings(headers, &warnings.take());
        match record {
            Some(record) => record.answered(answer).await,
            None => answer,
        }
    }

    /// Answers when the priority level of the request has seats for it, which it keeps until the answer begins.
    async fn in_turn(
        &self,
        request: Request<Body>,
        info: RequestInfo,
        query: Vec<(String, String)>,
        context: Context,
        negotiated: Result<Negotiated, StatusError>,
    ) -> Answer {
        let arrived = Instant::now();
        let pass = match self.0.fairness.enter(self, &context.user, &info, &query).await {
            Ok(pass) => pass,
            Err(refused) => return refused,
        };
        // The time in the queue is a part of the time that the request has.
        let limit = limits::Limit::of(&info, &query, arrived.elapsed());
        let mut answer = self
            .negotiated(request, (info, query, context), negotiated, limit)
            .await;
        if let Some(pass) = pass {
            pass.mark(answer.headers_mut());
        }
        answer
    }

    /// Answers in the form that was agreed on, within the time that the request has.
    async fn negotiated(
        &self,
        request: Request<Body>,
        (info, query, context): (RequestInfo, Vec<(String, String)>, Context),
        negotiated: Result<Negotiated, StatusError>,
        limit: Result<Option<limits::Limit>, StatusError>,
    ) -> Answer {
        // Whoever answers a path of an aggregated server knows what it can write.
        if let Some(route) = self.0.aggregation.route_of(&info.path) {
            let answer = aggregation::answer(self, request, &context, &route);
            return match limit {
                Ok(Some(limit)) => limit.keep(answer, respond::Wire::default()).await,
                Ok(None) => answer.await,
                Err(error) => respond::status(&error, respond::Wire::default()),
            };
        }
        let negotiated = match negotiated {
            Ok(negotiated) => negotiated,
            // Streams and files of the nodes, and a few documents, have forms of their own.
            Err(_refused)
                if info.is_long_running()
                    || openapi::has_own_forms(&info.path)
                    || (!info.is_resource && info.path.ends_with("/metrics")) =>
            {
                Negotiated::default()
            }
            Err(error) => return respond::status(&error, respond::Wire::default()),
        };
        let limit = match limit {
            Ok(limit) => limit,
            Err(error) => return respond::status(&error, negotiated.wire),
        };
        let wire = negotiated.wire;
        let call = Call {
            info,
            query,
            context,
            negotiated,
        };
        match limit {
            Some(limit) => limit.keep(self.dispatch(request, call), wire).await,
            None => self.dispatch(request, call).await,
        }
    }

    /// Who asks, and may they? And what is written of it.
    async fn admit(
        &self,
        (headers, uri): (&HeaderMap, &Uri),
        websocket_token: Result<Option<String>, StatusError>,
        info: &RequestInfo,
        caller: Caller,
        (id, annotations): (&str, &Annotations),
    ) -> (Option<audit::Record>, Result<User, StatusError>) {
        let address = caller.address();
        let authenticated = self.authenticate(headers, websocket_token, info, caller).await;
        let audit = self.0.audit.as_ref().filter(|log| log.is_wanted());
        let record = audit.and_then(|log| {
            let arrival = audit::Arrival {
                id,
                info,
                uri: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                headers,
                address,
            };
            let nobody = User::default();
            audit::Record::begin(log, &arrival, authenticated.as_ref().unwrap_or(&nobody), annotations)
        });
        let user = match authenticated {
            Ok(user) => user,
            Err(error) => {
                record.iter().for_each(audit::Record::unauthenticated);
                return (None, Err(error));
            }
        };
        let admitted = self.authorize(headers, info, user, record.as_ref(), annotations);
        let admitted = admitted.await;
        (record, admitted)
    }

    async fn authenticate(
        &self,
        headers: &HeaderMap,
        websocket_token: Result<Option<String>, StatusError>,
        info: &RequestInfo,
        caller: Caller,
    ) -> Result<User, StatusError> {
        match caller {
            Caller::Component(user) => Ok(user),
            Caller::Remote { certificate, .. } => {
                let (authentication, token) = (&self.0.authentication, websocket_token?);
                authentication
                    .user(certificate.as_deref(), token.as_deref(), headers, &info.path)
                    .await
            }
        }
    }

    async fn authorize(
        &self,
        headers: &HeaderMap,
        info: &RequestInfo,
        user: User,
        record: Option<&audit::Record>,
        annotations: &Annotations,
    ) -> Result<User, StatusError> {
        let authenticated = user.name.clone();
        let user = impersonated(&self.0.registry, &user, headers).await?;
        if let Some(record) = record.filter(|_| user.name != authenticated) {
            record.impersonated(&user);
        }
        let attributes = info.attributes(&user);
        let decision = self.0.registry.authorize(&attributes).await;
        audit::note_decision(annotations, decision.is_allowed(), decision.reason());
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
        if let Some(answer) = self.0.components.answer(&call.info, request.headers()) {
            return answer;
        }
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
