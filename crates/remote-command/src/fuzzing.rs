//! Fuzz targets: what clients send as SPDY frames, header blocks and messages of channels.

use bytes::{Bytes, BytesMut};
use fuzz::Corpus;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::codec::Decoder;

use crate::spdy::frame::{Frame, FrameDecoder, HeaderCodec, Headers};
use crate::spdy::frame::{data, go_away, ping, syn_reply};
use crate::websocket::channel::Encoding;

fn headers() -> Headers {
    [("streamtype", "stdin"), ("port", "80"), ("requestid", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A SYN_STREAM as Go's client writes it.
fn syn_stream(block: &[u8]) -> Vec<u8> {
    let length = (10 + block.len()) as u32;
    let mut frame = vec![0x80, 3, 0, 1, 0];
    frame.extend_from_slice(&length.to_be_bytes()[1..]);
    frame.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(block);
    frame
}

/// Cuts the bytes into frames, inflates what has headers, and says what there was.
fn read_all(bytes: &[u8]) -> String {
    let mut buffer = BytesMut::from(bytes);
    let mut codec = HeaderCodec::new().unwrap();
    let mut seen = String::new();
    loop {
        let before = buffer.len();
        match FrameDecoder.decode(&mut buffer) {
            Ok(None) => return seen,
            Ok(Some(frame)) => {
                assert!(buffer.len() < before, "a frame is taken out of what was read");
                match frame {
                    Frame::SynStream { block, .. } | Frame::Headers { block, .. } => match codec.inflate(&block) {
                        Ok(headers) => seen.push_str(&format!("headers {} ", headers.len())),
                        Err(error) => return format!("{seen}{error}"),
                    },
                    Frame::Data { fin, .. } => seen.push_str(if fin { "end " } else { "data " }),
                    other => seen.push_str(&format!("{other:?} ")),
                }
            }
            Err(error) => return format!("{seen}{error}"),
        }
    }
}

#[test]
fn spdy_frames_are_answered_and_leave_the_buffer() {
    let block = HeaderCodec::new().unwrap().deflate(&headers()).unwrap();
    let opened = syn_stream(&block);
    let several = [
        opened.as_slice(),
        &data(1, false, b"text"),
        &data(1, true, b""),
        &ping(7),
        &go_away(1),
    ]
    .concat();
    assert!(read_all(&several).starts_with("headers 3 data end "));
    let reply = syn_reply(1, &block);
    let corpus = Corpus {
        inputs: &[&opened, &several, &reply],
        words: &["\u{0}\u{0}\u{0}", "streamtype", "\u{1}"],
    };
    fuzz::run("SPDY frames", corpus, read_all);
}

#[test]
fn header_blocks_are_answered_and_read_the_same_again() {
    let block = HeaderCodec::new().unwrap().deflate(&headers()).unwrap();
    let corpus = Corpus {
        inputs: &[&block],
        words: &["streamtype"],
    };
    fuzz::run("SPDY header blocks", corpus, |bytes| {
        match HeaderCodec::new().unwrap().inflate(bytes) {
            Ok(headers) => {
                let again = HeaderCodec::new().unwrap().deflate(&headers).unwrap();
                // Bytes that are no text become longer ones, for which there may be no room.
                if let Ok(read) = HeaderCodec::new().unwrap().inflate(&again) {
                    assert_eq!(read, headers);
                }
                format!("{} headers", headers.len())
            }
            Err(error) => error.to_string(),
        }
    });
}

#[test]
fn messages_of_channels_are_answered_and_written_the_same_again() {
    let corpus = Corpus {
        inputs: &[b"\x00typed", b"0dHlwZWQ=", b"\xff\x01", b"4eyJXaWR0aCI6ODB9"],
        words: &["=", "=="],
    };
    fuzz::run("channels", corpus, |bytes| {
        let binary = Message::Binary(Bytes::copy_from_slice(bytes));
        if let Some((channel, payload)) = Encoding::Binary.decode(&binary) {
            assert_eq!(Encoding::Binary.encode(channel, &payload), binary);
        }
        let text = Message::text(String::from_utf8_lossy(bytes).into_owned());
        match Encoding::Base64.decode(&text) {
            Some((channel, payload)) if channel < 10 => {
                let again = Encoding::Base64.encode(channel, &payload);
                assert_eq!(Encoding::Base64.decode(&again), Some((channel, payload)));
                "framed".to_owned()
            }
            Some(_) => "another channel".to_owned(),
            None => "not framed".to_owned(),
        }
    });
}
