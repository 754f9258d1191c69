//! The port on which a cluster's API server listens for clients of this machine: chosen once, and kept.
//!
//! Kubeconfigs name it, so it must be free again whenever the region comes back. The kernel gives out ports of a range of its
//! own to whoever asks for any, also for connections going out, so the cluster's is chosen outside of that.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;

use clock::Random;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::instances;

/// Ports that are chosen from, where the kernel's own range leaves them.
const CHOICE: Range<u16> = 16_384..32_768;
/// How many are tried before any port will do.
const TRIES: usize = 64;

/// What is remembered in the cluster's directory.
#[derive(Serialize, Deserialize)]
struct EndpointRecord {
    port: u16,
}

/// Listens where the cluster listened before; at first, on a free port that nobody is given by chance.
///
/// # Errors
/// When the cluster's port is taken, or the record cannot be read or written.
pub(super) async fn listen(directory: &Path, random: &dyn Random) -> io::Result<(TcpListener, u16)> {
    let path = directory.join("endpoint.json");
    if let Some(EndpointRecord { port }) = instances::read_json(&path)? {
        return Ok((bind(port).await?, port));
    }
    let listener = first(random).await?;
    let port = listener.local_addr()?.port();
    instances::write_json(&path, &EndpointRecord { port })?;
    Ok((listener, port))
}

async fn first(random: &dyn Random) -> io::Result<TcpListener> {
    let choice = lasting(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
    for _ in 0..TRIES {
        let offset = random.below(u64::from(choice.end.saturating_sub(choice.start)));
        let port = choice.start.saturating_add(u16::try_from(offset).unwrap_or(0));
        match bind(port).await {
            Ok(listener) => return Ok(listener),
            Err(error) => tracing::debug!(%error, "not the API server's port"),
        }
    }
    bind(0).await
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(|error| io::Error::new(error.kind(), format!("127.0.0.1:{port}: {error}")))
}

/// The part of the choice below the kernel's range, or all of it when that leaves nothing.
fn lasting(kernel_range: &str) -> Range<u16> {
    let lowest = kernel_range.split_whitespace().next().and_then(|low| low.parse().ok());
    let end = CHOICE.end.min(lowest.unwrap_or(CHOICE.end));
    if end > CHOICE.start { CHOICE.start..end } else { CHOICE }
}

#[cfg(test)]
mod tests {
    use clock::SeededRandom;

    use super::*;

    #[test]
    fn the_kernels_own_range_is_left_out() {
        assert_eq!(lasting("32768\t60999\n"), CHOICE);
        assert_eq!(lasting("20000 60999"), 16_384..20_000);
        assert_eq!(lasting("1024 65535"), CHOICE);
        assert_eq!(lasting(""), CHOICE);
    }

    #[tokio::test]
    async fn a_port_is_kept_and_one_that_is_taken_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let random = SeededRandom::new(u64::from(std::process::id()));
        let (listener, port) = listen(directory.path(), &random).await.unwrap();
        let refused = listen(directory.path(), &random).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("127.0.0.1:{port}")), "{refused}");
        drop(listener);
        assert_eq!(listen(directory.path(), &random).await.unwrap().1, port);
    }
}
