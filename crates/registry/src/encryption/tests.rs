//! Tables of what is refused, and round trips.
#![allow(clippy::too_many_lines, reason = "tables are long")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use clock::SeededRandom;

use super::{Chain, Encryption, EncryptionConfiguration, GroupResource, Key, KeyService, KeyServiceError, Provider};

const PATH: &[u8] = b"/registry/secrets/default/a";

fn key(name: &str, byte: u8, length: usize) -> Key {
    Key {
        name: name.to_owned(),
        secret: vec![byte; length],
    }
}

fn seal(chain: &Chain, value: &'static [u8]) -> Bytes {
    chain
        .seal(&SeededRandom::new(7), PATH, &Bytes::from_static(value))
        .unwrap()
}

fn open(chain: &Chain, path: &[u8], stored: &Bytes) -> Result<(Vec<u8>, bool), String> {
    let opened = chain.open(path, stored);
    opened.map(|opened| (opened.value.to_vec(), opened.fresh))
}

fn chain(providers: Vec<Provider>) -> Chain {
    Chain::new(1, providers)
}

#[test]
fn every_length_of_key_of_both_modes_is_read_back() {
    for length in [16, 24, 32] {
        for (make, prefix) in [
            (Provider::AesGcm as fn(Vec<Key>) -> Provider, "k8s:enc:aesgcm:v1:one:"),
            (Provider::AesCbc, "k8s:enc:aescbc:v1:one:"),
        ] {
            let chain = chain(vec![make(vec![key("one", 1, length)])]);
            for value in [b"".as_slice(), b"x", b"sixteen letters.", b"a longer text than that"] {
                let stored = seal(&chain, value);
                assert!(stored.starts_with(prefix.as_bytes()));
                assert_eq!(open(&chain, PATH, &stored), Ok((value.to_vec(), true)));
            }
        }
    }
}

#[test]
fn a_value_is_bound_to_its_key_in_the_store() {
    let chain = chain(vec![Provider::AesGcm(vec![key("one", 1, 32)])]);
    let stored = seal(&chain, b"text");
    let failed = Err("cipher: message authentication failed".to_owned());
    assert_eq!(open(&chain, b"/registry/secrets/default/b", &stored), failed);
}

#[test]
fn what_another_provider_or_key_wrote_is_read_and_stale() {
    let before = chain(vec![Provider::AesGcm(vec![key("one", 1, 32)])]);
    let stored = seal(&before, b"text");
    let stale = Ok((b"text".to_vec(), false));
    let rotated = Provider::AesGcm(vec![key("two", 2, 32), key("one", 1, 32)]);
    assert_eq!(open(&chain(vec![rotated]), PATH, &stored), stale);
    let several = [key("two", 2, 32), key("one", 1, 32)].map(|key| Provider::AesGcm(vec![key]));
    assert_eq!(open(&chain(several.to_vec()), PATH, &stored), stale);
    let away = vec![Provider::Identity, Provider::AesGcm(vec![key("one", 1, 32)])];
    assert_eq!(open(&chain(away), PATH, &stored), stale);
    let plain = Bytes::from_static(b"{}");
    let towards = vec![Provider::AesGcm(vec![key("one", 1, 32)]), Provider::Identity];
    assert_eq!(open(&chain(towards), PATH, &plain), Ok((b"{}".to_vec(), false)));
}

#[test]
fn what_no_provider_reads_is_refused_in_upstreams_words() {
    let stored = seal(&chain(vec![Provider::AesGcm(vec![key("one", 1, 32)])]), b"text");
    let refused = |providers: Vec<Provider>| open(&chain(providers), PATH, &stored).unwrap_err();
    assert_eq!(
        refused(vec![Provider::AesGcm(vec![key("two", 1, 32)])]),
        "no matching key was found for the provided AES transformer"
    );
    assert_eq!(
        refused(vec![Provider::AesGcm(vec![key("one", 9, 32)]), Provider::Identity]),
        "cipher: message authentication failed"
    );
    assert_eq!(
        refused(vec![Provider::AesCbc(vec![key("one", 1, 32)])]),
        "no matching prefix found"
    );
    assert_eq!(
        open(&Chain::plain(), PATH, &stored).unwrap_err(),
        "identity transformer tried to read encrypted data"
    );
}

/// Turns bytes around, while it is allowed to.
#[derive(Default)]
struct Turning {
    closed: AtomicBool,
}

impl KeyService for Turning {
    fn key_id(&self) -> String {
        "key-1".to_owned()
    }

    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, KeyServiceError> {
        self.ready()?;
        Ok(plain.iter().map(|byte| !byte).collect())
    }

    fn decrypt(&self, _: &str, cipher: &[u8]) -> Result<Vec<u8>, KeyServiceError> {
        self.encrypt(cipher)
    }

    fn ready(&self) -> Result<(), KeyServiceError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(KeyServiceError("the key is disabled".to_owned()));
        }
        Ok(())
    }
}

