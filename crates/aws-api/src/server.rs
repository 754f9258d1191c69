//! One endpoint for every AWS service: the signature says which service is meant, its table says how it speaks.

use std::convert::Infallible;
use std::sync::Arc;

use access_rules::sigv4::{self, Place, Presented, SignatureError};
use aws_types::AccountId;
use aws_types::arn::Arn;
use aws_types::shapes::{self, Protocol, Service};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tower::util::service_fn;

use crate::caller::{AuthenticationError, Caller};
use crate::codec::route::{self, HttpRequest};
use crate::codec::{DecodeError, Decoded, json, query, xml};
use crate::error::{ApiError, build};
use crate::members::Members;
use crate::operations::{self, Context};
use crate::partition::Partition;
use crate::region::Region;
use crate::s3;

/// The largest request body. AWS's own limits are of this order; CloudFormation's templates are the largest.
const MOST_BYTES: usize = 1 << 20;

type RouterService = axum::routing::RouterIntoService<Body>;

/// The service behind every path that is not Ondol's own.
pub fn service(partition: &Arc<Partition>) -> RouterService {
    let partition = Arc::clone(partition);
    let handle = service_fn(move |request: Request| {
        let partition = Arc::clone(&partition);
        async move { Ok::<Response, Infallible>(answer(partition, request).await) }
    });
    axum::Router::new().fallback_service(handle).into_service()
}

async fn answer(partition: Arc<Partition>, request: Request) -> Response {
    let request_id = partition.random.uuid();
    let (parts, body) = request.into_parts();
    let mut call = Call {
        protocol: guess(&parts),
        wants_json: accepts_json(&parts),
        namespace: None,
        request_id,
    };
    match call.handle(partition, &parts, body).await {
        Ok(response) => response,
        Err(error) => {
            report(&error, &parts);
            error.respond(call.protocol, call.namespace, &call.request_id)
        }
    }
}

fn report(error: &ApiError, parts: &Parts) {
    let path = parts.uri.path();
    if let Some(cause) = &error.cause {
        tracing::error!(
            path,
            error = supervision::error_chain(cause.as_ref()),
            "AWS request failed"
        );
    } else {
        tracing::debug!(path, code = error.code, message = error.message, "AWS request refused");
    }
}

/// The form of an answer before the service is known: forms are sent to query services, anything else to JSON ones.
fn guess(parts: &Parts) -> Protocol {
    let content_type = parts
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        Protocol::Query
    } else {
        Protocol::RestJson
    }
}

fn accepts_json(parts: &Parts) -> bool {
    let accept = parts
        .headers
        .get(http::header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.starts_with("application/json"))
}

struct Call {
    protocol: Protocol,
    /// A query service was asked to answer in JSON, as aws-iam-authenticator does.
    wants_json: bool,
    namespace: Option<&'static str>,
    request_id: String,
}

impl Call {
    async fn handle(&mut self, partition: Arc<Partition>, parts: &Parts, body: Body) -> Result<Response, ApiError> {
        let body = read(body).await?;
        let headers = headers(parts);
        let payload_sha256 = sigv4::payload_sha256(&body);
        let request = sigv4::Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
            payload_sha256: &payload_sha256,
        };
        let presented = match Presented::read(&request) {
            Err(SignatureError::Missing) if is_unsigned_call(&body, request.query) => None,
            Err(error) => return Err(ApiError::signature(&error, Some(self.protocol), false)),
            Ok(presented) => Some(presented),
        };
        let signing_name = presented.as_ref().map_or("sts", |presented| presented.service.as_str());
        if let Some(presented) = presented.as_ref().filter(|presented| presented.service == "s3") {
            return self.store(&partition, presented, &request, (parts, &body)).await;
        }
        let table = shapes::table_of(signing_name, version(&body).as_deref());
        let table = table.ok_or_else(|| unknown_service(signing_name))?;
        let service = shapes::service(table).ok_or_else(|| unknown_service(signing_name))?;
        self.protocol = service.metadata.protocol;
        self.namespace = service.metadata.xml_namespace.as_deref();
        let caller = match &presented {
            Some(presented) => Some(self.authenticate(&partition, presented, &request)?),
            None => None,
        };
        let place = presented.as_ref().map_or(Place::Header, |presented| presented.place);
        let decoded = decode(service, place, parts, &body).map_err(|error| ApiError::undecodable(service, &error))?;
        let Decoded { operation, input } = decoded;
        let region = match (&caller, &presented) {
            (Some(caller), Some(presented)) => region_of(&partition, caller, presented).await?,
            _ => region_of_role(&partition, &input).await?,
        };
        let caller = caller.unwrap_or_else(|| region.identities.anonymous());
        if let Some(throttle) = &partition.throttle {
            let place = (&caller.account, &region.name);
            throttle.check(place, (table, self.protocol), &operation, partition.clock.now())?;
        }
        let output = operations::perform(Context { region, caller }, table, &operation, input).await?;
        Ok(self.encode(service, &operation, &output))
    }

    /// S3, which has no table: an operation is not named but said by method, host and path.
    async fn store(
        &mut self,
        partition: &Arc<Partition>,
        presented: &Presented,
        request: &sigv4::Request<'_>,
        (parts, body): (&Parts, &Bytes),
    ) -> Result<Response, ApiError> {
        self.protocol = Protocol::RestXml;
        let caller = self.authenticate(partition, presented, request)?;
        let region = region_of(partition, &caller, presented).await?;
        let host = request.headers.iter().find(|(name, _)| name == "host");
        let host = host.map(|(_, value)| value.as_str()).unwrap_or_default();
        s3::answer(Context { region, caller }, parts, host, body).await
    }

    fn authenticate(
        &self,
        partition: &Partition,
        presented: &Presented,
        request: &sigv4::Request<'_>,
    ) -> Result<Caller, ApiError> {
        let is_ec2 = self.protocol == Protocol::Ec2;
        let signature = |error: &SignatureError| ApiError::signature(error, Some(self.protocol), is_ec2);
        if !partition.has_region(&presented.region) {
            let message = format!(
                "Credential should be scoped to a valid region, not '{}'.",
                presented.region
            );
            return Err(signature(&SignatureError::Scope(message)));
        }
        let found = partition.authenticate(presented, request);
        found.map_err(|error| match error {
            AuthenticationError::Signature(error) => signature(&error),
            AuthenticationError::UnknownKey(_) => ApiError::unknown_key(self.protocol),
            AuthenticationError::Expired(_) => ApiError::expired_key(self.protocol),
        })
    }

    fn encode(&self, service: &Service, name: &str, output: &Value) -> Response {
        let operation = &service.operations[name];
        match self.protocol {
            Protocol::Query if self.wants_json => build(
                StatusCode::OK,
                "application/json",
                json::query_answer(service, name, operation, output, &self.request_id),
            ),
            Protocol::Query | Protocol::Ec2 | Protocol::RestXml => {
                let body = xml::answer(service, name, operation, output, &self.request_id);
                build(StatusCode::OK, "text/xml;charset=UTF-8", body)
            }
            Protocol::Json | Protocol::RestJson => {
                let body = operation
                    .output
                    .as_deref()
                    .map(|shape| json::encode(service, shape, output).to_string());
                build(
                    StatusCode::OK,
                    json_type(service),
                    body.unwrap_or_else(|| "{}".to_owned()),
                )
            }
        }
        .header("x-amzn-requestid", &self.request_id)
        .finish()
    }
}

