//! Errors as clients see them: `Status` objects worded as upstream's `apimachinery/pkg/api/errors`.

use kube_types::meta::{ListMeta, Status, StatusCause, StatusDetails};

use crate::kinds::ResourceKind;

#[cfg(test)]
mod tests;

/// A failed request. The HTTP status is `code()`; the body is the `Status` inside.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusError(Box<Status>);

impl std::fmt::Display for StatusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for StatusError {}

/// What an error is about: group and plural resource (or kind, for validation), as `details` names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// API group; empty for core.
    pub group: String,
    /// Resource or kind.
    pub kind: String,
}

impl Subject {
    /// Names a subject.
    pub fn new(group: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            kind: kind.into(),
        }
    }

    /// The resource of a kind, as most errors name it.
    pub fn resource(kind: &ResourceKind) -> Self {
        Self::new(kind.group.clone(), kind.plural.clone())
    }

    /// The kind itself, as validation errors name it.
    pub fn kind(kind: &ResourceKind) -> Self {
        Self::new(kind.group.clone(), kind.kind.clone())
    }

    fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }
}

impl StatusError {
    /// A failure with a code, a reason and a message.
    pub fn new(code: i32, reason: &str, message: impl Into<String>) -> Self {
        Self(Box::new(Status {
            code: Some(code),
            details: None,
            message: Some(message.into()),
            metadata: ListMeta::default(),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            status: Some("Failure".to_owned()),
        }))
    }

    /// The `Status` object to send.
    pub fn status(&self) -> &Status {
        &self.0
    }

    /// HTTP status code.
    pub fn code(&self) -> u16 {
        self.0.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500)
    }

    /// Machine-readable reason, as `NotFound`.
    pub fn reason(&self) -> &str {
        self.0.reason.as_deref().unwrap_or_default()
    }

    /// Text for people.
    pub fn message(&self) -> &str {
        self.0.message.as_deref().unwrap_or_default()
    }

    /// True when the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    /// True when the object changed meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    fn about(mut self, subject: &Subject, name: &str) -> Self {
        let details = self.details();
        details.group = (!subject.group.is_empty()).then(|| subject.group.clone());
        details.kind = (!subject.kind.is_empty()).then(|| subject.kind.clone());
        details.name = (!name.is_empty()).then(|| name.to_owned());
        self
    }

    fn details(&mut self) -> &mut StatusDetails {
        self.0.details.get_or_insert_with(StatusDetails::default)
    }

    /// Adds a cause.
    pub fn with_cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        self.details().causes.get_or_insert_default().push(StatusCause {
            field: (!field.is_empty()).then(|| field.to_owned()),
            message: Some(message.into()),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
        });
        self
    }

    /// The same error with another message.
    pub fn with_message(mut self, message: impl Into<String>, subject: &Subject, name: &str) -> Self {
        self.0.message = Some(message.into());
        self.about(subject, name)
    }

    /// Asks the client to wait before it tries again.
    pub fn with_retry_after(mut self, seconds: i32) -> Self {
        self.details().retry_after_seconds = Some(seconds);
        self
    }

    /// Sets the continue token that a client may go on with.
    pub fn with_continue(mut self, token: String) -> Self {
        self.0.metadata.continue_ = Some(token);
        self
    }

    /// 404: no such object.
    pub fn not_found(subject: &Subject, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", subject.qualified())).about(subject, name)
    }

    /// 404: no such path.
    pub fn path_not_found() -> Self {
        let mut error = Self::new(404, "NotFound", "the server could not find the requested resource");
        error.details();
        error
    }

    /// 409: the name is taken.
    pub fn already_exists(subject: &Subject, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{} \"{name}\" already exists", subject.qualified()),
        )
        .about(subject, name)
    }

    /// 409: a free name could not be generated.
    pub fn generate_name_conflict(subject: &Subject, name: &str) -> Self {
        let message = format!(
            "{} \"{name}\" already exists, the server was not able to generate a unique name for the object",
            subject.qualified()
        );
        Self::new(409, "AlreadyExists", message)
            .about(subject, name)
            .with_retry_after(1)
    }

    /// 409: the object is not in the state that the request expected.
    pub fn conflict(subject: &Subject, name: &str, problem: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {problem}",
            subject.qualified()
        );
        Self::new(409, "Conflict", message).about(subject, name)
    }

    /// 409: the object changed since the client read it.
    pub fn modified(subject: &Subject, name: &str) -> Self {
        let problem = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(subject, name, problem)
    }

    /// 409: the stored object is another one than the request is about. Source: `storage.Preconditions.Check`, as
    /// `StorageError` words it.
    pub fn precondition_failed(subject: &Subject, name: &str, key: &str, given: &str, found: &str) -> Self {
        let problem = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {given}, UID in object meta: {found}"
        );
        Self::conflict(subject, name, &problem)
    }

    /// 403: refused by authorization or admission.
    pub fn forbidden(subject: &Subject, name: &str, problem: &str) -> Self {
        let message = match (subject.kind.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {problem}"),
            (false, true) => format!("{} is forbidden: {problem}", subject.qualified()),
            (false, false) => format!("{} \"{name}\" is forbidden: {problem}", subject.qualified()),
        };
        Self::new(403, "Forbidden", message).about(subject, name)
    }

    /// 401: who asks is not known.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 422: the object breaks rules; one cause per field.
    pub fn invalid(subject: &Subject, name: &str, errors: &object_rules::field::Errors) -> Self {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let all = if texts.len() == 1 {
            texts[0].clone()
        } else {
            format!("[{}]", texts.join(", "))
        };
        let message = format!("{} \"{name}\" is invalid: {all}", subject.qualified());
        errors.iter().fold(
            Self::new(422, "Invalid", message).about(subject, name),
            |error, cause| error.with_cause(cause.kind.reason(), cause.body(), &cause.field),
        )
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(problem: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", problem)
    }

    /// 405: the resource has no such verb.
    pub fn method_not_allowed(subject: &Subject, action: &str) -> Self {
        let message = format!(
            "{action} is not supported on resources of kind \"{}\"",
            subject.qualified()
        );
        Self::new(405, "MethodNotAllowed", message).about(subject, "")
    }

    /// 406: none of the forms the client accepts can be made.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    /// 413: the body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity is too large: limit is {limit}"),
        )
    }

    /// 415: the body has a form that is not read here.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 410: the revision or continue token is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 429: try again in some seconds.
    pub fn too_many_requests(message: impl Into<String>, seconds: i32) -> Self {
        let error = Self::new(429, "TooManyRequests", message);
        if seconds > 0 {
            error.with_retry_after(seconds)
        } else {
            error
        }
    }

    /// 504: the request took too long; try again in some seconds.
    pub fn timeout(problem: &str, seconds: i32) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {problem}")).with_retry_after(seconds)
    }

    /// 504: a revision was asked for that does not exist yet.
    pub fn revision_too_large(requested: u64, current: u64) -> Self {
        let problem = format!("Too large resource version: {requested}, current: {current}");
        Self::timeout(&problem, 1).with_cause("ResourceVersionTooLarge", "Too large resource version", "")
    }

    /// 503: something the server needs is not there now.
    pub fn unavailable(problem: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", problem)
    }

    /// 500: the server is at fault.
    pub fn internal(problem: impl std::fmt::Display) -> Self {
        let problem = problem.to_string();
        Self::new(500, "InternalError", format!("Internal error occurred: {problem}")).with_cause("", problem, "")
    }
}
