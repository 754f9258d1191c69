//! Forgets connection-tracking entries of UDP flows whose endpoint is gone: a flow that goes on would be sent there
//! for as long as it goes on.
use std::net::{Ipv4Addr, SocketAddrV4};

use service_routing::ruleset::Protocol;
use service_routing::service_rules::StaleFlow;
use thiserror::Error;

use crate::expressions::protocol_of;
use crate::message::{Message, find};
use crate::socket::{NetfilterSocket, SocketError};

/// `IPCTNL_MSG_CT_GET` and `IPCTNL_MSG_CT_DELETE`.
const GET: u16 = 1;
const DELETE: u16 = 2;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;

/// Why flows are still remembered.
#[derive(Debug, Error)]
pub enum ConntrackError {
    /// No access to connection tracking.
    #[error("open connection tracking")]
    Open(#[source] SocketError),
    /// The entries could not be listed.
    #[error("list tracked flows")]
    List(#[source] SocketError),
    /// An entry could not be removed.
    #[error("forget a flow to {to}")]
    Delete {
        /// Where the flow was addressed to.
        to: SocketAddrV4,
        /// The cause.
        #[source]
        source: SocketError,
    },
}

/// Removes the entries of stale flows in the calling thread's namespace; returns how many there were.
///
/// # Errors
/// When connection tracking cannot be read or changed.
pub fn forget_flows(stale: &[StaleFlow]) -> Result<usize, ConntrackError> {
    if stale.is_empty() {
        return Ok(0);
    }
    let mut socket = NetfilterSocket::open().map_err(ConntrackError::Open)?;
    let mut found = Vec::new();
    let list = Message::new("list tracked flows", kind(GET), 0);
    let collect =
        |entry: &[u8]| found.extend(Flow::read(entry).filter(|flow| stale.iter().any(|stale| flow.is(stale))));
    socket.dump(list, collect).map_err(ConntrackError::List)?;
    for flow in &found {
        let mut message = Message::new("forget flow", kind(DELETE), 0);
        message.nested(ORIGINAL, |message| {
            message.bytes.extend_from_slice(&flow.original);
        });
        // It may have timed out meanwhile.
        let outcome = socket.request(message, &[libc::ENOENT]);
        outcome.map_err(|source| ConntrackError::Delete { to: flow.to, source })?;
    }
    Ok(found.len())
}

fn kind(message: u16) -> u16 {
    (libc::NFNL_SUBSYS_CTNETLINK as u16) << 8 | message
}

/// A tracked UDP flow.
struct Flow {
    /// The original direction's tuple as the kernel wrote it.
    original: Vec<u8>,
    /// Where the client sent to.
    to: SocketAddrV4,
    /// Who answers.
    endpoint: SocketAddrV4,
}

impl Flow {
    fn read(entry: &[u8]) -> Option<Self> {
        let original = find(entry, ORIGINAL)?;
        let (_, to) = tuple(original)?;
        let (endpoint, _) = tuple(find(entry, REPLY)?)?;
        Some(Self {
            original: original.to_vec(),
            to,
            endpoint,
        })
    }

    fn is(&self, stale: &StaleFlow) -> bool {
        self.to.port() == stale.port
            && stale.address.is_none_or(|address| address == *self.to.ip())
            && match stale.endpoint {
                Some(endpoint) => endpoint == self.endpoint,
                // Flows that were not redirected when the service had no endpoint.
                None => self.endpoint == self.to,
            }
    }
}

/// Source and destination of a UDP tuple.
fn tuple(bytes: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let (addresses, transport) = (find(bytes, 1)?, find(bytes, 2)?);
    if protocol_of(*find(transport, 1)?.first()?) != Some(Protocol::Udp) {
        return None;
    }
    let address = |kind| {
        find(addresses, kind)
            .and_then(|value| <[u8; 4]>::try_from(value).ok())
            .map(Ipv4Addr::from)
    };
    let port = |kind| {
        find(transport, kind)
            .and_then(|value| <[u8; 2]>::try_from(value).ok())
            .map(u16::from_be_bytes)
    };
    Some((
        SocketAddrV4::new(address(1)?, port(2)?),
        SocketAddrV4::new(address(2)?, port(3)?),
    ))
}
