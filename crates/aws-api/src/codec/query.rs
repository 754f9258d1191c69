//! The query protocol and EC2's dialect of it: form parameters in.

use std::collections::BTreeMap;

use aws_types::shapes::{Kind, Member, Protocol, Service, Shape};
use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use super::route::scalar;
use super::{DecodeError, Decoded};

/// The pairs of a form or query string, decoded, in their order.
pub fn parameters(text: &[u8]) -> Vec<(String, String)> {
    let decode = |part: &[u8]| {
        let spaced: Vec<u8> = part
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        percent_decode(&spaced).decode_utf8_lossy().into_owned()
    };
    text.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(equals) => (decode(&pair[..equals]), decode(&pair[equals + 1..])),
            None => (decode(pair), String::new()),
        })
        .collect()
}

/// Understands a form.
///
/// # Errors
/// When no known action is named or a value has another type than its shape.
pub fn decode(service: &Service, form: &[(String, String)]) -> Result<Decoded, DecodeError> {
    let form: BTreeMap<&str, &str> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let operation = form
        .get("Action")
        .filter(|action| !action.is_empty())
        .ok_or(DecodeError::NoOperation)?;
    let Some(known) = service.operations.get(*operation) else {
        return Err(DecodeError::UnknownOperation((*operation).to_owned()));
    };
    let reader = Reader {
        service,
        ec2: service.metadata.protocol == Protocol::Ec2,
        form: &form,
    };
    let input = match &known.input {
        Some(shape) => reader
            .value(service.shape(shape), "")?
            .unwrap_or_else(|| Value::Object(Map::new())),
        None => Value::Object(Map::new()),
    };
    Ok(Decoded {
        operation: (*operation).to_owned(),
        input,
    })
}

struct Reader<'a> {
    service: &'a Service,
    ec2: bool,
    form: &'a BTreeMap<&'a str, &'a str>,
}

impl Reader<'_> {
    fn value(&self, shape: &Shape, prefix: &str) -> Result<Option<Value>, DecodeError> {
        if !prefix.is_empty() && !self.has(prefix) {
            return Ok(None);
        }
        match shape.kind {
            Kind::Structure => self.structure(shape, prefix).map(Some),
            Kind::List => self.list(shape, prefix).map(Some),
            Kind::Map => self.map(shape, prefix).map(Some),
            kind => self.form.get(prefix).map(|text| scalar(kind, text, prefix)).transpose(),
        }
    }

    /// Whether a parameter has this name or begins with it and a dot.
    fn has(&self, prefix: &str) -> bool {
        let nested = format!("{prefix}.");
        self.form.contains_key(prefix)
            || self
                .form
                .range(nested.as_str()..)
                .next()
                .is_some_and(|(key, _)| key.starts_with(&nested))
    }

    fn structure(&self, shape: &Shape, prefix: &str) -> Result<Value, DecodeError> {
        let mut members = Map::new();
        for (name, member) in &shape.members.0 {
            let wire = self.name(name, member);
            let key = if prefix.is_empty() {
                wire
            } else {
                format!("{prefix}.{wire}")
            };
            if let Some(value) = self.value(self.service.shape(&member.shape), &key)? {
                members.insert(name.to_string(), value);
            }
        }
        Ok(Value::Object(members))
    }

    /// EC2 capitalises names, and lets the model name a request's member differently from an answer's.
    fn name(&self, name: &str, member: &Member) -> String {
        if !self.ec2 {
            return member.location_name.as_deref().unwrap_or(name).to_owned();
        }
        if let Some(query) = &member.query_name {
            return query.to_string();
        }
        let wire = member.location_name.as_deref().unwrap_or(name);
        let mut letters = wire.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect())
            .unwrap_or_default()
    }

    fn list(&self, shape: &Shape, prefix: &str) -> Result<Value, DecodeError> {
        let Some(member) = &shape.member else {
            return Ok(Value::Array(Vec::new()));
        };
        let flat = self.ec2 || shape.flattened;
        let base = if flat {
            prefix.to_owned()
        } else {
            format!("{prefix}.{}", member.location_name.as_deref().unwrap_or("member"))
        };
        let mut items = Vec::new();
        while let Some(item) = self.value(
            self.service.shape(&member.shape),
            &format!("{base}.{}", items.len() + 1),
        )? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn map(&self, shape: &Shape, prefix: &str) -> Result<Value, DecodeError> {
        let base = if shape.flattened {
            prefix.to_owned()
        } else {
            format!("{prefix}.entry")
        };
        let part = |member: &Option<Member>, default: &str| {
            member
                .as_ref()
                .and_then(|member| member.location_name.as_deref())
                .unwrap_or(default)
                .to_owned()
        };
        let (key_name, value_name) = (part(&shape.key, "key"), part(&shape.value, "value"));
        let mut entries = Map::new();
        for index in 1.. {
            let Some(key) = self.form.get(format!("{base}.{index}.{key_name}").as_str()) else {
                break;
            };
            let Some(member) = &shape.value else { break };
            let value = self.value(
                self.service.shape(&member.shape),
                &format!("{base}.{index}.{value_name}"),
            )?;
            entries.insert((*key).to_owned(), value.unwrap_or(Value::Null));
        }
        Ok(Value::Object(entries))
    }
}
