//! The one thread that writes: it takes all that waits, carries it out in order, syncs once, tells the watchers, and
//! only then answers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use clock::Clock;
use tokio::sync::oneshot;

use super::apply::{Applied, Tables};
use super::disk::Disk;
use super::feed::Feed;
use super::leases::Leases;
use super::reader::Snapshot;
use super::record::Place;
use super::recover;
use super::tables::failed;
use crate::{LeaseId, Outcome, Revision, StoreError, Transaction, WatchBatch};

/// Jobs carried out with one sync. More would make the first of them wait without making the disk any faster.
const GROUP: usize = 512;

/// The longest sleep while leases exist, so that a clock that is set is noticed.
const LEASE_LOOK: Duration = Duration::from_secs(1);

/// Databases larger than this are kept so that they open at once after a crash. Smaller ones are checked and repaired
/// in some milliseconds, and each commit syncs once instead of twice (ADR 0001 has the figures).
const QUICK_REPAIR_ABOVE: u64 = 64 << 20;

/// How long a disk that failed is left alone at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Revisions published at once after the disk failed.
const CHUNK: usize = 512;

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
    pub(super) disk: Arc<Disk>,
    pub(super) feed: Arc<Feed>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) jobs: Receiver<Job>,
    pub(super) leases: Leases,
    /// Compacted history is still on disk; the place where its removal goes on.
    pub(super) scrub: Option<Option<Place>>,
    /// Set while the disk fails: the database must be opened again.
    pub(super) broken: Option<Broken>,
}

/// A disk that failed.
pub(super) struct Broken {
    reason: StoreError,
    /// When it is tried again, and how long the pause after that is.
    again_at: Instant,
    pause: Duration,
}

impl Broken {
    fn new(reason: StoreError, pause: Duration) -> Self {
        Self {
            reason,
            again_at: Instant::now() + pause,
            pause: (pause * 2).min(LONGEST_PAUSE),
        }
    }
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

    /// Waits for work: jobs, or (then there may be none) leases that are over, a scrub to go on with, a disk to try again.
    fn next_jobs(&self) -> Wake {
        let limit = if let Some(broken) = &self.broken {
            Some(broken.again_at.saturating_duration_since(Instant::now()))
        } else if self.scrub.is_some() {
            Some(Duration::ZERO)
        } else {
            let end = self.leases.next_end(self.clock.now());
            end.map(|end| end.min(LEASE_LOOK))
        };
        let first = match limit {
            Some(limit) => match self.jobs.recv_timeout(limit) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Wake::Closed,
            },
            None => match self.jobs.recv() {
                Ok(job) => Some(job),
                Err(_disconnected) => return Wake::Closed,
            },
        };
        let mut jobs: Vec<Job> = first.into_iter().collect();
        if !jobs.is_empty() {
            jobs.extend(self.jobs.try_iter().take(GROUP - 1));
        }
        Wake::Jobs(jobs)
    }

    fn carry_out(&mut self, jobs: Vec<Job>) {
        if let Err(reason) = self.try_disk_again() {
            refuse(jobs, &reason);
            return;
        }
        let over = self.leases.over(self.clock.now());
        let jobs: Vec<Job> = jobs.into_iter().filter_map(|job| self.answer_at_once(job)).collect();
        if jobs.is_empty() && over.is_empty() && self.scrub.is_none() {
            return;
        }
        let mut effects = Effects::default();
        let result = self.write(jobs, &over, &mut effects);
        if let Err(error) = &result {
            tracing::error!(error = %supervision::error_chain(error), "the store's disk fails: writes are refused until it works");
            self.broken = Some(Broken::new(error.clone(), FIRST_PAUSE));
        } else {
            self.take_effect(&mut effects);
        }
        for answer in effects.held {
            answer(result.clone());
        }
    }

    /// Opens the database again after its disk failed, if that is due. An error is why there is none to write to.
    fn try_disk_again(&mut self) -> Result<(), StoreError> {
        let Some(broken) = &self.broken else { return Ok(()) };
        if Instant::now() < broken.again_at {
            return Err(broken.reason.clone());
        }
        let pause = broken.pause;
        match self.reopen() {
            Ok(()) => {
                tracing::info!("the store's disk works again");
                self.broken = None;
                Ok(())
            }
            Err(reason) => {
                self.broken = Some(Broken::new(reason.clone(), pause));
                Err(reason)
            }
        }
    }

    /// Goes on as after a restart. Of what was refused when the disk failed something may be there nevertheless, as
    /// after any answer that says "unavailable"; watchers are told of it. What was acknowledged must be there.
    fn reopen(&mut self) -> Result<(), StoreError> {
        self.disk.reopen()?;
        let beginning = recover(&self.disk, self.clock.as_ref())?;
        let acknowledged = self.feed.revision();
        if beginning.revision < acknowledged {
            return Err(StoreError::Corrupt(format!(
                "the disk holds revision {} and has lost {acknowledged}, which it once held",
                beginning.revision
            )));
        }
        let mut next = acknowledged + 1;
        while next <= beginning.revision {
            let (batches, after) = Snapshot::take(&self.disk)?.log(next, CHUNK)?;
            for batch in batches {
                if let WatchBatch::Events { revision, events } = batch {
                    self.feed.publish(revision, events);
                }
            }
            next = after;
        }
        self.leases = beginning.leases;
        self.scrub = beginning.scrub;
        Ok(())
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
        let mut transaction = self.disk.write()?;
        transaction.set_quick_repair(self.disk.size()? > QUICK_REPAIR_ABOVE);
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
