//! The audit log: what was asked, by whom, and how it ended, as far as the policy says. Without a policy nothing of this runs.
//!
//! Source: `apiserver/pkg/endpoints/filters/audit.go` and `apiserver/pkg/audit`. Events are written before the answer goes
//! out, as upstream's log does in its mode `blocking`. What becomes of an upgraded connection is not followed: it is
//! complete when it was upgraded.

mod body;
mod event;
mod log;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use access_rules::User;
use access_rules::audit::{Level, Policy, Stage, Verdict};
use axum::body::Body;
use clock::Clock;
use http::header::{ACCEPT_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use registry::{Annotations, RequestBody};
use serde_json::Value;

use self::event::{Event, ObjectReference, UserInfo};
use self::log::LogFile;
pub use self::log::LogOptions;
use crate::held_body::HeldBody;
use crate::request_info::RequestInfo;
use crate::respond::Answer;

/// Identifiers that clients bring are cut at this length. Source: `audit_init.go`.
const LONGEST_ID: usize = 64;
/// The header that carries the identifier, in and out.
pub(crate) const ID_HEADER: &str = "audit-id";

/// What webhooks changed is shown from the level `Request` on only.
const PATCHES: &str = "patch.webhook.admission.k8s.io/";

/// Why there is no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The policy's file cannot be read.
    #[error("read the audit policy {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It is no YAML of a policy.
    #[error("decode the audit policy {path}: {problem}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        problem: String,
    },
    /// It breaks a rule.
    #[error("invalid audit policy {path}: {problems}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which ones.
        problems: String,
    },
    /// The log cannot be opened.
    #[error("open the audit log {path}")]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// Reads and checks a policy's file.
///
/// # Errors
/// When it cannot be read or used.
pub fn read_policy(path: &std::path::Path) -> Result<Policy, AuditError> {
    let text = std::fs::read_to_string(path).map_err(|source| AuditError::Read {
        path: path.to_owned(),
        source,
    })?;
    let policy: Policy = serde_saphyr::from_str(&text).map_err(|error| AuditError::Decode {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    let problems = policy.problems();
    if problems.is_empty() {
        return Ok(policy);
    }
    Err(AuditError::Invalid {
        path: path.to_owned(),
        problems: problems.join(", "),
    })
}

/// Reads and checks a policy that is part of the program.
///
/// # Errors
/// When it cannot be used.
pub fn parse_policy(text: &str) -> Result<Policy, AuditError> {
    let path = PathBuf::from("built in");
    let policy: Policy = serde_saphyr::from_str(text).map_err(|error| AuditError::Decode {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    match policy.problems() {
        problems if problems.is_empty() => Ok(policy),
        problems => Err(AuditError::Invalid {
            path,
            problems: problems.join(", "),
        }),
    }
}

/// Who else reads what the server says, while it wants to.
pub trait LogReader: Send + Sync {
    /// Whether it reads audit events.
    fn wants_audit(&self) -> bool;
    /// Takes an audit event, a line of JSON.
    fn audit(&self, line: String);
    /// Whether it reads about every request.
    fn wants_requests(&self) -> bool;
    /// Takes what there is to say about a request, without a time.
    fn request(&self, line: String);
}

/// A policy, and where events are written: a file, a reader, or both.
pub struct AuditLog {
    policy: Policy,
    clock: Arc<dyn Clock>,
    file: Option<Mutex<LogFile>>,
    reader: Option<Arc<dyn LogReader>>,
    written: AtomicU64,
}

/// What is written of one request; clones are of the same one.
#[derive(Clone)]
pub(crate) struct Record(Arc<Inner>);

struct Inner {
    log: Arc<AuditLog>,
    verdict: Verdict,
    long_running: bool,
    annotations: Annotations,
    event: Mutex<Event>,
}

impl AuditLog {
    /// Opens the file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(policy: Policy, options: LogOptions, clock: Arc<dyn Clock>) -> Result<Self, AuditError> {
        let path = options.path.clone();
        let file = LogFile::open(options).map_err(|source| AuditError::Log { path, source })?;
        Ok(Self {
            policy,
            clock,
            file: Some(Mutex::new(file)),
            reader: None,
            written: AtomicU64::new(0),
        })
    }

    /// A log without a file.
    #[must_use]
    pub fn for_reader(policy: Policy, reader: Arc<dyn LogReader>, clock: Arc<dyn Clock>) -> Self {
        Self {
            policy,
            clock,
            file: None,
            reader: Some(reader),
            written: AtomicU64::new(0),
        }
    }

    /// The same that somebody reads besides.
    #[must_use]
    pub fn read_by(mut self, reader: Arc<dyn LogReader>) -> Self {
        self.reader = Some(reader);
        self
    }

    /// Whether anybody wants events now.
    pub(crate) fn is_wanted(&self) -> bool {
        self.file.is_some() || self.reader.as_ref().is_some_and(|reader| reader.wants_audit())
    }

    /// How many events were written.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn write(&self, event: &Event) {
        self.written.fetch_add(1, Ordering::Relaxed);
        let mut line = match serde_json::to_vec(event) {
            Ok(line) => line,
            Err(error) => return tracing::error!(%error, "an audit event cannot be written"),
        };
        if let Some(reader) = self.reader.as_ref().filter(|reader| reader.wants_audit()) {
            reader.audit(String::from_utf8_lossy(&line).into_owned());
        }
        let Some(file) = &self.file else { return };
        line.push(b'\n');
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write(&line, self.clock.now()) {
            tracing::error!(%error, "write the audit log");
        }
    }
}

/// What is known of a request when it comes.
pub(crate) struct Arrival<'a> {
    pub(crate) id: &'a str,
    pub(crate) info: &'a RequestInfo,
    pub(crate) uri: String,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) address: Option<std::net::IpAddr>,
}

