//! Lines are whole, parted when long, and kept when unfinished.

use super::*;

fn cut(chunks: &[&[u8]]) -> String {
    let mut cutter = LineCutter::new("stdout");
    let mut log = Vec::new();
    for chunk in chunks {
        cutter.cut(chunk, "T", &mut log);
    }
    cutter.finish("T", &mut log);
    String::from_utf8(log).unwrap()
}

#[test]
fn lines_are_cut_at_line_ends_only() {
    let cases: [(&[&[u8]], &str); 6] = [
        (&[b"one\ntwo\n"], "T stdout F one\nT stdout F two\n"),
        (&[b"o", b"ne\n"], "T stdout F one\n"),
        (&[b"\n\n"], "T stdout F \nT stdout F \n"),
        (&[b"no end"], "T stdout P no end\n"),
        (&[b""], ""),
        (&[b"a\r\n"], "T stdout F a\r\n"),
    ];
    for (chunks, expected) in cases {
        assert_eq!(cut(chunks), expected);
    }
}

#[test]
fn a_long_line_is_parted() {
    let long = vec![b'x'; MOST_LINE_BYTES + 5];
    let log = cut(&[&long, b"end\n"]);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].len(), "T stdout P ".len() + MOST_LINE_BYTES);
    assert_eq!(lines[1], "T stdout F xxxxxend");
}
