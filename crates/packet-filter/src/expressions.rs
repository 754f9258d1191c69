//! Statements as the kernel's virtual machine runs them: loads into registers, comparisons, look-ups, actions.
//!
//! Parts of a key occupy consecutive 4-byte registers; a result is written to those behind its key.
use ipnet::Ipv4Net;
use service_routing::ruleset::{Affinity, DataType, Field, Protocol, Rule, Statement, Value, Verdict};

use crate::message::Message;

/// The first of sixteen 4-byte registers.
const REGISTER: u32 = 8;
/// The verdict register.
const VERDICT: u32 = 0;
/// The first 16-byte register, which the interface name needs; it covers the first four of the others.
const WIDE_REGISTER: u32 = 1;

const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION: u16 = 1;
const NAME: u16 = 1;
const DATA: u16 = 2;
/// `NFTA_DATA_VALUE` and `NFTA_DATA_VERDICT`.
const VALUE: u16 = 1;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const AT_MOST: u32 = 3;
const AT_LEAST: u32 = 5;
const TRANSPORT_HEADER: u32 = 2;

/// Adds a rule's expressions to its message.
pub(crate) fn put_rule(message: &mut Message, rule: &Rule) {
    message.nested(RULE_EXPRESSIONS, |message| {
        rule.iter().for_each(|statement| put_statement(message, statement))
    });
}

fn put_statement(message: &mut Message, statement: &Statement) {
    match statement {
        Statement::Member { .. }
        | Statement::DestinationIn { .. }
        | Statement::SourceIn(_)
        | Statement::ProtocolIs(_)
        | Statement::ProtocolNumberIs(_)
        | Statement::DestinationPortIn { .. }
        | Statement::IcmpIs { .. }
        | Statement::CameInBy(_)
        | Statement::DestinationIsLocal
        | Statement::SourceIsLocal
        | Statement::NewConnection
        | Statement::EstablishedConnection
        | Statement::Marked(_) => put_condition(message, statement),
        Statement::VerdictOf { key, map } => {
            load_all(message, key, REGISTER);
            look_up(message, map, REGISTER, Some(VERDICT));
        }
        Statement::RedirectByMap { key, map } => {
            load_all(message, key, REGISTER);
            let result = REGISTER + key.len() as u32;
            look_up(message, map, REGISTER, Some(result));
            redirect(message, result);
        }
        Statement::RedirectTo(to) => {
            immediate(message, REGISTER, &to.ip().octets());
            immediate(message, REGISTER + 1, &to.port().to_be_bytes());
            redirect(message, REGISTER);
        }
        Statement::DeliverTo(to) => {
            immediate(message, REGISTER, &to.ip().octets());
            immediate(message, REGISTER + 1, &to.port().to_be_bytes());
            expression(message, "tproxy", |data| {
                data.number(1, libc::NFPROTO_IPV4 as u32)
                    .number(2, REGISTER)
                    .number(3, REGISTER + 1);
            });
        }
        Statement::RedirectAsBefore(affinity) => redirect_as_before(message, affinity),
        Statement::RedirectAndRemember {
            affinity,
            numbers,
            count,
        } => {
            redirect_and_remember(message, affinity, numbers, *count);
        }
        Statement::Mark(bits) => set_mark_bits(message, *bits),
        Statement::Count => expression(message, "counter", |data| {
            data.long(1, 0).long(2, 0);
        }),
        Statement::Masquerade => expression(message, "masq", |_| {}),
        Statement::Reject => expression(message, "reject", |data| {
            // ICMP unreachable, code 3: port unreachable, which a client sees as a refused connection.
            data.number(1, 0).attribute(2, &[3]);
        }),
        Statement::Verdict(verdict) => expression(message, "immediate", |data| {
            data.number(1, VERDICT).nested(2, |data| put_verdict(data, verdict));
        }),
    }
}

/// Statements after which the rule goes on or not.
fn put_condition(message: &mut Message, statement: &Statement) {
    match statement {
        Statement::Member { key, set } => {
            load_all(message, key, REGISTER);
            look_up(message, set, REGISTER, None);
        }
        Statement::DestinationIn { range, negated } => {
            let operator = if *negated { NOT_EQUAL } else { EQUAL };
            compare_range(message, Field::DestinationAddress, *range, operator);
        }
        Statement::SourceIn(range) => compare_range(message, Field::SourceAddress, *range, EQUAL),
        Statement::ProtocolIs(protocol) => {
            load(message, Field::Protocol, REGISTER);
            compare(message, REGISTER, EQUAL, &[protocol.number()]);
        }
        Statement::ProtocolNumberIs(number) => {
            load(message, Field::Protocol, REGISTER);
            compare(message, REGISTER, EQUAL, &[*number]);
        }
        Statement::DestinationPortIn { first, last } => {
            load(message, Field::DestinationPort, REGISTER);
            compare_ports(message, *first, *last);
        }
        Statement::IcmpIs { kind, code } => {
            payload(message, TRANSPORT_HEADER, 0, 1, REGISTER);
            compare(message, REGISTER, EQUAL, &[*kind]);
            if let Some(code) = code {
                payload(message, TRANSPORT_HEADER, 1, 1, REGISTER);
                compare(message, REGISTER, EQUAL, &[*code]);
            }
        }
        Statement::CameInBy(prefix) => {
            const INCOMING_NAME: u32 = 6;
            meta(message, INCOMING_NAME, WIDE_REGISTER);
            compare(message, WIDE_REGISTER, EQUAL, prefix.as_bytes());
        }
        Statement::DestinationIsLocal => address_is_local(message, 2),
        Statement::SourceIsLocal => address_is_local(message, 1),
        Statement::NewConnection => connection_state(message, 8),
        Statement::EstablishedConnection => connection_state(message, 2 | 4),
        Statement::Marked(bits) => {
            meta(message, MARK, REGISTER);
            bitwise(message, &bits.to_ne_bytes(), &[0; 4]);
            compare(message, REGISTER, EQUAL, &bits.to_ne_bytes());
        }
        _ => {}
    }
}

