//! Text: the standard functions, cel-go's strings extension, version 2, and Kubernetes' regular expressions.

use regex::Regex;

use super::{text, whole};
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Row] = &[
    row("contains", &["string.(string) bool"], Cost::Search, |args| match args {
        [subject, part] => Ok(Value::Bool(text(subject)?.contains(text(part)?))),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "startsWith",
        &["string.(string) bool"],
        Cost::First,
        |args| match args {
            [subject, part] => Ok(Value::Bool(text(subject)?.starts_with(text(part)?))),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row("endsWith", &["string.(string) bool"], Cost::First, |args| match args {
        [subject, part] => Ok(Value::Bool(text(subject)?.ends_with(text(part)?))),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "matches",
        &["string.(string) bool", "(string, string) bool"],
        Cost::Pattern,
        |args| match args {
            [subject, pattern] => Ok(Value::Bool(compile(text(pattern)?)?.is_match(text(subject)?))),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row("find", &["string.(string) string"], Cost::Pattern, |args| match args {
        [subject, pattern] => {
            let found = compile(text(pattern)?)?
                .find(text(subject)?)
                .map(|found| found.as_str().to_owned());
            Ok(Value::text(found.unwrap_or_default()))
        }
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "findAll",
        &["string.(string) list<string>", "string.(string, int) list<string>"],
        Cost::Pattern,
        find_all,
    ),
    row("charAt", &["string.(int) string"], Cost::First, |args| match args {
        [subject, index] => {
            let characters: Vec<char> = text(subject)?.chars().collect();
            let index = whole(index)?;
            match usize::try_from(index).ok().filter(|index| *index <= characters.len()) {
                Some(index) => Ok(Value::text(
                    characters.get(index).map(char::to_string).unwrap_or_default(),
                )),
                None => Err(EvalError::new(format!("index out of range: {index}"))),
            }
        }
        _ => Err(EvalError::no_overload()),
    }),
    row("lowerAscii", &["string.() string"], Cost::First, |args| {
        each(args, str::to_ascii_lowercase)
    }),
    row("upperAscii", &["string.() string"], Cost::First, |args| {
        each(args, str::to_ascii_uppercase)
    }),
    row("trim", &["string.() string"], Cost::First, |args| {
        each(args, |text| text.trim().to_owned())
    }),
    row("strings.quote", &["(string) string"], Cost::First, |args| {
        each(args, |text| format!("{text:?}"))
    }),
    row(
        "replace",
        &["string.(string, string) string", "string.(string, string, int) string"],
        Cost::Search,
        |args| match args {
            [subject, from, to] => Ok(Value::text(text(subject)?.replace(text(from)?, text(to)?))),
            [subject, from, to, limit] => Ok(Value::text(match usize::try_from(whole(limit)?) {
                Ok(limit) => text(subject)?.replacen(text(from)?, text(to)?, limit),
                Err(_negative_means_all) => text(subject)?.replace(text(from)?, text(to)?),
            })),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "split",
        &["string.(string) list<string>", "string.(string, int) list<string>"],
        Cost::First,
        split,
    ),
    row(
        "substring",
        &["string.(int) string", "string.(int, int) string"],
        Cost::First,
        substring,
    ),
    row(
        "join",
        &["list<string>.() string", "list<string>.(string) string"],
        Cost::Elements,
        join,
    ),
    row("jsonpatch.escapeKey", &["(string) string"], Cost::First, |args| {
        each(args, |text| text.replace('~', "~0").replace('/', "~1"))
    }),
];

fn each<'a>(args: &[Value<'a>], change: impl Fn(&str) -> String) -> Result<Value<'a>, EvalError> {
    match args {
        [subject] => Ok(Value::text(change(text(subject)?))),
        _ => Err(EvalError::no_overload()),
    }
}

fn compile(pattern: &str) -> Result<Regex, EvalError> {
    Regex::new(pattern).map_err(|error| EvalError::new(format!("error parsing regexp: {error}")))
}

fn find_all<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (subject, pattern, limit) = match args {
        [subject, pattern] => (subject, pattern, usize::MAX),
        [subject, pattern, limit] => (subject, pattern, usize::try_from(whole(limit)?).unwrap_or(usize::MAX)),
        _ => return Err(EvalError::no_overload()),
    };
    let pattern = compile(text(pattern)?)?;
    let found = pattern.find_iter(text(subject)?).take(limit);
    Ok(Value::list(found.map(|found| Value::text(found.as_str())).collect()))
}

fn split<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (subject, separator, limit) = match args {
        [subject, separator] => (text(subject)?, text(separator)?, -1),
        [subject, separator, limit] => (text(subject)?, text(separator)?, whole(limit)?),
        _ => return Err(EvalError::no_overload()),
    };
    let parts: Vec<String> = match usize::try_from(limit) {
        Ok(0) => Vec::new(),
        _ if separator.is_empty() => subject.chars().map(String::from).collect(),
        Ok(limit) => subject.splitn(limit, separator).map(str::to_owned).collect(),
        Err(_negative_means_all) => subject.split(separator).map(str::to_owned).collect(),
    };
    Ok(Value::list(parts.into_iter().map(Value::text).collect()))
}

fn substring<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (subject, from, to) = match args {
        [subject, from] => (text(subject)?, whole(from)?, None),
        [subject, from, to] => (text(subject)?, whole(from)?, Some(whole(to)?)),
        _ => return Err(EvalError::no_overload()),
    };
    let characters: Vec<char> = subject.chars().collect();
    let length = i64::try_from(characters.len()).unwrap_or(i64::MAX);
    let end = to.unwrap_or(length);
    for index in [from, end] {
        if !(0..=length).contains(&index) {
            return Err(EvalError::new(format!("index out of range: {index}")));
        }
    }
    if from > end {
        return Err(EvalError::new(format!(
            "invalid substring range. start: {from}, end: {end}"
        )));
    }
    let (skip, take) = (
        usize::try_from(from).unwrap_or(0),
        usize::try_from(end - from).unwrap_or(0),
    );
    Ok(Value::text(
        characters.into_iter().skip(skip).take(take).collect::<String>(),
    ))
}

fn join<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), separator] => (list, text(separator)?),
        _ => return Err(EvalError::no_overload()),
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text(&item)?);
    }
    Ok(Value::text(joined))
}
