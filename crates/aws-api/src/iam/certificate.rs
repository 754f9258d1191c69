//! Certificates of servers and signing certificates of users. They are checked when they come, kept and shown; nothing here
//! serves TLS with them.

use http::StatusCode;
use serde_json::{Value, json};

use super::entity::Entity;
use super::possession::{self, user};
use super::{date, exists, no_such};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

const PRIVATE_KEY: &str = "_PrivateKey";
/// IAM's quota.
const MOST_SIGNING: usize = 2;

fn malformed(what: &str) -> ApiError {
    ApiError::bad_request("MalformedCertificate", format!("Unable to parse {what}"))
}

fn server_missing(name: &str) -> ApiError {
    no_such(format!("The Server Certificate with name {name} cannot be found."))
}

fn find_server<'a>(state: &'a State, name: &str) -> Result<&'a Item, ApiError> {
    catalogue::find(state, ItemKind::ServerCertificate, name).ok_or_else(|| server_missing(name))
}

/// `UploadServerCertificate`.
pub async fn upload_server(context: Context, input: Value) -> Result<Value, ApiError> {
    let (name, path) = (
        input.required("ServerCertificateName"),
        input.text("Path").unwrap_or("/"),
    );
    let body = input.required("CertificateBody");
    let until = certificates::expiry(body.as_bytes())
        .ok_or_else(|| malformed("certificate. Please ensure the certificate is in PEM format."))?;
    if !input.required("PrivateKey").contains("PRIVATE KEY-----") {
        let message = "Unable to parse key; the body must be encoded in PEM.";
        return Err(ApiError::bad_request("MalformedCertificate", message));
    }
    let metadata = json!({
        "Path": path, "ServerCertificateName": name, "ServerCertificateId": super::unique_id(&context, "ASCA"),
        "Arn": format!("arn:aws:iam::{}:server-certificate{path}{name}", context.caller.account),
        "UploadDate": date(context.region.clock.now()), "Expiration": date(until),
    });
    let mut kept = json!({
        "ServerCertificateMetadata": metadata, "CertificateBody": body, PRIVATE_KEY: input.required("PrivateKey"),
    });
    if let Some(chain) = input.text("CertificateChain") {
        certificates::check_chain(chain.as_bytes()).map_err(|why| malformed(&format!("certificate chain: {why}")))?;
        kept["CertificateChain"] = chain.into();
    }
    let made = Item::new(ItemKind::ServerCertificate, name, kept).tagged(super::tag::given(&input)?);
    let mut answer = json!({ "ServerCertificateMetadata": metadata });
    if !made.tags.is_empty() {
        answer["Tags"] = tag_list(&made.tags);
    }
    catalogue::create(&context, made, |state| match find_server(state, name) {
        Ok(_) => Err(exists(format!(
            "The Server Certificate with name {name} already exists."
        ))),
        Err(_missing) => Ok(()),
    })
    .await?;
    Ok(answer)
}

/// `GetServerCertificate`: with everything but the private key.
pub async fn get_server(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let known = find_server(state, input.required("ServerCertificateName"))?;
        let mut view = known.without(&[PRIVATE_KEY]);
        if !known.tags.is_empty() {
            view["Tags"] = tag_list(&known.tags);
        }
        Ok(json!({ "ServerCertificate": view }))
    })
}

/// `ListServerCertificates`.
pub async fn list_servers(context: Context, input: Value) -> Result<Value, ApiError> {
    let prefix = input.text("PathPrefix").unwrap_or("/");
    let views = context.region.ledger.read(|state| {
        let all = catalogue::of_kind(state, ItemKind::ServerCertificate);
        all.map(|item| item.body["ServerCertificateMetadata"].clone())
            .filter(|view| view.required("Path").starts_with(prefix))
            .collect()
    });
    super::page(views, "ServerCertificateMetadataList", &input)
}

/// `UpdateServerCertificate`: a new name or path.
pub async fn update_server(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("ServerCertificateName");
    let decide = |state: &State| {
        let known = find_server(state, name)?;
        let new = input.text("NewServerCertificateName").unwrap_or(name);
        if new != name && find_server(state, new).is_ok() {
            return Err(exists(format!(
                "The Server Certificate with name {new} already exists."
            )));
        }
        let mut after = known.clone();
        new.clone_into(&mut after.key);
        let metadata = &mut after.body["ServerCertificateMetadata"];
        let path = input.text("NewPath").unwrap_or(metadata.required("Path")).to_owned();
        metadata["Arn"] = format!("arn:aws:iam::{}:server-certificate{path}{new}", context.caller.account).into();
        metadata["ServerCertificateName"] = new.into();
        metadata["Path"] = path.into();
        Ok((nothing(), vec![known.removal(), after.put()]))
    };
    context.region.ledger.change(decide).await
}

/// `DeleteServerCertificate`.
pub async fn delete_server(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("ServerCertificateName");
    catalogue::remove(&context, ItemKind::ServerCertificate, name, || server_missing(name)).await?;
    Ok(nothing())
}

fn signing_missing(id: &str) -> impl FnOnce(&Entity) -> String + use<'_> {
    move |_| format!("The Certificate with id {id} cannot be found.")
}

/// `UploadSigningCertificate`.
pub async fn upload_signing(context: Context, input: Value) -> Result<Value, ApiError> {
    let (now, id) = (
        context.region.clock.now(),
        context.region.random.alphanumeric(32).to_uppercase(),
    );
    let text = input.required("CertificateBody");
    let decide = |state: &State| {
        let user = user(state, &context, &input)?;
        if certificates::expiry(text.as_bytes()).is_none() {
            return Err(malformed("certificate"));
        }
        let mut own = possession::of(state, ItemKind::SigningCertificate, user);
        if own.clone().count() >= MOST_SIGNING {
            let message = format!("Cannot exceed quota for CertificatesPerUser: {MOST_SIGNING}");
            return Err(ApiError::new("LimitExceeded", StatusCode::CONFLICT, message));
        }
        if own.any(|item| item.body.text("CertificateBody") == Some(text)) {
            let message = "The certificate is already associated with this user.";
            return Err(ApiError::new("DuplicateCertificate", StatusCode::CONFLICT, message));
        }
        let body = json!({
            "CertificateId": id, "CertificateBody": text, "Status": "Active", "UploadDate": date(now),
        });
        let made = Item::new(ItemKind::SigningCertificate, possession::key(user, &id), body);
        let answer = json!({ "Certificate": possession::view(user, &made, &[]) });
        Ok((answer, vec![made.put()]))
    };
    context.region.ledger.change(decide).await
}

/// `ListSigningCertificates`.
pub async fn list_signing(context: Context, input: Value) -> Result<Value, ApiError> {
    let kind = ItemKind::SigningCertificate;
    possession::list(&context, &input, kind, "Certificates", &[], |_| true)
}

/// `UpdateSigningCertificate`.
pub async fn update_signing(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("CertificateId");
    possession::edit_status(&context, &input, ItemKind::SigningCertificate, id, signing_missing(id)).await
}

/// `DeleteSigningCertificate`.
pub async fn delete_signing(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("CertificateId");
    possession::remove(&context, &input, ItemKind::SigningCertificate, id, signing_missing(id)).await
}
