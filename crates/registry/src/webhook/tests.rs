//! Table test of the addresses of webhooks.

use std::time::Duration;

use kube_types::dynamic::json;

use super::Endpoint;

#[test]
fn the_path_of_a_webhook_is_cleaned_as_upstreams_client_does() {
    let cases = [
        (
            json!({"url": "https://127.0.0.1:9443//mutate"}),
            "https://127.0.0.1:9443/mutate?timeout=10s",
        ),
        (json!({"url": "https://hook.test"}), "https://hook.test/?timeout=10s"),
        (
            json!({"url": "https://hook.test/a/./b/../c/"}),
            "https://hook.test/a/c?timeout=10s",
        ),
        (
            json!({"url": "https://hook.test?a=b"}),
            "https://hook.test/?a=b&timeout=10s",
        ),
        (
            json!({"service": {"namespace": "n", "name": "s", "path": "//x/"}}),
            "https://s.n.svc:443/x?timeout=10s",
        ),
        (
            json!({"service": {"namespace": "n", "name": "s"}}),
            "https://s.n.svc:443/?timeout=10s",
        ),
    ];
    for (config, wanted) in cases {
        let endpoint = Endpoint::from_client_config(&config).unwrap();
        assert_eq!(endpoint.url(Duration::from_secs(10)), wanted);
    }
}
