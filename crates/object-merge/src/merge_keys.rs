//! How the lists and maps of each built-in kind merge: the extracted table, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use kube_types::GroupVersionKind;
use serde_json::Value;

const TABLE: &str = include_str!("merge_keys.txt");
const ALWAYS_PRESENT: &str = include_str!("always_present.txt");

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
    /// Server-side apply: is the map or struct owned as a whole, where the field says so itself?
    pub atomic: Option<bool>,
    /// The declared default.
    pub default: Option<Value>,
}

type Rules = BTreeMap<&'static str, FieldRule>;

struct Table {
    kinds: BTreeMap<&'static str, &'static str>,
    messages: BTreeMap<&'static str, Rules>,
    /// Names of messages in lower case, since published types spell acronyms differently.
    spelt: BTreeMap<String, &'static str>,
    /// Types that are owned as a whole, in lower case.
    atomic: BTreeSet<String>,
    /// Structs that are written even when they are empty: messages in lower case, and their fields.
    always: BTreeMap<String, Vec<&'static str>>,
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

/// The merge rules of a type by the name of its schema, as `io.k8s.api.core.v1.PodSpec`.
#[must_use]
pub fn definition_rules(definition: &str) -> MergeRules {
    MergeRules {
        message: table().spelt.get(&message_name(definition)).copied(),
    }
}

/// Whether server-side apply owns values of a type as a whole.
#[must_use]
pub fn is_atomic(definition: &str) -> bool {
    table().atomic.contains(&message_name(definition))
}

/// The fields of a type that upstream writes even when they are empty structs.
#[must_use]
pub fn always_present(definition: &str) -> &'static [&'static str] {
    table().always.get(&message_name(definition)).map_or(&[], Vec::as_slice)
}

/// `io.k8s.api.core.v1.PodSpec` is `core/v1.podspec` in lower case.
fn message_name(definition: &str) -> String {
    let mut parts = definition.rsplitn(4, '.');
    let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let group = parts.next().unwrap_or_default();
    format!("{group}/{version}.{name}").to_lowercase()
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
            spelt: BTreeMap::new(),
            atomic: BTreeSet::new(),
            always: BTreeMap::new(),
        };
        for line in ALWAYS_PRESENT.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let head = words.next().unwrap_or_default().to_lowercase();
            table.always.insert(head, words.collect());
        }
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let head = words.next().unwrap_or_default();
            if head == "kind" {
                table
                    .kinds
                    .insert(words.next().unwrap_or_default(), words.next().unwrap_or_default());
                continue;
            }
            if head == "atomic" {
                table.atomic.extend(words.map(str::to_lowercase));
                continue;
            }
            let rules = words.filter_map(|word| read_field(head, word));
            table.messages.insert(head, rules.collect());
            table.spelt.insert(head.to_lowercase(), head);
        }
        resolve_relative(&mut table);
        table
    })
}

/// `name[*]=[message][~strategies[:key]][+list type[:keys]][!map type][?default]`
fn read_field(_owner: &str, word: &'static str) -> Option<(&'static str, FieldRule)> {
    let (name, rest) = word.split_once('=')?;
    let (rest, default) = rest
        .split_once('?')
        .map_or((rest, None), |(rest, default)| (rest, Some(default)));
    let (rest, map_type) = rest
        .split_once('!')
        .map_or((rest, None), |(rest, kind)| (rest, Some(kind)));
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
        atomic: map_type.map(|kind| kind == "atomic"),
        default: default.and_then(|text| serde_json::from_str(text).ok()),
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
    fn types_are_found_by_the_names_of_their_schemas() {
        let port = definition_rules("io.k8s.api.core.v1.ContainerPort");
        assert_eq!(port.field("protocol").unwrap().default, Some("TCP".into()));
        let volume = definition_rules("io.k8s.api.core.v1.CephFSVolumeSource");
        assert!(volume.field("secretRef").is_some(), "acronyms are spelt differently");
        let spec = definition_rules("io.k8s.api.core.v1.PersistentVolumeSpec");
        assert_eq!(spec.field("claimRef").unwrap().atomic, Some(false));
        assert!(is_atomic("io.k8s.api.core.v1.ObjectReference"));
        assert!(is_atomic("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"));
        assert!(!is_atomic("io.k8s.api.core.v1.PodSpec"));
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