/// The region that a signed request is for: IAM is the same in all of them and in us-east-1, and so is the price list, which the home has.
async fn region_of(
    partition: &Arc<Partition>,
    caller: &Caller,
    presented: &Presented,
) -> Result<Arc<Region>, ApiError> {
    let home = partition.home();
    let name = match presented.service.as_str() {
        "iam" => "us-east-1",
        "pricing" => home.name.as_str(),
        _ => presented.region.as_str(),
    };
    let found = partition.region(&caller.account, name).await;
    let found = found.map_err(ApiError::internal)?;
    found.ok_or_else(|| ApiError::internal(format!("account {} has no region {name}", caller.account)))
}

/// The home of the account whose role an unsigned request asks for.
async fn region_of_role(partition: &Arc<Partition>, input: &Value) -> Result<Arc<Region>, ApiError> {
    let home = partition.home();
    let role: Option<Arn> = input.text("RoleArn").and_then(|arn| arn.parse().ok());
    let account = role.and_then(|role| AccountId::new(role.account).ok());
    let Some(account) = account else { return Ok(home) };
    let found = partition.region(&account, home.name.as_str()).await;
    Ok(found.map_err(ApiError::internal)?.unwrap_or(home))
}

/// The content type of a JSON service.
fn json_type(service: &Service) -> &'static str {
    match (service.metadata.protocol, service.metadata.json_version.as_deref()) {
        (Protocol::Json, Some("1.0")) => "application/x-amz-json-1.0",
        (Protocol::Json, _) => "application/x-amz-json-1.1",
        _ => "application/json",
    }
}

/// Whether this is the one operation whose proof is in its parameters.
fn is_unsigned_call(body: &[u8], query: &str) -> bool {
    let action = |text: &[u8]| {
        let pairs = query::parameters(text);
        pairs
            .iter()
            .any(|(key, value)| key == "Action" && value == "AssumeRoleWithWebIdentity")
    };
    action(body) || action(query.as_bytes())
}

/// The version that a form names.
fn version(body: &[u8]) -> Option<String> {
    let pairs = query::parameters(body);
    pairs
        .into_iter()
        .find(|(key, _)| key == "Version")
        .map(|(_, value)| value)
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            "RequestEntityTooLargeException",
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Request body is larger than {MOST_BYTES} bytes"),
        )),
        Err(error) => Err(ApiError::bad_request(
            "RequestAbortedException",
            format!("The request body ended early: {error}"),
        )),
    }
}

fn headers(parts: &Parts) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    if !parts.headers.contains_key(http::header::HOST)
        && let Some(authority) = parts.uri.authority()
    {
        headers.push(("host".to_owned(), authority.to_string()));
    }
    headers
}

fn decode(service: &Service, place: Place, parts: &Parts, body: &[u8]) -> Result<Decoded, DecodeError> {
    let uri_query = parts.uri.query().unwrap_or_default();
    match service.metadata.protocol {
        Protocol::Query | Protocol::Ec2 => {
            let mut form = query::parameters(body);
            // A GET, and a presigned URL, carry the action in the query.
            if place == Place::Query || form.is_empty() {
                form.extend(query::parameters(uri_query.as_bytes()));
            }
            query::decode(service, &form)
        }
        Protocol::Json => {
            let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
            route::decode_target(service, target.unwrap_or_default(), body)
        }
        Protocol::RestJson | Protocol::RestXml => {
            let request = HttpRequest {
                method: parts.method.as_str(),
                path: parts.uri.path(),
                query: uri_query,
                body,
            };
            route::decode(service, &request)
        }
    }
}

fn unknown_service(name: &str) -> ApiError {
    let message = format!("Service {name} is not available in this region");
    ApiError::new("UnknownServiceException", StatusCode::NOT_FOUND, message)
}
