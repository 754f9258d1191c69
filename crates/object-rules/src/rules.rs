//! What a kind's rules are, and the list of all kinds that have some.

use kube_types::dynamic::Object;

use crate::field::Errors;

/// What a deletion does at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// The object goes at once.
    Immediate,
    /// The object stays for this many seconds, or until its owner confirms.
    Seconds(i64),
}

/// The rules of one kind. What a kind does not say is upstream's usual behaviour.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Why a name is not allowed, if it is not; `true` = the text is a `generateName` prefix.
    pub name: fn(&str, bool) -> Vec<String>,
    /// Fills what the client left out.
    pub defaults: fn(&mut Object),
    /// Clears what a client may not set on create.
    pub prepare_create: fn(&mut Object),
    /// Restores what a client may not change (new, old).
    pub prepare_update: fn(&mut Object, &Object),
    /// Restores what the status subresource may not change, besides everything outside status and metadata.
    pub prepare_status: fn(&mut Object, &Object),
    /// What is wrong with an object by itself.
    pub validate: fn(&Object, &mut Errors),
    /// What is wrong with a change (new, old).
    pub validate_update: fn(&Object, &Object, &mut Errors),
    /// What is wrong with a change of status (new, old).
    pub validate_status: fn(&Object, &Object, &mut Errors),
    /// What to warn the client of.
    pub warnings: fn(&Object) -> Vec<String>,
    /// The kind counts changes of its spec in `metadata.generation`.
    pub generation: bool,
    /// The kind has a status that only the status subresource writes.
    pub status: bool,
    /// A PUT without resourceVersion is allowed.
    pub unconditional_update: bool,
    /// A PUT of a missing object creates it.
    pub create_on_update: bool,
    /// Something besides finalizers in the metadata holds a deleting object (a namespace's `spec.finalizers`).
    pub held: fn(&Object) -> bool,
    /// What else a deletion writes into an object that stays for now (a namespace's phase).
    pub mark_deleting: fn(&mut Object),
    /// How a deletion begins; the grace asked for is given.
    pub grace: fn(&Object, Option<i64>) -> Grace,
    /// A deletion answers with the object instead of a `Status`.
    pub returns_deleted: bool,
    /// Dependents are orphaned when the client says nothing.
    pub orphan_by_default: bool,
}

impl Rules {
    /// The behaviour of a kind that says nothing.
    pub const USUAL: Self = Self {
        name: |_, _| Vec::new(),
        defaults: |_| {},
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status: |_, _| {},
        validate: |_, _| {},
        validate_update: |_, _, _| {},
        validate_status: |_, _, _| {},
        warnings: |_| Vec::new(),
        generation: false,
        status: false,
        unconditional_update: true,
        create_on_update: false,
        held: |_| false,
        mark_deleting: |_| {},
        grace: |_, _| Grace::Immediate,
        returns_deleted: false,
        orphan_by_default: false,
    };
}

/// The rules of a kind.
pub fn rules(_group: &str, _kind: &str) -> &'static Rules {
    static USUAL: Rules = Rules::USUAL;
    &USUAL
}
