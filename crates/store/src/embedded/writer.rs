//! The one thread that writes: it takes all that waits, carries it out in order, syncs once, tells the watchers, and
//! only then answers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use clock::Clock;
use redb::Database;
use tokio::sync::oneshot;

use super::apply::{Applied, Tables};
use super::feed::Feed;
use super::leases::Leases;
use super::record::Place;
use super::tables::failed;
use crate::{LeaseId, Outcome, Revision, StoreError, Transaction, WatchBatch};

/// Jobs carried out with one sync. More would make the first of them wait without making the disk any faster.
const GROUP: usize = 512;

/// The longest sleep while leases exist, so that a clock that is set is noticed.
const LEASE_LOOK: Duration = Duration::from_secs(1);

/// Databases larger than this are kept so that they open at once after a crash. Smaller ones are checked and repaired
/// in some milliseconds, and each commit syncs once instead of twice (ADR 0001 has the figures).
const QUICK_REPAIR_ABOVE: u64 = 64 << 20;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do.
pub(super) enum Job {
    Commit(Transaction, Reply<Outcome>),
    Compact(Revision, Reply<()>),
    Grant(u64, Reply<LeaseId>),
    KeepAlive(LeaseId, Reply<Duration>),
    Revoke(LeaseId, Reply<()>),
    Close,
}

/// Sends an answer that was held back until the group was durable, or the reason why it is not.
type Held = Box<dyn FnOnce(Result<(), StoreError>)>;

/// The writer's state.
pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) path: std::path::PathBuf,
    pub(super) feed: Arc<Feed>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) jobs: Receiver<Job>,
    pub(super) leases: Leases,
    /// Compacted history is still on disk; the place where its removal goes on.
    pub(super) scrub: Option<Option<Place>>,
    /// Set when the disk failed: the database must be opened again.
    pub(super) broken: Option<StoreError>,
}

/// What a group did besides changing the tables.
#[derive(Default)]
struct Effects {
    held: Vec<Held>,
    batches: Vec<WatchBatch>,
    granted: Vec<(LeaseId, u64)>,
    ended: Vec<LeaseId>,
    scrub: Option<Option<Place>>,
}

enum Wake {
    Jobs(Vec<Job>),
    Closed,
}

impl Writer {
    /// Works until it is closed or every handle is gone.
    pub(super) fn run(mut self) {
        loop {
            let (jobs, last) = match self.next_jobs() {
                Wake::Jobs(jobs) => {
                    let open = jobs.iter().position(|job| matches!(job, Job::Close));
                    (jobs, open)
                }
                Wake::Closed => break,
            };
            let closing = last.is_some();
            let jobs = jobs.into_iter().take(last.unwrap_or(usize::MAX)).collect();
            self.carry_out(jobs);
            if closing {
                break;
            }
        }
        self.feed.close(&closed());
    }

    /// Waits for work: jobs, leases that are over, or a scrub to go on with (then there may be no jobs).
    fn next_jobs(&self) -> Wake {
        let first = if self.scrub.is_some() {
            match self.jobs.try_recv() {
                Ok(job) => Some(job),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return Wake::Closed,
            }
        } else if let Some(end) = self.leases.next_end(self.clock.now()) {
            match self.jobs.recv_timeout(end.min(LEASE_LOOK)) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Wake::Closed,
            }
        } else {
            match self.jobs.recv() {
                Ok(job) => Some(job),
                Err(_disconnected) => return Wake::Closed,
            }
        };
        let mut jobs: Vec<Job> = first.into_iter().collect();
        if !jobs.is_empty() {
            jobs.extend(self.jobs.try_iter().take(GROUP - 1));
        }
        Wake::Jobs(jobs)
    }

    fn carry_out(&mut self, jobs: Vec<Job>) {
        let now = self.clock.now();
        let over = self.leases.over(now);
        let jobs: Vec<Job> = jobs.into_iter().filter_map(|job| self.answer_at_once(job)).collect();
        if jobs.is_empty() && over.is_empty() && self.scrub.is_none() {
            return;
        }
        let mut effects = Effects::default();
        let result = match &self.broken {
            Some(reason) => {
                // The leases cannot end on a disk that fails; forget them so as not to try again and again.
                over.iter().for_each(|lease| self.leases.remove(*lease));
                refuse(jobs, reason);
                return;
            }
            None => self.write(jobs, &over, &mut effects),
        };
        if let Err(error) = &result {
            tracing::error!(error = %supervision::error_chain(error), "the store's disk fails, no more writes");
            self.broken = Some(error.clone());
            self.scrub = None;
        } else {
            self.take_effect(&mut effects);
        }
        for answer in effects.held {
            answer(result.clone());
        }
    }

    /// Answers what needs no disk.
    fn answer_at_once(&mut self, job: Job) -> Option<Job> {
        let Job::KeepAlive(lease, reply) = job else {
            return Some(job);
        };
        let alive = self.leases.keep_alive(lease, self.clock.now());
        send(reply, alive.ok_or(StoreError::LeaseNotFound(lease)));
        None
    }

    /// Carries out a group in one write transaction of the database and makes it durable.
    fn write(&self, jobs: Vec<Job>, over: &[LeaseId], effects: &mut Effects) -> Result<(), StoreError> {
        let mut jobs = jobs.into_iter();
        let written = self.try_write(&mut jobs, over, effects);
        if let Err(error) = &written {
            refuse(jobs, error);
        }
        written
    }

    fn try_write(
        &self,
        jobs: &mut impl Iterator<Item = Job>,
        over: &[LeaseId],
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write().map_err(failed("begin a write"))?;
        let size = std::fs::metadata(&self.path)
            .map_err(failed("see the database's size"))?
            .len();
        transaction.set_quick_repair(size > QUICK_REPAIR_ABOVE);
        let mut tables = Tables::open(&transaction)?;
        for lease in over {
            effects.revoke(&mut tables, *lease)?;
        }
        for job in jobs {
            effects.carry_out(&mut tables, job)?;
        }
        if let Some(from) = self.scrub {
            effects.scrub = tables.scrub(from)?.map(Some);
        } else if tables.needs_scrub()? {
            effects.scrub = Some(None);
        }
        let dirty = tables.dirty;
        drop(tables);
        if dirty {
            transaction.commit().map_err(failed("commit"))
        } else {
            transaction.abort().map_err(failed("abort"))
        }
    }

    fn take_effect(&mut self, effects: &mut Effects) {
        self.scrub = effects.scrub;
        let now = self.clock.now();
        effects
            .granted
            .iter()
            .for_each(|(lease, seconds)| self.leases.start(*lease, *seconds, now));
        effects.ended.iter().for_each(|lease| self.leases.remove(*lease));
        for batch in effects.batches.drain(..) {
            if let WatchBatch::Events { revision, events } = batch {
                self.feed.publish(revision, events);
            }
        }
    }
}

