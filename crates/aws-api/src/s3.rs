//! A shelf in S3's form: buckets and objects of less than a mebibyte, so that templates can be where CloudFormation reads them, put
//! there by `aws s3 cp`, `aws cloudformation package` and SDKs. It is no object store: no versions, parts, policies or lists of rules.
//! What is not served answers `NotImplemented`, as S3 does.

mod listing;
mod public;
mod request;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::authorization;
use crate::catalogue::{self, Item, ItemKind};
use crate::codec::xml::Writer;
use crate::error::{ApiError, build};
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;
use aws_types::shapes::Protocol;
use listing::Wanted;
use request::{Asked, Place};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// What an object without a type of its own is.
const BINARY: &str = "binary/octet-stream";

fn error(status: StatusCode, code: &str, message: &str) -> ApiError {
    ApiError::new(code, status, message)
}

fn no_bucket() -> ApiError {
    error(
        StatusCode::NOT_FOUND,
        "NoSuchBucket",
        "The specified bucket does not exist",
    )
}

fn no_key() -> ApiError {
    error(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
}

/// Answers a request whose signature was verified.
///
/// # Errors
/// S3's.
pub async fn answer(context: Context, parts: &Parts, host: &str, body: &[u8]) -> Result<Response, ApiError> {
    let query = parts.uri.query().unwrap_or_default();
    let asked = Asked::read(parts.method.as_str(), host, parts.uri.path(), query).ok_or_else(|| {
        let message = "A header or query you provided requested a function that is not implemented.";
        error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    })?;
    check(&context, &asked)?;
    match asked {
        Asked::ListBuckets => Ok(document(&buckets(&context))),
        Asked::CreateBucket(name) => {
            check_constraint(&context, body)?;
            create_bucket(&context, &name).await
        }
        Asked::HeadBucket(name) => {
            require_bucket(&context, &name)?;
            Ok(empty(
                StatusCode::OK,
                &[("x-amz-bucket-region", context.region.name.as_str())],
            ))
        }
        Asked::DeleteBucket(name) => delete_bucket(&context, &name).await,
        Asked::GetBucketLocation(name) => location(&context, &name),
        Asked::ListObjects(bucket, wanted) => objects(&context, &bucket, &wanted),
        Asked::PutObject(place) => put(&context, &place, parts, body).await,
        Asked::GetObject(place) => object(&context, &place, true),
        Asked::HeadObject(place) => object(&context, &place, false),
        Asked::DeleteObject(place) => delete(&context, &place).await,
    }
}

fn check(context: &Context, asked: &Asked) -> Result<(), ApiError> {
    let (operation, resource) = asked.action();
    let call = authorization::Call {
        service: "s3",
        operation,
        input: &json!({ "Resource": resource }),
    };
    authorization::check(context, Protocol::RestXml, &call)
}

/// The text of the object that a URL of S3 names, read as the caller.
///
/// # Errors
/// CloudFormation's words on what is no URL of S3, and on what S3 answers.
pub fn read_url(context: &Context, url: &str) -> Result<String, ApiError> {
    let invalid = |message: String| ApiError::bad_request("ValidationError", message);
    let parsed = url::Url::parse(url).map_err(|_no_url| invalid("TemplateURL must be a supported URL.".to_owned()))?;
    let host = parsed.host_str().unwrap_or_default();
    let is_here = host == "localhost" || parsed.host().is_some_and(|host| !matches!(host, url::Host::Domain(_)));
    if !is_here && !request::is_host(host) {
        return Err(invalid("TemplateURL must be a supported URL.".to_owned()));
    }
    let (bucket, key) = request::split(host, parsed.path());
    if let Some(text) = public::find(&bucket, &key) {
        return Ok(text.to_owned());
    }
    let place = Place { bucket, key };
    let said = |error: ApiError| {
        let more = "For more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html";
        invalid(format!("S3 error: {}\n{more}", error.message))
    };
    check(context, &Asked::GetObject(place.clone())).map_err(said)?;
    let content = context.region.ledger.read(|state| {
        let found = find(state, &place)?;
        STANDARD
            .decode(found.body.required("Content"))
            .map_err(ApiError::internal)
    });
    String::from_utf8(content.map_err(said)?)
        .map_err(|_no_text| invalid("Template format error: it is no text.".to_owned()))
}

fn key(place: &Place) -> String {
    format!("{}/{}", place.bucket, place.key)
}

fn find<'a>(state: &'a State, place: &Place) -> Result<&'a Item, ApiError> {
    let bucket = catalogue::find(state, ItemKind::Bucket, &place.bucket);
    bucket.ok_or_else(no_bucket)?;
    catalogue::find(state, ItemKind::BucketObject, &key(place)).ok_or_else(no_key)
}

