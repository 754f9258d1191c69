//! Every way in which a signal is written, and every signal of CRI.

use cri_api::v1::Signal;

use super::number;

#[test]
fn names_and_numbers_are_read() {
    let cases = [
        ("SIGTERM", Some(15)),
        ("quit", Some(3)),
        ("9", Some(9)),
        ("SIGRTMIN+3", Some(37)),
        ("RTMAXMINUS2", Some(62)),
        ("SIGPOLL", Some(29)),
        ("65", None),
        ("SIGNOTHING", None),
    ];
    for (text, expected) in cases {
        assert_eq!(number(text), expected, "{text}");
    }
}

#[test]
fn every_signal_of_cri_has_a_number() {
    for place in 1..=65 {
        let name = Signal::try_from(place).unwrap().as_str_name();
        assert!(number(name.trim_start_matches("SIGNAL_")).is_some(), "{name}");
    }
}
