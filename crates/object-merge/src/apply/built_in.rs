//! The types of built-in kinds, from their schemas and merge keys.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use kube_types::GroupVersionKind;
use kube_types::dynamic::Value;
use kube_types::schema::{self, Shape, StructShape, TypeShape};

use super::schema::{Atom, Field, Map, ObjectType, Relation, Scalar, Schema, TypeId};
use crate::merge_keys::{FieldRule, ListType, always_present, definition_rules, is_atomic};

struct BuiltIn {
    schema: Arc<Schema>,
    kinds: BTreeMap<GroupVersionKind, TypeId>,
}

/// The type of a built-in kind's objects; `None` for kinds that are not built in.
#[must_use]
pub fn built_in(gvk: &GroupVersionKind) -> Option<ObjectType> {
    static COMPILED: OnceLock<BuiltIn> = OnceLock::new();
    let compiled = COMPILED.get_or_init(compile);
    compiled.kinds.get(gvk).map(|root| ObjectType {
        schema: compiled.schema.clone(),
        root: *root,
    })
}

fn compile() -> BuiltIn {
    let mut schema = Schema::new();
    let mut compiler = Compiler::new(&mut schema);
    let kinds = schema::kinds().filter_map(|gvk| {
        let shape = schema::lookup(gvk)?.shape();
        Some((gvk.clone(), compiler.structure(shape)))
    });
    let kinds = kinds.collect();
    BuiltIn {
        schema: Arc::new(schema),
        kinds,
    }
}

/// Adds the type of `metadata` to a schema.
pub(crate) fn object_meta(schema: &mut Schema) -> TypeId {
    let any_kind = GroupVersionKind::new("", "v1", "ConfigMap");
    let fields = schema::lookup(&any_kind)
        .into_iter()
        .flat_map(|found| found.shape().fields());
    let metadata = fields
        .filter(|(name, _, _)| *name == "metadata")
        .find_map(|(_, of, _)| match of.shape() {
            Shape::Struct(shape) => Some(shape),
            _ => None,
        });
    match metadata {
        Some(shape) => Compiler::new(schema).structure(shape),
        None => TypeId::DEDUCED,
    }
}

struct Compiler<'s> {
    schema: &'s mut Schema,
    structs: BTreeMap<u32, TypeId>,
    text: TypeId,
    number: TypeId,
    boolean: TypeId,
    scalar: TypeId,
}

impl<'s> Compiler<'s> {
    fn new(schema: &'s mut Schema) -> Self {
        Self {
            text: schema.add(Atom::scalar(Scalar::Text)),
            number: schema.add(Atom::scalar(Scalar::Number)),
            boolean: schema.add(Atom::scalar(Scalar::Boolean)),
            scalar: schema.add(Atom::scalar(Scalar::Untyped)),
            schema,
            structs: BTreeMap::new(),
        }
    }

    fn structure(&mut self, shape: StructShape) -> TypeId {
        if let Some(known) = self.structs.get(&shape.id()) {
            return *known;
        }
        let id = self.schema.add(Atom::default());
        self.structs.insert(shape.id(), id);
        let map = self.members(shape, is_atomic(shape.definition()));
        self.schema.set(id, Atom::map(map));
        id
    }

    fn members(&mut self, shape: StructShape, atomic: bool) -> Map {
        let rules = definition_rules(shape.definition());
        let always = always_present(shape.definition());
        let fields = shape.fields().map(|(name, of, required)| {
            let rule = rules.field(name);
            Field {
                name: name.into(),
                of: self.of_field(of, rule),
                default: rule
                    .and_then(|rule| rule.default.clone())
                    .or_else(|| if required { zero(of) } else { None }),
                always: match of.shape() {
                    Shape::Struct(_) if always.contains(&name) => Some(Value::Object(serde_json::Map::new())),
                    // Lists that must be there are written as null when they are empty.
                    Shape::List(_) if required => Some(Value::Null),
                    _ => None,
                },
            }
        });
        Map::new(fields.collect(), None, atomic)
    }

    fn of_field(&mut self, of: TypeShape, rule: Option<&FieldRule>) -> TypeId {
        match (of.shape(), rule.and_then(|rule| rule.atomic)) {
            (Shape::Struct(shape), Some(atomic)) => {
                let map = self.members(shape, atomic);
                self.schema.add(Atom::map(map))
            }
            (Shape::Map(element), Some(true)) => {
                let element = self.of_type(element);
                self.schema.add(Atom::map(Map::new(Vec::new(), Some(element), true)))
            }
            (Shape::List(element), _) => {
                let relation = rule.map_or(Relation::Atomic, |rule| match &rule.list_type {
                    ListType::Atomic => Relation::Atomic,
                    ListType::Set => Relation::Set,
                    ListType::Map(keys) => Relation::Keyed(keys.iter().map(|key| (*key).into()).collect()),
                });
                let element = self.of_type(element);
                self.schema.add(Atom::list(element, relation))
            }
            _ => self.of_type(of),
        }
    }

    fn of_type(&mut self, of: TypeShape) -> TypeId {
        match of.shape() {
            Shape::Struct(shape) => self.structure(shape),
            Shape::List(element) => {
                let element = self.of_type(element);
                self.schema.add(Atom::list(element, Relation::Atomic))
            }
            Shape::Map(element) => {
                let element = self.of_type(element);
                self.schema.add(Atom::map(Map::new(Vec::new(), Some(element), false)))
            }
            Shape::Text => self.text,
            Shape::Number => self.number,
            Shape::Boolean => self.boolean,
            Shape::Scalar => self.scalar,
            Shape::AnyObject => TypeId::DEDUCED,
            Shape::Any => TypeId::UNTYPED_ATOMIC,
        }
    }
}

/// A scalar that must be there is, when it is left out, what Go makes of it.
fn zero(of: TypeShape) -> Option<Value> {
    match of.shape() {
        Shape::Text => Some("".into()),
        Shape::Number => Some(0.into()),
        Shape::Boolean => Some(false.into()),
        _ => None,
    }
}
