//! `format`: values written into a text.

use super::conversions::show;
use super::text;
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{List, Value};

pub(super) const FUNCTIONS: &[Row] = &[row(
    "format",
    &["string.(list<dyn>) string"],
    Cost::All,
    |args| match args {
        [template, Value::List(values)] => format(text(template)?, values).map(Value::text),
        _ => Err(EvalError::no_overload()),
    },
)];

fn format(template: &str, values: &List<'_>) -> Result<String, EvalError> {
    let mut out = String::new();
    let mut characters = template.chars().peekable();
    let mut next = 0;
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        if characters.peek() == Some(&'%') {
            characters.next();
            out.push('%');
            continue;
        }
        let mut precision = None;
        if characters.peek() == Some(&'.') {
            characters.next();
            let mut digits = String::new();
            while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            precision = digits.parse::<usize>().ok();
        }
        let verb = characters
            .next()
            .ok_or_else(|| EvalError::new("unexpected end of string"))?;
        let value = values
            .get(next)
            .ok_or_else(|| EvalError::new(format!("index {next} out of range")))?;
        next += 1;
        out.push_str(&clause(verb, precision, &value)?);
    }
    Ok(out)
}

fn clause(verb: char, precision: Option<usize>, value: &Value<'_>) -> Result<String, EvalError> {
    let places = precision.unwrap_or(6);
    let shown = match (verb, value) {
        ('s', value) => Some(any(value)),
        ('d', Value::Int(_) | Value::Uint(_)) => show(value),
        ('f', Value::Double(number)) => Some(format!("{number:.places$}")),
        ('f', Value::Int(number)) => Some(format!("{number}.{}", "0".repeat(places))),
        ('e', Value::Double(number)) => Some(format!("{number:.places$e}")),
        ('b', Value::Int(number)) => Some(format!("{number:b}")),
        ('b', Value::Uint(number)) => Some(format!("{number:b}")),
        ('b', Value::Bool(truth)) => Some(u8::from(*truth).to_string()),
        ('o', Value::Int(number)) => Some(format!("{number:o}")),
        ('o', Value::Uint(number)) => Some(format!("{number:o}")),
        ('x', Value::Int(number)) => Some(format!("{number:x}")),
        ('x', Value::Uint(number)) => Some(format!("{number:x}")),
        ('X', Value::Int(number)) => Some(format!("{number:X}")),
        ('X', Value::Uint(number)) => Some(format!("{number:X}")),
        ('x', Value::String(text)) => Some(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ('X', Value::String(text)) => Some(text.bytes().map(|byte| format!("{byte:02X}")).collect()),
        ('d' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X', _) => None,
        (other, _) => {
            return Err(EvalError::new(format!(
                "could not parse formatting clause: unrecognized formatting clause \"{other}\""
            )));
        }
    };
    shown.ok_or_else(|| {
        EvalError::new(format!(
            "error during formatting: clause %{verb} cannot be used on {}",
            value.type_name()
        ))
    })
}

/// `%s` takes any value.
fn any(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Type(name) => name.to_string(),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(|item| any(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let mut entries: Vec<String> = map
                .entries()
                .iter()
                .map(|(key, value)| format!("{}: {}", any(key), any(value)))
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => show(other).unwrap_or_else(|| format!("{other:?}")),
    }
}