fn require_bucket(context: &Context, name: &str) -> Result<(), ApiError> {
    let found = |state: &State| catalogue::find(state, ItemKind::Bucket, name).is_some();
    context.region.ledger.read(found).then_some(()).ok_or_else(no_bucket)
}

fn empty(status: StatusCode, headers: &[(&'static str, &str)]) -> Response {
    let answer = build(status, "application/xml", "");
    headers
        .iter()
        .fold(answer, |answer, (name, value)| answer.header(name, value))
        .finish()
}

fn document(text: &str) -> Response {
    build(StatusCode::OK, "application/xml", text.to_owned()).finish()
}

fn xml(root: &str, inner: impl FnOnce(&mut Writer)) -> String {
    let mut xml = Writer::default();
    xml.root(root, NAMESPACE, inner);
    xml.text
}

fn buckets(context: &Context) -> String {
    xml("ListAllMyBucketsResult", |xml| {
        xml.element("Owner", |xml| xml.leaf("ID", context.caller.account.as_str()));
        xml.element("Buckets", |xml| {
            context.region.ledger.read(|state| {
                for bucket in catalogue::of_kind(state, ItemKind::Bucket) {
                    xml.element("Bucket", |xml| {
                        xml.leaf("Name", &bucket.key);
                        xml.leaf("CreationDate", bucket.body.required("CreationDate"));
                    });
                }
            });
        });
    })
}

/// Source: "General purpose bucket naming rules".
fn is_bucket_name(name: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '.' | '-');
    let is_end = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    (3..=63).contains(&name.len())
        && name.chars().all(is_part)
        && is_end(name.chars().next())
        && is_end(name.chars().last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// A bucket is made in the region whose endpoint is asked, and the request says so, but in the first region.
fn check_constraint(context: &Context, body: &[u8]) -> Result<(), ApiError> {
    let (region, first) = (context.region.name.as_str(), "us-east-1");
    let wanted = request::location_constraint(body);
    if wanted.as_deref().unwrap_or(first) == region {
        return Ok(());
    }
    let message = format!(
        "The {} location constraint is incompatible for the region specific endpoint this request was sent to.",
        wanted.as_deref().unwrap_or("unspecified")
    );
    Err(error(
        StatusCode::BAD_REQUEST,
        "IllegalLocationConstraintException",
        &message,
    ))
}

async fn create_bucket(context: &Context, name: &str) -> Result<Response, ApiError> {
    if !is_bucket_name(name) {
        let message = "The specified bucket is not valid.";
        return Err(error(StatusCode::BAD_REQUEST, "InvalidBucketName", message));
    }
    let others = context.region.partition().into_iter().flat_map(|all| all.regions());
    let is_anothers = others.into_iter().any(|region| {
        let has = |state: &State| catalogue::find(state, ItemKind::Bucket, name).is_some();
        region.account() != context.region.account() && region.ledger.read(has)
    });
    if is_anothers {
        let message = "The requested bucket name is not available. The bucket namespace is shared by all users of the system. \
                       Please select a different name and try again.";
        return Err(error(StatusCode::CONFLICT, "BucketAlreadyExists", message));
    }
    let body = json!({
        "CreationDate": iso(context.region.clock.now()), "Region": context.region.name,
    });
    let is_first = context.region.name.as_str() == "us-east-1";
    let made = Item::new(ItemKind::Bucket, name, body);
    let decide = |state: &State| match catalogue::find(state, ItemKind::Bucket, name) {
        Some(_) if is_first => Ok(((), Vec::new())),
        Some(_) => {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            Err(error(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou", message))
        }
        None => Ok(((), vec![made.put()])),
    };
    context.region.ledger.change(decide).await?;
    Ok(empty(StatusCode::OK, &[("location", &format!("/{name}"))]))
}

async fn delete_bucket(context: &Context, name: &str) -> Result<Response, ApiError> {
    let decide = |state: &State| {
        let bucket = catalogue::find(state, ItemKind::Bucket, name).ok_or_else(no_bucket)?;
        let mut inside = catalogue::beginning(state, ItemKind::BucketObject, &format!("{name}/"));
        if inside.next().is_some() {
            let message = "The bucket you tried to delete is not empty";
            return Err(error(StatusCode::CONFLICT, "BucketNotEmpty", message));
        }
        Ok(((), vec![bucket.removal()]))
    };
    context.region.ledger.change(decide).await?;
    Ok(empty(StatusCode::NO_CONTENT, &[]))
}

fn location(context: &Context, name: &str) -> Result<Response, ApiError> {
    let region = context.region.ledger.read(|state| {
        let bucket = catalogue::find(state, ItemKind::Bucket, name).ok_or_else(no_bucket)?;
        Ok::<_, ApiError>(bucket.body.required("Region").to_owned())
    })?;
    let mut answer = Writer::default();
    // The first region has no name here.
    let shown = if region == "us-east-1" { "" } else { &region };
    answer.root("LocationConstraint", NAMESPACE, |xml| xml.content(shown));
    Ok(document(&answer.text))
}

fn objects(context: &Context, bucket: &str, wanted: &Wanted) -> Result<Response, ApiError> {
    require_bucket(context, bucket)?;
    let begin = format!("{bucket}/");
    let text = context.region.ledger.read(|state| {
        let all = catalogue::beginning(state, ItemKind::BucketObject, &format!("{begin}{}", wanted.prefix));
        let page = wanted.page(all.map(|item| &item.key[begin.len()..]));
        xml("ListBucketResult", |xml| {
            xml.leaf("Name", bucket);
            xml.leaf("Prefix", &wanted.prefix);
            if !wanted.delimiter.is_empty() {
                xml.leaf("Delimiter", &wanted.delimiter);
            }
            xml.leaf("KeyCount", &(page.keys.len() + page.folders.len()).to_string());
            xml.leaf("MaxKeys", &wanted.most.to_string());
            xml.leaf("IsTruncated", &page.next.is_some().to_string());
            page.next
                .iter()
                .for_each(|next| xml.leaf("NextContinuationToken", next));
            for key in page.keys {
                if let Some(item) = catalogue::find(state, ItemKind::BucketObject, &format!("{begin}{key}")) {
                    xml.element("Contents", |xml| content(xml, key, item));
                }
            }
            for folder in page.folders {
                xml.element("CommonPrefixes", |xml| xml.leaf("Prefix", folder));
            }
        })
    });
    Ok(document(&text))
}

fn content(xml: &mut Writer, key: &str, item: &Item) {
    xml.leaf("Key", key);
    xml.leaf("LastModified", item.body.required("LastModified"));
    xml.leaf("ETag", item.body.required("ETag"));
    xml.leaf("Size", &item.body["Size"].to_string());
    xml.leaf("StorageClass", "STANDARD");
}

fn header<'p>(parts: &'p Parts, name: &str) -> Option<&'p str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

async fn put(context: &Context, place: &Place, parts: &Parts, body: &[u8]) -> Result<Response, ApiError> {
    let is_chunked = header(parts, "x-amz-content-sha256").is_some_and(|text| text.starts_with("STREAMING-"));
    let content = match is_chunked {
        true => request::content(body).ok_or_else(|| {
            let message = "The request body is no sequence of chunks.";
            error(StatusCode::BAD_REQUEST, "IncompleteBody", message)
        })?,
        false => body.to_vec(),
    };
    let digest = access_rules::sigv4::payload_sha256(&content);
    let etag = format!("\"{}\"", &digest[..32]);
    let made = Item::new(
        ItemKind::BucketObject,
        key(place),
        json!({
            "Content": STANDARD.encode(&content), "Size": content.len(), "ETag": etag,
            "ContentType": header(parts, "content-type").unwrap_or(BINARY),
            "LastModified": iso(context.region.clock.now()),
        }),
    );
    catalogue::create(context, made, |state| {
        let bucket = catalogue::find(state, ItemKind::Bucket, &place.bucket);
        bucket.map(|_| ()).ok_or_else(no_bucket)
    })
    .await?;
    Ok(empty(StatusCode::OK, &[("etag", &etag)]))
}

fn object(context: &Context, place: &Place, whole: bool) -> Result<Response, ApiError> {
    let body: Value = context
        .region
        .ledger
        .read(|state| find(state, place).map(|item| item.body.clone()))?;
    let content = match whole {
        true => STANDARD.decode(body.required("Content")).map_err(ApiError::internal)?,
        false => Vec::new(),
    };
    let modified: Option<Timestamp> = body.text("LastModified").and_then(|text| text.parse().ok());
    let modified = modified.map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    let mut answer = build(StatusCode::OK, BINARY, content)
        .header("content-type", body.text("ContentType").unwrap_or(BINARY))
        .header("etag", body.required("ETag"))
        .header("last-modified", &modified.unwrap_or_default());
    if !whole {
        answer = answer.header("content-length", &body["Size"].to_string());
    }
    Ok(answer.finish())
}

async fn delete(context: &Context, place: &Place) -> Result<Response, ApiError> {
    let decide = |state: &State| {
        let bucket = catalogue::find(state, ItemKind::Bucket, &place.bucket);
        bucket.ok_or_else(no_bucket)?;
        let found = catalogue::find(state, ItemKind::BucketObject, &key(place));
        Ok::<_, ApiError>(((), found.map(Item::removal).into_iter().collect()))
    };
    context.region.ledger.change(decide).await?;
    Ok(empty(StatusCode::NO_CONTENT, &[]))
}

fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
