//! Who owns which fields: `metadata.managedFields` as values.

use kube_types::dynamic::{Map, Value, json};

use super::fields_v1;
use super::set::Set;

/// How fields were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By an apply: fields that are left out later go.
    Apply,
    /// By anything else.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Whose entry it is: there is one for each manager, operation, version and subresource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// Name of the manager.
    pub name: String,
    /// How it wrote.
    pub operation: Operation,
    /// The version in which the fields are named.
    pub api_version: String,
    /// The subresource through which it wrote; empty for the object itself.
    pub subresource: String,
}

impl Manager {
    /// Whether two entries are the same manager's. An applier is the same whichever version it applies in.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// Whose it is.
    pub manager: Manager,
    /// When it last took a field.
    pub time: Option<String>,
    /// What it owns.
    pub set: Set,
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managed {
    /// In no particular order.
    pub owners: Vec<Owner>,
}

/// Why `managedFields` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ManagedError(String);

impl Managed {
    /// Reads `managedFields`.
    ///
    /// # Errors
    /// When an entry has no fields in a known form.
    pub fn decode(entries: Option<&Value>) -> Result<Self, ManagedError> {
        let mut managed = Self::default();
        for (index, entry) in entries.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            match text("fieldsType").as_str() {
                "FieldsV1" => {}
                "" => {
                    return Err(ManagedError(format!(
                        "missing fieldsType in managed fields entry {index}"
                    )));
                }
                other => {
                    return Err(ManagedError(format!(
                        "invalid fieldsType \"{other}\" in managed fields entry {index}"
                    )));
                }
            }
            let operation = match text("operation").as_str() {
                "Apply" => Operation::Apply,
                _ => Operation::Update,
            };
            let set = match entry.get("fieldsV1") {
                None | Some(Value::Null) => Set::default(),
                Some(fields) => fields_v1::parse(fields)
                    .ok_or_else(|| ManagedError(format!("error decoding set from managed fields entry {index}")))?,
            };
            let manager = Manager {
                name: text("manager"),
                operation,
                api_version: text("apiVersion"),
                subresource: text("subresource"),
            };
            let time = Some(text("time")).filter(|time| !time.is_empty());
            managed.set(Owner { manager, time, set });
        }
        Ok(managed)
    }

    /// The entries as `managedFields`: applied ones first, then by time and name.
    #[must_use]
    pub fn encode(mut self) -> Value {
        self.owners.sort_by(|a, b| {
            let (left, right) = (&a.manager, &b.manager);
            left.operation
                .cmp(&right.operation)
                .then_with(|| a.time.cmp(&b.time))
                .then_with(|| left.name.cmp(&right.name))
                .then_with(|| left.api_version.cmp(&right.api_version))
                .then_with(|| left.subresource.cmp(&right.subresource))
        });
        self.owners.into_iter().map(encode_owner).collect()
    }

    /// Whether the same managers own the same fields as in other entries, whenever they took them.
    pub(crate) fn owns_as(&self, other: &Self) -> bool {
        let has = |owner: &Owner| {
            let known = other.get(&owner.manager);
            known.is_some_and(|known| known.manager == owner.manager && known.set == owner.set)
        };
        self.owners.len() == other.owners.len() && self.owners.iter().all(has)
    }

    /// Whether nobody owns anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// The entry of a manager.
    #[must_use]
    pub fn get(&self, manager: &Manager) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.manager.is(manager))
    }

    /// Takes an entry out.
    pub(crate) fn take(&mut self, manager: &Manager) -> Option<Owner> {
        let at = self.owners.iter().position(|owner| owner.manager.is(manager))?;
        Some(self.owners.swap_remove(at))
    }

    /// Puts an entry in; the same manager's is replaced.
    pub fn set(&mut self, owner: Owner) {
        match self.owners.iter_mut().find(|known| known.manager.is(&owner.manager)) {
            Some(known) => *known = owner,
            None => self.owners.push(owner),
        }
    }

    /// Merges the oldest entries of updates until there are no more than `most`. Source: `capmanagers.go`.
    pub(crate) fn cap(&mut self, most: usize) {
        let mut updaters: Vec<Owner> = Vec::new();
        let mut kept = Vec::new();
        for owner in self.owners.drain(..) {
            match owner.manager.operation {
                Operation::Update => updaters.push(owner),
                Operation::Apply => kept.push(owner),
            }
        }
        let mut count = updaters.len();
        if count > most {
            updaters.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.manager.cmp(&b.manager)));
        }
        // The first of each version is where the next of that version are put.
        let mut buckets: Vec<Owner> = Vec::new();
        for owner in updaters {
            let bucket = buckets
                .iter_mut()
                .find(|bucket| bucket.manager.api_version == owner.manager.api_version)
                .filter(|_| count > most);
            match bucket {
                Some(bucket) => {
                    bucket.manager.name = ANCIENT.to_owned();
                    bucket.manager.subresource.clear();
                    bucket.set = bucket.set.union(&owner.set);
                    bucket.time = owner.time;
                    count -= 1;
                }
                None => buckets.push(owner),
            }
        }
        kept.extend(buckets);
        self.owners = kept;
    }
}

/// Name of the manager into which old updates are merged.
const ANCIENT: &str = "ancient-changes";

fn encode_owner(owner: Owner) -> Value {
    let manager = owner.manager;
    let mut entry = Map::new();
    entry.insert("manager".to_owned(), manager.name.into());
    entry.insert("operation".to_owned(), manager.operation.as_str().into());
    entry.insert("apiVersion".to_owned(), manager.api_version.into());
    if let Some(time) = owner.time {
        entry.insert("time".to_owned(), time.into());
    }
    entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), Value::Object(fields_v1::serialize(&owner.set)));
    if !manager.subresource.is_empty() {
        entry.insert("subresource".to_owned(), manager.subresource.into());
    }
    Value::Object(entry)
}

/// `managedFields: []` and `[{}]` mean that the client wants nobody to own anything.
#[must_use]
pub fn is_reset(entries: Option<&Value>) -> bool {
    match entries.and_then(Value::as_array).map(Vec::as_slice) {
        None => false,
        Some([]) => true,
        Some([Value::Object(one)]) => one.values().all(|value| match value {
            Value::String(text) => text.is_empty(),
            other => other.is_null(),
        }),
        Some(_) => false,
    }
}
