//! The engine on etcd v3: for more than one machine, or more than one API server.
//!
//! Keys lie below a prefix, so that clusters share one etcd. Why it is so: `docs/adr/0003-etcd-engine.md`.

mod connection;
mod location;
mod newest;
mod watch;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::{StreamExt, stream};
use tonic::Status;

use self::connection::{Connection, Refusal, refusal, unavailable};
use self::newest::Newest;
use self::wire::request_op::Request as Op;
use self::wire::response_op::Response as OpAnswer;
use crate::{
    Expectation, KeyValue, LeaseId, Outcome, RangeRequest, RangeResponse, Revision, Store, StoreError, Transaction,
    WatchRequest, WatchStream, Write, check,
};

pub use location::EtcdLocation;

/// What one request may write; etcd's own default is half of it, and its refusal is passed on.
const TRANSACTION_BYTES: usize = 3 << 20;
/// Keys that are read at once; longer ranges are put together of several reads at one revision.
const PAGE: usize = 2000;
/// A member whose file has more unused bytes than this, and more than used ones, is defragmented after a compaction.
const WORTH_DEFRAGMENTING: i64 = 64 << 20;
/// Reads are asked for again so often when a member fails; writes never, because they may have happened.
const READS: u32 = 4;

/// How often, and after which pause, a store that is opened asks for an answer.
const OPENING: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// A part of an etcd cluster.
pub struct EtcdStore {
    connection: Connection,
    prefix: Bytes,
    newest: Newest,
    this: std::sync::Weak<Self>,
}

