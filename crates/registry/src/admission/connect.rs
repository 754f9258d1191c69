//! Admission of what is not a write of a stored object: connections to nodes and pods, bindings, evictions, tokens.

use kube_types::dynamic::{Object, Value, json};

use super::{Operation, Request, Shown};
use crate::pipeline::Resource;
use crate::registry::Registry;
use crate::request::{Context, Target};
use crate::status::StatusError;

impl Registry {
    /// Asks webhooks and policies about a connection (exec, attach, port-forward, proxy).
    ///
    /// # Errors
    /// When one of them refuses it.
    pub async fn admit_connection(
        &self,
        context: &Context,
        target: &Target,
        query: &[(String, String)],
    ) -> Result<(), StatusError> {
        let kind = self.kind(target)?;
        let name = target.subresource.as_deref().unwrap_or_default();
        let shown = kind.subresource(name).and_then(|subresource| subresource.kind.clone());
        let Some(shown) = shown else {
            return Ok(());
        };
        let resource = self.resource_of(kind)?;
        let mut options = json!({"kind": shown.kind, "apiVersion": shown.api_version()});
        for (key, value) in query {
            match (key.as_str(), value.as_str()) {
                ("command", text) => match &mut options["command"] {
                    Value::Array(commands) => commands.push(text.into()),
                    absent => *absent = json!([text]),
                },
                ("stdin" | "stdout" | "stderr" | "tty", text) => {
                    options[key] = (!matches!(text, "0" | "false" | "False")).into();
                }
                ("container" | "path", text) => options[key] = text.into(),
                _ => {}
            }
        }
        let mut object = Object::from_value(options).map_err(StatusError::internal)?;
        let mut request = Request::new(self, context, &resource, Operation::Connect, false);
        request.subresource = Some(name);
        request.shows = Shown::Other(shown);
        request.named = Some((
            target.namespace.as_deref().unwrap_or_default(),
            target.name.as_deref().unwrap_or_default(),
        ));
        request.mutate(&mut object).await?;
        request.validate(&object).await
    }

    /// Asks about an object that is posted to a subresource and not stored.
    pub(crate) async fn admit_posted(
        &self,
        context: &Context,
        resource: &Resource,
        target: &Target,
        object: &mut Object,
        dry_run: bool,
    ) -> Result<(), StatusError> {
        let mut request = Request::new(self, context, resource, Operation::Create, dry_run);
        request.subresource = target.subresource.as_deref();
        request.shows = Shown::Other(object.gvk());
        request.named = Some((
            target.namespace.as_deref().unwrap_or_default(),
            target.name.as_deref().unwrap_or_default(),
        ));
        request.mutate(object).await?;
        request.validate(object).await
    }
}
