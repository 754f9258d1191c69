//! Names that definitions of one group have, and whether another may have its own.
//! Source: `controller/status/naming_controller.go`.

use std::collections::BTreeSet;

use kube_types::dynamic::Object;
use object_rules::tree::{at, child, text};

use super::{Condition, Names};

/// The names that other definitions of a group hold.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    /// What all definitions of the group of `own` but itself hold.
    pub fn by_others<'d>(own: &Object, all: impl Iterator<Item = &'d Object>) -> Self {
        let group = |object: &Object| {
            child(&object.0, "spec")
                .map(|spec| text(spec, "group").to_owned())
                .unwrap_or_default()
        };
        let mut taken = Self::default();
        for other in all.filter(|other| other.name() != own.name() && group(other) == group(own)) {
            let held = Names::read(at(&other.0, &["status", "acceptedNames"]));
            taken.resources.extend(held.short_names);
            taken.resources.extend([held.plural, held.singular]);
            taken.kinds.extend([held.kind, held.list_kind]);
        }
        taken.resources.remove("");
        taken.kinds.remove("");
        taken
    }

    /// The names that a definition gets, and the condition that says whether those are all it wants.
    pub(super) fn accept(&self, wanted: &Names, held: &Names) -> (Names, Condition) {
        let mut names = held.clone();
        let mut conflict: Option<(&'static str, String)> = None;
        let mut claim = |taken: &BTreeSet<String>, wanted: &str, held: &mut String, reason: &'static str| {
            if wanted != held && taken.contains(wanted) {
                conflict = Some((reason, format!("\"{wanted}\" is already in use")));
            } else {
                wanted.clone_into(held);
            }
        };
        claim(&self.resources, &wanted.plural, &mut names.plural, "PluralConflict");
        claim(
            &self.resources,
            &wanted.singular,
            &mut names.singular,
            "SingularConflict",
        );
        claim(&self.kinds, &wanted.kind, &mut names.kind, "KindConflict");
        claim(&self.kinds, &wanted.list_kind, &mut names.list_kind, "ListKindConflict");
        let in_use: Vec<String> = wanted
            .short_names
            .iter()
            .filter(|name| !held.short_names.contains(name) && self.resources.contains(*name))
            .map(|name| format!("\"{name}\" is already in use"))
            .collect();
        match in_use.as_slice() {
            [] => names.short_names.clone_from(&wanted.short_names),
            [one] => conflict = conflict.or(Some(("ShortNamesConflict", one.clone()))),
            many => conflict = conflict.or(Some(("ShortNamesConflict", format!("[{}]", many.join(", "))))),
        }
        names.categories.clone_from(&wanted.categories);
        let condition = match conflict {
            Some((reason, message)) => Condition::new("NamesAccepted", "False", reason, message),
            None => Condition::new("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
        };
        (names, condition)
    }
}
