//! The channel framing of `*.channel.k8s.io` in its binary and base64 forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Which of the two forms a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Binary messages, the channel as a byte.
    Binary,
    /// Text messages, the channel as a digit, the rest in base64.
    Base64,
}

impl Encoding {
    pub(crate) fn of(protocol: &str) -> Self {
        if protocol.contains("base64.") {
            Self::Base64
        } else {
            Self::Binary
        }
    }

    /// One message of `payload` on `channel`.
    pub(crate) fn encode(self, channel: u8, payload: &[u8]) -> Message {
        match self {
            Self::Binary => {
                let mut bytes = Vec::with_capacity(payload.len() + 1);
                bytes.push(channel);
                bytes.extend_from_slice(payload);
                Message::Binary(bytes.into())
            }
            Self::Base64 => {
                let mut text = String::from(char::from(b'0' + channel));
                STANDARD.encode_string(payload, &mut text);
                Message::Text(text.into())
            }
        }
    }

    /// Channel and payload of a client's message; `None` for control messages and what is not framed as it should be.
    pub(crate) fn decode(self, message: &Message) -> Option<(u8, Vec<u8>)> {
        let data = match message {
            Message::Binary(bytes) => bytes.as_ref(),
            Message::Text(text) => text.as_bytes(),
            _ => return None,
        };
        let (channel, payload) = data.split_first()?;
        match self {
            Self::Binary => Some((*channel, payload.to_vec())),
            Self::Base64 => Some((channel.checked_sub(b'0')?, STANDARD.decode(payload).ok()?)),
        }
    }
}

/// The close that clients want to see: 1000. An empty close makes kubectl fail with "close 1005".
pub(crate) fn normal_close() -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    }))
}
