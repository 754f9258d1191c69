//! Addresses are given once, survive a restart, and rest after use.
use clock::ManualClock;
use jiff::SignedDuration;

use super::*;

fn pod(sandbox_id: &str) -> PodAttachment {
    PodAttachment {
        sandbox_id: sandbox_id.into(),
        namespace: "default".into(),
        name: format!("pod-{sandbox_id}"),
        uid: "uid".into(),
        netns_path: "/proc/self/ns/net".into(),
        host_ports: Vec::new(),
    }
}

fn addresses(count: u8) -> Vec<Ipv4Addr> {
    (0..count).map(|last| Ipv4Addr::new(10, 0, 0, 10 + last)).collect()
}

#[test]
fn an_address_is_given_once_and_the_same_sandbox_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut pool = AddressPool::open(dir.path(), addresses(2), Arc::new(ManualClock::default())).unwrap();
    let first = pool.take(&pod("a"), "eni1").unwrap();
    assert_eq!(pool.take(&pod("a"), "eni1").unwrap(), first);
    assert_ne!(pool.take(&pod("b"), "eni2").unwrap(), first);
    let error = pool.take(&pod("c"), "eni3").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no free address: all 2 of the network interface are assigned to pods"
    );
    drop(pool);
    let pool = AddressPool::open(dir.path(), addresses(2), Arc::new(ManualClock::default())).unwrap();
    assert_eq!(pool.allocation("a").unwrap().address, first);
    assert_eq!(
        pool.status(),
        PoolStatus {
            total: 2,
            assigned: 2,
            cooling: 0
        }
    );
}

#[test]
fn a_released_address_rests_unless_none_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let mut pool = AddressPool::open(dir.path(), addresses(2), clock.clone()).unwrap();
    let first = pool.take(&pod("a"), "eni1").unwrap();
    pool.release("a").unwrap();
    assert_eq!(
        pool.status(),
        PoolStatus {
            total: 2,
            assigned: 0,
            cooling: 1
        }
    );
    let second = pool.take(&pod("b"), "eni1").unwrap();
    assert_ne!(second, first, "the fresh one comes first");
    assert_eq!(pool.take(&pod("c"), "eni1").unwrap(), first, "none else is left");
    pool.release("c").unwrap();
    clock.advance(SignedDuration::from_secs(31));
    assert_eq!(
        pool.status(),
        PoolStatus {
            total: 2,
            assigned: 1,
            cooling: 0
        }
    );
    pool.release("unknown").unwrap();
}

#[test]
fn a_second_process_is_refused_and_a_damaged_record_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let open = || AddressPool::open(dir.path(), addresses(1), Arc::new(ManualClock::default()));
    let pool = open().unwrap();
    assert!(matches!(open().err().unwrap(), PoolError::Locked { .. }));
    drop(pool);
    std::fs::write(dir.path().join(RECORD), "{").unwrap();
    assert!(matches!(open().err().unwrap(), PoolError::Record { .. }));
}
