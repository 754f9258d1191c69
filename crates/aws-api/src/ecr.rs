//! ECR: repositories with their policies and the images that were described to it. The registry's own protocol is not served,
//! so nothing can be pushed or pulled.

use aws_types::time::Time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// What of a repository no description shows.
const HIDDEN: &[&str] = &["_Images", "_Policy", "_Lifecycle"];

fn not_found(context: &Context, name: &str) -> ApiError {
    let message = format!(
        "The repository with name '{name}' does not exist in the registry with id '{}'",
        context.caller.account
    );
    ApiError::bad_request("RepositoryNotFoundException", message)
}

fn find<'a>(context: &Context, state: &'a State, name: &str) -> Result<&'a Item, ApiError> {
    catalogue::find(state, ItemKind::Repository, name).ok_or_else(|| not_found(context, name))
}

async fn edit<T>(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&mut Item) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let name = input.required("repositoryName");
    catalogue::edit(
        context,
        ItemKind::Repository,
        name,
        || not_found(context, name),
        |_, one| change(one),
    )
    .await
}

fn lower_tags(input: &Value) -> std::collections::BTreeMap<String, String> {
    let tags = input.list("tags").iter();
    tags.filter_map(|tag| Some((tag.text("Key")?.to_owned(), tag.required("Value").to_owned())))
        .collect()
}

/// `CreateRepository`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("repositoryName");
    let is_valid = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._/-".contains(letter);
    if name.len() < 2 || !name.chars().all(is_valid) || !name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
    {
        let message = format!(
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'' ({name})"
        );
        return Err(ApiError::bad_request("InvalidParameterException", message));
    }
    let (region, account) = (&context.region.name, &context.caller.account);
    let body = json!({
        "repositoryArn": format!("arn:aws:ecr:{region}:{account}:repository/{name}"), "registryId": account,
        "repositoryName": name, "repositoryUri": format!("{account}.dkr.ecr.{region}.amazonaws.com/{name}"),
        "createdAt": Time(context.region.clock.now()), "imageTagMutability": input.text("imageTagMutability").unwrap_or("MUTABLE"),
        "imageScanningConfiguration": {"scanOnPush": input["imageScanningConfiguration"].flag("scanOnPush").unwrap_or(false)},
        "encryptionConfiguration": {"encryptionType": input["encryptionConfiguration"].text("encryptionType").unwrap_or("AES256")},
        "_Images": [],
    });
    let made = Item::new(ItemKind::Repository, name, body).tagged(lower_tags(&input));
    let answer = json!({ "repository": made.without(HIDDEN) });
    catalogue::create(&context, made, |state| {
        match catalogue::find(state, ItemKind::Repository, name) {
            Some(_) => {
                let message =
                    format!("The repository with name '{name}' already exists in the registry with id '{account}'");
                Err(ApiError::bad_request("RepositoryAlreadyExistsException", message))
            }
            None => Ok(()),
        }
    })
    .await?;
    Ok(answer)
}

fn paged(input: &Value, member: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let wrong = || ApiError::bad_request("InvalidParameterException", "Invalid parameter at 'nextToken'");
    let (page, next) = catalogue::page(views, input.text("nextToken"), input.number("maxResults"), 100, wrong)?;
    Ok(json!({member: page, "nextToken": next}))
}

/// `DescribeRepositories`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("repositoryNames");
    let views = context.region.ledger.read(|state| {
        for name in &names {
            find(&context, state, name)?;
        }
        let chosen = catalogue::of_kind(state, ItemKind::Repository);
        let chosen = chosen.filter(|one| names.is_empty() || names.contains(&one.key.as_str()));
        Ok::<_, ApiError>(chosen.map(|one| one.without(HIDDEN)).collect())
    })?;
    paged(&input, "repositories", views)
}

/// `DeleteRepository`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("repositoryName");
    let decide = |state: &State| {
        let known = find(&context, state, name)?;
        if !known.body.list("_Images").is_empty() && input.flag("force") != Some(true) {
            let message = format!(
                "The repository with name '{name}' in registry with id '{}' cannot be deleted because it still contains images",
                context.caller.account
            );
            return Err(ApiError::bad_request("RepositoryNotEmptyException", message));
        }
        Ok((json!({ "repository": known.without(HIDDEN) }), vec![known.removal()]))
    };
    context.region.ledger.change(decide).await
}

