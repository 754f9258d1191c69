//! Rotation of the file, and where requests come from.

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use super::event::source_addresses;
use super::log::{LogFile, LogOptions};

#[test]
fn a_full_file_is_put_aside_and_few_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions {
        path: directory.path().join("audit.log"),
        largest: 10,
        days: Some(1),
        backups: Some(2),
    };
    let mut log = LogFile::open(options.clone()).unwrap();
    let start: Timestamp = "2026-01-02T15:04:05Z".parse().unwrap();
    let names = || {
        let entries = std::fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    for second in 0..4 {
        log.write(b"12345678\n", start + SignedDuration::from_secs(second))
            .unwrap();
    }
    assert_eq!(
        names(),
        [
            "audit-2026-01-02T15-04-07.000.log",
            "audit-2026-01-02T15-04-08.000.log",
            "audit.log"
        ]
    );
    drop(log);
    // A file that is found again is full already.
    let mut log = LogFile::open(options).unwrap();
    log.write(b"12345678\n", start + SignedDuration::from_hours(48))
        .unwrap();
    assert_eq!(names(), ["audit-2026-01-04T15-04-05.000.log", "audit.log"]);
}

#[test]
fn proxies_say_where_a_request_comes_from() {
    let mut headers = HeaderMap::new();
    assert_eq!(source_addresses(&headers, None), ["::1"]);
    headers.insert("x-forwarded-for", "10.0.0.1, 10.0.0.2".parse().unwrap());
    headers.insert("x-real-ip", "10.0.0.1".parse().unwrap());
    let peer = "10.0.0.2".parse().ok();
    assert_eq!(source_addresses(&headers, peer), ["10.0.0.1", "10.0.0.2"]);
}