fn set_mark_bits(message: &mut Message, bits: u32) {
    meta(message, MARK, REGISTER);
    bitwise(message, &(!bits).to_ne_bytes(), &bits.to_ne_bytes());
    expression(message, "meta", |data| {
        data.number(2, MARK).number(3, REGISTER);
    });
}

const MARK: u32 = 3;
const CONNECTION_MARK: u32 = 3;

fn expression(message: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    message.nested(EXPRESSION, |message| {
        message.text(NAME, name).nested(DATA, fill);
    });
}

fn load_all(message: &mut Message, fields: &[Field], first: u32) {
    for (field, register) in fields.iter().zip(first..) {
        load(message, *field, register);
    }
}

fn load(message: &mut Message, field: Field, register: u32) {
    const NETWORK_HEADER: u32 = 1;
    match field {
        Field::SourceAddress => payload(message, NETWORK_HEADER, 12, 4, register),
        Field::DestinationAddress => payload(message, NETWORK_HEADER, 16, 4, register),
        Field::DestinationPort => payload(message, TRANSPORT_HEADER, 2, 2, register),
        Field::Protocol => meta(message, 16, register),
        Field::Random(below) => expression(message, "numgen", |data| {
            const RANDOM: u32 = 1;
            data.number(1, register).number(2, below).number(3, RANDOM).number(4, 0);
        }),
    }
}

fn payload(message: &mut Message, header: u32, offset: u32, length: u32, register: u32) {
    expression(message, "payload", |data| {
        data.number(1, register)
            .number(2, header)
            .number(3, offset)
            .number(4, length);
    });
}

fn meta(message: &mut Message, key: u32, register: u32) {
    expression(message, "meta", |data| {
        data.number(2, key).number(1, register);
    });
}

fn compare(message: &mut Message, register: u32, operator: u32, value: &[u8]) {
    expression(message, "cmp", |data| {
        data.number(1, register).number(2, operator).nested(3, |data| {
            data.attribute(VALUE, value);
        });
    });
}

/// Whether the port in the first register, in network order, lies in a range.
fn compare_ports(message: &mut Message, first: u16, last: u16) {
    if first == last {
        return compare(message, REGISTER, EQUAL, &first.to_be_bytes());
    }
    compare(message, REGISTER, AT_LEAST, &first.to_be_bytes());
    compare(message, REGISTER, AT_MOST, &last.to_be_bytes());
}

/// `register = (register & mask) ^ flip`, on the first register.
fn bitwise(message: &mut Message, mask: &[u8; 4], flip: &[u8; 4]) {
    expression(message, "bitwise", |data| {
        data.number(1, REGISTER).number(2, REGISTER).number(3, 4);
        for (kind, value) in [(4, mask), (5, flip)] {
            data.nested(kind, |data| {
                data.attribute(VALUE, value);
            });
        }
    });
}

fn compare_range(message: &mut Message, field: Field, range: Ipv4Net, operator: u32) {
    load(message, field, REGISTER);
    bitwise(message, &range.netmask().octets(), &[0; 4]);
    compare(message, REGISTER, operator, &range.network().octets());
}

/// Whether the source (1) or destination (2) address is one of the namespace's own.
fn address_is_local(message: &mut Message, which: u32) {
    const ADDRESS_TYPE: u32 = 3;
    const LOCAL: u32 = 2;
    expression(message, "fib", |data| {
        data.number(1, REGISTER).number(2, ADDRESS_TYPE).number(3, which);
    });
    compare(message, REGISTER, EQUAL, &LOCAL.to_ne_bytes());
}

fn connection_state(message: &mut Message, bits: u32) {
    const STATE: u32 = 0;
    expression(message, "ct", |data| {
        data.number(1, REGISTER).number(2, STATE);
    });
    bitwise(message, &bits.to_ne_bytes(), &[0; 4]);
    compare(message, REGISTER, NOT_EQUAL, &[0; 4]);
}

fn look_up(message: &mut Message, set: &str, key: u32, result: Option<u32>) {
    expression(message, "lookup", |data| {
        data.text(1, set).number(2, key);
        if let Some(result) = result {
            data.number(3, result);
        }
    });
}

