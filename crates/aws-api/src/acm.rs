//! ACM: certificates that were asked for, as records. None is issued: there is nobody to prove a domain to.

use aws_types::time::Time;
use serde_json::{Value, json};

use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

fn not_found(context: &Context, arn: &str) -> ApiError {
    let message = format!(
        "Could not find certificate {arn} in account {}.",
        context.caller.account
    );
    ApiError::bad_request("ResourceNotFoundException", message)
}

fn find<'a>(context: &Context, state: &'a State, arn: &str) -> Result<&'a Item, ApiError> {
    catalogue::find(state, ItemKind::Certificate, arn).ok_or_else(|| not_found(context, arn))
}

/// `RequestCertificate`: waits for validation ever after.
pub async fn request(context: Context, input: Value) -> Result<Value, ApiError> {
    let domain = input.required("DomainName");
    let (region, account) = (&context.region.name, &context.caller.account);
    let arn = format!(
        "arn:aws:acm:{region}:{account}:certificate/{}",
        context.region.random.uuid()
    );
    let others = input
        .texts("SubjectAlternativeNames")
        .into_iter()
        .filter(|name| *name != domain);
    let names: Vec<&str> = std::iter::once(domain).chain(others).collect();
    let method = input.text("ValidationMethod").unwrap_or("EMAIL");
    let validations: Vec<Value> = names
        .iter()
        .map(|name| json!({"DomainName": name, "ValidationDomain": name, "ValidationStatus": "PENDING_VALIDATION", "ValidationMethod": method}))
        .collect();
    let body = json!({
        "CertificateArn": arn, "DomainName": domain, "SubjectAlternativeNames": names, "DomainValidationOptions": validations,
        "CreatedAt": Time(context.region.clock.now()), "Status": "PENDING_VALIDATION", "Type": "AMAZON_ISSUED", "InUseBy": [],
        "KeyAlgorithm": input.text("KeyAlgorithm").unwrap_or("RSA-2048"), "RenewalEligibility": "INELIGIBLE",
        "Options": {"CertificateTransparencyLoggingPreference": "ENABLED"}, "Subject": format!("CN={domain}"), "Issuer": "Amazon",
    });
    catalogue::create(
        &context,
        Item::new(ItemKind::Certificate, arn.clone(), body).tagged(input.tags("Tags")),
        |_| Ok(()),
    )
    .await?;
    Ok(json!({ "CertificateArn": arn }))
}

/// `DescribeCertificate`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("CertificateArn");
    context
        .region
        .ledger
        .read(|state| Ok(json!({ "Certificate": find(&context, state, arn)?.body })))
}

/// `ListCertificates`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let statuses = input.texts("CertificateStatuses");
    let views = context.region.ledger.read(|state| {
        let all = catalogue::of_kind(state, ItemKind::Certificate);
        let fitting = all.filter(|one| statuses.is_empty() || statuses.contains(&one.body.required("Status")));
        fitting
            .map(|one| {
                json!({
                    "CertificateArn": one.key, "DomainName": one.body["DomainName"], "Status": one.body["Status"],
                    "SubjectAlternativeNameSummaries": one.body["SubjectAlternativeNames"], "Type": one.body["Type"],
                    "KeyAlgorithm": one.body["KeyAlgorithm"], "InUse": false, "CreatedAt": one.body["CreatedAt"],
                })
            })
            .collect()
    });
    let wrong = || ApiError::bad_request("ValidationException", "The next token is not valid.");
    let (page, next) = catalogue::page(views, input.text("NextToken"), input.number("MaxItems"), 1000, wrong)?;
    Ok(json!({"CertificateSummaryList": page, "NextToken": next}))
}

/// `DeleteCertificate`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("CertificateArn");
    catalogue::remove(&context, ItemKind::Certificate, arn, || not_found(&context, arn)).await?;
    Ok(nothing())
}

async fn change_tags(context: &Context, input: &Value, change: impl FnOnce(&mut Item)) -> Result<Value, ApiError> {
    let arn = input.required("CertificateArn");
    catalogue::edit(
        context,
        ItemKind::Certificate,
        arn,
        || not_found(context, arn),
        |_, one| {
            change(one);
            Ok(nothing())
        },
    )
    .await
}

/// `AddTagsToCertificate`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    change_tags(&context, &input, |one| one.tags.extend(input.tags("Tags"))).await
}

/// `RemoveTagsFromCertificate`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    change_tags(&context, &input, |one| {
        one.tags.retain(|key, _| !input.tags("Tags").contains_key(key))
    })
    .await
}

/// `ListTagsForCertificate`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("CertificateArn");
    context
        .region
        .ledger
        .read(|state| Ok(json!({ "Tags": tag_list(&find(&context, state, arn)?.tags) })))
}