/// `GetAuthorizationToken`.
pub async fn token(context: Context, _input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let ends = now.saturating_add(SignedDuration::from_hours(12)).unwrap_or(now);
    let token = STANDARD.encode(format!("AWS:{}", context.region.random.hex(64)));
    let endpoint = format!(
        "https://{}.dkr.ecr.{}.amazonaws.com",
        context.caller.account, context.region.name
    );
    Ok(
        json!({"authorizationData": [{"authorizationToken": token, "expiresAt": Time(ends), "proxyEndpoint": endpoint}]}),
    )
}

/// `PutImage`.
pub async fn put_image(context: Context, input: Value) -> Result<Value, ApiError> {
    let manifest = input.required("imageManifest");
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(manifest)));
    if input.text("imageDigest").is_some_and(|given| given != digest) {
        return Err(ApiError::bad_request(
            "ImageDigestDoesNotMatchException",
            "The image digest does not match the manifest",
        ));
    }
    let now = Time(context.region.clock.now());
    edit(&context, &input, |repository| {
        let tag = input.text("imageTag");
        let is_fixed = repository.body.text("imageTagMutability") == Some("IMMUTABLE");
        let mut images = repository.body.list("_Images").to_vec();
        for image in &mut images {
            let own = image.texts("tags").into_iter().map(str::to_owned).collect::<Vec<_>>();
            if let Some(tag) = tag.filter(|tag| own.iter().any(|own| own == tag)) {
                if image.text("digest") == Some(&digest) {
                    let message = format!("Image with digest '{digest}' and tag '{tag}' already exists in the repository");
                    return Err(ApiError::bad_request("ImageAlreadyExistsException", message));
                }
                if is_fixed {
                    let message = format!("The image tag '{tag}' already exists and cannot be overwritten because the repository is immutable.");
                    return Err(ApiError::bad_request("ImageTagAlreadyExistsException", message));
                }
                image["tags"] = own.into_iter().filter(|own| own != tag).collect();
            }
        }
        let kind = input.text("imageManifestMediaType").unwrap_or("application/vnd.docker.distribution.manifest.v2+json");
        match images.iter_mut().find(|image| image.text("digest") == Some(&digest)) {
            Some(known) => {
                if let (Some(tag), Some(tags)) = (tag, known["tags"].as_array_mut()) {
                    tags.push(tag.into());
                }
            }
            None => images.push(json!({
                "digest": digest, "tags": tag.into_iter().collect::<Vec<_>>(), "manifest": manifest, "mediaType": kind, "pushedAt": now,
            })),
        }
        repository.body["_Images"] = images.into();
        Ok(json!({"image": {
            "registryId": repository.body["registryId"], "repositoryName": repository.key, "imageManifest": manifest,
            "imageManifestMediaType": kind, "imageId": {"imageDigest": digest, "imageTag": tag},
        }}))
    })
    .await
}

/// Whether an image is one of those that a request names.
fn is_named(image: &Value, ids: &[Value]) -> bool {
    ids.iter().any(|id| {
        id.text("imageDigest")
            .is_none_or(|digest| image.text("digest") == Some(digest))
            && id.text("imageTag").is_none_or(|tag| image.texts("tags").contains(&tag))
    })
}

/// `ListImages`.
pub async fn list_images(context: Context, input: Value) -> Result<Value, ApiError> {
    let status = input["filter"].text("tagStatus").unwrap_or("ANY");
    let views = context.region.ledger.read(|state| {
        let repository = find(&context, state, input.required("repositoryName"))?;
        let mut ids = Vec::new();
        for image in repository.body.list("_Images") {
            let tags = image.texts("tags");
            if tags.is_empty() && status != "TAGGED" {
                ids.push(json!({ "imageDigest": image["digest"] }));
            }
            let tagged = tags.into_iter().filter(|_| status != "UNTAGGED");
            ids.extend(tagged.map(|tag| json!({"imageDigest": image["digest"], "imageTag": tag})));
        }
        Ok::<_, ApiError>(ids)
    })?;
    paged(&input, "imageIds", views)
}

