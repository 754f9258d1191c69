//! What `names` promises, as tests.

use super::*;

#[test]
fn names_follow_upstreams_grammars() {
    type Rule = fn(&str) -> Problems;
    for (rule, sound, unsound) in [
        (
            dns_label as Rule,
            vec!["a", "a-b", "1"],
            vec!["", "A", "a.b", "-a", "a-", "a_b"],
        ),
        (
            dns_subdomain,
            vec!["a", "a.b", "1.2"],
            vec!["", "a..b", "A", "a_b", ".a"],
        ),
        (dns1035_label, vec!["a", "a1-b"], vec!["1a", "a.b"]),
        (
            qualified_name,
            vec!["a", "A.b_c-d", "x.io/a"],
            vec!["", "/a", "a/", "X/a", "a/b/c", "-a"],
        ),
        (label_value, vec!["", "a", "A.b_c"], vec!["-a", "a b"]),
        (
            port_name,
            vec!["http", "a-1"],
            vec!["1", "a--b", "-a", "Http", "abcdefghijklmnop"],
        ),
        (config_key, vec!["a.b", ".x"], vec!["", "a/b", "..", "..a"]),
        (environment_name, vec!["A", "a.b-c", "a b"], vec!["", "a=b", "é"]),
        (ip_address, vec!["10.0.0.1", "::1"], vec!["10.0.0.256", "x"]),
    ] {
        for text in sound {
            assert_eq!(rule(text), Problems::new(), "{text}");
        }
        for text in unsound {
            assert_ne!(rule(text), Problems::new(), "{text}");
        }
    }
    assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    assert!(with_prefix(dns_label, "a-", true).is_empty());
    assert!(!with_prefix(dns_label, "a-", false).is_empty());
}
