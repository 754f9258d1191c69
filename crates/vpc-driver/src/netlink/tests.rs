//! The encoding has lengths, padding and nesting as the kernel reads them.
use super::*;

#[test]
fn attributes_are_padded_and_nested_lengths_include_the_header() {
    let mut message = Message::new("test", 16, 0, &[1, 2, 3, 4])
        .text(3, "eth0")
        .nested(18, |inner| inner.text(1, "veth").number(2, 7));
    message.seal(9, libc::NLM_F_ACK);
    let bytes = message.bytes;
    assert_eq!(
        u32::from_ne_bytes(bytes[0..4].try_into().unwrap()) as usize,
        bytes.len()
    );
    assert_eq!(
        u16::from_ne_bytes(bytes[6..8].try_into().unwrap()),
        (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16
    );
    assert_eq!(u32::from_ne_bytes(bytes[8..12].try_into().unwrap()), 9);
    let answer = Answer(bytes[HEADER..].to_vec());
    assert_eq!(answer.attribute(4, 3), Some(&b"eth0\0"[..]));
    let nested = Answer(answer.attribute(4, 18).unwrap().to_vec());
    assert_eq!(nested.attribute(0, 1), Some(&b"veth\0"[..]));
    assert_eq!(nested.number(0, 2), Some(7));
    assert_eq!(nested.number(0, 5), None);
}

#[test]
fn truncated_answers_have_no_attributes() {
    assert_eq!(Answer(vec![0, 0, 0, 0, 40, 0, 3, 0, 1]).attribute(4, 3), None);
    assert_eq!(Answer(vec![]).fixed::<4>(), [0; 4]);
}