/// `DescribeImages`.
pub async fn describe_images(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.list("imageIds");
    let views = context.region.ledger.read(|state| {
        let repository = find(&context, state, input.required("repositoryName"))?;
        let images = repository.body.list("_Images");
        if let Some(id) = ids.iter().find(|id| !images.iter().any(|image| is_named(image, std::slice::from_ref(id)))) {
            let message = format!(
                "The image with imageId {id} does not exist within the repository with name '{}' in the registry with id '{}'",
                repository.key, context.caller.account
            );
            return Err(ApiError::bad_request("ImageNotFoundException", message));
        }
        let chosen = images.iter().filter(|image| ids.is_empty() || is_named(image, ids));
        Ok(chosen
            .map(|image| {
                json!({
                    "registryId": repository.body["registryId"], "repositoryName": repository.key, "imageDigest": image["digest"],
                    "imageTags": image["tags"], "imageSizeInBytes": image.required("manifest").len(), "imagePushedAt": image["pushedAt"],
                    "imageManifestMediaType": image["mediaType"],
                })
            })
            .collect())
    })?;
    paged(&input, "imageDetails", views)
}

fn not_there(ids: &[&Value]) -> Vec<Value> {
    ids.iter()
        .map(|id| json!({"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}))
        .collect()
}

/// `BatchGetImage`.
pub async fn get_images(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.list("imageIds");
    context.region.ledger.read(|state| {
        let repository = find(&context, state, input.required("repositoryName"))?;
        let images = repository.body.list("_Images");
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match images.iter().find(|image| is_named(image, std::slice::from_ref(id))) {
                Some(image) => found.push(json!({
                    "registryId": repository.body["registryId"], "repositoryName": repository.key, "imageManifest": image["manifest"],
                    "imageManifestMediaType": image["mediaType"],
                    "imageId": {"imageDigest": image["digest"], "imageTag": id.text("imageTag")},
                })),
                None => missing.push(id),
            }
        }
        Ok(json!({"images": found, "failures": not_there(&missing)}))
    })
}

/// `BatchDeleteImage`.
pub async fn delete_images(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |repository| {
        let (mut gone, mut missing) = (Vec::new(), Vec::new());
        let mut images = repository.body.list("_Images").to_vec();
        for id in input.list("imageIds") {
            let Some(place) = images
                .iter()
                .position(|image| is_named(image, std::slice::from_ref(id)))
            else {
                missing.push(id);
                continue;
            };
            let digest = images[place]["digest"].clone();
            match id.text("imageTag").filter(|_| id.text("imageDigest").is_none()) {
                // A tag alone takes the tag, and the image with its last one.
                Some(tag) => {
                    let left: Vec<String> = images[place]
                        .texts("tags")
                        .into_iter()
                        .filter(|own| *own != tag)
                        .map(str::to_owned)
                        .collect();
                    if left.is_empty() {
                        images.remove(place);
                    } else {
                        images[place]["tags"] = left.into();
                    }
                    gone.push(json!({"imageDigest": digest, "imageTag": tag}));
                }
                None => {
                    images.remove(place);
                    gone.push(json!({ "imageDigest": digest }));
                }
            }
        }
        repository.body["_Images"] = images.into();
        Ok(json!({"imageIds": gone, "failures": not_there(&missing)}))
    })
    .await
}

/// A policy that is kept beside a repository: member, where it is kept, and the error when there is none.
type Kept = (&'static str, &'static str, &'static str);
const POLICY: Kept = ("policyText", "_Policy", "RepositoryPolicyNotFoundException");
const LIFECYCLE: Kept = ("lifecyclePolicyText", "_Lifecycle", "LifecyclePolicyNotFoundException");

fn answer(repository: &Item, (member, ..): Kept, text: &Value) -> Value {
    json!({"registryId": repository.body["registryId"], "repositoryName": repository.key, member: text})
}

fn none(repository: &Item, (.., code): Kept) -> ApiError {
    let what = if code.starts_with("Lifecycle") {
        "Lifecycle policy"
    } else {
        "Repository policy"
    };
    let message = format!(
        "{what} does not exist for the repository with name '{}' in the registry with id '{}'",
        repository.key,
        repository.body.required("registryId")
    );
    ApiError::bad_request(code, message)
}

async fn put_text(context: Context, input: Value, kept: Kept) -> Result<Value, ApiError> {
    let text = input.required(kept.0);
    if serde_json::from_str::<Value>(text).is_err() {
        let message = format!(
            "Invalid parameter at '{}' failed to satisfy constraint: 'Invalid repository policy provided'",
            kept.0
        );
        return Err(ApiError::bad_request("InvalidParameterException", message));
    }
    edit(&context, &input, |repository| {
        repository.body[kept.1] = text.into();
        Ok(answer(repository, kept, &text.into()))
    })
    .await
}

async fn get_text(context: Context, input: Value, kept: Kept) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let repository = find(&context, state, input.required("repositoryName"))?;
        match &repository.body[kept.1] {
            Value::Null => Err(none(repository, kept)),
            text => Ok(answer(repository, kept, text)),
        }
    })
}

