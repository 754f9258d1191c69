//! Moments as Kubernetes writes them: whole seconds in `Time` fields.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// `now` as a `metav1.Time`, which upstream serialises in whole seconds.
pub fn whole_seconds(now: Timestamp) -> Time {
    Time(truncate(now))
}

/// `now` in whole seconds as annotations carry it, `2026-01-02T03:04:05Z`.
pub fn rfc3339_seconds(now: Timestamp) -> String {
    truncate(now).to_string()
}

/// Time passed between `earlier` and `now`; zero when `earlier` lies in the future.
pub fn since(earlier: &Time, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(earlier.0)).unwrap_or(Duration::ZERO)
}

fn truncate(now: Timestamp) -> Timestamp {
    let down = jiff::TimestampRound::new()
        .smallest(Unit::Second)
        .mode(jiff::RoundMode::Trunc);
    now.round(down).unwrap_or(now)
}
