//! Names and the default set agree.

use super::*;

#[test]
fn the_default_set_is_made_of_the_documented_names() {
    let names = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE";
    let set = names
        .split(' ')
        .map(|name| 1u64 << capability_number(name).unwrap())
        .sum::<u64>();
    assert_eq!(set, DEFAULT_CAPABILITIES);
}

#[test]
fn names_are_read_with_and_without_prefix() {
    for (name, number) in [
        ("CAP_NET_ADMIN", Some(12)),
        ("net_admin", Some(12)),
        ("SYS_ADMIN", Some(21)),
        ("CHECKPOINT_RESTORE", Some(40)),
        ("FLY", None),
    ] {
        assert_eq!(capability_number(name), number, "{name}");
    }
}