#[test]
fn an_envelope_is_opened_by_whoever_may_use_the_key() {
    let service = Arc::new(Turning::default());
    let provider = || Provider::Kms {
        name: "aws".to_owned(),
        service: service.clone(),
    };
    let stored = seal(&chain(vec![provider()]), b"text");
    assert!(stored.starts_with(b"k8s:enc:kms:v2:aws:"));
    assert!(!stored.windows(4).any(|window| window == b"text"));
    // Another process knows no seed yet.
    let another = chain(vec![provider()]);
    assert_eq!(open(&another, PATH, &stored), Ok((b"text".to_vec(), true)));
    assert!(open(&another, b"/registry/secrets/default/b", &stored).is_err());
    service.closed.store(true, Ordering::Relaxed);
    let problem = "failed to decrypt DEK, error: the key is disabled";
    assert_eq!(another.ready(), Err(problem.to_owned()));
    assert_eq!(open(&chain(vec![provider()]), PATH, &stored), Err(problem.to_owned()));
}

#[test]
fn a_damaged_envelope_is_an_error() {
    let service = Arc::new(Turning::default());
    let chain = chain(vec![Provider::Kms {
        name: "aws".to_owned(),
        service,
    }]);
    let stored = seal(&chain, b"text");
    for length in 0..stored.len() {
        assert!(chain.open(PATH, &stored.slice(..length)).is_err(), "{length}");
    }
}

fn read(text: &str) -> Result<EncryptionConfiguration, String> {
    EncryptionConfiguration::read(text).map_err(|error| error.to_string())
}

const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";

fn rules(resources: &str, providers: &str) -> String {
    format!("{HEAD}resources:\n- resources: {resources}\n  providers: {providers}\n")
}

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";

#[test]
fn the_nearest_name_of_a_resource_decides() {
    let keys = |name: &str| format!("[{{aesgcm: {{keys: [{{name: {name}, secret: {SECRET}}}]}}}}]");
    let text = format!(
        "{HEAD}resources:\n- resources: [secrets]\n  providers: {}\n- resources: ['*.apps']\n  providers: {}\n\
         - resources: ['*.']\n  providers: {}\n- resources: ['*.*']\n  providers: {}\n",
        keys("exact"),
        keys("apps"),
        keys("core"),
        keys("all")
    );
    let encryption = Encryption::of(&read(&text).unwrap());
    for (group, plural, name) in [
        ("", "secrets", "exact"),
        ("apps", "deployments", "apps"),
        ("", "configmaps", "core"),
        ("batch", "jobs", "all"),
    ] {
        let stored = seal(&encryption.chain(group, plural), b"{}");
        let prefix = format!("k8s:enc:aesgcm:v1:{name}:");
        assert!(stored.starts_with(prefix.as_bytes()), "{plural}");
    }
    assert_eq!(GroupResource::parse("*.").breadth(), 1);
}

#[test]
fn rules_are_checked_in_upstreams_words() {
    let identity = "[{identity: {}}]";
    let cases = [
        (
            rules("[]", identity),
            "resources[0].resources: Required value: at least one resources[0].resources is required",
        ),
        (
            rules("[secrets]", "[]"),
            "resources[0].providers: Required value: at least one resources[0].providers is required",
        ),
        (
            rules("[Secrets]", identity),
            "resources[0].resources[0]: Invalid value: \"Secrets\": resource name should not contain capital letters",
        ),
        (
            rules("['*']", identity),
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources",
        ),
        (
            rules("['secrets', '*.']", identity),
            "using overlapping resources such as 'secrets' and '*.' in the same resource list",
        ),
        (
            rules("[secrets, secrets]", identity),
            "the same resource cannot be specified multiple times",
        ),
        (
            rules("['events.events.k8s.io']", identity),
            "Use 'events' instead in the config file",
        ),
        (
            rules("['pods.*']", identity),
            "encrypting the same resource across groups is not supported",
        ),
        (
            rules("[secrets]", "[{}]"),
            "provider does not contain any of the expected providers",
        ),
        (
            rules("[secrets]", "[{identity: {}, aesgcm: {keys: []}}]"),
            "more than one provider specified in a single element",
        ),
        (
            rules("[secrets]", "[{aesgcm: {keys: []}}]"),
            "resources[0].providers[0].aesgcm.keys: Required value: at least one keys is required",
        ),
        (
            rules("[secrets]", "[{aesgcm: {keys: [{name: a, secret: '!'}]}}]"),
            "resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: \"REDACTED\": secrets must be base64 encoded",
        ),
        (
            rules("[secrets]", "[{aescbc: {keys: [{name: a, secret: YQ==}]}}]"),
            "secret is not of the expected length, got 1, expected one of [16 24 32]",
        ),
        (
            rules("[secrets]", "[{secretbox: {keys: [{name: a, secret: YQ==}]}}]"),
            "resources[0].providers[0].secretbox: Forbidden: XSalsa20",
        ),
        (
            rules("[secrets]", "[{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a'}}]"),
            "resources[0].providers[0].kms: Forbidden: plugins",
        ),
        (
            format!("{HEAD}resources: []\n"),
            "resources: Required value: at least one resources is required",
        ),
    ];
    for (text, problem) in cases {
        let found = read(&text).unwrap_err();
        assert!(found.contains(problem), "{found}\n{text}");
    }
    let masked = format!(
        "{HEAD}resources:\n- resources: ['*.']\n  providers: {identity}\n- resources: [secrets]\n  providers: {identity}\n"
    );
    assert_eq!(
        read(&masked).unwrap_err(),
        "invalid encryption configuration: resource \"secrets\" is masked by earlier rule \"*.\""
    );
    assert!(
        read("apiVersion: v1\nkind: Pod\n")
            .unwrap_err()
            .contains("unexpected config type")
    );
    assert!(read(&rules("[secrets, '*.apps']", identity)).is_ok());
}
