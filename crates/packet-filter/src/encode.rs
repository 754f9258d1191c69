//! Tables, sets, chains and elements as nf_tables messages.
use std::collections::BTreeMap;

use service_routing::ruleset::{Chain, ChainKind, Data, HookPoint, Rule, Set, SetKind, Table, Value};

use crate::expressions::{put_rule, put_verdict, type_number, value_bytes};
use crate::message::Message;

const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
/// Attribute lengths have sixteen bits; this many of the longest elements stay below.
const ELEMENTS_PER_MESSAGE: usize = 400;

fn kind(message: i32) -> u16 {
    (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | message as u16
}

/// Removes the table if it is there: adding it first makes the removal always possible.
pub(crate) fn remove_table(table: &str) -> Vec<Message> {
    vec![
        table_message(table, libc::NFT_MSG_NEWTABLE),
        table_message(table, libc::NFT_MSG_DELTABLE),
    ]
}

/// Makes the table anew with all that is in it.
pub(crate) fn create_table(table: &Table) -> Vec<Message> {
    let name = table.name.as_str();
    let mut messages = vec![table_message(name, libc::NFT_MSG_NEWTABLE)];
    messages.extend(
        table
            .sets
            .iter()
            .zip(1..)
            .map(|((set, content), id)| set_message(name, set, content, id)),
    );
    messages.extend(
        table
            .chains
            .iter()
            .map(|(chain, content)| chain_message(name, chain, content)),
    );
    for (chain, content) in &table.chains {
        messages.extend(content.rules.iter().map(|rule| rule_message(name, chain, rule)));
    }
    for (set, content) in &table.sets {
        put_elements(&mut messages, name, set, &content.elements);
    }
    messages
}

/// What turns one table into another that has the same base chains; `None` when they differ in those, or in what a set
/// of theirs holds.
pub(crate) fn change_table(from: &Table, to: &Table) -> Option<Vec<Message>> {
    let name = to.name.as_str();
    let same_shape = |a: &Set, b: &Set| a.key == b.key && a.kind == b.kind;
    let mut kept = from
        .sets
        .iter()
        .filter_map(|(set, content)| Some((content, to.sets.get(set)?)));
    let sets_equal = kept.all(|(before, after)| same_shape(before, after));
    let hooks = |table: &Table| {
        let base = table.chains.iter().filter(|(_, chain)| chain.hook.is_some());
        base.map(|(name, chain)| (name.clone(), chain.clone()))
            .collect::<Vec<_>>()
    };
    if !sets_equal || hooks(from) != hooks(to) {
        return None;
    }
    let new_sets = to.sets.iter().filter(|(set, _)| !from.sets.contains_key(*set));
    let new_sets = new_sets
        .zip(1..)
        .map(|((set, content), id)| set_message(name, set, content, id));
    let mut messages: Vec<Message> = new_sets.collect();
    let changed: Vec<_> = to
        .chains
        .iter()
        .filter(|(chain, content)| from.chains.get(*chain) != Some(content))
        .collect();
    for (chain, content) in &changed {
        messages.push(if from.chains.contains_key(*chain) {
            flush_chain_message(name, chain)
        } else {
            chain_message(name, chain, content)
        });
    }
    for (chain, content) in &changed {
        messages.extend(content.rules.iter().map(|rule| rule_message(name, chain, rule)));
    }
    let nothing = BTreeMap::new();
    for set in from
        .sets
        .keys()
        .chain(to.sets.keys().filter(|set| !from.sets.contains_key(*set)))
    {
        let (before, after) = (
            from.sets.get(set).map_or(&nothing, |set| &set.elements),
            to.sets.get(set).map_or(&nothing, |set| &set.elements),
        );
        remove_elements(&mut messages, name, set, &differing(before, after));
        put_elements(&mut messages, name, set, &differing(after, before));
    }
    let gone: Vec<_> = from
        .chains
        .keys()
        .filter(|chain| !to.chains.contains_key(*chain))
        .collect();
    // Emptied first: they may go to each other, and a chain that is gone to cannot be removed.
    messages.extend(gone.iter().map(|chain| flush_chain_message(name, chain)));
    messages.extend(gone.iter().map(|chain| delete_chain_message(name, chain)));
    let gone_sets = from.sets.keys().filter(|set| !to.sets.contains_key(*set));
    messages.extend(gone_sets.map(|set| delete_set_message(name, set)));
    Some(messages)
}

/// The elements of one that another has not, or has with other data.
fn differing(one: &BTreeMap<Vec<Value>, Data>, other: &BTreeMap<Vec<Value>, Data>) -> BTreeMap<Vec<Value>, Data> {
    let differing = one.iter().filter(|(key, data)| other.get(*key) != Some(data));
    differing.map(|(key, data)| (key.clone(), data.clone())).collect()
}

fn table_message(table: &str, message_kind: i32) -> Message {
    let flags = if message_kind == libc::NFT_MSG_NEWTABLE {
        CREATE
    } else {
        0
    };
    let mut message = Message::new(format!("table {table}"), kind(message_kind), flags);
    message.text(1, table);
    message
}

fn chain_message(table: &str, name: &str, chain: &Chain) -> Message {
    let mut message = Message::new(
        format!("chain {name} of table {table}"),
        kind(libc::NFT_MSG_NEWCHAIN),
        CREATE,
    );
    message.text(1, table).text(3, name);
    if let Some(hook) = chain.hook {
        let point = match hook.point {
            HookPoint::Prerouting => 0,
            HookPoint::Input => 1,
            HookPoint::Forward => 2,
            HookPoint::Output => 3,
            HookPoint::Postrouting => 4,
        };
        message.text(7, if hook.kind == ChainKind::Nat { "nat" } else { "filter" });
        message.nested(4, |message| {
            message.number(1, point).attribute(2, &hook.priority.to_be_bytes());
        });
    }
    message
}

fn delete_chain_message(table: &str, name: &str) -> Message {
    let mut message = Message::new(
        format!("remove chain {name} of table {table}"),
        kind(libc::NFT_MSG_DELCHAIN),
        0,
    );
    message.text(1, table).text(3, name);
    message
}

fn delete_set_message(table: &str, name: &str) -> Message {
    let what = format!("remove set {name} of table {table}");
    let mut message = Message::new(what, kind(libc::NFT_MSG_DELSET), 0);
    message.text(1, table).text(2, name);
    message
}

/// Removes all rules of a chain.
fn flush_chain_message(table: &str, chain: &str) -> Message {
    let mut message = Message::new(
        format!("empty chain {chain} of table {table}"),
        kind(libc::NFT_MSG_DELRULE),
        0,
    );
    message.text(1, table).text(2, chain);
    message
}

fn rule_message(table: &str, chain: &str, rule: &Rule) -> Message {
    let text = || rule.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let what = format!("rule \"{}\" in chain {chain} of table {table}", text());
    let mut message = Message::new(what, kind(libc::NFT_MSG_NEWRULE), CREATE | APPEND);
    message.text(1, table).text(2, chain);
    put_rule(&mut message, rule);
    message
}

fn set_message(table: &str, name: &str, set: &Set, id: u32) -> Message {
    const MAP: u32 = 8;
    const TIMEOUT: u32 = 0x10;
    const DYNAMIC: u32 = 0x20;
    const VERDICT_TYPE: u32 = 0xffff_ff00;
    /// Learned maps are bounded, as kube-proxy's are: a client can fill memory otherwise.
    const LEARNED_SIZE: u32 = 65_535;
    let mut message = Message::new(
        format!("set {name} of table {table}"),
        kind(libc::NFT_MSG_NEWSET),
        CREATE,
    );
    let flags = match set.kind {
        SetKind::Set => 0,
        SetKind::Map(_) | SetKind::VerdictMap => MAP,
        SetKind::Learned(_) => MAP | TIMEOUT | DYNAMIC,
    };
    message.text(1, table).text(2, name).number(3, flags);
    message
        .number(4, type_number(&set.key))
        .number(5, set.key.len() as u32 * 4);
    match &set.kind {
        SetKind::Set => {}
        SetKind::VerdictMap => {
            message.number(6, VERDICT_TYPE).number(7, 0);
        }
        SetKind::Map(data) | SetKind::Learned(data) => {
            message.number(6, type_number(data)).number(7, data.len() as u32 * 4);
        }
    }
    message.number(10, id);
    if let SetKind::Learned(_) = set.kind {
        message.nested(9, |message| {
            message.number(1, LEARNED_SIZE);
        });
    }
    message.attribute(13, &byte_orders(set));
    message
}

/// nft's own note on a set, by which it prints: the byte order of key and data (2 is network order; concatenations are
/// noted as such too).
fn byte_orders(set: &Set) -> Vec<u8> {
    let note = |kind: u8| {
        let mut note = vec![kind, 4];
        note.extend(2_u32.to_ne_bytes());
        note
    };
    let mut notes = note(0);
    if let SetKind::Map(_) | SetKind::Learned(_) = set.kind {
        notes.extend(note(1));
    }
    notes
}

fn put_elements(messages: &mut Vec<Message>, table: &str, set: &str, elements: &BTreeMap<Vec<Value>, Data>) {
    element_messages(
        messages,
        &format!("elements of set {set} of table {table}"),
        libc::NFT_MSG_NEWSETELEM,
        table,
        set,
        elements,
    );
}

fn remove_elements(messages: &mut Vec<Message>, table: &str, set: &str, elements: &BTreeMap<Vec<Value>, Data>) {
    let what = format!("remove elements of set {set} of table {table}");
    element_messages(messages, &what, libc::NFT_MSG_DELSETELEM, table, set, elements);
}

fn element_messages(
    messages: &mut Vec<Message>,
    what: &str,
    message_kind: i32,
    table: &str,
    set: &str,
    elements: &BTreeMap<Vec<Value>, Data>,
) {
    let elements: Vec<_> = elements.iter().collect();
    for part in elements.chunks(ELEMENTS_PER_MESSAGE) {
        let flags = if message_kind == libc::NFT_MSG_NEWSETELEM {
            CREATE
        } else {
            0
        };
        let mut message = Message::new(what, kind(message_kind), flags);
        message.text(1, table).text(2, set).nested(3, |message| {
            for (key, data) in part {
                put_element(message, key, data);
            }
        });
        messages.push(message);
    }
}

fn put_element(message: &mut Message, key: &[Value], data: &Data) {
    message.nested(1, |message| {
        message.nested(1, |message| {
            message.attribute(1, &value_bytes(key));
        });
        match data {
            Data::Member => {}
            Data::Values(values) => {
                message.nested(2, |message| {
                    message.attribute(1, &value_bytes(values));
                });
            }
            Data::Verdict(verdict) => {
                message.nested(2, |message| put_verdict(message, verdict));
            }
        }
    });
}