fn immediate(message: &mut Message, register: u32, value: &[u8]) {
    expression(message, "immediate", |data| {
        data.number(1, register).nested(2, |data| {
            data.attribute(VALUE, value);
        });
    });
}

/// Destination NAT to the address in a register and the port in the next.
fn redirect(message: &mut Message, address: u32) {
    const DESTINATION: u32 = 1;
    expression(message, "nat", |data| {
        data.number(1, DESTINATION)
            .number(2, libc::NFPROTO_IPV4 as u32)
            .number(3, address)
            .number(5, address + 1);
    });
}

/// The connection's mark takes the number that was learned, and is then a part of a key like any other: nft can print
/// that, but no key a part of which came out of a map.
fn redirect_as_before(message: &mut Message, affinity: &Affinity) {
    load(message, Field::SourceAddress, REGISTER);
    load_all(message, &affinity.service, REGISTER + 1);
    look_up(message, &affinity.learned, REGISTER, Some(REGISTER));
    set_connection_mark(message);
    remember_and_redirect(message, affinity);
}

/// A number that was learned and is not valid any more must go first: updating renews an element's time only.
fn redirect_and_remember(message: &mut Message, affinity: &Affinity, numbers: &str, count: u32) {
    load_all(message, &affinity.service, REGISTER);
    load(message, Field::Random(count), REGISTER + affinity.service.len() as u32);
    look_up(message, numbers, REGISTER, Some(REGISTER));
    set_connection_mark(message);
    load(message, Field::SourceAddress, REGISTER);
    load_all(message, &affinity.service, REGISTER + 1);
    let number = REGISTER + 1 + affinity.service.len() as u32;
    load_connection_mark(message, number);
    const DELETE: u32 = 2;
    expression(message, "dynset", |data| {
        // The kernel wants a datum of map elements even to remove one, and does not look at it.
        data.text(1, &affinity.learned)
            .number(3, DELETE)
            .number(4, REGISTER)
            .number(5, number);
    });
    remember_and_redirect(message, affinity);
}

/// The endpoint of the connection's number, if it is valid, is remembered and taken.
fn remember_and_redirect(message: &mut Message, affinity: &Affinity) {
    const UPDATE: u32 = 1;
    // Behind all keys, since it is needed after the next one was loaded.
    const ENDPOINT: u32 = REGISTER + 8;
    let length = affinity.service.len() as u32;
    load_all(message, &affinity.service, REGISTER);
    load_connection_mark(message, REGISTER + length);
    look_up(message, &affinity.valid, REGISTER, Some(ENDPOINT));
    load(message, Field::SourceAddress, REGISTER);
    load_all(message, &affinity.service, REGISTER + 1);
    let number = REGISTER + 1 + length;
    load_connection_mark(message, number);
    expression(message, "dynset", |data| {
        data.text(1, &affinity.learned)
            .number(3, UPDATE)
            .number(4, REGISTER)
            .number(5, number);
        data.long(6, u64::from(affinity.seconds) * 1000);
    });
    redirect(message, ENDPOINT);
}

fn load_connection_mark(message: &mut Message, register: u32) {
    expression(message, "ct", |data| {
        data.number(1, register).number(2, CONNECTION_MARK);
    });
}

fn set_connection_mark(message: &mut Message) {
    expression(message, "ct", |data| {
        data.number(2, CONNECTION_MARK).number(4, REGISTER);
    });
}

/// The verdict of a rule or of a map's element.
pub(crate) fn put_verdict(message: &mut Message, verdict: &Verdict) {
    const IN_DATA: u16 = 2;
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Return => (-5, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
    };
    message.nested(IN_DATA, |message| {
        message.attribute(1, &i32::to_be_bytes(code));
        if let Some(chain) = chain {
            message.text(2, chain);
        }
    });
}

/// Values as they lie in registers: each padded to four bytes.
pub(crate) fn value_bytes(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * 4);
    for value in values {
        match value {
            Value::Address(address) => bytes.extend(address.octets()),
            Value::Protocol(protocol) => bytes.extend([protocol.number(), 0, 0, 0]),
            Value::Port(port) => {
                bytes.extend(port.to_be_bytes());
                bytes.extend([0, 0]);
            }
            Value::Index(index) => bytes.extend(index.to_ne_bytes()),
        }
    }
    bytes
}

/// nft's number for a data type, by which it prints; concatenations are six bits per part. A number drawn in the
/// kernel has no type of its own there: `mark` is 32 bits in host order, as it is.
pub(crate) fn type_number(types: &[DataType]) -> u32 {
    let number = |data_type: &DataType| match data_type {
        DataType::Address => 7,
        DataType::Protocol => 12,
        DataType::Port => 13,
        DataType::Index => 19,
    };
    types.iter().fold(0, |sum, data_type| sum << 6 | number(data_type))
}

/// The protocol of this number, if Services know it.
pub(crate) fn protocol_of(number: u8) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|protocol| protocol.number() == number)
}
