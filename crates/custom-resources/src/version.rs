//! What a version does with its objects: bring them into form, and say what is wrong with them.
//! Source: `registry/customresource/{strategy,status_strategy,validator}.go`.

use std::sync::Arc;

use cel_rules::{Field, Type};
use kube_types::dynamic::{Map, Object, Value};
use kube_types::numbers;
use object_rules::field::{Errors, Kind};
use object_rules::names;

use crate::definition::Version;
use crate::{default, embedded, list_type, prune, rules, validate};

impl Version {
    /// Brings an object into form: numbers, metadata, unknown fields, defaults. Answers the unknown fields.
    ///
    /// # Errors
    /// Metadata of a wrong type.
    pub fn settle(&self, object: &mut Object) -> Result<Vec<String>, String> {
        object.0.values_mut().for_each(numbers::settle);
        let mut unknown = embedded::coerce(&mut object.0, &self.schema)?;
        unknown.extend(prune::prune(&mut object.0, &self.schema));
        unknown.sort();
        default::fill(&mut object.0, &self.schema);
        Ok(unknown)
    }

    /// How expressions outside of the schema see objects of this version, whose metadata are of a type.
    pub fn expression_type(&self, metadata: Type) -> Type {
        let Type::Object(mut object) = rules::type_of(&self.schema, true) else {
            return Type::Dyn;
        };
        let field = Field {
            json: "metadata".to_owned(),
            holds: metadata,
        };
        Arc::make_mut(&mut object).fields.insert("metadata".to_owned(), field);
        Type::Object(object)
    }

    /// Drops what this version does not know from an object of another version.
    pub fn prune(&self, object: &mut Object) {
        prune::prune(&mut object.0, &self.schema);
    }

    /// Fills the defaults of a stored object; true when something was filled.
    pub fn fill_stored(&self, object: &mut Map<String, Value>) -> bool {
        if !self.has_defaults() {
            return false;
        }
        let before = object.clone();
        default::fill(object, &self.schema);
        *object != before
    }

    /// Whether a schema of this version has a default.
    pub fn has_defaults(&self) -> bool {
        self.schema.any(&|schema| schema.default.is_some())
    }

    /// What is wrong with a new object.
    pub fn validate(&self, object: &Object, errors: &mut Errors) {
        let mut found = Errors::new();
        self.values(object, None, &mut found);
        list_type::duplicates(&object.0, &self.schema, &mut found);
        self.rules(object, None, &mut found);
        errors.extend(found);
    }

    /// What is wrong with a changed object. What was wrong before and has not changed is let through.
    pub fn validate_update(&self, new: &Object, old: &Object, errors: &mut Errors) {
        let mut found = Errors::new();
        self.values(new, Some(old), &mut found);
        self.new_duplicates(new, old, &mut found);
        self.rules(new, Some(old), &mut found);
        errors.extend(found);
    }

    /// What is wrong with an object whose status was changed.
    pub fn validate_status(&self, new: &Object, old: &Object, errors: &mut Errors) {
        let mut found = Errors::new();
        if let (Some(status), Some(schema)) = (new.0.get("status"), self.schema.properties.get("status")) {
            validate::validate(schema, status, old.0.get("status"), "status", &mut found);
        }
        if let Some(scale) = &self.scale {
            scale.validate_status(&new.0, &mut found);
        }
        self.new_duplicates(new, old, &mut found);
        self.rules(new, Some(old), &mut found);
        errors.extend(found);
    }

    fn values(&self, new: &Object, old: Option<&Object>, errors: &mut Errors) {
        let value = Value::Object(new.0.clone());
        let before = old.map(|old| Value::Object(old.0.clone()));
        validate::validate(&self.schema, &value, before.as_ref(), "", errors);
        if let Some(scale) = &self.scale {
            scale.validate_spec(&new.0, errors);
            scale.validate_status(&new.0, errors);
        }
        embedded::validate(&new.0, &self.schema, errors);
    }

    /// Which rules in expressions are broken; they are not asked about objects of another shape than they expect.
    fn rules(&self, new: &Object, old: Option<&Object>, errors: &mut Errors) {
        let Some(rules) = &self.rules else { return };
        if blocks_rules(errors) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing \
                          errors to complete validation";
            return errors.push(Kind::Invalid, "", Some(Value::Null), detail);
        }
        let value = Value::Object(new.0.clone());
        let before = old.map(|old| Value::Object(old.0.clone()));
        rules.check(&self.schema, &value, before.as_ref(), errors);
    }

    fn new_duplicates(&self, new: &Object, old: &Object, errors: &mut Errors) {
        let mut before = Errors::new();
        list_type::duplicates(&old.0, &self.schema, &mut before);
        if before.is_empty() {
            list_type::duplicates(&new.0, &self.schema, errors);
        }
    }
}

/// Whether errors are such that rules in expressions cannot be evaluated.
fn blocks_rules(errors: &Errors) -> bool {
    errors.iter().any(|error| {
        matches!(
            error.kind,
            Kind::NotSupported | Kind::Required | Kind::TooLong | Kind::TooMany | Kind::TypeInvalid
        )
    })
}

/// What to warn of: finalizers that are new and have names that others may use too.
pub fn warnings(new: &Object, old: Option<&Object>) -> Vec<String> {
    let known = old.map(Object::finalizers).unwrap_or_default();
    let mut added = new.finalizers();
    added.retain(|name| !known.contains(name));
    added.sort();
    let mut warnings = Vec::new();
    for name in &added {
        for problem in names::qualified_name(name) {
            warnings.push(format!("metadata.finalizers: \"{name}\": {problem}"));
        }
        if name.contains('/') || matches!(name.as_str(), "orphan" | "foregroundDeletion" | "kubernetes") {
            continue;
        }
        let path = if name.contains('.') {
            " including a path (/)"
        } else {
            ""
        };
        warnings.push(format!(
            "metadata.finalizers: \"{name}\": prefer a domain-qualified finalizer name{path} to avoid accidental conflicts \
             with other finalizer writers"
        ));
    }
    warnings
}
