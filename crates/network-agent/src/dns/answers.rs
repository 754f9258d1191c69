//! Questions and answers on the wire.
use std::str::FromStr;

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use service_routing::names::{self, Answer, RecordData, RecordKind, TTL_SECONDS};

/// What fits into a datagram for a client that does not say more.
const PLAIN_PAYLOAD: u16 = 512;
/// What we say that we take, and send at most by UDP: below what is fragmented anywhere.
const OUR_PAYLOAD: u16 = 1232;

/// A message that is one question.
pub(super) struct Question {
    pub message: Message,
    pub query: Query,
    pub kind: RecordKind,
    /// The name as it was asked, with its final dot.
    pub name: String,
}

/// What arrived.
pub(super) enum Read {
    /// A question.
    Question(Box<Question>),
    /// Something that is refused with this reply.
    Refused(Box<Message>),
    /// Nothing that can be replied to.
    Nothing,
}

/// Reads a question.
pub(super) fn read(bytes: &[u8]) -> Read {
    let message = match Message::from_vec(bytes) {
        Ok(message) => message,
        Err(error) => {
            tracing::debug!(%error, "not a message");
            let Some(id) = bytes.get(..2) else { return Read::Nothing };
            let id = u16::from_be_bytes([id[0], id[1]]);
            return Read::Refused(Box::new(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)));
        }
    };
    if message.metadata.message_type != MessageType::Query {
        return Read::Nothing;
    }
    let refuse = |code| Read::Refused(Box::new(reply(&message, code)));
    if message.metadata.op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    let [query] = message.queries.as_slice() else {
        return refuse(ResponseCode::FormErr);
    };
    if query.query_class() != DNSClass::IN {
        return refuse(ResponseCode::Refused);
    }
    let query = query.clone();
    let kind = kind_of(query.query_type());
    let name = query.name().to_ascii();
    Read::Question(Box::new(Question {
        message,
        query,
        kind,
        name,
    }))
}

fn kind_of(record_type: RecordType) -> RecordKind {
    match record_type {
        RecordType::A => RecordKind::A,
        RecordType::AAAA => RecordKind::Aaaa,
        RecordType::SRV => RecordKind::Srv,
        RecordType::PTR => RecordKind::Ptr,
        RecordType::TXT => RecordKind::Txt,
        RecordType::CNAME => RecordKind::Cname,
        RecordType::ANY => RecordKind::Any,
        _ => RecordKind::Other,
    }
}

/// An empty reply to a message.
pub(super) fn reply(request: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&request.metadata);
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    reply.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(OUR_PAYLOAD);
        reply.set_edns(edns);
    }
    reply
}

/// The reply with an answer of ours; `shift` rotates records, so that clients that take the first spread themselves.
/// `None` when the answer lies with others.
pub(super) fn from_answer(question: &Question, answer: &Answer, domain: &str, shift: usize) -> Option<Message> {
    let code = match answer {
        Answer::NotHere => return None,
        Answer::NoSuchName => ResponseCode::NXDomain,
        Answer::Records { .. } | Answer::NoData => ResponseCode::NoError,
    };
    let mut message = reply(&question.message, code);
    message.metadata.authoritative = true;
    match answer {
        Answer::Records { answers, additional } => {
            let mut records: Vec<Record> = answers.iter().filter_map(|record| encode(record, question)).collect();
            if !records.is_empty() {
                let count = records.len();
                records.rotate_left(shift % count);
            }
            message.insert_answers(records);
            message.insert_additionals(
                additional
                    .iter()
                    .filter_map(|record| encode(record, question))
                    .collect(),
            );
        }
        _ => message.insert_authorities(start_of_authority(domain).into_iter().collect()),
    }
    Some(message)
}

/// Records of the asked name carry it as it was asked, in its upper and lower case: resolvers check that.
fn encode(record: &names::Record, question: &Question) -> Option<Record> {
    let asked = question.name.trim_end_matches('.');
    let name = if asked.eq_ignore_ascii_case(&record.name) {
        question.query.name().clone()
    } else {
        full_name(&record.name)?
    };
    let data = match &record.data {
        RecordData::Address(address) => RData::A(A(*address)),
        RecordData::Service { weight, port, target } => RData::SRV(SRV::new(0, *weight, *port, full_name(target)?)),
        RecordData::Pointer(target) => RData::PTR(PTR(full_name(target)?)),
        RecordData::Alias(target) => RData::CNAME(CNAME(full_name(target)?)),
        RecordData::Text(text) => RData::TXT(TXT::new(vec![text.clone()])),
    };
    Some(Record::from_rdata(name, TTL_SECONDS, data))
}

fn full_name(name: &str) -> Option<Name> {
    match Name::from_str(&format!("{}.", name.trim_end_matches('.'))) {
        Ok(name) => Some(name),
        Err(error) => {
            tracing::debug!(name, %error, "not a name that can be sent");
            None
        }
    }
}

/// What tells clients how long to remember that something is not there.
fn start_of_authority(domain: &str) -> Option<Record> {
    let zone = full_name(domain)?;
    let (primary, mailbox) = (
        full_name(&format!("ns.dns.{domain}"))?,
        full_name(&format!("hostmaster.{domain}"))?,
    );
    let authority = SOA::new(primary, mailbox, 1, 7200, 1800, 86400, TTL_SECONDS);
    Some(Record::from_rdata(zone, TTL_SECONDS, RData::SOA(authority)))
}

/// The question for the target of an alias, to be asked of others.
pub(super) fn question_for(name: &str, query_type: RecordType) -> Option<Message> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(full_name(name)?, query_type));
    Some(message)
}

/// The bytes of a reply by UDP: cut and marked as cut when the client cannot take more.
pub(super) fn datagram(request: &Message, reply: &Message) -> Option<Vec<u8>> {
    let limit = request.edns.as_ref().map_or(PLAIN_PAYLOAD, |edns| {
        edns.max_payload().clamp(PLAIN_PAYLOAD, OUR_PAYLOAD)
    });
    let bytes = bytes(reply)?;
    if bytes.len() <= usize::from(limit) {
        return Some(bytes);
    }
    self::bytes(&reply.truncate())
}

/// The bytes of a message.
pub(super) fn bytes(message: &Message) -> Option<Vec<u8>> {
    match message.to_vec() {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::warn!(%error, "a reply cannot be encoded");
            None
        }
    }
}
