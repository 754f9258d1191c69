//! The DNS name of a Service's load balancer, as the AWS cloud provider derives it from the Service's uid.
//!
//! Deterministic, so that a restarted controller finds the balancer it made instead of making a second one.

/// The domain under which load balancers answer; every resolver sends `*.localhost` to the loopback address (RFC 6761).
pub const LOAD_BALANCER_DOMAIN: &str = "elb.localhost";

/// The longest name an Elastic Load Balancer may have.
const LONGEST_NAME: usize = 32;

/// Name of the load balancer of the Service with this uid: `a` and the uid's hexadecimal digits, cut at 32 characters
/// (the AWS cloud provider's `DefaultLoadBalancerName`).
#[must_use]
pub fn load_balancer_name(service_uid: &str) -> String {
    let digits = service_uid.chars().filter(|character| *character != '-');
    std::iter::once('a').chain(digits).take(LONGEST_NAME).collect()
}

/// Host name of the load balancer of the Service with this uid in a region:
/// `a7f2….ap-northeast-2.elb.localhost`, the name with ten digits that stand for the account's random suffix.
#[must_use]
pub fn load_balancer_hostname(service_uid: &str, region: &str) -> String {
    let suffix = 1_000_000_000 + fnv1a(service_uid.as_bytes()) % 1_000_000_000;
    format!(
        "{}-{suffix}.{region}.{LOAD_BALANCER_DOMAIN}",
        load_balancer_name(service_uid)
    )
}

/// FNV-1a, 64 bits: a stable hash (the standard library's is not promised to stay the same between releases).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
