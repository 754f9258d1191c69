//! Objects with every field filled, made from the schemas; and the published ones where they are on this machine.

use std::path::Path;

use kube_types::dynamic::{Map, Object, Value, json};
use kube_types::{GroupVersionKind, decode, schema};

/// An object of a built-in kind with something in every field, in the form that the API server gives it.
pub fn filled(gvk: &GroupVersionKind) -> Object {
    let document = schema::document(gvk).unwrap_or_else(|| panic!("{gvk:?} has no schema"));
    let mut filler = Filler {
        definitions: document["$defs"].as_object().cloned().unwrap_or_default(),
        open: Vec::new(),
    };
    let value = filler.value(&document).unwrap_or_default();
    let mut object = Object::from_value(value).unwrap();
    object.0.insert("kind".to_owned(), gvk.kind.clone().into());
    object.0.insert("apiVersion".to_owned(), gvk.api_version().into());
    let unknown = schema::lookup(gvk).unwrap().normalize(&mut object.0).unwrap();
    assert_eq!(unknown.0, Vec::<String>::new(), "{gvk:?}");
    object
}

/// The published object of a kind, if the fixtures are here. Fields of later releases are left out.
pub fn published(gvk: &GroupVersionKind) -> Option<Object> {
    let directory = std::env::var_os("ONDOL_TEST_KUBERNETES_FIXTURES")?;
    let group = if gvk.group.is_empty() { "core" } else { &gvk.group };
    let path = Path::new(&directory).join(format!("{group}.{}.{}.json", gvk.version, gvk.kind));
    let text = std::fs::read(path).ok()?;
    let mut object = Object::from_value(decode::json(&text).unwrap().value).unwrap();
    schema::lookup(gvk).unwrap().normalize(&mut object.0).unwrap();
    Some(object)
}

struct Filler {
    definitions: Map<String, Value>,
    /// Definitions that are being filled; a type inside itself is filled once more.
    open: Vec<String>,
}

impl Filler {
    fn value(&mut self, schema: &Value) -> Option<Value> {
        if let Some(name) = reference(schema) {
            return self.named(&name);
        }
        let types = [&schema["type"], &schema["type"][0]];
        let of = types.iter().find_map(|of| of.as_str()).unwrap_or_default();
        Some(match (of, schema["format"].as_str().unwrap_or_default()) {
            ("object", _) if schema["properties"].is_object() => self.fields(schema["properties"].as_object()?),
            ("object", _) => json!({"key": self.value(&schema["additionalProperties"])?}),
            ("array", _) => json!([self.value(&schema["items"])?]),
            ("boolean", _) => true.into(),
            ("integer", _) => 7.into(),
            ("number", _) => 1.5.into(),
            ("string", "date-time") => "2026-01-02T03:04:05Z".into(),
            ("string", "byte") => "AP8=".into(),
            ("string", _) => "text".into(),
            _ => json!({"any": {"a": [1, "b", null, true]}}),
        })
    }

    fn fields(&mut self, properties: &Map<String, Value>) -> Value {
        let fields = properties.iter().filter_map(|(name, schema)| {
            let value = self.value(schema)?;
            Some((name.clone(), value))
        });
        Value::Object(fields.collect())
    }

    fn named(&mut self, name: &str) -> Option<Value> {
        let short = name.rsplit('.').next().unwrap_or(name);
        match short {
            "Quantity" => return Some("500m".into()),
            "IntOrString" => return Some("25%".into()),
            "Time" => return Some("2026-01-02T03:04:05Z".into()),
            "MicroTime" => return Some("2026-01-02T03:04:05.000006Z".into()),
            "CustomResourceSubresourceStatus" => return Some(json!({})),
            "JSONSchemaPropsOrBool" => return Some(true.into()),
            "JSONSchemaPropsOrArray" => {
                return self.named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
            }
            "JSONSchemaPropsOrStringArray" => return Some(json!(["one", "two"])),
            _ => {}
        }
        if self.open.iter().filter(|open| *open == name).count() > 1 {
            return None;
        }
        self.open.push(name.to_owned());
        let mut definition = self.definitions.get(name).cloned().unwrap_or_default();
        // A claim inside a stateful set is an object in JSON; protobuf has no room for its kind, at upstream neither.
        if let Some(properties) = definition["properties"]
            .as_object_mut()
            .filter(|_| short == "PersistentVolumeClaim")
        {
            properties.retain(|field, _| !matches!(field.as_str(), "kind" | "apiVersion"));
        }
        let value = self.value(&definition);
        self.open.pop();
        value
    }
}

/// The name behind a `$ref`, which may stand in an `allOf` or `anyOf`.
fn reference(schema: &Value) -> Option<String> {
    let text = |schema: &Value| schema["$ref"].as_str().map(str::to_owned);
    let all = [&schema["allOf"], &schema["anyOf"]];
    let inside = all.iter().filter_map(|list| list.as_array()).flatten().find_map(text);
    let found = text(schema).or(inside)?;
    Some(found.trim_start_matches("#/$defs/").to_owned())
}

/// The first place where two values differ.
pub fn difference(path: &str, wanted: &Value, found: &Value) -> String {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let names = wanted.keys().chain(found.keys());
            let differing = names
                .map(|name| (name, wanted.get(name), found.get(name)))
                .find(|(_, a, b)| a != b);
            match differing {
                Some((name, Some(wanted), Some(found))) => difference(&format!("{path}.{name}"), wanted, found),
                Some((name, wanted, found)) => format!("{path}.{name}: wanted {wanted:?}, found {found:?}"),
                None => format!("{path}: equal"),
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let index = wanted.iter().zip(found).position(|(a, b)| a != b).unwrap_or_default();
            difference(&format!("{path}[{index}]"), &wanted[index], &found[index])
        }
        _ => format!("{path}: wanted {wanted}, found {found}"),
    }
}
