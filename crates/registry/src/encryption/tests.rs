//! Tables of what is refused, and round trips.
#![allow(clippy::too_many_lines, reason = "tables are long")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use clock::SeededRandom;

use super::{
    Chain, Encryption, EncryptionConfiguration, GroupResource, Key, KeyService, KeyServiceError, Provider, Wrapped,
};

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
fn a_secretbox_is_read_wherever_it_stands() {
    let chain = chain(vec![Provider::Secretbox(vec![key("one", 1, 32)])]);
    for value in [b"".as_slice(), b"a longer text than that"] {
        let stored = seal(&chain, value);
        assert!(stored.starts_with(b"k8s:enc:secretbox:v1:one:"));
        assert_eq!(
            open(&chain, b"/registry/elsewhere", &stored),
            Ok((value.to_vec(), true))
        );
        let mut changed = stored.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        let problem = "output array was not large enough for encryption";
        assert_eq!(open(&chain, PATH, &changed.into()), Err(problem.to_owned()));
    }
    let other = Provider::Secretbox(vec![key("two", 2, 32)]);
    let stored = seal(&chain, b"text");
    assert_eq!(
        open(&Chain::new(1, vec![other.clone()]), PATH, &stored),
        Err("no matching key was found for the provided Secretbox transformer".to_owned())
    );
    let Provider::Secretbox(second) = other else { return };
    let rotated = Provider::Secretbox([second, vec![key("one", 1, 32)]].concat());
    assert_eq!(
        open(&Chain::new(1, vec![rotated]), PATH, &stored),
        Ok((b"text".to_vec(), false))
    );
    let short = Bytes::from_static(b"k8s:enc:secretbox:v1:one:short");
    let problem = "the stored data was shorter than the required size";
    assert_eq!(open(&chain, PATH, &short), Err(problem.to_owned()));
}

/// The example of NaCl's own documentation.
#[test]
fn a_secretbox_is_that_of_nacl() {
    let bytes = |text: &str| hex::decode(text).unwrap();
    let secret = bytes("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = bytes("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    let sealed = bytes(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7\
         f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61\
         ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5",
    );
    let text = bytes(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db6\
         6cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc\
         76897040e082f937763848645e0705",
    );
    assert_eq!(super::secretbox::open(&secret, &[nonce, sealed].concat()), Ok(text));
}

#[test]
fn what_an_older_server_put_under_a_key_of_its_own_is_read_and_stale() {
    let service = Arc::new(Turning::default());
    let plain = [7; 32];
    let message = super::message::Message {
        data: super::aes::seal_gcm(&plain, &SeededRandom::new(3), PATH, b"text").unwrap(),
        wrapped: service.encrypt(&plain).unwrap(),
        source: super::message::Source::Key,
    };
    let mut stored = b"k8s:enc:kms:v2:aws:".to_vec();
    message.write(&mut stored);
    let chain = chain(vec![Provider::Kms {
        name: "aws".to_owned(),
        service,
    }]);
    assert_eq!(open(&chain, PATH, &stored.into()), Ok((b"text".to_vec(), false)));
}

#[test]
fn what_a_key_service_answers_must_fit_into_the_store() {
    let sound = Wrapped {
        cipher: vec![1],
        key_id: "key".to_owned(),
        annotations: [("kek.example.com".to_owned(), vec![1])].into(),
    };
    assert_eq!(super::message::check(&sound), Ok(()));
    let refused = |change: fn(&mut Wrapped)| {
        let mut wrapped = sound.clone();
        change(&mut wrapped);
        super::message::check(&wrapped).unwrap_err()
    };
    for (change, problem) in [
        (
            (|wrapped| wrapped.cipher.clear()) as fn(&mut Wrapped),
            "failed to validate encrypted DEK source: encrypted DEK source is empty",
        ),
        (
            |wrapped| wrapped.cipher = vec![0; 1025],
            "encrypted DEK source is 1025 bytes, which exceeds the max size of 1024",
        ),
        (
            |wrapped| wrapped.key_id.clear(),
            "failed to validate key id: keyID is empty",
        ),
        (
            |wrapped| drop(wrapped.annotations.insert("kek".to_owned(), Vec::new())),
            "should be a domain with at least two segments separated by dots",
        ),
        (
            |wrapped| drop(wrapped.annotations.insert("a.b".to_owned(), vec![0; 40_000])),
            "which exceeds the max size of 32768",
        ),
    ] {
        let found = refused(change);
        assert!(found.contains(problem), "{found}");
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

    fn encrypt(&self, plain: &[u8]) -> Result<Wrapped, KeyServiceError> {
        self.ready()?;
        Ok(Wrapped {
            cipher: plain.iter().map(|byte| !byte).collect(),
            key_id: self.key_id(),
            ..Wrapped::default()
        })
    }

    fn decrypt(&self, wrapped: &Wrapped) -> Result<Vec<u8>, KeyServiceError> {
        Ok(self.encrypt(&wrapped.cipher)?.cipher)
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
            "secretbox.keys[0].secret: Invalid value: \"REDACTED\": secret is not of the expected length, got 1, expected one of [32]",
        ),
        (
            rules("[secrets]", "[{kms: {apiVersion: v2, endpoint: 'unix:///a'}}]"),
            "resources[0].providers[0].kms.name: Required value: name is a mandatory field for a provider",
        ),
        (
            rules(
                "[secrets]",
                "[{kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///a'}}]",
            ),
            "invalid KMS provider name a:b, must not contain ':'",
        ),
        (
            rules(
                "[secrets]",
                "[{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a'}}, {kms: {apiVersion: v2, name: a, endpoint: 'unix:///b'}}]",
            ),
            "resources[0].providers[1].kms.name: Invalid value: \"a\": duplicate KMS provider name a, names must be unique",
        ),
        (
            rules("[secrets]", "[{kms: {apiVersion: v2, name: a, endpoint: 'http://a'}}]"),
            "unsupported scheme \"http\" for KMS provider, only unix is supported",
        ),
        (
            rules("[secrets]", "[{kms: {apiVersion: v2, name: a}}]"),
            "kms.endpoint: Invalid value: \"\": endpoint is a mandatory field for a kms",
        ),
        (
            rules(
                "[secrets]",
                "[{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a', timeout: -1s}}]",
            ),
            "kms.timeout: Invalid value: \"-1s\": timeout should be a positive value",
        ),
        (
            rules(
                "[secrets]",
                "[{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a', cachesize: 3}}]",
            ),
            "kms.cachesize: Invalid value: 3: cachesize is not supported in v2",
        ),
        (
            rules("[secrets]", "[{kms: {name: a, endpoint: 'unix:///a'}}]"),
            "KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.",
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