async fn delete_text(context: Context, input: Value, kept: Kept) -> Result<Value, ApiError> {
    edit(&context, &input, |repository| match repository.body[kept.1].take() {
        Value::Null => Err(none(repository, kept)),
        text => Ok(answer(repository, kept, &text)),
    })
    .await
}

/// `SetRepositoryPolicy`.
pub async fn put_policy(context: Context, input: Value) -> Result<Value, ApiError> {
    put_text(context, input, POLICY).await
}

/// `GetRepositoryPolicy`.
pub async fn policy(context: Context, input: Value) -> Result<Value, ApiError> {
    get_text(context, input, POLICY).await
}

/// `DeleteRepositoryPolicy`.
pub async fn delete_policy(context: Context, input: Value) -> Result<Value, ApiError> {
    delete_text(context, input, POLICY).await
}

/// `PutLifecyclePolicy`: recorded; nothing is taken away by it.
pub async fn put_lifecycle(context: Context, input: Value) -> Result<Value, ApiError> {
    put_text(context, input, LIFECYCLE).await
}

/// `GetLifecyclePolicy`.
pub async fn lifecycle(context: Context, input: Value) -> Result<Value, ApiError> {
    get_text(context, input, LIFECYCLE).await
}

/// `DeleteLifecyclePolicy`.
pub async fn delete_lifecycle(context: Context, input: Value) -> Result<Value, ApiError> {
    delete_text(context, input, LIFECYCLE).await
}

/// `PutImageTagMutability`.
pub async fn set_mutability(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |repository| {
        repository.body["imageTagMutability"] = input["imageTagMutability"].clone();
        Ok(json!({
            "registryId": repository.body["registryId"], "repositoryName": repository.key,
            "imageTagMutability": repository.body["imageTagMutability"],
        }))
    })
    .await
}

/// `PutImageScanningConfiguration`: recorded.
pub async fn set_scanning(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |repository| {
        repository.body["imageScanningConfiguration"] = input["imageScanningConfiguration"].clone();
        Ok(json!({
            "registryId": repository.body["registryId"], "repositoryName": repository.key,
            "imageScanningConfiguration": repository.body["imageScanningConfiguration"],
        }))
    })
    .await
}

/// `DescribeRegistry`.
pub async fn registry(context: Context, _input: Value) -> Result<Value, ApiError> {
    Ok(json!({"registryId": context.caller.account, "replicationConfiguration": {"rules": []}}))
}

fn name_of(input: &Value) -> String {
    let arn = input.required("resourceArn");
    arn.split_once(":repository/").map_or(arn, |(_, name)| name).to_owned()
}

async fn tagged(context: &Context, input: &Value, change: impl FnOnce(&mut Item)) -> Result<Value, ApiError> {
    let name = name_of(input);
    catalogue::edit(
        context,
        ItemKind::Repository,
        &name,
        || not_found(context, &name),
        |_, repository| {
            change(repository);
            Ok(nothing())
        },
    )
    .await
}

/// `TagResource`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    tagged(&context, &input, |repository| {
        repository.tags.extend(lower_tags(&input))
    })
    .await
}

/// `UntagResource`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    let keys = input.texts("tagKeys");
    tagged(&context, &input, |repository| {
        repository.tags.retain(|key, _| !keys.contains(&key.as_str()))
    })
    .await
}

/// `ListTagsForResource`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    context
        .region
        .ledger
        .read(|state| Ok(json!({ "tags": tag_list(&find(&context, state, &name_of(&input))?.tags) })))
}
