//! Reading one object.

use super::{Created, Resource};
use crate::kinds::{Handler, Verb};
use crate::options::GetOptions;
use crate::registry::Registry;
use crate::request::{Context, Reply, Target};
use crate::status::StatusError;
use crate::subresources::scale;

impl Registry {
    /// Reads one object, or its `status`, `scale`, … subresource.
    ///
    /// # Errors
    /// The `Status` to send.
    pub async fn get(&self, context: &Context, target: &Target, options: GetOptions) -> Result<Reply, StatusError> {
        let kind = self.kind(target)?;
        let handler = match &target.subresource {
            Some(name) => Some(self.subresource(&kind, name, Verb::Get)?.handler),
            None => None,
        };
        let resource = match handler {
            Some(Handler::Connect) => return Err(StatusError::internal("connections are not served by the registry")),
            Some(_) => self.resource_of(kind)?,
            None => self.resource(target, Verb::Get)?,
        };
        self.reach_asked(&resource, &options.resource_version).await?;
        let name = target.name.as_deref().unwrap_or_default();
        let key = resource.cache_key(target.namespace.as_deref(), name);
        self.check_readable(&resource, &key).await?;
        let item = resource.cache.get(&key).ok_or_else(|| resource.not_found(name))?;
        let item = self.converter.view(&resource, item).await?;
        match handler {
            Some(Handler::Scale) => {
                let object = item.object();
                scale::check(&resource.kind.scale, &object)?;
                scale::render(&scale::view(&resource.kind.scale, &object))
            }
            _ => self.render_written(context, &resource, Created::Stored(item)),
        }
    }

    /// Waits until the caches are as new as a resourceVersion asks: empty = newest, `0` = whatever there is.
    pub(crate) async fn reach_asked(&self, resource: &Resource, version: &str) -> Result<(), StatusError> {
        match version {
            "" => self.catch_up().await,
            "0" => Ok(()),
            _ => self.reach(parse_version(resource, version)?).await,
        }
    }
}

/// A resourceVersion as a number.
pub(crate) fn parse_version(resource: &Resource, version: &str) -> Result<u64, StatusError> {
    version.parse().map_err(|error: std::num::ParseIntError| {
        let mut errors = object_rules::field::Errors::new();
        let detail = format!("strconv.ParseUint: parsing \"{version}\": invalid syntax");
        tracing::debug!(%error, version, "resourceVersion is no number");
        errors.invalid("resourceVersion", version, detail);
        StatusError::invalid(&crate::status::Subject::kind(&resource.kind), "", &errors)
    })
}
