//! ARNs are read and written without loss.

use super::*;

#[test]
fn an_arn_is_read_and_written_back() {
    for text in [
        "arn:aws:iam::123456789012:role/a:b",
        "arn:aws:eks:ap-northeast-2:123456789012:cluster/demo",
    ] {
        assert_eq!(text.parse::<Arn>().unwrap().to_string(), text);
    }
    for text in ["", "arn:aws:iam", "urn:aws:iam::1:role/x", "arn:aws:iam::1:"] {
        assert_eq!(text.parse::<Arn>(), Err(ArnError(text.to_owned())));
    }
}
