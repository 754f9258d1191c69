//! Batches of rtnetlink messages, sent at once and acknowledged one by one.
//!
//! An own encoder, because a pod's link is a dozen small messages: batched they take a third of a millisecond, one by
//! one through an asynchronous handle they took 25.
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use thiserror::Error;

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Answers are read in pieces of this size; the kernel never sends a larger datagram than 32 KiB.
const READ_BUFFER: usize = 64 << 10;

/// Why the kernel did not do what was asked.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// No netlink socket.
    #[error("open a netlink socket")]
    Open(#[source] nix::Error),
    /// Sending failed.
    #[error("send netlink messages")]
    Send(#[source] nix::Error),
    /// No answer, or none in time.
    #[error("receive netlink answers")]
    Receive(#[source] nix::Error),
    /// The kernel refused one message.
    #[error("{what}")]
    Refused {
        /// What the message was to do.
        what: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// An answer was cut short.
    #[error("netlink answer is malformed")]
    Malformed,
}

impl NetlinkError {
    /// The kernel's error number, when it refused a message.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// One request: a kind, its fixed part, and attributes.
pub(crate) struct Message {
    what: String,
    tolerated: &'static [i32],
    bytes: Vec<u8>,
}

impl Message {
    /// A message of `kind` with extra `flags`; `what` words the error, should the kernel refuse.
    pub(crate) fn new(what: impl Into<String>, kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let flags = (libc::NLM_F_REQUEST | flags) as u16;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        pad(&mut bytes);
        Self {
            what: what.into(),
            tolerated: &[],
            bytes,
        }
    }

    /// Error numbers that count as success, for messages whose effect may be there already.
    pub(crate) fn tolerate(mut self, errors: &'static [i32]) -> Self {
        self.tolerated = errors;
        self
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        put_attribute(&mut self.bytes, kind, value);
        self
    }

    pub(crate) fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// An attribute that holds what `fill` puts into it.
    pub(crate) fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        let mut filled = fill(self);
        let length = (filled.bytes.len() - start) as u16;
        filled.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled
    }

    /// Bytes without an attribute header (the peer's `ifinfomsg` of a veth stands like this).
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        pad(&mut self.bytes);
        self
    }

    fn seal(&mut self, sequence: u32, flag: i32) {
        let length = self.bytes.len() as u32;
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | flag as u16;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    }
}

fn put_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// One answer of a dump: the bytes behind the netlink header.
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    /// The fixed part's first `length` bytes, zero where the kernel sent less.
    pub(crate) fn fixed<const N: usize>(&self) -> [u8; N] {
        let mut fixed = [0; N];
        let length = N.min(self.0.len());
        fixed[..length].copy_from_slice(&self.0[..length]);
        fixed
    }

    /// The attribute of this kind behind a fixed part of `fixed` bytes.
    pub(crate) fn attribute(&self, fixed: usize, kind: u16) -> Option<&[u8]> {
        let mut rest = self.0.get(fixed..)?;
        while let [a, b, c, d, ..] = *rest {
            let length = usize::from(u16::from_ne_bytes([a, b]));
            let found = u16::from_ne_bytes([c, d]) & 0x3fff;
            if found == kind {
                return rest.get(4..length);
            }
            rest = rest.get(length.max(4).next_multiple_of(4)..)?;
        }
        None
    }

    pub(crate) fn number(&self, fixed: usize, kind: u16) -> Option<u32> {
        self.attribute(fixed, kind)
            .and_then(|value| value.try_into().ok())
            .map(u32::from_ne_bytes)
    }
}

/// A route-netlink socket of the namespace of the thread that opened it.
pub(crate) struct RouteSocket {
    socket: OwnedFd,
    sequence: u32,
}

impl RouteSocket {
    /// Opens a socket in the calling thread's namespace.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
        .map_err(NetlinkError::Open)?;
        setsockopt(&socket, sockopt::RcvBuf, &(1 << 20)).map_err(NetlinkError::Open)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(10, 0)).map_err(NetlinkError::Open)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(NetlinkError::Open)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends all messages at once and waits for all acknowledgements; the first refusal is returned, the other
    /// messages have been carried out nevertheless.
    pub(crate) fn apply(&mut self, mut messages: Vec<Message>) -> Result<(), NetlinkError> {
        if messages.is_empty() {
            return Ok(());
        }
        let first = self.sequence + 1;
        let mut bytes = Vec::with_capacity(messages.len() * 96);
        for message in &mut messages {
            self.sequence += 1;
            message.seal(self.sequence, libc::NLM_F_ACK);
            bytes.extend_from_slice(&message.bytes);
        }
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty()).map_err(NetlinkError::Send)?;
        let mut outstanding = messages.len();
        let mut refused = None;
        while outstanding > 0 {
            self.receive(|kind, sequence, body| {
                let message = sequence
                    .checked_sub(first)
                    .and_then(|index| messages.get(index as usize));
                let Some(message) = message.filter(|_| kind == libc::NLMSG_ERROR as u16) else {
                    return;
                };
                outstanding -= 1;
                let error = error_number(body);
                if error != 0 && !message.tolerated.contains(&error) && refused.is_none() {
                    let source = io::Error::from_raw_os_error(error);
                    refused = Some(NetlinkError::Refused {
                        what: message.what.clone(),
                        source,
                    });
                }
            })?;
        }
        refused.map_or(Ok(()), Err)
    }

    /// Asks for one object or, with `NLM_F_DUMP`, for all.
    pub(crate) fn query(&mut self, mut message: Message) -> Result<Vec<Answer>, NetlinkError> {
        self.sequence += 1;
        let dump = u16::from_ne_bytes([message.bytes[6], message.bytes[7]]) & libc::NLM_F_DUMP as u16 != 0;
        message.seal(self.sequence, if dump { 0 } else { libc::NLM_F_ACK });
        send(self.socket.as_raw_fd(), &message.bytes, MsgFlags::empty()).map_err(NetlinkError::Send)?;
        let wanted = self.sequence;
        let (mut answers, mut done, mut refused) = (Vec::new(), false, None);
        while !done {
            self.receive(|kind, sequence, body| {
                if sequence != wanted {
                    return;
                }
                match i32::from(kind) {
                    libc::NLMSG_DONE => done = true,
                    libc::NLMSG_ERROR => {
                        done = true;
                        let error = error_number(body);
                        if error != 0 && !message.tolerated.contains(&error) {
                            let source = io::Error::from_raw_os_error(error);
                            refused = Some(NetlinkError::Refused {
                                what: message.what.clone(),
                                source,
                            });
                        }
                    }
                    _ => answers.push(Answer(body.to_vec())),
                }
            })?;
        }
        refused.map_or(Ok(answers), Err)
    }

    fn receive(&self, mut each: impl FnMut(u16, u32, &[u8])) -> Result<(), NetlinkError> {
        let mut buffer = vec![0; READ_BUFFER];
        let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).map_err(NetlinkError::Receive)?;
        let mut rest = &buffer[..length];
        while rest.len() >= HEADER {
            let message = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            let body = rest.get(HEADER..message).ok_or(NetlinkError::Malformed)?;
            let kind = u16::from_ne_bytes([rest[4], rest[5]]);
            each(kind, u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]), body);
            rest = rest.get(message.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The positive error number in an `NLMSG_ERROR` body; 0 is an acknowledgement.
fn error_number(body: &[u8]) -> i32 {
    match *body {
        [a, b, c, d, ..] => -i32::from_ne_bytes([a, b, c, d]),
        _ => libc::EPROTO,
    }
}

#[cfg(test)]
mod tests;
