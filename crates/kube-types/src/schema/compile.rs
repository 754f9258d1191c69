//! From JSON schemas to the compact form.

use std::collections::BTreeMap;

use crate::dynamic::{Map, Value};

use super::{Compiled, Field, Struct, Type, TypeId, roots};

/// Definitions whose values are kept as they are.
const ANY: &[&str] = &[
    "RawExtension",
    "JSON",
    "JSONSchemaPropsOrArray",
    "JSONSchemaPropsOrBool",
    "JSONSchemaPropsOrStringArray",
    "FieldsV1",
    "CustomResourceSubresourceStatus",
];

/// Those among them that are objects.
const ANY_OBJECT: &[&str] = &["RawExtension", "FieldsV1", "CustomResourceSubresourceStatus"];

struct Compiler {
    definitions: Map<String, Value>,
    ids: BTreeMap<String, TypeId>,
    structs: Vec<Struct>,
}

/// Compiles every built-in kind.
pub(super) fn all() -> Compiled {
    let (definitions, names) = roots::definitions();
    let mut compiler = Compiler {
        definitions,
        ids: BTreeMap::new(),
        structs: Vec::new(),
    };
    let kinds = names
        .into_iter()
        .map(|(gvk, name)| (gvk, compiler.structure(&name)))
        .collect();
    Compiled {
        structs: compiler.structs,
        kinds,
    }
}

impl Compiler {
    /// The number of a definition that is an object, compiled when it is new.
    fn structure(&mut self, name: &str) -> TypeId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = TypeId::try_from(self.structs.len()).expect("there are some hundred types");
        self.ids.insert(name.to_owned(), id);
        self.structs.push(Struct::default());
        // The definition is taken out: it is compiled once, and a recursive mention finds its number above.
        let definition = self.definitions.remove(name).unwrap_or_default();
        let required: Vec<&str> = definition
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = definition.get("properties").and_then(Value::as_object);
        let mut fields: Vec<Field> = properties
            .into_iter()
            .flatten()
            .map(|(field, schema)| Field {
                name: field.as_str().into(),
                of: self.type_of(schema),
                required: required.contains(&field.as_str()),
            })
            .collect();
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let (package, short) = go_name(name);
        self.structs[id as usize] = Struct {
            definition: name.into(),
            name: short.into(),
            package: package.into(),
            fields: fields.into(),
        };
        id
    }

    fn type_of(&mut self, schema: &Value) -> Type {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.referred(reference.rsplit('/').next().unwrap_or(reference));
        }
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        match (schema.get("type").and_then(Value::as_str).unwrap_or_default(), format) {
            ("string", "byte") => Type::Bytes,
            ("string", _) => Type::Text,
            ("integer", "int64") => Type::Integer { bits: 64 },
            ("integer", _) => Type::Integer { bits: 32 },
            ("number", _) => Type::Number,
            ("boolean", _) => Type::Boolean,
            ("array", _) => Type::List(Box::new(self.type_of(schema.get("items").unwrap_or(&Value::Null)))),
            ("object", _) => match schema.get("additionalProperties") {
                Some(values) => Type::Map(Box::new(self.type_of(values))),
                None => Type::Any { object: true },
            },
            _ => Type::Any { object: false },
        }
    }

    fn referred(&mut self, name: &str) -> Type {
        let (_, short) = go_name(name);
        match short {
            "Quantity" => Type::Quantity,
            "IntOrString" => Type::IntOrString,
            "Time" => Type::Time,
            "MicroTime" => Type::MicroTime,
            _ if ANY.contains(&short) => Type::Any {
                object: ANY_OBJECT.contains(&short),
            },
            _ => {
                let id = self.structure(name);
                Type::Struct(id)
            }
        }
    }
}

/// Package and name of the Go type behind a definition: `io.k8s.api.core.v1.Pod` is `v1.Pod`.
fn go_name(definition: &str) -> (&str, &str) {
    let mut parts = definition.rsplit('.');
    let name = parts.next().unwrap_or(definition);
    (parts.next().unwrap_or_default(), name)
}
