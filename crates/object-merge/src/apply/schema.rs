//! The types of objects as apply sees them: what is a leaf, what merges field by field or element by element, and by
//! which keys. Built-in kinds and custom resources are described by the same values.

use std::sync::{Arc, OnceLock};

use kube_types::dynamic::Value;

/// Number of a type within its [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeId(u32);

impl TypeId {
    /// A type of which nothing is known: maps merge by key, lists are replaced as a whole.
    pub const DEDUCED: Self = Self(0);
    /// A value that is replaced as a whole, whatever it is.
    pub const UNTYPED_ATOMIC: Self = Self(1);
    /// No type: nothing is declared.
    pub(crate) const NOTHING: Self = Self(2);
}

/// What a value of a type may be; a type may allow more than one of the three.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Atom {
    /// It may be a scalar.
    pub scalar: Option<Scalar>,
    /// It may be a list.
    pub list: Option<List>,
    /// It may be a map or struct.
    pub map: Option<Map>,
}

/// Kinds of scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Any of them: quantities, int-or-string, times.
    Untyped,
}

/// A list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Type of the elements.
    pub element: TypeId,
    /// How elements are told apart.
    pub relation: Relation,
}

/// How elements of a list are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are not: the list is one value.
    Atomic,
    /// By their values.
    Set,
    /// By the values of these fields.
    Keyed(Vec<Box<str>>),
}

/// A struct, a map, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// Declared fields, sorted by name.
    fields: Vec<Field>,
    /// Type of the values of other keys; without one, other keys are errors.
    pub element: Option<TypeId>,
    /// The map is one value.
    pub atomic: bool,
}

/// A declared field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// Its type.
    pub of: TypeId,
    /// The value that a missing field has, where it is a key of a list.
    pub default: Option<Value>,
    /// What upstream writes where the field is empty, if it writes it even then; such a field never comes or goes.
    pub always: Option<Value>,
}

impl Map {
    /// A struct or map.
    #[must_use]
    pub fn new(mut fields: Vec<Field>, element: Option<TypeId>, atomic: bool) -> Self {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            fields,
            element,
            atomic,
        }
    }

    /// A declared field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        let found = self.fields.binary_search_by(|field| (*field.name).cmp(name));
        found.ok().map(|at| &self.fields[at])
    }

    /// The declared fields that are always there.
    pub(crate) fn always(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.always.is_some())
    }

    /// The type of the value of a key; `None` when the key is not allowed.
    pub(crate) fn type_of(&self, name: &str) -> Option<TypeId> {
        self.field(name).map(|field| field.of).or(self.element)
    }

    /// Nothing is declared, and everything is allowed.
    pub(crate) fn is_deduced(&self) -> bool {
        self.fields.is_empty() && self.element == Some(TypeId::DEDUCED)
    }
}

/// Types that refer to each other by number.
#[derive(Clone, Debug)]
pub struct Schema {
    atoms: Vec<Atom>,
}

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

impl Schema {
    /// A schema with the types that every schema has.
    #[must_use]
    pub fn new() -> Self {
        let list = |relation| List {
            element: TypeId::UNTYPED_ATOMIC,
            relation,
        };
        let deduced = Atom {
            scalar: Some(Scalar::Untyped),
            list: Some(list(Relation::Atomic)),
            map: Some(Map::new(Vec::new(), Some(TypeId::DEDUCED), false)),
        };
        let atomic = Atom {
            scalar: Some(Scalar::Untyped),
            list: Some(list(Relation::Atomic)),
            map: Some(Map::new(Vec::new(), Some(TypeId::UNTYPED_ATOMIC), true)),
        };
        Self {
            atoms: vec![deduced, atomic, Atom::default()],
        }
    }

    /// Adds a type.
    pub fn add(&mut self, atom: Atom) -> TypeId {
        let id = u32::try_from(self.atoms.len()).expect("a schema has some thousand types at most");
        self.atoms.push(atom);
        TypeId(id)
    }

    /// Gives a type its meaning; a recursive type is added empty first.
    pub fn set(&mut self, id: TypeId, atom: Atom) {
        self.atoms[id.0 as usize] = atom;
    }

    /// Adds the type of `metadata`.
    pub fn add_object_meta(&mut self) -> TypeId {
        super::built_in::object_meta(self)
    }

    /// A type of this schema.
    #[must_use]
    pub fn atom(&self, id: TypeId) -> &Atom {
        &self.atoms[id.0 as usize]
    }
}

impl Atom {
    /// A scalar.
    #[must_use]
    pub fn scalar(scalar: Scalar) -> Self {
        Self {
            scalar: Some(scalar),
            ..Self::default()
        }
    }

    /// A list.
    #[must_use]
    pub fn list(element: TypeId, relation: Relation) -> Self {
        Self {
            list: Some(List { element, relation }),
            ..Self::default()
        }
    }

    /// A map or struct.
    #[must_use]
    pub fn map(map: Map) -> Self {
        Self {
            map: Some(map),
            ..Self::default()
        }
    }

    /// What the type is for a value: of several possibilities the one that fits.
    pub(crate) fn facet(&self, value: Option<&Value>) -> Facet<'_> {
        match value {
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                if let Some(scalar) = self.scalar {
                    return Facet::Scalar(scalar);
                }
            }
            Some(Value::Array(_)) => {
                if let Some(list) = &self.list {
                    return Facet::List(list);
                }
            }
            Some(Value::Object(_)) => {
                if let Some(map) = &self.map {
                    return Facet::Map(map);
                }
            }
            Some(Value::Null) | None => {}
        }
        match (&self.map, self.scalar, &self.list) {
            (Some(map), _, _) => Facet::Map(map),
            (None, Some(scalar), _) => Facet::Scalar(scalar),
            (None, None, Some(list)) => Facet::List(list),
            (None, None, None) => Facet::Nothing,
        }
    }
}

/// The one thing that a type is for a particular value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Facet<'s> {
    Scalar(Scalar),
    List(&'s List),
    Map(&'s Map),
    /// The schema has no such type.
    Nothing,
}

/// The type of the objects of one kind.
#[derive(Clone, Debug)]
pub struct ObjectType {
    /// All types it is made of.
    pub schema: Arc<Schema>,
    /// The type of a whole object.
    pub root: TypeId,
}

impl ObjectType {
    /// The type of objects without a schema.
    #[must_use]
    pub fn deduced() -> Self {
        static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
        Self {
            schema: SCHEMA.get_or_init(|| Arc::new(Schema::new())).clone(),
            root: TypeId::DEDUCED,
        }
    }
}
