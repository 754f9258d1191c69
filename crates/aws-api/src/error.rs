//! The errors of AWS services, and their one way onto the wire for each protocol.

use access_rules::sigv4::SignatureError;
use aws_types::shapes::{Protocol, Service};
use axum::body::Body;
use axum::response::Response;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::refusal::RefusalKind;
use http::StatusCode;
use serde_json::{Map, Value};
use store::StoreError;

use crate::codec::check::{self, Rule};
use crate::codec::{DecodeError, xml};

/// An error as a service answers it.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The code that clients compare, for example `ResourceNotFoundException`.
    pub code: String,
    /// The HTTP status.
    pub status: StatusCode,
    /// The sentence that people read.
    pub message: String,
    /// Other members, such as `clusterName`.
    pub members: Box<Map<String, Value>>,
    /// What went wrong here, for the log; callers only learn that something did.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ApiError {
    /// An error of the caller's making.
    pub fn new(code: &str, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            status,
            message: message.into(),
            members: Box::default(),
            cause: None,
        }
    }

    /// 400.
    pub fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(code, StatusCode::BAD_REQUEST, message)
    }

    /// An error of our own making.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let message = "An internal error occurred; the region's log says which";
        Self {
            cause: Some(cause.into()),
            ..Self::new("ServerException", StatusCode::INTERNAL_SERVER_ERROR, message)
        }
    }

    /// A signature that is refused, in the service's words.
    pub fn signature(error: &SignatureError, protocol: Option<Protocol>, is_ec2: bool) -> Self {
        let message = error.to_string();
        if is_ec2 {
            return match error {
                SignatureError::Missing => {
                    Self::bad_request("MissingAuthenticationToken", "Request is missing Authentication Token")
                }
                SignatureError::Expired { .. } => Self::bad_request("RequestExpired", "Request has expired."),
                _ => Self::new(
                    "AuthFailure",
                    StatusCode::UNAUTHORIZED,
                    "AWS was not able to validate the provided access credentials",
                ),
            };
        }
        match protocol {
            Some(Protocol::Query | Protocol::RestXml) => Self::new(error.code(), StatusCode::FORBIDDEN, message),
            _ => {
                let code = match error {
                    SignatureError::Missing => "MissingAuthenticationTokenException",
                    SignatureError::Incomplete(_) => "IncompleteSignatureException",
                    _ => "InvalidSignatureException",
                };
                Self::new(code, StatusCode::FORBIDDEN, message)
            }
        }
    }

    /// An access key that nobody has, in the service's words.
    pub fn unknown_key(protocol: Protocol) -> Self {
        let message = "The security token included in the request is invalid.";
        match protocol {
            Protocol::Ec2 => {
                let message = "AWS was not able to validate the provided access credentials";
                Self::new("AuthFailure", StatusCode::UNAUTHORIZED, message)
            }
            Protocol::Query => Self::new("InvalidClientTokenId", StatusCode::FORBIDDEN, message),
            Protocol::RestXml => {
                let message = "The AWS Access Key Id you provided does not exist in our records.";
                Self::new("InvalidAccessKeyId", StatusCode::FORBIDDEN, message)
            }
            _ => Self::new("UnrecognizedClientException", StatusCode::FORBIDDEN, message),
        }
    }

    /// An operation that the service does not have, or that is not served here: the service's own answer to an unknown one.
    pub fn unknown_operation(protocol: Protocol, name: Option<&str>) -> Self {
        match (protocol, name) {
            (Protocol::Query | Protocol::Ec2, Some(name)) => {
                let message = format!("The action {name} is not valid for this web service.");
                Self::bad_request("InvalidAction", message)
            }
            (Protocol::Query | Protocol::Ec2, None) => {
                Self::bad_request("MissingAction", "The request must contain the parameter Action")
            }
            (Protocol::Json, None) => Self::bad_request("UnknownOperationException", "The request names no operation"),
            // EKS's gateway does not know what was meant when no route fits.
            (_, None) => Self::new(
                "MissingAuthenticationTokenException",
                StatusCode::FORBIDDEN,
                "Missing Authentication Token",
            ),
            (Protocol::Json, Some(name)) => {
                let message = format!("Operation {name} is not available in this region");
                Self::bad_request("UnknownOperationException", message)
            }
            (_, Some(name)) => {
                let message = format!("Operation {name} is not available in this region");
                Self::new("UnknownOperationException", StatusCode::NOT_FOUND, message)
            }
        }
    }

    /// Temporary credentials that are over, in the service's words.
    pub fn expired_key(protocol: Protocol) -> Self {
        let message = "The security token included in the request is expired";
        match protocol {
            Protocol::Ec2 => Self::bad_request("RequestExpired", "Request has expired."),
            Protocol::Query => Self::new("ExpiredToken", StatusCode::FORBIDDEN, message),
            Protocol::RestXml => Self::bad_request("ExpiredToken", "The provided token has expired."),
            _ => Self::new("ExpiredTokenException", StatusCode::FORBIDDEN, message),
        }
    }

    /// A request that cannot be understood, in the service's words.
    pub fn undecodable(service: &Service, error: &DecodeError) -> Self {
        let protocol = service.metadata.protocol;
        let is_query = matches!(protocol, Protocol::Query | Protocol::Ec2);
        match error {
            DecodeError::NoOperation => Self::unknown_operation(protocol, None),
            DecodeError::UnknownOperation(name) => Self::unknown_operation(protocol, Some(name)),
            DecodeError::Malformed(message) => Self::bad_request("SerializationException", message.as_str()),
            DecodeError::WrongType { .. } if is_query => Self::bad_request("InvalidParameterValue", error.to_string()),
            DecodeError::WrongType { .. } => Self::bad_request("SerializationException", error.to_string()),
            DecodeError::Invalid(violation) => {
                let code = match (protocol, violation.rule) {
                    (Protocol::Ec2, Rule::Required) if violation.path == "InstanceIds" => "InvalidParameterCombination",
                    (Protocol::Ec2, Rule::Required) => "MissingParameter",
                    (Protocol::Ec2, _) => "InvalidParameterValue",
                    (Protocol::Query, _) => "ValidationError",
                    (Protocol::Json, _) if service.find_shape("InvalidParameterException").is_none() => {
                        "ValidationException"
                    }
                    _ => "InvalidParameterException",
                };
                let message = match (protocol, violation.rule) {
                    (Protocol::Ec2, Rule::Required) if violation.path == "InstanceIds" => {
                        "No instances specified".to_owned()
                    }
                    (Protocol::Ec2, Rule::Required) => {
                        // The tags of whichever resources: EC2 has a name of its own for them.
                        let name = match violation.path.as_str() {
                            "Resources" => "resourceIdSet",
                            path => path,
                        };
                        format!("The request must contain the parameter {name}")
                    }
                    (Protocol::Ec2, Rule::Enumeration | Rule::Bounds) => format!(
                        "Value ({}) for parameter {} is invalid.{}",
                        violation.value.as_deref().unwrap_or_default(),
                        check::in_model(&violation.path),
                        if violation.path == "Attribute" {
                            " Unknown attribute."
                        } else {
                            ""
                        }
                    ),
                    _ => violation.message.clone(),
                };
                Self::bad_request(code, message)
            }
        }
    }

    /// The answer in a protocol's form.
    pub fn respond(&self, protocol: Protocol, namespace: Option<&str>, request_id: &str) -> Response {
        match protocol {
            Protocol::RestXml => {
                let body = xml::rest_error(&self.code, &self.message, request_id);
                build(self.status, "application/xml", body).header("x-amz-request-id", request_id)
            }
            Protocol::Query | Protocol::Ec2 => {
                let body = match protocol {
                    Protocol::Ec2 => xml::ec2_error(&self.code, &self.message, request_id),
                    _ => xml::query_error(
                        namespace,
                        &self.code,
                        &self.message,
                        self.status.is_server_error(),
                        request_id,
                    ),
                };
                build(self.status, "text/xml;charset=UTF-8", body).header("x-amzn-requestid", request_id)
            }
            Protocol::Json | Protocol::RestJson => {
                let mut body = self.members.clone();
                body.insert("message".to_owned(), self.message.as_str().into());
                if protocol == Protocol::Json {
                    body.insert("__type".to_owned(), self.code.as_str().into());
                }
                let answer = build(self.status, "application/json", Value::Object(*body).to_string())
                    .header("x-amzn-errortype", &self.code)
                    .header("x-amzn-requestid", request_id);
                match query_error(&self.code) {
                    Some(old) => answer.header("x-amzn-query-error", &format!("{old};Sender")),
                    None => answer,
                }
            }
        }
        .finish()
    }
}

