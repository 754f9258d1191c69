//! When a CronJob is due: its schedule in its zone, from the last start or its creation on.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Schedule;

/// More missed starts than this are told.
pub(super) const MANY: usize = 100;
/// Starts that are looked at one by one; beyond, the most recent one is found by its distance.
const MOST: usize = 5000;
/// A look at a time comes a little after it, in case clocks differ.
const LITTLE: Duration = Duration::from_millis(100);

/// A start that is due.
pub(super) struct Due {
    pub at: Timestamp,
    /// How many starts there would have been, this one included.
    pub missed: usize,
}

/// The times of a CronJob.
pub(super) struct Times {
    schedule: Schedule,
    zone: TimeZone,
    created: Timestamp,
    deadline: Option<SignedDuration>,
}

impl Times {
    /// Reads schedule and zone; the error is an event's reason and message.
    pub(super) fn of(cron: &CronJob, spec: &CronJobSpec) -> Result<Self, (&'static str, String)> {
        let zone = match spec.time_zone.as_deref().filter(|zone| !zone.is_empty()) {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|error| ("UnknownTimeZone", format!("invalid timeZone: {name:?}: {error}")))?,
        };
        let schedule = Schedule::parse(&spec.schedule).map_err(|error| {
            (
                "UnparseableSchedule",
                format!("unparseable schedule: {:?} : {error}", spec.schedule),
            )
        })?;
        let created = cron.metadata.creation_timestamp.as_ref();
        Ok(Self {
            schedule,
            zone,
            created: created.map_or(Timestamp::UNIX_EPOCH, |created| created.0),
            deadline: spec.starting_deadline_seconds.map(SignedDuration::from_secs),
        })
    }

    /// How long until the next time.
    pub(super) fn next(&self, now: Timestamp) -> Option<Duration> {
        let next = self.schedule.next(now, &self.zone)?;
        Some(next.duration_since(now).unsigned_abs() + LITTLE)
    }

    /// The most recent time that has passed since the last start.
    pub(super) fn due(&self, last: Option<&Time>, now: Timestamp) -> Option<Due> {
        let mut from = last.map_or(self.created, |last| last.0);
        if let Some(earliest) = self.deadline.and_then(|deadline| now.checked_sub(deadline).ok()) {
            from = from.max(earliest);
        }
        let mut due = None;
        let mut missed = 0;
        while let Some(at) = self.schedule.next(from, &self.zone).filter(|at| *at <= now) {
            missed += 1;
            due = Some(at);
            from = at;
            if missed == MOST {
                // So long an absence is not walked through: go on shortly before now.
                let near = now - SignedDuration::from_hours(24);
                from = from.max(near);
            }
        }
        due.map(|at| Due { at, missed })
    }

    /// Has the deadline for a start passed?
    pub(super) fn is_too_late(&self, at: Timestamp, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| now.duration_since(at) > deadline)
    }

    /// A time as people of the zone write it.
    pub(super) fn shown(&self, at: Timestamp) -> String {
        if self.zone == TimeZone::UTC {
            return at.to_string();
        }
        at.to_zoned(self.zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string()
    }
}
