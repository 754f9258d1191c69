//! Laws that hold whatever is applied.

use proptest::prelude::*;

use super::*;

/// A type with every kind of field.
fn of() -> ObjectType {
    let mut schema = Schema::new();
    let text = schema.add(Atom::scalar(Scalar::Text));
    let number = schema.add(Atom::scalar(Scalar::Number));
    let field = |name: &str, of, default: Option<Value>| Field {
        name: name.into(),
        of,
        default,
        always: None,
    };
    let item = schema.add(Atom::map(apply_map(
        vec![
            field("name", text, None),
            field("port", number, Some(json!(80))),
            field("value", text, None),
        ],
        None,
        false,
    )));
    let keyed = schema.add(Atom::list(item, Relation::Keyed(vec!["name".into(), "port".into()])));
    let set = schema.add(Atom::list(text, Relation::Set));
    let atomic = schema.add(Atom::list(text, Relation::Atomic));
    let entries = schema.add(Atom::map(apply_map(vec![], Some(text), false)));
    let root = schema.add(Atom::default());
    let fields = vec![
        field("text", text, None),
        field("entries", entries, None),
        field("keyed", keyed, None),
        field("set", set, None),
        field("atomic", atomic, None),
        field("inner", root, None),
        field("free", TypeId::DEDUCED, None),
    ];
    schema.set(root, Atom::map(apply_map(fields, None, false)));
    ObjectType {
        schema: schema.into(),
        root,
    }
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned)
}

fn item() -> impl Strategy<Value = Value> {
    (word(), prop::option::of(0..2_u8), prop::option::of(word())).prop_map(|(name, port, value)| {
        let mut item = map(json!({"name": name}));
        port.map(|port| item.insert("port".to_owned(), port.into()));
        value.map(|value| item.insert("value".to_owned(), value.into()));
        Value::Object(item)
    })
}

/// Elements that can be told apart.
fn distinct(items: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        let port = |item: &Value| item.get("port").cloned().unwrap_or(json!(80));
        if !kept
            .iter()
            .any(|one| one["name"] == item["name"] && port(one) == port(&item))
        {
            kept.push(item);
        }
    }
    kept
}

fn object() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::btree_map(
        prop::sample::select(vec!["text", "entries", "keyed", "set", "atomic", "free"]),
        (
            word(),
            prop::collection::btree_map(word(), word(), 1..4),
            prop::collection::vec(item(), 1..4),
            prop::collection::btree_set(word(), 1..4),
        ),
        0..5,
    );
    let leaf = leaf.prop_map(|fields| {
        let fields = fields.into_iter().map(|(name, (text, entries, items, set))| {
            let value = match name {
                "text" => json!(text),
                "keyed" => json!(distinct(items)),
                "set" | "atomic" => json!(set),
                _ => json!(entries),
            };
            (name.to_owned(), value)
        });
        Value::Object(fields.collect())
    });
    leaf.prop_recursive(2, 8, 1, |inner| {
        (inner.clone(), inner).prop_map(|(mut outer, inner)| {
            if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                outer["inner"] = inner;
            }
            outer
        })
    })
}

fn world() -> World {
    World::new(of(), "v1")
}

proptest! {
    #[test]
    fn applying_again_changes_nothing(first in object(), second in object()) {
        let mut world = world();
        world.apply("one", first.clone());
        world.try_apply("two", second.clone(), true).unwrap();
        let before = (world.live.clone(), world.owners());
        world.try_apply("two", second, true).unwrap();
        prop_assert_eq!(before, (world.live.clone(), world.owners()));
    }

    #[test]
    fn everything_applied_is_there(first in object(), second in object()) {
        let mut world = world();
        world.apply("one", first);
        world.try_apply("two", second.clone(), true).unwrap();
        let found = compare(&world.of, &map(second), &world.live).unwrap();
        prop_assert!(found.removed.is_empty() && found.modified.is_empty(), "{:?}", found);
    }

    #[test]
    fn what_others_own_stays_when_one_applies_nothing(first in object(), second in object()) {
        let mut world = world();
        world.apply("one", first);
        world.try_apply("two", second.clone(), true).unwrap();
        world.apply("one", json!({}));
        let found = compare(&world.of, &map(second), &world.live).unwrap();
        prop_assert!(found.removed.is_empty() && found.modified.is_empty(), "{:?}", found);
        prop_assert!(!world.owners().contains("one"));
    }

    #[test]
    fn a_lone_applier_takes_back_exactly_what_it_leaves_out(first in object(), second in object()) {
        let mut world = world();
        world.apply("one", first);
        world.apply("one", second.clone());
        let fields = field_set::field_set(&world.of, &world.live);
        let wanted = field_set::field_set(&world.of, &map(second));
        prop_assert_eq!(fields.leaves(), wanted.leaves());
    }

    #[test]
    fn no_field_has_two_owners_after_an_update_that_changes_it(first in object(), second in object()) {
        let mut world = world();
        world.apply("one", first.clone());
        let changed = compare(&world.of, &world.live, &map(second.clone())).unwrap();
        world.update("two", second);
        for owner in world.managed.owners.iter().filter(|owner| owner.manager.name == "one") {
            prop_assert!(owner.set.intersection(&changed.modified).is_empty());
            prop_assert!(owner.set.intersection(&changed.removed).is_empty());
        }
    }

    #[test]
    fn sets_survive_their_written_form(object in object()) {
        let set = field_set::field_set(&of(), &map(object));
        let text = Value::Object(serialize_fields(&set)).to_string();
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(parse_fields(&read), Some(set));
    }

    #[test]
    fn the_algebra_of_sets_holds(a in object(), b in object()) {
        let (a, b) = (field_set::field_set(&of(), &map(a)), field_set::field_set(&of(), &map(b)));
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(a.union(&b).len() + a.intersection(&b).len(), a.len() + b.len());
        for path in a.paths() {
            prop_assert!(a.has(&path) && a.union(&b).has(&path));
            prop_assert_eq!(a.difference(&b).has(&path), !b.has(&path));
        }
    }

    #[test]
    fn differences_are_the_same_from_both_sides(a in object(), b in object()) {
        let (a, b) = (map(a), map(b));
        let (there, back) = (compare(&of(), &a, &b).unwrap(), compare(&of(), &b, &a).unwrap());
        prop_assert_eq!(&there.added, &back.removed);
        prop_assert_eq!(&there.modified, &back.modified);
        prop_assert!(compare(&of(), &a, &a).unwrap().is_same());
    }

    #[test]
    fn merging_an_object_with_itself_changes_nothing(a in object()) {
        let a = map(a);
        prop_assert_eq!(merge::merge(&of(), &a, &a).unwrap(), a);
    }
}
