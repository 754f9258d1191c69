//! Custom resources in the version that was asked for, and back in the one that is stored.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clock::Random;
use custom_resources::conversion;
use kube_types::dynamic::{Map, Object, Value};

use crate::cache::{Extract, Item, encode};
use crate::kinds::{Custom, ResourceKind};
use crate::pipeline::Resource;
use crate::status::StatusError;
use crate::webhook::{Caller, Endpoint};

/// How long a conversion webhook may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Brings custom resources from one version into another.
pub(crate) struct Converter {
    random: Arc<dyn Random>,
    caller: Arc<OnceLock<Arc<dyn Caller>>>,
}

impl Converter {
    pub fn new(random: Arc<dyn Random>, caller: Arc<OnceLock<Arc<dyn Caller>>>) -> Self {
        Self { random, caller }
    }

    /// An object in the version that a request is about.
    pub async fn view(&self, resource: &Resource, item: Arc<Item>) -> Result<Arc<Item>, StatusError> {
        if !resource.kind.has_views() {
            return Ok(item);
        }
        let mut views = self.views(resource, vec![item]).await?;
        views
            .pop()
            .ok_or_else(|| StatusError::internal("a conversion lost its object"))
    }

    /// Objects in the version that a request is about; those of built-in kinds are left as they are.
    pub async fn views(&self, resource: &Resource, items: Vec<Arc<Item>>) -> Result<Vec<Arc<Item>>, StatusError> {
        let Some(custom) = resource.kind.custom.as_ref().filter(|_| resource.kind.has_views()) else {
            return Ok(items);
        };
        let wanted = resource.kind.api_version();
        let found: Vec<Option<Arc<Item>>> = items
            .iter()
            .map(|item| {
                // What selectors see was read for the stored version.
                let is_stored = resource.kind.version == resource.stored().version;
                if is_stored && item.api_version() == wanted {
                    Some(item.clone())
                } else {
                    item.view(&wanted)
                }
            })
            .collect();
        let missing: Vec<&Arc<Item>> = items
            .iter()
            .zip(&found)
            .filter_map(|(item, found)| found.is_none().then_some(item))
            .collect();
        let objects = missing.iter().map(|item| item.object()).collect();
        let converted = self.convert(custom, &resource.kind, objects).await?;
        let mut made = Vec::with_capacity(missing.len());
        for (item, object) in missing.into_iter().zip(converted) {
            let view = Arc::new(assemble(&resource.kind, &object, item.revision)?);
            item.keep_view(&wanted, view.clone());
            made.push(view);
        }
        let mut made = made.into_iter();
        Ok(found
            .into_iter()
            .filter_map(|found| found.or_else(|| made.next()))
            .collect())
    }

    /// An object as it is stored.
    pub async fn to_stored<'o>(&self, resource: &Resource, object: &'o Object) -> Result<Cow<'o, Object>, StatusError> {
        let (kind, stored) = (&resource.kind, resource.stored());
        let Some(custom) = kind.custom.as_ref().filter(|_| kind.version != stored.version) else {
            return Ok(Cow::Borrowed(object));
        };
        let mut from = object.clone();
        conversion::rename(&mut from, &kind.api_version());
        from.0.insert("kind".to_owned(), (*kind.kind).into());
        let converted = self.convert(custom, stored, vec![from]).await?;
        let object = converted.into_iter().next();
        Ok(Cow::Owned(object.ok_or_else(|| {
            StatusError::internal("a conversion lost its object")
        })?))
    }

    /// Objects of any versions in the version of `to`.
    async fn convert(
        &self,
        custom: &Custom,
        to: &ResourceKind,
        objects: Vec<Object>,
    ) -> Result<Vec<Object>, StatusError> {
        if objects.is_empty() {
            return Ok(objects);
        }
        let wanted = to.api_version();
        let mut converted = match &custom.definition.conversion {
            custom_resources::Conversion::None => objects,
            custom_resources::Conversion::Webhook {
                client,
                review_versions,
            } => {
                let asked = self.ask(client, review_versions, objects.clone(), &wanted).await;
                asked.map_err(|problem| {
                    let from = objects[0].gvk();
                    let message = format!(
                        "conversion webhook for {}, Kind={} failed: {problem}",
                        from.api_version(),
                        from.kind
                    );
                    StatusError::new(500, "", message)
                })?
            }
        };
        for object in &mut converted {
            conversion::rename(object, &wanted);
            if let Some(target) = &to.custom {
                target.version().prune(object);
            }
        }
        Ok(converted)
    }
}

impl Converter {
    /// Sends the objects that are of other versions to a webhook.
    async fn ask(
        &self,
        client: &Map<String, Value>,
        review_versions: &[String],
        mut objects: Vec<Object>,
        wanted: &str,
    ) -> Result<Vec<Object>, String> {
        let others: Vec<Object> = objects
            .iter()
            .filter(|object| object.gvk().api_version() != wanted)
            .cloned()
            .collect();
        if others.is_empty() {
            return Ok(objects);
        }
        let uid = self.random.uuid();
        let review = conversion::review(review_versions, &uid, &others, wanted);
        let review = review.ok_or("no supported conversion review versions")?;
        let endpoint = Endpoint::from_client_config(&Value::Object(client.clone()));
        let endpoint = endpoint.ok_or("the webhook has neither a URL nor a service")?;
        let caller = self.caller.get().ok_or("this API server reaches no webhooks")?;
        let answer = caller.post(&endpoint, review.to_string().into(), TIMEOUT).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        let mut converted = conversion::answered(&answer, &uid, &others, wanted)?.into_iter();
        for object in &mut objects {
            if object.gvk().api_version() != wanted
                && let Some(other) = converted.next()
            {
                *object = other;
            }
        }
        Ok(objects)
    }
}

/// An object at a revision, in the version of a kind.
pub(crate) fn assemble(kind: &ResourceKind, object: &Object, revision: u64) -> Result<Item, StatusError> {
    let value = encode(&kind.kind, &kind.api_version(), &object.0).map_err(StatusError::internal)?;
    Ok(Item::assemble(Arc::new(Extract::of(kind, &object.0)), &value, revision))
}
