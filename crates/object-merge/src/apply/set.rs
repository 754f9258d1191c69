//! Sets of field paths, as trees, and their algebra.

use std::cmp::Ordering;

use super::path::{Path, PathElement};
use super::schema::{Schema, TypeId};

/// A set of paths. A path and a longer one that begins with it are different members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Sorted by element; none is empty.
    nodes: Vec<(PathElement, Node)>,
}

/// What a set holds at and below one element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// The path that ends here is in the set.
    pub member: bool,
    /// The paths that go on.
    pub below: Set,
}

impl Node {
    /// A node without anything below it.
    pub const LEAF: Self = Self {
        member: true,
        below: Set { nodes: Vec::new() },
    };

    pub fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl Set {
    /// The set of one path.
    #[must_use]
    pub fn of(path: &[PathElement]) -> Self {
        let mut set = Self::default();
        set.insert(path);
        set
    }

    /// The set of some paths of plain fields.
    #[must_use]
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Path = path.iter().map(|name| PathElement::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// Whether there is no path in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Number of paths.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes
            .iter()
            .map(|(_, node)| usize::from(node.member) + node.below.len())
            .sum()
    }

    /// Adds a path; the empty path is never in a set.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let at = match self.position(first) {
            Ok(at) => at,
            Err(at) => {
                self.nodes.insert(at, (first.clone(), Node::default()));
                at
            }
        };
        let node = &mut self.nodes[at].1;
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// Whether a path is in the set.
    #[must_use]
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path.split_first() {
            None => false,
            Some((first, rest)) => self.node(first).is_some_and(|node| {
                if rest.is_empty() {
                    node.member
                } else {
                    node.below.has(rest)
                }
            }),
        }
    }

    /// The paths that begin with an element, without it.
    #[must_use]
    pub fn below(&self, element: &PathElement) -> Option<&Self> {
        self.node(element).map(|node| &node.below)
    }

    pub(crate) fn node(&self, element: &PathElement) -> Option<&Node> {
        self.position(element).ok().map(|at| &self.nodes[at].1)
    }

    fn position(&self, element: &PathElement) -> Result<usize, usize> {
        self.nodes.binary_search_by(|(known, _)| known.cmp(element))
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &(PathElement, Node)> {
        self.nodes.iter()
    }

    /// A set of nodes in any order, each element once; empty ones are left out.
    pub(crate) fn from_nodes(mut nodes: Vec<(PathElement, Node)>) -> Self {
        nodes.retain(|(_, node)| !node.is_empty());
        if !nodes.is_sorted_by(|a, b| a.0 <= b.0) {
            nodes.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Self { nodes }
    }

    /// Everything that is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, true, true, |a, b| Node {
            member: a.member || b.member,
            below: a.below.union(&b.below),
        })
    }

    /// [`Set::union`] of sets that nobody needs afterwards: where one is empty nothing is copied.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        if self.is_empty() {
            other
        } else if other.is_empty() {
            self
        } else {
            self.union(&other)
        }
    }

    /// [`Set::difference`] of a set that nobody needs afterwards: what stays is not copied.
    #[must_use]
    pub fn without(self, other: &Self) -> Self {
        self.reduced(other, &|mine, gone| Node {
            member: mine.member && !gone.member,
            below: mine.below.without(&gone.below),
        })
    }

    /// [`Set::recursive_difference`] of a set that nobody needs afterwards.
    #[must_use]
    pub fn without_all_below(self, other: &Self) -> Self {
        self.reduced(other, &|mine, gone| {
            if gone.member {
                return Node::default();
            }
            Node {
                member: mine.member,
                below: mine.below.without_all_below(&gone.below),
            }
        })
    }

    /// The nodes that the other set has too become what is left of them.
    fn reduced(self, other: &Self, left: &dyn Fn(Node, &Node) -> Node) -> Self {
        if other.is_empty() {
            return self;
        }
        let kept = self.nodes.into_iter().filter_map(|(element, node)| {
            let node = match other.node(&element) {
                Some(gone) => left(node, gone),
                None => node,
            };
            (!node.is_empty()).then_some((element, node))
        });
        Self { nodes: kept.collect() }
    }

    /// Everything that is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, false, false, |a, b| Node {
            member: a.member && b.member,
            below: a.below.intersection(&b.below),
        })
    }

    /// Everything that is in this set and not in the other one.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, true, false, |a, b| Node {
            member: a.member && !b.member,
            below: a.below.difference(&b.below),
        })
    }

    /// Everything that is in this set, and neither in the other one nor below a path of it.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(other, true, false, |a, b| {
            if b.member {
                return Node::default();
            }
            Node {
                member: a.member,
                below: a.below.recursive_difference(&b.below),
            }
        })
    }

    /// The members that have no members below them.
    #[must_use]
    pub fn leaves(&self) -> Self {
        let nodes = self.nodes.iter().map(|(element, node)| {
            let kept = Node {
                member: node.member && node.below.is_empty(),
                below: node.below.leaves(),
            };
            (element.clone(), kept)
        });
        Self::from_nodes(nodes.collect())
    }

    fn combine(&self, other: &Self, left: bool, right: bool, both: impl Fn(&Node, &Node) -> Node) -> Self {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        let (mut at, mut there) = (0, 0);
        loop {
            let order = match (self.nodes.get(at), other.nodes.get(there)) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(mine), Some(its)) => mine.0.cmp(&its.0),
            };
            match order {
                Ordering::Less => {
                    if left {
                        nodes.push(self.nodes[at].clone());
                    }
                    at += 1;
                }
                Ordering::Greater => {
                    if right {
                        nodes.push(other.nodes[there].clone());
                    }
                    there += 1;
                }
                Ordering::Equal => {
                    let node = both(&self.nodes[at].1, &other.nodes[there].1);
                    if !node.is_empty() {
                        nodes.push((self.nodes[at].0.clone(), node));
                    }
                    at += 1;
                    there += 1;
                }
            }
        }
        Self { nodes }
    }

    /// Every path, upstream's order: the members of a level before what lies below it.
    #[must_use]
    pub fn paths(&self) -> Vec<Path> {
        let mut found = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut found);
        found
    }

    fn collect_paths(&self, prefix: &mut Path, found: &mut Vec<Path>) {
        for (element, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            prefix.push(element.clone());
            found.push(prefix.clone());
            prefix.pop();
        }
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            node.below.collect_paths(prefix, found);
            prefix.pop();
        }
    }

    /// The set with the declared fields on the way to its members as members too, which are otherwise implied.
    pub(crate) fn with_named_fields(&self, schema: &Schema, of: TypeId) -> Self {
        let atom = schema.atom(of);
        let nodes = self.nodes.iter().map(|(element, node)| {
            let mut named = false;
            let below = match (element, &atom.map, &atom.list) {
                (PathElement::Field(name), Some(map), _) => {
                    named = map.field(name).is_some();
                    map.type_of(name)
                }
                (PathElement::Key(_), _, Some(list)) => Some(list.element),
                _ => None,
            };
            let kept = Node {
                member: node.member || (named && !node.below.is_empty()),
                below: node.below.with_named_fields(schema, below.unwrap_or(TypeId::NOTHING)),
            };
            (element.clone(), kept)
        });
        Self::from_nodes(nodes.collect())
    }
}
