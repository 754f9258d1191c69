//! The compact tables that are checked in.

use std::collections::{BTreeMap, BTreeSet};

use super::go_types::{GoField, GoTypes};
use super::model::{Field, Model, Shape};

const MERGE_HEAD: &str = "\
# Merge keys of Kubernetes' types; written by `cargo xtask kube-facts`.
# kind <group>/<version>/<kind> <message>
# <message> <field>[*]=<message>[~<patch strategies>[:<patch key>]][+<list type>[:<list keys>]] …
#   `*`: a list; messages of the same package begin with a dot; strategies: m = merge, k = retainKeys, r = replace;
#   `!atomic` or `!granular`: the field is owned as a whole or not, whatever its type says; `?`: its default.
# atomic <message> …: types that server-side apply owns as a whole.
";

const MESSAGE_HEAD: &str = "\
# Protobuf tags of Kubernetes' types; written by `cargo xtask kube-facts`.
# kind <group>/<version>/<kind> <message>
# <message> <json name>=<tag><type>[<message>] …
#   s text, i integer, b boolean, y bytes, d double, o message, t map of texts, u map of bytes, v map of messages,
#   x message whose fields stand here; a capital letter is a list; then ? where absence differs from the zero value,
#   ! where JSON has the zero value too; messages of the same package begin with a dot.
";

/// The body of a deletion, which belongs to no kind.
const OPTIONS: &str = "meta/v1.DeleteOptions";

/// For every kind, the types on the way to a list or map that merges in a particular way.
pub fn merge_keys(model: &Model) -> String {
    let relevant = leading_to_markers(model);
    let wanted = reachable(model, |name| relevant.contains(name));
    let mut text = MERGE_HEAD.to_owned();
    text.push_str(&kind_lines(model, &wanted));
    for name in &wanted {
        let fields = merged_fields(model, name);
        let kept = fields
            .iter()
            .filter(|field| is_marked(field) || target(field).is_some_and(|of| relevant.contains(of)));
        let entries: Vec<String> = kept.map(|field| merge_entry(name, field, &relevant)).collect();
        if !entries.is_empty() {
            text.push_str(&format!("{name} {}\n", entries.join(" ")));
        }
    }
    let everywhere = reachable(model, |_| true);
    let atomic: Vec<&str> = everywhere
        .iter()
        .filter(|name| model.messages[*name].atomic)
        .map(String::as_str)
        .collect();
    text.push_str(&format!("atomic {}\n", atomic.join(" ")));
    text
}

/// For every kind, the tags of all types it is made of.
pub fn messages(types: &GoTypes) -> String {
    let mut text = MESSAGE_HEAD.to_owned();
    let mut open: Vec<&str> = Vec::new();
    for (kind, message) in &types.kinds {
        text.push_str(&format!("kind {kind} {message}\n"));
        open.push(message);
    }
    let mut wanted = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(fields) = types.messages.get(name).filter(|_| wanted.insert(name)) {
            open.extend(fields.iter().filter_map(|field| field.of.as_deref()));
        }
    }
    for (name, fields) in types.messages.iter().filter(|(name, _)| wanted.contains(name.as_str())) {
        let fields: Vec<String> = fields.iter().map(|field| message_entry(name, field)).collect();
        text.push_str(&format!("{name} {}\n", fields.join(" ")));
    }
    text
}

fn kind_lines(model: &Model, wanted: &BTreeSet<String>) -> String {
    let kinds = model.kinds.iter().filter(|(_, message)| wanted.contains(*message));
    kinds
        .map(|(kind, message)| format!("kind {kind} {message}\n"))
        .collect()
}

/// Every message below a kind, as long as `follow` agrees.
fn reachable(model: &Model, follow: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let kinds = model.kinds.values().filter(|name| !name.ends_with("List")).cloned();
    let mut open: Vec<String> = kinds.chain([OPTIONS.to_owned()]).collect();
    while let Some(name) = open.pop() {
        if !follow(&name) || !model.messages.contains_key(&name) || !found.insert(name.clone()) {
            continue;
        }
        open.extend(
            model.messages[&name]
                .fields
                .iter()
                .filter_map(target)
                .map(str::to_owned),
        );
    }
    found
}

fn leading_to_markers(model: &Model) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = found.len();
        for (name, message) in &model.messages {
            let leads = message
                .fields
                .iter()
                .any(|field| is_marked(field) || target(field).is_some_and(|of| found.contains(of)));
            if leads {
                found.insert(name.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn is_marked(field: &Field) -> bool {
    !field.patch_strategy.is_empty()
        || field.list_type.as_deref().is_some_and(|kind| kind != "atomic")
        || field.map_type.is_some()
        || field.default.is_some()
}

fn target(field: &Field) -> Option<&str> {
    match &field.shape {
        Shape::Message(name) | Shape::MessageMap(name) => Some(name),
        _ => None,
    }
}

/// The fields of a message in JSON: inline ones are taken up.
fn merged_fields<'a>(model: &'a Model, name: &str) -> Vec<&'a Field> {
    let Some(message) = model.messages.get(name) else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    for field in &message.fields {
        match target(field).filter(|_| field.json.is_empty()) {
            Some(inline) => fields.extend(merged_fields(model, inline)),
            None => fields.push(field),
        }
    }
    fields
}

fn merge_entry(owner: &str, field: &Field, relevant: &BTreeSet<String>) -> String {
    let of = target(field)
        .filter(|of| relevant.contains(*of))
        .map(|of| short(owner, of))
        .unwrap_or_default();
    let list = if field.repeated { "*" } else { "" };
    let mut entry = format!("{}{list}={of}", field.json);
    if !field.patch_strategy.is_empty() {
        let letters: BTreeMap<&str, char> = BTreeMap::from([("merge", 'm'), ("retainKeys", 'k'), ("replace", 'r')]);
        entry.push('~');
        entry.extend(
            field
                .patch_strategy
                .iter()
                .filter_map(|strategy| letters.get(strategy.as_str())),
        );
        if let Some(key) = &field.patch_key {
            entry.push_str(&format!(":{key}"));
        }
    }
    if let Some(kind) = &field.list_type {
        entry.push_str(&format!("+{kind}"));
        if !field.list_keys.is_empty() {
            entry.push_str(&format!(":{}", field.list_keys.join(",")));
        }
    }
    if let Some(kind) = &field.map_type {
        entry.push_str(&format!("!{kind}"));
    }
    if let Some(default) = &field.default {
        entry.push_str(&format!("?{default}"));
    }
    entry
}

fn message_entry(owner: &str, field: &GoField) -> String {
    let mark = match (field.pointer, field.always) {
        (true, _) => "?",
        (false, true) => "!",
        (false, false) => "",
    };
    let of = field.of.as_deref().map(|of| short(owner, of)).unwrap_or_default();
    format!("{}={}{}{mark}{of}", field.json, field.tag, field.letter)
}

/// `core/v1.Pod` seen from `core/v1.PodList` is `.Pod`.
fn short(owner: &str, name: &str) -> String {
    let package = |name: &str| {
        name.rsplit_once('.')
            .map(|(package, _)| package.to_owned())
            .unwrap_or_default()
    };
    if package(owner) == package(name) {
        name[package(name).len()..].to_owned()
    } else {
        name.to_owned()
    }
}
