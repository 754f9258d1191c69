//! SPDY/3.1 frames and header blocks, to and from bytes.

use std::collections::BTreeMap;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio_util::codec::Decoder;

use super::dictionary::DICTIONARY;

/// No honest client comes near: stops a header block that inflates without end.
const LONGEST_HEADER_BLOCK: usize = 256 * 1024;
/// The longest frame that is read whole into memory; Go's client writes at most 32 KiB at a time.
const LONGEST_FRAME: usize = 4 * 1024 * 1024;

const FLAG_FIN: u8 = 1;

/// Headers of a stream, names in lower case.
pub(crate) type Headers = BTreeMap<String, String>;

/// A frame as read from a client. Header blocks are inflated by [`HeaderCodec`], in the order of arrival.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Data {
        stream: u32,
        fin: bool,
        payload: Bytes,
    },
    SynStream {
        stream: u32,
        fin: bool,
        block: Bytes,
    },
    Headers {
        stream: u32,
        fin: bool,
        block: Bytes,
    },
    Reset {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// SETTINGS, WINDOW_UPDATE (Go's peer does no flow control) and what a later version may add.
    Ignored,
}

/// A client's bytes that are not SPDY/3.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("read frame")]
    Read(#[from] io::Error),
    #[error("frame of version {0}, expected 3")]
    Version(u16),
    #[error("frame of type {kind} has {length} bytes, too few")]
    Short { kind: u16, length: usize },
    #[error("frame of {0} bytes is too long")]
    Long(usize),
    #[error("inflate header block")]
    Inflate(#[from] flate2::DecompressError),
    #[error("deflate header block")]
    Deflate(#[from] flate2::CompressError),
    #[error("header block is malformed")]
    HeaderBlock,
}

/// Cuts a byte stream into frames.
#[derive(Default)]
pub(crate) struct FrameDecoder;

impl Decoder for FrameDecoder {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if buffer.len() < 8 {
            return Ok(None);
        }
        let length = u32::from_be_bytes([0, buffer[5], buffer[6], buffer[7]]) as usize;
        if length > LONGEST_FRAME {
            return Err(FrameError::Long(length));
        }
        if buffer.len() < 8 + length {
            buffer.reserve(8 + length - buffer.len());
            return Ok(None);
        }
        let head = buffer.split_to(8);
        let payload = buffer.split_to(length).freeze();
        let fin = head[4] & FLAG_FIN != 0;
        if head[0] & 0x80 == 0 {
            let stream = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            return Ok(Some(Frame::Data { stream, fin, payload }));
        }
        let version = u16::from_be_bytes([head[0] & 0x7f, head[1]]);
        if version != 3 {
            return Err(FrameError::Version(version));
        }
        control(u16::from_be_bytes([head[2], head[3]]), fin, payload).map(Some)
    }
}

fn control(kind: u16, fin: bool, mut payload: Bytes) -> Result<Frame, FrameError> {
    let needed = match kind {
        1 => 10,
        3 => 8,
        6 | 8 => 4,
        _ => 0,
    };
    if payload.len() < needed {
        return Err(FrameError::Short {
            kind,
            length: payload.len(),
        });
    }
    Ok(match kind {
        1 => {
            let stream = payload.get_u32() & 0x7fff_ffff;
            payload.advance(6);
            Frame::SynStream {
                stream,
                fin,
                block: payload,
            }
        }
        3 => Frame::Reset {
            stream: payload.get_u32() & 0x7fff_ffff,
        },
        6 => Frame::Ping { id: payload.get_u32() },
        7 => Frame::GoAway,
        8 => Frame::Headers {
            stream: payload.get_u32() & 0x7fff_ffff,
            fin,
            block: payload,
        },
        _ => Frame::Ignored,
    })
}

/// A data frame.
pub(crate) fn data(stream: u32, fin: bool, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + payload.len());
    frame.put_u32(stream);
    put_flags_and_length(&mut frame, if fin { FLAG_FIN } else { 0 }, payload.len());
    frame.put_slice(payload);
    frame.freeze()
}

/// The answer that accepts a stream; `block` comes from [`HeaderCodec::deflate`].
pub(crate) fn syn_reply(stream: u32, block: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(4 + block.len());
    body.put_u32(stream);
    body.put_slice(block);
    control_frame(2, &body)
}

/// The answer to a ping.
pub(crate) fn ping(id: u32) -> Bytes {
    control_frame(6, &id.to_be_bytes())
}

/// Ends the session with status OK.
pub(crate) fn go_away(last_stream: u32) -> Bytes {
    let mut body = BytesMut::with_capacity(8);
    body.put_u32(last_stream);
    body.put_u32(0);
    control_frame(7, &body)
}

fn control_frame(kind: u16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + body.len());
    frame.put_u16(0x8003);
    frame.put_u16(kind);
    put_flags_and_length(&mut frame, 0, body.len());
    frame.put_slice(body);
    frame.freeze()
}

fn put_flags_and_length(frame: &mut BytesMut, flags: u8, length: usize) {
    frame.put_u8(flags);
    frame.put_uint(length as u64, 3);
}

