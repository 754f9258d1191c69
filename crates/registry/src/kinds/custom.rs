//! Kinds that definitions declare: each served version of a CustomResourceDefinition is a [`ResourceKind`] like any other.

use std::borrow::Cow;
use std::sync::Arc;

use custom_resources::{Definition, Version};
use jiff::Timestamp;
use kube_types::dynamic::{Map, Object, Value};
use object_rules::Rules;
use object_rules::field::Errors;

use super::{
    AGE_ONLY, ALL_VERBS, FieldPath, Handler, Name, READ_AND_CHANGE, ResourceKind, ScalePaths, SelectableField, Storage,
};

/// Where definitions are stored.
pub(crate) const DEFINITIONS: &str = "/registry/apiextensions.k8s.io/customresourcedefinitions/";

/// The definition of a custom resource, and which of its versions a kind is.
#[derive(Clone, Debug)]
pub struct Custom {
    /// The definition.
    pub definition: Arc<Definition>,
    index: usize,
}

impl Custom {
    /// The version that the kind is.
    pub fn version(&self) -> &Version {
        &self.definition.versions[self.index]
    }
}

/// Custom resources without a status of their own.
static WHOLE: Rules = Rules {
    generation: true,
    unconditional_update: false,
    ..Rules::NAMED
};

/// Custom resources with a status subresource: through it nothing else changes, not even metadata.
static WITH_STATUS: Rules = Rules {
    status: true,
    prepare_status: |new, old| {
        let managed = new.metadata_mut().remove("managedFields");
        let mut metadata = old.metadata().cloned().unwrap_or_default();
        metadata.remove("managedFields");
        if let Some(managed) = managed {
            metadata.insert("managedFields".to_owned(), managed);
        }
        new.0.insert("metadata".to_owned(), Value::Object(metadata));
    },
    ..WHOLE
};

/// The kinds that a definition declares.
pub(crate) struct Declared {
    /// The version that is stored, served or not.
    pub stored: Arc<ResourceKind>,
    /// The served versions.
    pub served: Vec<Arc<ResourceKind>>,
}

/// The kinds of a definition; `None` when no version is stored.
pub(crate) fn kinds_of(definition: Definition) -> Option<Declared> {
    let definition = Arc::new(definition);
    let storage = definition.storage()?.name.clone();
    let kinds: Vec<Arc<ResourceKind>> = (0..definition.versions.len())
        .map(|index| Arc::new(kind(&definition, index, &storage)))
        .collect();
    let version = |kind: &ResourceKind| kind.custom.as_ref().map(Custom::version).cloned();
    Some(Declared {
        stored: kinds.iter().find(|kind| *kind.version == storage)?.clone(),
        served: kinds
            .iter()
            .filter(|kind| version(kind).is_some_and(|version| version.served))
            .cloned()
            .collect(),
    })
}

fn kind(definition: &Arc<Definition>, index: usize, storage: &str) -> ResourceKind {
    let names = &definition.names;
    let version = &definition.versions[index];
    let own = |text: &str| Name::from(text.to_owned());
    let list = |texts: &[String]| texts.iter().map(|text| own(text)).collect();
    let fields = version.selectable.iter().map(|(name, path)| SelectableField {
        name: own(name),
        path: FieldPath::Custom(path.clone()),
        absent: "",
    });
    let mut kind = ResourceKind {
        group: own(&definition.group),
        version: own(&version.name),
        kind: own(&names.kind),
        list_kind: own(&names.list_kind),
        plural: own(&names.plural),
        singular: own(&names.singular),
        short_names: list(&names.short_names),
        categories: list(&names.categories),
        namespaced: definition.namespaced,
        verbs: ALL_VERBS,
        subresources: Vec::new(),
        fields: Cow::Owned(fields.collect()),
        scale: ScalePaths::Selector,
        printer: &AGE_ONLY,
        storage: Some(Storage {
            prefix: format!("/registry/{}/{}/", definition.group, names.plural).into(),
            group: own(&definition.group),
            version: own(storage),
            time_to_live: None,
        }),
        rules: if version.status { &WITH_STATUS } else { &WHOLE },
        custom: Some(Custom {
            definition: definition.clone(),
            index,
        }),
    };
    if version.status {
        kind = kind.below("status", READ_AND_CHANGE, None, Handler::Status);
    }
    if let Some(scale) = &version.scale {
        kind = kind.scale(ScalePaths::Custom(scale.clone()));
    }
    kind
}

impl ResourceKind {
    /// What is wrong with a new object.
    pub(crate) fn check_new(&self, object: &Object, errors: &mut Errors) {
        (self.rules.validate)(object, errors);
        match &self.custom {
            Some(custom) => custom.version().validate(object, errors),
            None => object_rules::metadata::known_finalizers(object, errors),
        }
    }

    /// What is wrong with a changed object.
    pub(crate) fn check_change(&self, new: &Object, old: &Object, errors: &mut Errors) {
        (self.rules.validate)(new, errors);
        (self.rules.validate_update)(new, old, errors);
        match &self.custom {
            Some(custom) => custom.version().validate_update(new, old, errors),
            None => object_rules::metadata::known_finalizers(new, errors),
        }
    }

    /// What is wrong with a changed status.
    pub(crate) fn check_status(&self, new: &Object, old: &Object, errors: &mut Errors) {
        (self.rules.validate_status)(new, old, errors);
        if let Some(custom) = &self.custom {
            custom.version().validate_status(new, old, errors);
        }
    }

    /// What to warn of.
    pub(crate) fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        match &self.custom {
            Some(_) => custom_resources::version::warnings(new, old),
            None => (self.rules.warnings)(new),
        }
    }

    /// What clients of this version are to be told.
    pub fn deprecation(&self) -> Option<&str> {
        self.custom.as_ref()?.version().deprecation.as_deref()
    }

    /// Whether stored objects may be of another version than this one.
    pub(crate) fn has_views(&self) -> bool {
        self.custom
            .as_ref()
            .is_some_and(|custom| custom.definition.versions.len() > 1)
    }

    /// The headings of tables.
    pub(crate) fn headings(&self) -> Vec<Value> {
        match &self.custom {
            Some(custom) => custom.version().headings(),
            None => self.printer.columns.iter().map(crate::columns::heading).collect(),
        }
    }

    /// The cells of an object's row.
    pub(crate) fn cells(&self, object: &Map<String, Value>, now: Timestamp) -> Vec<Value> {
        match &self.custom {
            Some(custom) => custom.version().cells(object, now, crate::columns::since),
            None => (self.printer.cells)(object, now),
        }
    }
}
