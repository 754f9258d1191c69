//! Which loopback address a balancer gets.

use std::net::Ipv4Addr;

/// The address of a name: always the same, in 127.64.0.0/10, where nothing else of a usual system listens. `attempt` steps aside for a taken one.
///
/// All of 127.0.0.0/8 is this machine without any set-up (RFC 1122, 3.2.1.3).
pub(crate) fn loopback_address(name: &str, attempt: u32) -> Ipv4Addr {
    // FNV-1a: short, and the same in every build, which the standard hasher does not promise.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let host = (hash.wrapping_add(attempt) & 0x003f_ffff).clamp(1, 0x003f_fffe);
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 0)) | host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_stable_and_loopback_and_steps_aside() {
        let first = loopback_address("a.ap-northeast-2.elb.localhost", 0);
        assert_eq!(first, loopback_address("a.ap-northeast-2.elb.localhost", 0));
        assert_ne!(first, loopback_address("b.ap-northeast-2.elb.localhost", 0));
        assert_ne!(first, loopback_address("a.ap-northeast-2.elb.localhost", 1));
        assert!(first.is_loopback() && (64..128).contains(&first.octets()[1]));
    }
}