/// The two zlib streams of a session: one dictionary-primed window for all header blocks of each direction.
pub(crate) struct HeaderCodec {
    inflater: Decompress,
    deflater: Compress,
}

impl HeaderCodec {
    pub(crate) fn new() -> Result<Self, FrameError> {
        let mut deflater = Compress::new(Compression::fast(), true);
        deflater.set_dictionary(&DICTIONARY)?;
        Ok(Self {
            inflater: Decompress::new(true),
            deflater,
        })
    }

    /// Inflates one block. Blocks must come in the order in which the client sent them.
    pub(crate) fn inflate(&mut self, block: &[u8]) -> Result<Headers, FrameError> {
        let mut plain = Vec::new();
        let mut input = block;
        let mut piece = [0u8; 4096];
        loop {
            let (in_before, out_before) = (self.inflater.total_in(), self.inflater.total_out());
            let result = self.inflater.decompress(input, &mut piece, FlushDecompress::Sync);
            let consumed = usize_from(self.inflater.total_in() - in_before);
            let produced = usize_from(self.inflater.total_out() - out_before);
            input = &input[consumed..];
            plain.extend_from_slice(&piece[..produced]);
            if plain.len() > LONGEST_HEADER_BLOCK {
                return Err(FrameError::Long(plain.len()));
            }
            match result {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflater.set_dictionary(&DICTIONARY)?;
                }
                Err(error) => return Err(error.into()),
                Ok(_) if produced == piece.len() || (!input.is_empty() && consumed + produced > 0) => {}
                Ok(_) => return parse_headers(&plain),
            }
        }
    }

    /// Deflates one block.
    pub(crate) fn deflate(&mut self, headers: &Headers) -> Result<Vec<u8>, FrameError> {
        let mut plain = Vec::new();
        plain.put_u32(headers.len() as u32);
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(text.len() as u32);
            plain.put_slice(text.as_bytes());
        }
        let mut block = Vec::with_capacity(plain.len() + 64);
        let mut input = plain.as_slice();
        loop {
            let before = self.deflater.total_in();
            block.reserve(64);
            self.deflater.compress_vec(input, &mut block, FlushCompress::Sync)?;
            input = &input[usize_from(self.deflater.total_in() - before)..];
            if input.is_empty() && block.len() < block.capacity() {
                return Ok(block);
            }
        }
    }
}

fn usize_from(count: u64) -> usize {
    usize::try_from(count).expect("counts of one in-memory buffer fit")
}

fn parse_headers(mut plain: &[u8]) -> Result<Headers, FrameError> {
    let count = plain.try_get_u32().map_err(malformed)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = parse_text(&mut plain)?.to_ascii_lowercase();
        headers.insert(name, parse_text(&mut plain)?);
    }
    Ok(headers)
}

fn parse_text(plain: &mut &[u8]) -> Result<String, FrameError> {
    let length = plain.try_get_u32().map_err(malformed)? as usize;
    let Some((text, rest)) = plain.split_at_checked(length) else {
        return Err(FrameError::HeaderBlock);
    };
    *plain = rest;
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn malformed(_: bytes::TryGetError) -> FrameError {
    FrameError::HeaderBlock
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn header_blocks_survive_both_directions_in_order() {
        let mut codec = HeaderCodec::new().unwrap();
        for pairs in [
            &[("streamtype", "error"), ("port", "80")][..],
            &[],
            &[("streamtype", "data"), ("requestid", "0")],
        ] {
            let block = codec.deflate(&headers(pairs)).unwrap();
            assert_eq!(codec.inflate(&block).unwrap(), headers(pairs));
        }
    }

    #[test]
    fn a_long_header_block_is_inflated_whole() {
        let mut codec = HeaderCodec::new().unwrap();
        let long = "x".repeat(20_000);
        let block = codec.deflate(&headers(&[("a", &long)])).unwrap();
        assert_eq!(codec.inflate(&block).unwrap()["a"], long);
    }

    #[test]
    fn malformed_frames_are_refused() {
        let decode = |bytes: &[u8]| {
            FrameDecoder
                .decode(&mut BytesMut::from(bytes))
                .map_err(|error| error.to_string())
        };
        assert_eq!(decode(&[0x80, 3, 0]), Ok(None));
        assert_eq!(
            decode(&[0x80, 2, 0, 1, 0, 0, 0, 0]),
            Err("frame of version 2, expected 3".into())
        );
        assert_eq!(
            decode(&[0x80, 3, 0, 1, 0, 0, 0, 0]),
            Err("frame of type 1 has 0 bytes, too few".into())
        );
        assert_eq!(
            decode(&[0, 0, 0, 1, 0, 255, 255, 255]),
            Err("frame of 16777215 bytes is too long".into())
        );
        assert_eq!(decode(&ping(7)), Ok(Some(Frame::Ping { id: 7 })));
        let end = Frame::Data {
            stream: 3,
            fin: true,
            payload: Bytes::from_static(b"ab"),
        };
        assert_eq!(decode(&data(3, true, b"ab")), Ok(Some(end)));
        assert!(parse_headers(&[0, 0, 0, 1, 0, 0, 0, 9, 1]).is_err());
    }
}