impl Effects {
    fn carry_out(&mut self, tables: &mut Tables<'_>, job: Job) -> Result<(), StoreError> {
        match job {
            Job::Commit(transaction, reply) => {
                // Held before the disk is touched, so that it is answered even if the disk fails.
                match tables.apply(&transaction) {
                    Ok(applied) => {
                        let outcome = applied.map(|applied| self.keep(applied));
                        self.hold(reply, outcome);
                    }
                    Err(error) => return Err(self.hold_failed(reply, error)),
                }
            }
            Job::Compact(revision, reply) => match tables.compact(revision) {
                Ok(done) => self.hold(reply, done),
                Err(error) => return Err(self.hold_failed(reply, error)),
            },
            Job::Grant(seconds, reply) => match tables.grant(seconds) {
                Ok(lease) => {
                    self.granted.push((lease, seconds));
                    self.hold(reply, Ok(lease));
                }
                Err(error) => return Err(self.hold_failed(reply, error)),
            },
            Job::Revoke(lease, reply) => match self.revoke(tables, lease) {
                Ok(true) => self.hold(reply, Ok(())),
                Ok(false) => self.hold(reply, Err(StoreError::LeaseNotFound(lease))),
                Err(error) => return Err(self.hold_failed(reply, error)),
            },
            // Answered and filtered out before.
            Job::KeepAlive(..) | Job::Close => {}
        }
        Ok(())
    }

    fn keep(&mut self, applied: Applied) -> Outcome {
        self.batches.extend(applied.batch);
        applied.outcome
    }

    fn revoke(&mut self, tables: &mut Tables<'_>, lease: LeaseId) -> Result<bool, StoreError> {
        self.ended.push(lease);
        let Some(applied) = tables.revoke(lease)? else {
            return Ok(false);
        };
        self.keep(applied);
        Ok(true)
    }

    fn hold<T: 'static>(&mut self, reply: Reply<T>, answer: Result<T, StoreError>) {
        self.held
            .push(Box::new(move |durable| send(reply, durable.and(answer))));
    }

    fn hold_failed<T: 'static>(&mut self, reply: Reply<T>, error: StoreError) -> StoreError {
        self.hold(reply, Err(error.clone()));
        error
    }
}

/// Answers every job with `reason`.
fn refuse(jobs: impl IntoIterator<Item = Job>, reason: &StoreError) {
    for job in jobs {
        match job {
            Job::Commit(_, reply) => send(reply, Err(reason.clone())),
            Job::Compact(_, reply) | Job::Revoke(_, reply) => send(reply, Err(reason.clone())),
            Job::Grant(_, reply) => send(reply, Err(reason.clone())),
            Job::KeepAlive(_, reply) => send(reply, Err(reason.clone())),
            Job::Close => {}
        }
    }
}

/// Sends an answer; who asked may have gone away, which changes nothing.
fn send<T>(reply: Reply<T>, answer: Result<T, StoreError>) {
    drop(reply.send(answer));
}

/// The answer of a store that was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned(), None)
}
