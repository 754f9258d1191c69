//! How the lists and maps of each built-in kind merge: the extracted table, read once.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use kube_types::GroupVersionKind;

const TABLE: &str = include_str!("merge_keys.txt");

/// How a list is owned and merged by server-side apply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListType {
    /// Replaced as a whole.
    #[default]
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects told apart by these keys.
    Map(Vec<&'static str>),
}

/// How one field merges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldRule {
    /// The message of the field or of its elements, when rules follow below it.
    pub(crate) message: Option<&'static str>,
    /// Is it a list?
    pub list: bool,
    /// Strategic merge: do lists merge element by element?
    pub merge: bool,
    /// Strategic merge: is it replaced as a whole?
    pub replace: bool,
    /// Strategic merge: does a client send `$retainKeys`?
    pub retain_keys: bool,
    /// Strategic merge: which field tells elements apart.
    pub patch_key: Option<&'static str>,
    /// Server-side apply: how the list is owned.
    pub list_type: ListType,
}

type Rules = BTreeMap<&'static str, FieldRule>;

struct Table {
    kinds: BTreeMap<&'static str, &'static str>,
    messages: BTreeMap<&'static str, Rules>,
}

/// The rules of one type, from which those of its fields can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeRules {
    message: Option<&'static str>,
}

/// The merge rules of a kind. A kind without rules of its own merges as plain JSON does.
#[must_use]
pub fn merge_keys(gvk: &GroupVersionKind) -> MergeRules {
    let name = format!("{}/{}/{}", gvk.group, gvk.version, gvk.kind);
    MergeRules {
        message: table().kinds.get(name.as_str()).copied(),
    }
}

impl MergeRules {
    /// The rule of a field; `None` when it merges as plain JSON does.
    #[must_use]
    pub fn field(self, name: &str) -> Option<&'static FieldRule> {
        table().messages.get(self.message?)?.get(name)
    }

    /// The rules below a field: of the object it holds, or of its elements.
    #[must_use]
    pub fn below(self, name: &str) -> Self {
        Self {
            message: self.field(name).and_then(|rule| rule.message),
        }
    }
}

fn table() -> &'static Table {
    static READ: OnceLock<Table> = OnceLock::new();
    READ.get_or_init(|| {
        let mut table = Table {
            kinds: BTreeMap::new(),
            messages: BTreeMap::new(),
        };
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let head = words.next().unwrap_or_default();
            if head == "kind" {
                table
                    .kinds
                    .insert(words.next().unwrap_or_default(), words.next().unwrap_or_default());
                continue;
            }
            let rules = words.filter_map(|word| read_field(head, word));
            table.messages.insert(head, rules.collect());
        }
        resolve_relative(&mut table);
        table
    })
}

/// `name[*]=[message][~strategies[:key]][+list type[:keys]]`
fn read_field(_owner: &str, word: &'static str) -> Option<(&'static str, FieldRule)> {
    let (name, rest) = word.split_once('=')?;
    let (rest, list_type) = rest
        .split_once('+')
        .map_or((rest, None), |(rest, kind)| (rest, Some(kind)));
    let (message, strategy) = rest
        .split_once('~')
        .map_or((rest, None), |(message, kind)| (message, Some(kind)));
    let (letters, patch_key) =
        match strategy.map(|text| text.split_once(':').map_or((text, None), |(l, k)| (l, Some(k)))) {
            Some((letters, key)) => (letters, key),
            None => ("", None),
        };
    let list_type = match list_type.map(|text| text.split_once(':').unwrap_or((text, ""))) {
        Some(("set", _)) => ListType::Set,
        Some(("map", keys)) => ListType::Map(keys.split(',').collect()),
        _ => ListType::Atomic,
    };
    let rule = FieldRule {
        message: (!message.is_empty()).then_some(message),
        list: name.ends_with('*'),
        merge: letters.contains('m'),
        replace: letters.contains('r'),
        retain_keys: letters.contains('k'),
        patch_key,
        list_type,
    };
    Some((name.trim_end_matches('*'), rule))
}

/// `.Container` in `core/v1.PodSpec` means `core/v1.Container`.
fn resolve_relative(table: &mut Table) {
    let names: BTreeMap<String, &'static str> = table.messages.keys().map(|name| ((*name).to_owned(), *name)).collect();
    for (owner, rules) in &mut table.messages {
        let package = owner.rsplit_once('.').map_or("", |(package, _)| package);
        for rule in rules.values_mut() {
            rule.message = rule.message.and_then(|message| {
                let full = if message.starts_with('.') {
                    format!("{package}{message}")
                } else {
                    message.to_owned()
                };
                names.get(&full).copied()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: &str, path: &str) -> FieldRule {
        let gvk = if kind == "Deployment" {
            GroupVersionKind::new("apps", "v1", kind)
        } else {
            GroupVersionKind::new("", "v1", kind)
        };
        let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
        let rules = parents
            .split('.')
            .filter(|part| !part.is_empty())
            .fold(merge_keys(&gvk), MergeRules::below);
        rules.field(last).cloned().unwrap_or_default()
    }

    #[test]
    fn the_table_has_upstreams_keys_and_its_four_exceptions() {
        for (kind, path, patch_key, list_keys) in [
            ("Pod", "spec.containers", "name", "name"),
            ("Deployment", "spec.template.spec.containers.env", "name", "name"),
            (
                "Deployment",
                "spec.template.spec.containers.ports",
                "containerPort",
                "containerPort,protocol",
            ),
            (
                "Pod",
                "spec.ephemeralContainers.ports",
                "containerPort",
                "containerPort,protocol",
            ),
            ("Service", "spec.ports", "port", "port,protocol"),
            (
                "Pod",
                "spec.topologySpreadConstraints",
                "topologyKey",
                "topologyKey,whenUnsatisfiable",
            ),
            ("Node", "status.conditions", "type", "type"),
            ("Pod", "metadata.ownerReferences", "uid", "uid"),
        ] {
            let found = rule(kind, path);
            assert_eq!(found.patch_key, Some(patch_key), "{kind} {path}");
            assert_eq!(
                found.list_type,
                ListType::Map(list_keys.split(',').collect()),
                "{kind} {path}"
            );
            assert!(found.merge && found.list, "{kind} {path}");
        }
        assert!(rule("Pod", "metadata.finalizers").merge);
        assert!(rule("Deployment", "spec.strategy").retain_keys);
        assert!(!rule("Pod", "spec.tolerations").merge, "tolerations are replaced");
    }
}