/// Opens the store. Waits until a member answers.
///
/// # Errors
/// `Unavailable` when no member answers or lets the user in, `Invalid` when the location cannot be used.
pub async fn open_etcd(location: &EtcdLocation) -> Result<Arc<EtcdStore>, StoreError> {
    let connection = Connection::new(location)?;
    let store = Arc::new_cyclic(|this| EtcdStore {
        connection,
        prefix: location.prefix.clone().into_bytes().into(),
        newest: Newest::default(),
        this: this.clone(),
    });
    let mut attempt = 0;
    loop {
        match store.newest_revision().await {
            Ok(_answered) => return Ok(store),
            // It may be about to start, as this process is.
            Err(StoreError::Unavailable(..)) if attempt < OPENING => {
                supervision::sleep(PAUSE).await;
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

impl EtcdStore {
    fn key(&self, key: &[u8]) -> Bytes {
        [self.prefix.as_ref(), key].concat().into()
    }

    /// First key and end of a range, as etcd spells them: an end of one zero byte is no end.
    fn bounds(&self, start: &[u8], end: Option<&Bytes>) -> (Bytes, Bytes) {
        let zero = || Bytes::from_static(b"\0");
        let end = match end {
            None => Bytes::new(),
            Some(end) if !end.is_empty() => self.key(end),
            Some(_) => Some(crate::prefix_end(&self.prefix))
                .filter(|end| !end.is_empty())
                .unwrap_or_else(zero),
        };
        let start = Some(self.key(start))
            .filter(|start| !start.is_empty())
            .unwrap_or_else(zero);
        (start, end)
    }

    /// A key of etcd as the store tells it; `None` for keys of others.
    fn item(&self, kv: wire::KeyValue) -> Option<KeyValue> {
        if !kv.key.starts_with(&self.prefix) {
            return None;
        }
        Some(KeyValue {
            key: kv.key.slice(self.prefix.len()..),
            value: kv.value,
            create_revision: wire::revision(kv.create_revision),
            mod_revision: wire::revision(kv.mod_revision),
            version: u64::try_from(kv.version).unwrap_or(0),
            lease: Some(LeaseId(kv.lease.cast_unsigned())).filter(|lease| lease.0 != 0),
        })
    }

    async fn newest_revision(&self) -> Result<Revision, StoreError> {
        let ask = || async {
            let request = wire::RangeRequest {
                key: self.key(b"\0"),
                limit: 1,
                keys_only: true,
                ..wire::RangeRequest::default()
            };
            let answer = self.range_once(&request).await;
            let answer = answer.map_err(|status| unavailable("read the newest revision", status))?;
            Ok(wire::of(answer.header.as_ref()))
        };
        self.newest.read(ask).await
    }

    /// Reads; another member is asked when one fails.
    async fn range_once(&self, request: &wire::RangeRequest) -> Result<wire::RangeResponse, Status> {
        let ask = || async {
            let request = self.connection.request(request.clone());
            Ok(self.connection.kv().range(request).await?.into_inner())
        };
        let mut attempt = 0;
        loop {
            match self.connection.ask("read", ask).await {
                Err(status) if refusal(&status) == Refusal::Unavailable && attempt + 1 < READS => {
                    tracing::debug!(error = %status, "a read on etcd is tried again");
                    supervision::sleep(Duration::from_millis(50 << attempt)).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn read(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        let (key, range_end) = self.bounds(&request.start, request.end.as_ref());
        let wanted = request.limit.unwrap_or(usize::MAX);
        let mut page = wire::RangeRequest {
            key,
            range_end,
            limit: number(wanted.min(PAGE)),
            revision: number(request.revision.unwrap_or(0)),
            keys_only: request.keys_only,
        };
        let mut response: Option<RangeResponse> = None;
        loop {
            let answer = match self.range_once(&page).await {
                Ok(answer) => answer,
                Err(status) => return Err(self.refused("read", status, request.revision.unwrap_or(0)).await),
            };
            let revision = wire::of(answer.header.as_ref());
            let last = answer.kvs.last().map(|kv| kv.key.clone());
            let whole = response.get_or_insert_with(|| RangeResponse {
                revision,
                items: Vec::new(),
                more: false,
                count: u64::try_from(answer.count).unwrap_or(0),
            });
            whole
                .items
                .extend(answer.kvs.into_iter().filter_map(|kv| self.item(kv)));
            whole.more = answer.more;
            let left = wanted.saturating_sub(whole.items.len());
            match (response.take(), last) {
                (Some(whole), Some(last)) if whole.more && left > 0 => {
                    page.key = [last.as_ref(), b"\0"].concat().into();
                    page.limit = number(left.min(PAGE));
                    page.revision = number(request.revision.unwrap_or(whole.revision));
                    response = Some(whole);
                }
                (Some(whole), _) => return Ok(whole),
                (None, _) => return Err(StoreError::Corrupt("etcd answered no range".to_owned())),
            }
        }
    }

    async fn write(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        let size = check::transaction(&transaction, TRANSACTION_BYTES)?;
        let expected = |expectation: &Expectation| wire::Compare {
            result: wire::compare::CompareResult::Equal.into(),
            target: wire::compare::CompareTarget::Mod.into(),
            key: self.key(&expectation.key),
            target_union: Some(wire::compare::TargetUnion::ModRevision(number(
                expectation.mod_revision,
            ))),
        };
        let current = |expectation: &Expectation| wire::RangeRequest {
            key: self.key(&expectation.key),
            ..wire::RangeRequest::default()
        };
        let op = |op| wire::RequestOp { request: Some(op) };
        let request = wire::TxnRequest {
            compare: transaction.expect.iter().map(expected).collect(),
            success: transaction.writes.iter().map(|write| op(self.op(write))).collect(),
            failure: transaction.expect.iter().map(|e| op(Op::Range(current(e)))).collect(),
        };
        let ask = || async {
            let request = self.connection.request(request.clone());
            Ok(self.connection.kv().txn(request).await?.into_inner())
        };
        let answer = match self.connection.ask("write", ask).await {
            Ok(answer) => answer,
            Err(status) => {
                return Err(match refusal(&status) {
                    Refusal::LeaseNotFound => StoreError::LeaseNotFound(lease_of(&transaction)),
                    Refusal::TooLarge => StoreError::TooLarge {
                        size,
                        limit: size.saturating_sub(1),
                    },
                    _ => unavailable("write", status),
                });
            }
        };
        let revision = wire::of(answer.header.as_ref());
        if answer.succeeded {
            return Ok(Outcome::Committed { revision });
        }
        let found = answer.responses.into_iter().map(|found| match found.response {
            Some(OpAnswer::Range(range)) => range.kvs.into_iter().next().and_then(|kv| self.item(kv)),
            _ => None,
        });
        Ok(Outcome::Refused {
            revision,
            current: found.collect(),
        })
    }

    fn op(&self, write: &Write) -> Op {
        match write {
            Write::Put { key, value, lease } => Op::Put(wire::PutRequest {
                key: self.key(key),
                value: value.clone(),
                lease: lease.map_or(0, |lease| lease.0.cast_signed()),
            }),
            Write::Delete { key } => Op::DeleteRange(wire::DeleteRangeRequest { key: self.key(key) }),
        }
    }

    /// The oldest revision that can be read; 0 if nothing was ever compacted.
    ///
    /// etcd tells it only to a watch that wants more than there is.
    async fn oldest(&self) -> Result<Revision, StoreError> {
        if self.newest_revision().await? <= 1 {
            return Ok(0);
        }
        let failed = |status| unavailable("find out what is compacted", status);
        let mut stream = watch::open(self, 1).await.map_err(failed)?;
        // Either the first revision's events come or the news that they are gone.
        loop {
            match stream.message().await.map_err(failed)? {
                Some(answer) if answer.compact_revision > 0 => return Ok(wire::revision(answer.compact_revision)),
                Some(answer) if answer.events.is_empty() && !answer.canceled => {}
                _ => return Ok(0),
            }
        }
    }

    /// Refuses to begin at or before the revision of a compaction: what was deleted there may be missing.
    async fn check_history(&self, from: Revision) -> Result<(), StoreError> {
        let oldest = self.oldest().await?;
        if oldest == 0 || from > oldest {
            return Ok(());
        }
        Err(StoreError::Compacted {
            requested: from,
            oldest: oldest.max(from + 1),
        })
    }

    /// The store's word for a refusal about a revision.
    async fn refused(&self, what: &str, status: Status, requested: Revision) -> StoreError {
        match refusal(&status) {
            Refusal::Compacted => match self.oldest().await {
                Ok(oldest) => StoreError::Compacted { requested, oldest },
                Err(error) => error,
            },
            Refusal::Future => match self.newest_revision().await {
                Ok(current) => StoreError::Future { requested, current },
                Err(error) => error,
            },
            _ => unavailable(what, status),
        }
    }

    async fn compact_to(&self, revision: Revision) -> Result<(), StoreError> {
        let ask = || async {
            let request = wire::CompactionRequest {
                revision: number(revision),
            };
            self.connection.kv().compact(self.connection.request(request)).await
        };
        match self.connection.ask("compact", ask).await {
            Ok(_done) => {
                self.defragment().await;
                Ok(())
            }
            Err(status) => Err(self.refused("compact", status, revision).await),
        }
    }

    /// Gives back what compactions have freed, one member after the other; a member does not answer meanwhile.
    async fn defragment(&self) {
        for mut member in self.connection.maintenance() {
            let done = async {
                let status = member
                    .status(self.connection.request(wire::StatusRequest {}))
                    .await?
                    .into_inner();
                let unused = status.db_size - status.db_size_in_use;
                if unused > WORTH_DEFRAGMENTING && unused > status.db_size_in_use {
                    member
                        .defragment(self.connection.request(wire::DefragmentRequest {}))
                        .await?;
                    tracing::info!(unused, "a member of etcd was defragmented");
                }
                Ok::<(), Status>(())
            };
            if let Err(error) = done.await {
                tracing::warn!(%error, "a member of etcd could not be defragmented");
            }
        }
    }

    async fn keep(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        let ask = || async {
            let request = wire::LeaseKeepAliveRequest {
                id: lease.0.cast_signed(),
            };
            let requests = stream::once(async move { request }).chain(stream::pending());
            let mut client = self.connection.lease();
            let mut answers = client
                .lease_keep_alive(self.connection.request(requests))
                .await?
                .into_inner();
            answers.message().await
        };
        let answer = self.connection.ask("keep a lease", ask).await;
        match answer.map_err(|status| unavailable("keep a lease", status))? {
            Some(answer) if answer.ttl > 0 => Ok(Duration::from_secs(answer.ttl.cast_unsigned())),
            _ => Err(StoreError::LeaseNotFound(lease)),
        }
    }
}

/// A number as etcd writes it.
fn number<T: TryInto<i64>>(number: T) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// The lease that a refused transaction was about.
fn lease_of(transaction: &Transaction) -> LeaseId {
    let leases = transaction.writes.iter().filter_map(|write| match write {
        Write::Put { lease, .. } => *lease,
        Write::Delete { .. } => None,
    });
    leases.into_iter().next().unwrap_or(LeaseId(0))
}

impl Store for EtcdStore {
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>> {
        self.read(request).boxed()
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        self.write(transaction).boxed()
    }

    fn watch(&self, request: WatchRequest) -> BoxFuture<'_, Result<WatchStream, StoreError>> {
        async move {
            let closed = || StoreError::Unavailable("the store is closed".to_owned(), None);
            watch::start(self.this.upgrade().ok_or_else(closed)?, request).await
        }
        .boxed()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.compact_to(revision).boxed()
    }

    fn grant(&self, ttl: Duration) -> BoxFuture<'_, Result<LeaseId, StoreError>> {
        async move {
            let ask = || async {
                let request = wire::LeaseGrantRequest {
                    ttl: number(ttl.as_secs().max(1)),
                };
                self.connection
                    .lease()
                    .lease_grant(self.connection.request(request))
                    .await
            };
            let answer = self.connection.ask("grant a lease", ask).await;
            let answer = answer
                .map_err(|status| unavailable("grant a lease", status))?
                .into_inner();
            if answer.error.is_empty() {
                Ok(LeaseId(answer.id.cast_unsigned()))
            } else {
                Err(StoreError::Unavailable(
                    format!("etcd: grant a lease: {}", answer.error),
                    None,
                ))
            }
        }
        .boxed()
    }

    fn keep_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, StoreError>> {
        self.keep(lease).boxed()
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let ask = || async {
                let request = wire::LeaseRevokeRequest {
                    id: lease.0.cast_signed(),
                };
                self.connection
                    .lease()
                    .lease_revoke(self.connection.request(request))
                    .await
            };
            match self.connection.ask("revoke a lease", ask).await {
                Ok(_done) => Ok(()),
                Err(status) if refusal(&status) == Refusal::LeaseNotFound => Err(StoreError::LeaseNotFound(lease)),
                Err(status) => Err(unavailable("revoke a lease", status)),
            }
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.newest_revision().boxed()
    }

    fn compacted(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.oldest().boxed()
    }

    fn size(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move {
            let Some(mut member) = self.connection.maintenance().next() else {
                return Ok(0);
            };
            let status = member.status(self.connection.request(wire::StatusRequest {})).await;
            let status = status
                .map_err(|status| unavailable("ask for its size", status))?
                .into_inner();
            Ok(u64::try_from(status.db_size).unwrap_or(0))
        }
        .boxed()
    }
}
