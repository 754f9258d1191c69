//! How long a request may take, and what becomes of one that fails in the middle.
//!
//! Source: `apiserver/pkg/endpoints/filters/request_deadline.go`, `pkg/server/filters/{timeout,wrap}.go` and
//! `pkg/endpoints/handlers/rest.go`.

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use http::StatusCode;
use registry::StatusError;

use crate::audit::Record;
use crate::request_info::RequestInfo;
use crate::respond::{self, Answer, Wire};

/// Whatever a client asks for, no request that is answered at once takes longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Writes do not take longer, so that clients do not give up before the server.
const LONGEST_WRITE: Duration = Duration::from_secs(34);

/// The time that a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    time: Duration,
    write: bool,
}

impl Limit {
    /// The limit of a request that has waited for its turn so long; `None` for one that goes on: a watch, a log, a
    /// connection.
    ///
    /// # Errors
    /// 400 when the client asks for a time that is none.
    pub(crate) fn of(
        info: &RequestInfo,
        query: &[(String, String)],
        waited: Duration,
    ) -> Result<Option<Self>, StatusError> {
        if info.is_long_running() {
            return Ok(None);
        }
        let time = time_of(query)?.saturating_sub(waited);
        let write = matches!(
            info.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        );
        let write = write && info.is_resource;
        let time = if write { time.min(LONGEST_WRITE) } else { time };
        Ok(Some(Self { time, write }))
    }

    /// The answer, or 504 when it does not come in time.
    pub(crate) async fn keep(self, answer: impl Future<Output = Answer>, wire: Wire) -> Answer {
        match tokio::time::timeout(self.time, answer).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let problem = if self.write {
                    "request did not complete within requested timeout - context deadline exceeded"
                } else {
                    "request did not complete within the allotted timeout"
                };
                respond::status(&StatusError::timeout(problem, 0), wire)
            }
        }
    }
}

/// How long a request may wait for its turn: a quarter of its time. Of one that goes on, or whose time is none, it is a
/// quarter of the usual.
pub(crate) fn longest_wait(info: &RequestInfo, query: &[(String, String)]) -> Duration {
    let time = time_of(query).ok().filter(|_| !info.is_long_running());
    time.unwrap_or(LONGEST) / 4
}

/// The time that the client asks for, or the usual.
fn time_of(query: &[(String, String)]) -> Result<Duration, StatusError> {
    let asked = query
        .iter()
        .find(|(key, _)| key == "timeout")
        .map(|(_, value)| value.as_str());
    let asked = asked.filter(|text| !text.is_empty()).map(|text| {
        duration(text).ok_or_else(|| {
            let problem = format!("invalid timeout specified in the request URL - time: invalid duration {text:?}");
            StatusError::bad_request(problem)
        })
    });
    // Asking for no time at all is asking for the usual.
    let asked = asked.transpose()?.filter(|asked| !asked.is_zero());
    Ok(asked.map_or(LONGEST, |asked| asked.min(LONGEST)))
}

/// A duration as Go writes it: `1m30s`, `1.5s`, `300ms`. None is negative.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|character: char| character.is_ascii_digit() || character == '.');
        let (unit, later) = rest.split_at(end.unwrap_or(rest.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number * factor;
        rest = later;
    }
    (!text.is_empty())
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

/// The answer, or 500 when making it panics: the fault is of one request, and the connection has others.
pub(crate) async fn guarded(answer: impl Future<Output = Answer>, record: Option<&Record>) -> Answer {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(answer) => answer,
        Err(_panic) => {
            tracing::error!("a request made the API server panic");
            if let Some(record) = record {
                record.panicked();
            }
            let text = "This request caused apiserver to panic. Look in the logs for details.";
            respond::text(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}