/// The code by which clients know an error of SQS since it spoke in forms.
fn query_error(code: &str) -> Option<&'static str> {
    match code {
        "QueueDoesNotExist" => Some("AWS.SimpleQueueService.NonExistentQueue"),
        "QueueNameExists" => Some("QueueAlreadyExists"),
        "TooManyEntriesInBatchRequest" => Some("AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        "MessageNotInflight" => Some("AWS.SimpleQueueService.MessageNotInflight"),
        _ => None,
    }
}

/// The HTTP status that a service's model gives to an error, or 400.
pub fn status_of(service: &Service, code: &str) -> StatusCode {
    let modelled = service
        .find_shape(code)
        .and_then(|shape| shape.error.as_ref())
        .and_then(|error| error.http_status_code);
    modelled
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::BAD_REQUEST)
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.kind {
            RefusalKind::InvalidParameter => "InvalidParameterException",
            RefusalKind::InvalidRequest => "InvalidRequestException",
            RefusalKind::ResourceInUse => "ResourceInUseException",
            RefusalKind::ResourceLimitExceeded => "ResourceLimitExceededException",
            RefusalKind::ResourceNotFound => "ResourceNotFoundException",
            RefusalKind::NotFound => "NotFoundException",
            RefusalKind::BadRequest => "BadRequestException",
            RefusalKind::UnsupportedAvailabilityZone => "UnsupportedAvailabilityZoneException",
        };
        let status = aws_types::shapes::service("eks").map_or(StatusCode::BAD_REQUEST, |eks| status_of(eks, code));
        let mut error = Self::new(code, status, refusal.message);
        for (member, value) in refusal.named {
            error.members.insert(member.to_owned(), value.into());
        }
        error
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

/// A response under construction: its parts are valid by construction, so that building it cannot fail.
pub struct Answer {
    response: Response,
}

/// Begins an answer.
pub fn build(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Answer {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    Answer { response }
}

impl Answer {
    /// Adds a header; a value that is no header value is left out.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = http::HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
        self
    }

    /// The response.
    pub fn finish(self) -> Response {
        self.response
    }
}
