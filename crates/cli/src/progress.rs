//! Progress lines in eksctl's form: time, mark, sentence; and how long a step took.

use std::cell::Cell;

use clock::{Clock, SystemClock};
use jiff::Timestamp;

/// Writes progress lines to standard error, so that standard output stays for results.
pub struct Progress {
    started: Timestamp,
    step: Cell<Timestamp>,
}

impl Progress {
    /// Begins now.
    pub fn start() -> Self {
        let now = SystemClock.now();
        Self {
            started: now,
            step: Cell::new(now),
        }
    }

    /// A step begins, or something is worth knowing.
    pub fn info(&self, sentence: impl AsRef<str>) {
        self.step.set(SystemClock.now());
        line("ℹ", sentence.as_ref());
    }

    /// Something does not have its full effect.
    pub fn warning(&self, sentence: impl AsRef<str>) {
        line("!", sentence.as_ref());
    }

    /// The step is done; tells how long it took.
    pub fn done(&self, sentence: impl AsRef<str>) {
        let took = seconds(self.step.get());
        line("✔", &format!("{} ({took})", sentence.as_ref()));
        self.step.set(SystemClock.now());
    }

    /// Everything is done; tells how long all of it took.
    pub fn finished(&self, sentence: impl AsRef<str>) {
        line("✔", &format!("{} ({})", sentence.as_ref(), seconds(self.started)));
    }
}

fn line(mark: &str, sentence: &str) {
    let now = SystemClock.now().to_zoned(jiff::tz::TimeZone::system());
    eprintln!("{} [{mark}]  {sentence}", now.strftime("%Y-%m-%d %H:%M:%S"));
}

fn seconds(since: Timestamp) -> String {
    let took = SystemClock.now().duration_since(since);
    format!("{:.1} s", took.as_secs_f64())
}
