//! How many calls a client may make, for those who want to see what theirs does when AWS says "slower": buckets that fill again, by the
//! sizes and rates that EC2 publishes, one of each kind for a service in a region of an account. Nothing is throttled unless asked for.
//!
//! Source: "Request throttling for the Amazon EC2 API" of the EC2 developer guide.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_types::shapes::Protocol;
use aws_types::{AccountId, RegionName};
use http::StatusCode;
use jiff::Timestamp;

use crate::cloudtrail::is_reading;
use crate::error::ApiError;

/// A bucket's size, and how many tokens come back in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    size: f64,
    refill: f64,
}

/// Calls that only look.
const READING: Rate = Rate {
    size: 100.0,
    refill: 20.0,
};
/// Calls that change something.
const CHANGING: Rate = Rate {
    size: 50.0,
    refill: 5.0,
};

/// A bucket: tokens that were left at a time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

type Key = (AccountId, RegionName, &'static str, bool);

/// Every bucket that somebody has taken from.
#[derive(Default)]
pub struct Throttle(Mutex<BTreeMap<Key, Bucket>>);

impl Throttle {
    /// Takes a token for a call, if one is left.
    fn take(&self, key: Key, now: Timestamp) -> bool {
        let rate = if key.3 { READING } else { CHANGING };
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key).or_insert(Bucket {
            left: rate.size,
            at: now,
        });
        let passed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        bucket.left = (bucket.left + passed * rate.refill).min(rate.size);
        bucket.at = now;
        let has_one = bucket.left >= 1.0;
        if has_one {
            bucket.left -= 1.0;
        }
        has_one
    }

    /// Refuses a call of an account in a region when there were too many.
    ///
    /// # Errors
    /// The service's word for it.
    pub fn check(
        &self,
        (account, region): (&AccountId, &RegionName),
        (service, protocol): (&'static str, Protocol),
        operation: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let key = (account.clone(), region.clone(), service, is_reading(operation));
        if self.take(key, now) {
            return Ok(());
        }
        Err(match protocol {
            Protocol::Ec2 => ApiError::new(
                "RequestLimitExceeded",
                StatusCode::SERVICE_UNAVAILABLE,
                "Request limit exceeded.",
            ),
            Protocol::Query | Protocol::RestXml => ApiError::bad_request("Throttling", "Rate exceeded"),
            Protocol::Json => ApiError::bad_request("ThrottlingException", "Rate exceeded"),
            Protocol::RestJson => ApiError::new("ThrottlingException", StatusCode::TOO_MANY_REQUESTS, "Rate exceeded"),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again_and_others_are_their_own() {
        let throttle = Throttle::default();
        let (account, other) = (
            AccountId::new("111111111111").unwrap(),
            AccountId::new("222222222222").unwrap(),
        );
        let region = RegionName::new("us-west-2").unwrap();
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let call = |account: &AccountId, operation: &str, now| {
            let ec2 = ("ec2", Protocol::Ec2);
            throttle
                .check((account, &region), ec2, operation, now)
                .map_err(|error| error.code)
        };
        for _ in 0..100 {
            assert_eq!(call(&account, "DescribeVpcs", now), Ok(()));
        }
        assert_eq!(call(&account, "DescribeVpcs", now), Err("RequestLimitExceeded".into()));
        assert_eq!(call(&account, "CreateVpc", now), Ok(()));
        assert_eq!(call(&other, "DescribeVpcs", now), Ok(()));
        let later = now + SignedDuration::from_millis(100);
        assert_eq!(call(&account, "DescribeVpcs", later), Ok(()));
        assert_eq!(call(&account, "DescribeVpcs", later), Ok(()));
        assert_eq!(
            call(&account, "DescribeVpcs", later),
            Err("RequestLimitExceeded".into())
        );
    }
}