impl Record {
    /// Begins the record of a request of this user, when the policy wants one, and writes that it has come.
    pub(crate) fn begin(
        log: &Arc<AuditLog>,
        arrival: &Arrival<'_>,
        user: &User,
        annotations: &Annotations,
    ) -> Option<Self> {
        let info = arrival.info;
        let verdict = log.policy.verdict(&info.attributes(user));
        if verdict.level == Level::None {
            return None;
        }
        let agent = arrival.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let event = Event {
            level: verdict.level,
            audit_id: arrival.id.to_owned(),
            request_uri: arrival.uri.clone(),
            verb: info.verb.clone(),
            user: UserInfo::of(user),
            source_ips: event::source_addresses(arrival.headers, arrival.address),
            user_agent: agent.unwrap_or_default().to_owned(),
            object_ref: info.is_resource.then(|| ObjectReference::of(info)),
            request_received_timestamp: event::stamp(log.clock.now()),
            ..Event::default()
        };
        let record = Self(Arc::new(Inner {
            log: log.clone(),
            verdict,
            long_running: info.is_long_running(),
            annotations: annotations.clone(),
            event: Mutex::new(event),
        }));
        record.write(Stage::RequestReceived);
        Some(record)
    }

    fn event(&self) -> MutexGuard<'_, Event> {
        self.0.event.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the event as it is now.
    pub(crate) fn write(&self, stage: Stage) {
        if !self.0.verdict.writes(stage) {
            return;
        }
        let mut event = self.event();
        event.stage = Some(stage);
        event.stage_timestamp = event::stamp(self.0.log.clock.now());
        event.annotations = self.0.annotations.all();
        if self.0.verdict.level < Level::Request {
            event.annotations.retain(|key, _| !key.starts_with(PATCHES));
        }
        self.0.log.write(&event);
    }

