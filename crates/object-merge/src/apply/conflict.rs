//! Fields that an applier would take from others, and how the refusal words it.

use super::managers::{Manager, Operation, Owner};
use super::path::{Path, shown_path};
use super::set::Set;

/// One field that another manager owns and that the configuration would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it.
    pub manager: Manager,
    /// The field.
    pub path: Path,
}

impl Conflict {
    pub(crate) fn new(owner: &Owner, path: Path) -> Self {
        Self {
            manager: owner.manager.clone(),
            path,
        }
    }

    /// The field as messages show it.
    #[must_use]
    pub fn field(&self) -> String {
        shown_path(&self.path)
    }

    /// Who owns it, as messages show it.
    #[must_use]
    pub fn owner(&self) -> String {
        let Manager {
            name,
            operation,
            api_version,
            subresource,
        } = &self.manager;
        let through = match subresource.as_str() {
            "" => String::new(),
            subresource => format!(" with subresource {subresource:?}"),
        };
        match operation {
            Operation::Apply => format!("{name:?}{through}"),
            Operation::Update => format!("{name:?}{through} using {api_version}"),
        }
    }
}

/// The fields of conflicts as a set.
pub(crate) fn fields(conflicts: &[Conflict]) -> Set {
    let mut set = Set::default();
    for conflict in conflicts {
        set.insert(&conflict.path);
    }
    set
}

/// The message of the refusal.
#[must_use]
pub fn message(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        return format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            one.owner(),
            one.field()
        );
    }
    let mut lines: Vec<String> = Vec::new();
    let mut last: Option<&Manager> = None;
    for conflict in conflicts {
        if last != Some(&conflict.manager) {
            lines.push(format!("conflicts with {}:", conflict.owner()));
            last = Some(&conflict.manager);
        }
        lines.push(format!("- {}", conflict.field()));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
