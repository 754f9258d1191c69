//! How custom resources merge when they are applied: a schema in the words of `object_merge::apply`.

use std::sync::Arc;

use object_merge::apply::{Atom, Field, Map, ObjectType, Relation, Scalar, Schema as Types, TypeId};

use crate::schema::{Additional, ListType, Schema};

/// The type of the objects of a schema.
pub(crate) fn object_type(schema: &Schema) -> ObjectType {
    let mut types = Types::new();
    let root = object(schema, true, &mut types);
    ObjectType {
        schema: Arc::new(types),
        root,
    }
}

fn type_of(schema: &Schema, types: &mut Types) -> TypeId {
    if schema.int_or_string {
        return types.add(Atom::scalar(Scalar::Untyped));
    }
    match &*schema.of {
        "object" => object(schema, schema.embedded, types),
        "array" => list(schema, types),
        "string" => types.add(Atom::scalar(Scalar::Text)),
        "integer" | "number" => types.add(Atom::scalar(Scalar::Number)),
        "boolean" => types.add(Atom::scalar(Scalar::Boolean)),
        _ => TypeId::DEDUCED,
    }
}

fn list(schema: &Schema, types: &mut Types) -> TypeId {
    let element = match &schema.items {
        Some(items) => type_of(items, types),
        None => TypeId::DEDUCED,
    };
    let relation = match schema.list_type {
        ListType::Atomic => Relation::Atomic,
        ListType::Set => Relation::Set,
        ListType::Map => Relation::Keyed(schema.list_keys.iter().map(|key| key.as_str().into()).collect()),
    };
    types.add(Atom::list(element, relation))
}

fn object(schema: &Schema, resource: bool, types: &mut Types) -> TypeId {
    let mut fields: Vec<Field> = Vec::new();
    for (name, property) in &schema.properties {
        if resource && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        fields.push(Field {
            name: name.as_str().into(),
            of: type_of(property, types),
            default: property.default.clone(),
            always: None,
        });
    }
    if resource {
        let text = types.add(Atom::scalar(Scalar::Text));
        let meta = types.add_object_meta();
        for (name, of) in [("apiVersion", text), ("kind", text), ("metadata", meta)] {
            fields.push(Field {
                name: name.into(),
                of,
                default: None,
                always: None,
            });
        }
    }
    let element = match &schema.additional {
        _ if schema.preserve_unknown => Some(TypeId::DEDUCED),
        Some(Additional::Schema(below)) => Some(type_of(below, types)),
        Some(Additional::Any(true)) => Some(TypeId::DEDUCED),
        None if schema.properties.is_empty() => Some(TypeId::DEDUCED),
        _ => None,
    };
    types.add(Atom::map(Map::new(fields, element, schema.atomic_map)))
}
