//! Applying a configuration: to an object that is there it is one more way to change it; one that is absent is made.

use kube_types::decode;
use kube_types::dynamic::{Map, Object, Value};

use super::decode::{check_namespace, conform};
use super::ownership::Ownership;
use super::{Changed, Created, Part, Resource, Source};
use crate::options::{FieldValidation, WriteOptions};
use crate::registry::Registry;
use crate::request::{Context, RequestBody, Target};
use crate::status::StatusError;

/// How often an object is made or changed by turns, when others delete and make it meanwhile.
const ATTEMPTS: usize = 8;

impl Registry {
    /// Applies a configuration.
    pub(super) async fn apply(
        &self,
        context: &Context,
        resource: &Resource,
        target: &Target,
        part: Part,
        body: &RequestBody,
        options: &WriteOptions,
    ) -> Result<Changed, StatusError> {
        let configuration = read(context, body, options.field_validation)?;
        let source = Source::Apply {
            configuration: configuration.clone(),
        };
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self
                .change(context, resource, target, part, source.clone(), options)
                .await
            {
                Err(error) if error.is_not_found() && part == Part::Whole => {}
                changed => return changed.map(Changed::Existing),
            }
            let made = self
                .apply_absent(context, resource, target, &configuration, options)
                .await;
            match made {
                Err(error) if error.reason() == "AlreadyExists" => last = Some(error),
                made => return made.map(Changed::New),
            }
        }
        Err(last.unwrap_or_else(|| StatusError::internal("the object comes and goes")))
    }

    /// Makes the object that a configuration describes.
    async fn apply_absent(
        &self,
        context: &Context,
        resource: &Resource,
        target: &Target,
        configuration: &Map<String, Value>,
        options: &WriteOptions,
    ) -> Result<Created, StatusError> {
        let ownership = Ownership::new(self, context, resource, Part::Whole, options);
        let force = options.force.unwrap_or(false);
        let (mut object, owners) = ownership.applied(&Map::new(), None, configuration, force)?;
        let gvk = resource.kind.gvk();
        conform(self, context, &gvk, &mut object, Vec::new(), FieldValidation::Ignore)?;
        let wanted = target.name.as_deref().unwrap_or_default();
        if let Some(uid) = object.uid() {
            let problem =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(StatusError::conflict(&resource.subject(), wanted, &problem));
        }
        check_namespace(&resource.kind, target, &mut object)?;
        check_given_name(&object, wanted)?;
        self.may_create(context, resource, target).await?;
        let object = resource.to_stored(object);
        self.create_owned(context, resource, object, owners, options.dry_run)
            .await
    }

    /// Who applies what is absent must be allowed to create it.
    async fn may_create(&self, context: &Context, resource: &Resource, target: &Target) -> Result<(), StatusError> {
        let name = target.name.as_deref().unwrap_or_default();
        let attributes = access_rules::Attributes {
            user: &context.user,
            verb: "create",
            resource: Some(access_rules::ResourceAttributes {
                group: &resource.kind.group,
                version: &resource.kind.version,
                resource: &resource.kind.plural,
                subresource: "",
                namespace: target.namespace.as_deref().unwrap_or_default(),
                name,
                ..access_rules::ResourceAttributes::default()
            }),
            path: "",
        };
        let decision = self.authorize(&attributes).await;
        if decision.is_allowed() {
            return Ok(());
        }
        let mut problem = attributes.refusal();
        if !decision.reason().is_empty() {
            problem = format!("{problem}: {}", decision.reason());
        }
        Err(StatusError::forbidden(&resource.subject(), name, &problem))
    }
}

fn read(context: &Context, body: &RequestBody, validation: FieldValidation) -> Result<Map<String, Value>, StatusError> {
    let decoded =
        decode::yaml(&body.bytes).map_err(|error| StatusError::bad_request(format!("error decoding YAML: {error}")))?;
    let Value::Object(configuration) = decoded.value else {
        return Err(StatusError::bad_request(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal into Go value of \
             type map[string]interface {}",
        ));
    };
    for field in decoded.duplicates {
        let key = field.rsplit('.').next().unwrap_or_default();
        let problem = format!("yaml: unmarshal errors:\n  key \"{key}\" already set in map");
        match validation {
            FieldValidation::Strict => {
                return Err(StatusError::bad_request(format!(
                    "error strict decoding YAML: {problem}"
                )));
            }
            FieldValidation::Warn => context.warnings.add(problem),
            FieldValidation::Ignore => {}
        }
    }
    Ok(configuration)
}

/// An object that is made must say its name itself.
fn check_given_name(object: &Object, wanted: &str) -> Result<(), StatusError> {
    match object.name() {
        None => Err(StatusError::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        ))),
        Some(given) if given != wanted => Err(StatusError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({wanted})"
        ))),
        Some(_) => Ok(()),
    }
}