    /// Lets the record see the request's body, and keeps the answer readable where it is written too.
    pub(crate) fn attach(&self, request: &mut Request<Body>) {
        if self.0.verdict.level == Level::RequestResponse {
            request
                .headers_mut()
                .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        request.extensions_mut().insert(self.clone());
    }

    /// As whom the request is carried out.
    pub(crate) fn impersonated(&self, user: &User) {
        self.event().impersonated_user = Some(UserInfo::of(user));
    }

    /// What the client sent.
    pub(crate) fn sent(&self, method: &Method, body: &RequestBody) {
        let mut event = self.event();
        if *method == Method::POST || *method == Method::PUT {
            event.complete_reference(&body.bytes);
        }
        if self.0.verdict.level >= Level::Request && !body.bytes.is_empty() {
            event.request_object = self.shown(&body.bytes);
        }
    }

    /// The object of a JSON or YAML body, as far as the policy shows it.
    fn shown(&self, bytes: &[u8]) -> Option<Value> {
        let json = serde_json::from_slice(bytes).ok();
        let mut object: Value = json.or_else(|| serde_saphyr::from_slice(bytes).ok())?;
        if self.0.verdict.omit_managed_fields {
            event::forget_owners(&mut object);
        }
        Some(object)
    }

    /// Writes how the request ended; an answer that goes on is complete when its body is.
    pub(crate) async fn answered(self, answer: Answer) -> Answer {
        if self.event().stage == Some(Stage::Panic) {
            return answer;
        }
        let code = answer.status();
        self.event().response_status = Some(event::status_of(code));
        if self.0.long_running && !code.is_client_error() && !code.is_server_error() {
            self.write(Stage::ResponseStarted);
            let (parts, body) = answer.into_parts();
            return Answer::from_parts(parts, Body::new(HeldBody::new(body, body::Completion(self))));
        }
        let reads =
            self.0.verdict.level == Level::RequestResponse || !code.is_success() || self.event().verb == "delete";
        let answer = if reads { self.read(answer).await } else { answer };
        self.write(Stage::ResponseComplete);
        answer
    }

    /// A `Status` says more than the code, and objects are written where the policy wants them.
    async fn read(&self, answer: Answer) -> Answer {
        let (parts, bytes, answer) = body::copied(answer).await;
        let Some(object) = event::object(&parts, &bytes) else {
            return answer;
        };
        let mut event = self.event();
        if object["kind"] == "Status" && object["apiVersion"] == "v1" {
            let mut status = object.clone();
            if let Some(status) = status.as_object_mut() {
                status.retain(|field, _| !matches!(field.as_str(), "kind" | "apiVersion"));
                status.entry("code").or_insert_with(|| parts.status.as_u16().into());
            }
            event.response_status = Some(status);
        }
        if self.0.verdict.level == Level::RequestResponse {
            let mut object = object;
            if self.0.verdict.omit_managed_fields {
                event::forget_owners(&mut object);
            }
            event.response_object = Some(object);
        }
        drop(event);
        answer
    }

    /// The server failed in the middle.
    pub(crate) fn panicked(&self) {
        let code = http::StatusCode::INTERNAL_SERVER_ERROR;
        self.event().response_status = Some(event::status_of(code));
        self.write(Stage::Panic);
    }

    /// Nobody could be told whose request it is.
    pub(crate) fn unauthenticated(&self) {
        self.event().response_status = Some(event::status_of(http::StatusCode::UNAUTHORIZED));
        self.write(Stage::ResponseStarted);
    }
}

/// What the authorizer said, for the log.
pub(crate) fn note_decision(annotations: &Annotations, allowed: bool, reason: &str) {
    let decision = if allowed { "allow" } else { "forbid" };
    annotations.add("authorization.k8s.io/decision", || decision.to_owned());
    annotations.add("authorization.k8s.io/reason", || reason.to_owned());
}

/// The identifier that the client brought, or this one.
pub(crate) fn identifier(headers: &HeaderMap, made: impl FnOnce() -> String) -> String {
    let brought = headers.get(ID_HEADER).and_then(|value| value.to_str().ok());
    match brought.filter(|brought| !brought.is_empty()) {
        Some(brought) => brought.chars().take(LONGEST_ID).collect(),
        None => made(),
    }
}
