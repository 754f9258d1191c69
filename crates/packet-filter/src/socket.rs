//! A netfilter netlink socket: batches that are applied as a whole, and dumps.
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockopt, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;
use thiserror::Error;

use crate::message::{HEADERS, Message, attributes};

/// A batch of the largest clusters; an ordinary user's sockets stay at the system's limit.
const SEND_BUFFER: usize = 64 << 20;
const READ_BUFFER: usize = 64 << 10;

/// Why the kernel did not do what was asked.
#[derive(Debug, Error)]
pub enum SocketError {
    /// No netlink socket.
    #[error("open a netfilter socket")]
    Open(#[source] nix::Error),
    /// Sending failed.
    #[error("send netfilter messages")]
    Send(#[source] nix::Error),
    /// No answer, or none in time.
    #[error("receive netfilter answers")]
    Receive(#[source] nix::Error),
    /// The kernel refused one message, and with it the whole batch.
    #[error("{what}{}", detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default())]
    Refused {
        /// What the message was to do.
        what: String,
        /// The kernel's own words or the attribute it did not like, if it said.
        detail: Option<String>,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// An answer was cut short.
    #[error("netfilter answer is malformed")]
    Malformed,
}

/// A socket of the namespace of the thread that opened it.
pub(crate) struct NetfilterSocket {
    socket: OwnedFd,
    sequence: u32,
}

impl NetfilterSocket {
    pub(crate) fn open() -> Result<Self, SocketError> {
        let protocol = SockProtocol::NetlinkNetFilter;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .map_err(SocketError::Open)?;
        // Beyond the system's limit only with privilege on the host; without, smaller batches follow each other.
        if setsockopt(&socket, sockopt::SndBufForce, &SEND_BUFFER).is_err() {
            setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER).map_err(SocketError::Open)?;
        }
        setsockopt(&socket, sockopt::RcvBuf, &(4 << 20)).map_err(SocketError::Open)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(10, 0)).map_err(SocketError::Open)?;
        extended_errors(&socket).map_err(SocketError::Open)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(SocketError::Open)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// How many bytes one batch may have here.
    pub(crate) fn batch_limit(&self) -> Result<usize, SocketError> {
        let buffer = getsockopt(&self.socket, sockopt::SndBuf).map_err(SocketError::Open)?;
        // The kernel counts its bookkeeping against the buffer as well.
        Ok(buffer.saturating_sub(4096).max(4096))
    }

    /// Applies all messages in one transaction, or none.
    pub(crate) fn transact(&mut self, messages: &mut [Message]) -> Result<(), SocketError> {
        let Some(last) = messages.len().checked_sub(1) else {
            return Ok(());
        };
        let mut bytes = Vec::with_capacity(messages.iter().map(|message| message.bytes.len()).sum::<usize>() + 40);
        let mut marker = Message::batch_marker(libc::NFNL_MSG_BATCH_BEGIN as u16);
        marker.seal(self.next_sequence(), 0);
        bytes.extend_from_slice(&marker.bytes);
        let first = self.sequence + 1;
        for (index, message) in messages.iter_mut().enumerate() {
            // Errors are always told; one acknowledgement, of the last message, says that all was read.
            let acknowledge = if index == last { libc::NLM_F_ACK as u16 } else { 0 };
            message.seal(self.next_sequence(), acknowledge);
            bytes.extend_from_slice(&message.bytes);
        }
        let done = self.sequence;
        let mut marker = Message::batch_marker(libc::NFNL_MSG_BATCH_END as u16);
        marker.seal(self.next_sequence(), 0);
        bytes.extend_from_slice(&marker.bytes);
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty()).map_err(SocketError::Send)?;
        self.outcome(first, done, messages)
    }

    fn outcome(&self, first: u32, done: u32, messages: &[Message]) -> Result<(), SocketError> {
        let (mut finished, mut refused) = (false, None);
        while !finished {
            self.receive(|kind, sequence, flags, body| {
                // Answers to an earlier batch may still be there when that one was given up.
                if kind != libc::NLMSG_ERROR as u16 || sequence + 1 < first {
                    return;
                }
                let error = error_number(body);
                // An error that belongs to no message is the transaction's own, at its end.
                finished |= sequence == done || (error != 0 && sequence + 1 == first);
                if error != 0 && refused.is_none() {
                    let message = messages.get((sequence.wrapping_sub(first)) as usize);
                    let what = message.map_or_else(|| "commit the transaction".to_owned(), |found| found.what.clone());
                    let source = io::Error::from_raw_os_error(error);
                    refused = Some(SocketError::Refused {
                        what,
                        detail: error_detail(flags, body),
                        source,
                    });
                }
            })?;
        }
        refused.map_or(Ok(()), Err)
    }

    /// Sends one message and gives every answer's body (behind both headers) to `each` until the end of the dump.
    pub(crate) fn dump(&mut self, mut message: Message, mut each: impl FnMut(&[u8])) -> Result<(), SocketError> {
        let sequence = self.next_sequence();
        message.seal(sequence, libc::NLM_F_DUMP as u16);
        send(self.socket.as_raw_fd(), &message.bytes, MsgFlags::empty()).map_err(SocketError::Send)?;
        let (mut finished, mut refused) = (false, None);
        while !finished {
            self.receive(|kind, found, _, body| {
                if found != sequence {
                    return;
                }
                match i32::from(kind) {
                    libc::NLMSG_DONE => finished = true,
                    libc::NLMSG_ERROR => {
                        finished = true;
                        let source = io::Error::from_raw_os_error(error_number(body));
                        refused = Some(SocketError::Refused {
                            what: message.what.clone(),
                            detail: None,
                            source,
                        });
                    }
                    _ => each(body.get(HEADERS - 16..).unwrap_or_default()),
                }
            })?;
        }
        refused.map_or(Ok(()), Err)
    }

    /// Sends one message of its own (no transaction) and waits for its acknowledgement.
    pub(crate) fn request(&mut self, mut message: Message, tolerated: &[i32]) -> Result<(), SocketError> {
        let sequence = self.next_sequence();
        message.seal(sequence, libc::NLM_F_ACK as u16);
        send(self.socket.as_raw_fd(), &message.bytes, MsgFlags::empty()).map_err(SocketError::Send)?;
        let mut outcome = None;
        while outcome.is_none() {
            self.receive(|kind, found, flags, body| {
                if kind == libc::NLMSG_ERROR as u16 && found == sequence {
                    outcome = Some((error_number(body), error_detail(flags, body)));
                }
            })?;
        }
        match outcome {
            Some((error, detail)) if error != 0 && !tolerated.contains(&error) => Err(SocketError::Refused {
                what: message.what,
                detail,
                source: io::Error::from_raw_os_error(error),
            }),
            _ => Ok(()),
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    fn receive(&self, mut each: impl FnMut(u16, u32, u16, &[u8])) -> Result<(), SocketError> {
        const NETLINK_HEADER: usize = 16;
        let mut buffer = vec![0; READ_BUFFER];
        let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).map_err(SocketError::Receive)?;
        let mut rest = &buffer[..length];
        while rest.len() >= NETLINK_HEADER {
            let message = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            let body = rest.get(NETLINK_HEADER..message).ok_or(SocketError::Malformed)?;
            let kind = u16::from_ne_bytes([rest[4], rest[5]]);
            let flags = u16::from_ne_bytes([rest[6], rest[7]]);
            each(
                kind,
                u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]),
                flags,
                body,
            );
            rest = rest.get(message.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Asks the kernel to say in words, and by offset, what it did not like.
#[allow(unsafe_code, reason = "the option has no safe wrapper")]
fn extended_errors(socket: &OwnedFd) -> nix::Result<()> {
    let on: libc::c_int = 1;
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        // SAFETY: the descriptor is open, and the pointer is to an int that outlives the call, of the length given.
        let outcome = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                std::ptr::from_ref(&on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        nix::errno::Errno::result(outcome)?;
    }
    Ok(())
}

/// The positive error number of an `NLMSG_ERROR` body; 0 is an acknowledgement.
fn error_number(body: &[u8]) -> i32 {
    match *body {
        [a, b, c, d, ..] => -i32::from_ne_bytes([a, b, c, d]),
        _ => libc::EPROTO,
    }
}

/// The kernel's message, or where in the request the refused attribute lies.
fn error_detail(flags: u16, body: &[u8]) -> Option<String> {
    const CAPPED: u16 = 0x100;
    const HAS_ATTRIBUTES: u16 = 0x200;
    const MESSAGE: u16 = 1;
    const OFFSET: u16 = 2;
    if flags & HAS_ATTRIBUTES == 0 {
        return None;
    }
    let quoted = body
        .get(4..8)
        .map(|length| u32::from_ne_bytes([length[0], length[1], length[2], length[3]]))?;
    let start = if flags & CAPPED != 0 {
        20
    } else {
        4 + (quoted as usize).next_multiple_of(4)
    };
    attributes(body.get(start..)?).find_map(|(kind, value)| match kind {
        MESSAGE => Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()),
        OFFSET => <[u8; 4]>::try_from(value)
            .ok()
            .map(|offset| format!("attribute at byte {}", u32::from_ne_bytes(offset))),
        _ => None,
    })
}
