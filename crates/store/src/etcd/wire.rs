//! etcd's messages and client stubs, compiled from `proto/etcd/rpc.proto`.
#![allow(missing_docs, reason = "the build writes this")]

tonic::include_proto!("etcdserverpb");

/// A revision as the store counts it; etcd has none below 0.
pub(super) fn revision(number: i64) -> crate::Revision {
    u64::try_from(number).unwrap_or(0)
}

/// The revision in the header of an answer.
pub(super) fn of(header: Option<&ResponseHeader>) -> crate::Revision {
    revision(header.map_or(0, |header| header.revision))
}
