//! Custom resources in the version that was asked for, and back in the one that is stored.

use std::borrow::Cow;
use std::sync::Arc;

use custom_resources::conversion;
use kube_types::dynamic::Object;

use crate::cache::{Extract, Item, encode};
use crate::kinds::{Custom, ResourceKind};
use crate::pipeline::Resource;
use crate::status::StatusError;

/// Brings custom resources from one version into another.
#[derive(Default)]
pub(crate) struct Converter;

impl Converter {
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
            custom_resources::Conversion::Webhook { .. } => {
                let (kind, from) = (&to.kind, objects[0].gvk());
                let problem = "conversion webhooks are not called yet";
                let message = format!(
                    "conversion webhook for {}, Kind={kind} failed: {problem}",
                    from.api_version()
                );
                return Err(StatusError::new(500, "", message));
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

/// An object at a revision, in the version of a kind.
pub(crate) fn assemble(kind: &ResourceKind, object: &Object, revision: u64) -> Result<Item, StatusError> {
    let value = encode(&kind.kind, &kind.api_version(), &object.0).map_err(StatusError::internal)?;
    Ok(Item::assemble(Arc::new(Extract::of(kind, &object.0)), &value, revision))
}
