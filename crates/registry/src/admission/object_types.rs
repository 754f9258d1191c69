//! How expressions see objects of a kind, by its schema.
//!
//! Source: `SchemaDeclType` in `apiserver/pkg/cel/common/schemas.go`. What OpenAPI gives no type is not to be seen there, and so not
//! here: quantities, and fields that hold anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel_rules::{Field, ObjectType, Type, field_name};
use kube_types::GroupVersionKind;
use kube_types::schema::{self, Scalar, Shape, StructShape, TypeShape};

use super::type_checking::Kinds;
use crate::kinds::KindTable;

/// Any built-in kind: they all have the same metadata.
const ANY: (&str, &str, &str) = ("", "v1", "ConfigMap");

impl Kinds for KindTable {
    fn of_resource(&self, group: &str, version: &str, plural: &str) -> Vec<GroupVersionKind> {
        let is_it = |kind: &&Arc<crate::kinds::ResourceKind>| {
            (group.is_empty() || *kind.group == *group) && *kind.version == *version && *kind.plural == *plural
        };
        self.iter().filter(is_it).map(|kind| kind.gvk()).collect()
    }

    fn object_type(&self, gvk: &GroupVersionKind) -> Option<Type> {
        let kind = self.by_kind(gvk)?;
        match &kind.custom {
            Some(custom) => Some(custom.version().expression_type(metadata()?)),
            None => built_in(gvk),
        }
    }
}

fn built_in(gvk: &GroupVersionKind) -> Option<Type> {
    let shape = schema::lookup(gvk)?.shape();
    Some(structure(shape, &gvk.kind, &mut Vec::new()))
}

/// The type of every object's metadata.
fn metadata() -> Option<Type> {
    let (group, version, kind) = ANY;
    let gvk = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    };
    let Type::Object(object) = built_in(&gvk)? else {
        return None;
    };
    object.fields.get("metadata").map(|field| field.holds.clone())
}

/// A struct; one that stands in itself is an object without fields there.
fn structure(shape: StructShape, name: &str, within: &mut Vec<u32>) -> Type {
    let mut fields = BTreeMap::new();
    if !within.contains(&shape.id()) {
        within.push(shape.id());
        for (json, of, _) in shape.fields() {
            let holds = type_of(of, &format!("{name}.{json}"), within);
            if let (Some(escaped), Some(holds)) = (field_name(json), holds) {
                let json = json.to_owned();
                fields.insert(escaped, Field { json, holds });
            }
        }
        within.pop();
    }
    let name = name.to_owned();
    Type::Object(Arc::new(ObjectType { name, fields }))
}

fn type_of(of: TypeShape, name: &str, within: &mut Vec<u32>) -> Option<Type> {
    match (of.shape(), of.scalar()) {
        (Shape::Struct(shape), _) => Some(structure(shape, name, within)),
        (Shape::List(element), _) => Some(Type::list(type_of(element, &format!("{name}.@idx"), within)?)),
        (Shape::Map(element), _) => Some(Type::map(type_of(element, &format!("{name}.@elem"), within)?)),
        (Shape::AnyObject, _) => Some(Type::Object(Arc::new(ObjectType {
            name: name.to_owned(),
            fields: BTreeMap::new(),
        }))),
        (_, Some(scalar)) => match scalar {
            Scalar::Text => Some(Type::String),
            Scalar::Bytes => Some(Type::Bytes),
            Scalar::Moment => Some(Type::Timestamp),
            Scalar::Whole => Some(Type::Int),
            Scalar::Number => Some(Type::Double),
            Scalar::Boolean => Some(Type::Bool),
            Scalar::IntOrString => Some(Type::Dyn),
            Scalar::Quantity => None,
        },
        (_, None) => None,
    }
}
