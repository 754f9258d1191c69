//! SSH public keys of users, and credentials of theirs for single services (CodeCommit, Keyspaces, Bedrock): kept and shown;
//! none of these services is here.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use super::date;
use super::entity::Entity;
use super::possession::{self, user};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;
use crate::sqs::digest::md5;

/// IAM's quotas.
const MOST_SSH: usize = 5;
const MOST_CREDENTIALS: usize = 2;
const SERVICES: &[&str] = &[
    "codecommit.amazonaws.com",
    "cassandra.amazonaws.com",
    "bedrock.amazonaws.com",
];

fn key_missing(id: &str) -> impl FnOnce(&Entity) -> String + use<'_> {
    move |_| format!("The Public Key with id {id} cannot be found.")
}

fn fingerprint(blob: &[u8]) -> String {
    let sum = md5(blob);
    let pairs: Vec<&str> = (0..sum.len())
        .step_by(2)
        .filter_map(|place| sum.get(place..place + 2))
        .collect();
    pairs.join(":")
}

/// `UploadSSHPublicKey`: in OpenSSH's form.
pub async fn upload(context: Context, input: Value) -> Result<Value, ApiError> {
    let text = input.required("SSHPublicKeyBody");
    let mut words = text.split_whitespace();
    let (kind, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let blob = STANDARD.decode(body).unwrap_or_default();
    if kind != "ssh-rsa" || blob.is_empty() {
        return Err(ApiError::bad_request("InvalidPublicKey", "Unable to parse public key"));
    }
    let id = super::unique_id(&context, "APKA");
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let user = user(state, &context, &input)?;
        let mut own = possession::of(state, ItemKind::SshPublicKey, user);
        if own.clone().count() >= MOST_SSH {
            let message = format!("Cannot exceed quota for SSHPublicKeysPerUser: {MOST_SSH}");
            return Err(ApiError::new("LimitExceeded", StatusCode::CONFLICT, message));
        }
        let shown = fingerprint(&blob);
        if own.any(|item| item.body.text("Fingerprint") == Some(&shown)) {
            let message = "The SSH public key already exists for this user.";
            return Err(ApiError::bad_request("DuplicateSSHPublicKey", message));
        }
        let body = json!({
            "SSHPublicKeyId": id, "Fingerprint": shown, "SSHPublicKeyBody": text, "Status": "Active", "UploadDate": date(now),
        });
        let made = Item::new(ItemKind::SshPublicKey, possession::key(user, &id), body);
        let answer = json!({ "SSHPublicKey": possession::view(user, &made, &[]) });
        Ok((answer, vec![made.put()]))
    };
    context.region.ledger.change(decide).await
}

/// `GetSSHPublicKey`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SSHPublicKeyId");
    context.region.ledger.read(|state| {
        let user = user(state, &context, &input)?;
        let known = catalogue::find(state, ItemKind::SshPublicKey, &possession::key(user, id));
        let known = known.ok_or_else(|| super::no_such(key_missing(id)(user)))?;
        Ok(json!({ "SSHPublicKey": possession::view(user, known, &[]) }))
    })
}

/// `ListSSHPublicKeys`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let hidden = ["Fingerprint", "SSHPublicKeyBody"];
    possession::list(
        &context,
        &input,
        ItemKind::SshPublicKey,
        "SSHPublicKeys",
        &hidden,
        |_| true,
    )
}

/// `UpdateSSHPublicKey`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SSHPublicKeyId");
    possession::edit_status(&context, &input, ItemKind::SshPublicKey, id, key_missing(id)).await
}

/// `DeleteSSHPublicKey`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SSHPublicKeyId");
    possession::remove(&context, &input, ItemKind::SshPublicKey, id, key_missing(id)).await
}

fn credential_missing(id: &str) -> impl FnOnce(&Entity) -> String + use<'_> {
    move |_| format!("The Service Specific Credential with id {id} cannot be found.")
}

fn secret(context: &Context) -> String {
    let mut bytes = [0; 32];
    context.region.random.bytes(&mut bytes);
    STANDARD.encode(digest::digest(&digest::SHA256, &bytes))
}

/// `CreateServiceSpecificCredential`: the password is in this answer only.
pub async fn create_credential(context: Context, input: Value) -> Result<Value, ApiError> {
    let service = input.required("ServiceName");
    if !SERVICES.contains(&service) {
        let message = format!("No such service {service} is supported for Service Specific Credentials");
        return Err(super::no_such(message));
    }
    let (id, now, password) = (
        super::unique_id(&context, "ACCA"),
        context.region.clock.now(),
        secret(&context),
    );
    let decide = |state: &State| {
        let user = user(state, &context, &input)?;
        let own = possession::of(state, ItemKind::ServiceCredential, user);
        if own
            .filter(|item| item.body.text("ServiceName") == Some(service))
            .count()
            >= MOST_CREDENTIALS
        {
            let message = format!("Cannot exceed quota for ServiceSpecificCredentialsPerUser: {MOST_CREDENTIALS}");
            return Err(ApiError::new("LimitExceeded", StatusCode::CONFLICT, message));
        }
        let body = json!({
            "ServiceSpecificCredentialId": id, "ServiceName": service, "Status": "Active", "CreateDate": date(now),
            "ServiceUserName": format!("{}-at-{}", user.name, context.caller.account),
        });
        let made = Item::new(ItemKind::ServiceCredential, possession::key(user, &id), body);
        let mut view = possession::view(user, &made, &[]);
        view["ServicePassword"] = password.as_str().into();
        Ok((json!({ "ServiceSpecificCredential": view }), vec![made.put()]))
    };
    context.region.ledger.change(decide).await
}

/// `ListServiceSpecificCredentials`.
pub async fn list_credentials(context: Context, input: Value) -> Result<Value, ApiError> {
    let service = input.text("ServiceName");
    let is_wanted = |item: &Item| service.is_none_or(|name| item.body.text("ServiceName") == Some(name));
    let (kind, member) = (ItemKind::ServiceCredential, "ServiceSpecificCredentials");
    possession::list(&context, &input, kind, member, &[], is_wanted)
}

/// `UpdateServiceSpecificCredential`.
pub async fn update_credential(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("ServiceSpecificCredentialId");
    possession::edit_status(
        &context,
        &input,
        ItemKind::ServiceCredential,
        id,
        credential_missing(id),
    )
    .await
}

/// `ResetServiceSpecificCredential`.
pub async fn reset_credential(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("ServiceSpecificCredentialId");
    let password = secret(&context);
    let missing = credential_missing(id);
    possession::edit(
        &context,
        &input,
        ItemKind::ServiceCredential,
        id,
        missing,
        |_, user, item| {
            let mut view = possession::view(user, item, &[]);
            view["ServicePassword"] = password.as_str().into();
            Ok(json!({ "ServiceSpecificCredential": view }))
        },
    )
    .await
}

/// `DeleteServiceSpecificCredential`.
pub async fn delete_credential(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("ServiceSpecificCredentialId");
    possession::remove(
        &context,
        &input,
        ItemKind::ServiceCredential,
        id,
        credential_missing(id),
    )
    .await
}
