//! Network sysctls of the calling thread's namespace.
use std::io;

use thiserror::Error;

/// Why a sysctl was not set.
#[derive(Debug, Error)]
#[error("set sysctl net.{name} to {value}")]
pub struct SysctlError {
    name: String,
    value: String,
    #[source]
    source: io::Error,
}

/// Writes `net.<name>`. The files under /proc/sys/net are those of the writing thread's namespace.
pub(crate) fn set(name: &str, value: &str) -> Result<(), SysctlError> {
    let path = format!("/proc/sys/net/{name}");
    std::fs::write(path, value).map_err(|source| SysctlError {
        name: name.to_owned(),
        value: value.to_owned(),
        source,
    })
}

/// As [`set`]; a kernel without this sysctl (no IPv6, say) is no error.
pub(crate) fn set_if_present(name: &str, value: &str) -> Result<(), SysctlError> {
    match set(name, value) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What a namespace needs that forwards for others.
pub(crate) fn make_router() -> Result<(), SysctlError> {
    set("ipv4/ip_forward", "1")?;
    // Point-to-point /32 links: redirects and the global reverse-path check would both be wrong here.
    for scope in ["all", "default"] {
        set(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
        set(&format!("ipv4/conf/{scope}/send_redirects"), "0")?;
        // No link-local addresses: the fabric routes IPv4 only, and duplicate address detection costs time.
        set_if_present(&format!("ipv6/conf/{scope}/disable_ipv6"), "1")?;
    }
    Ok(())
}

/// What Kubernetes nodes set in a pod: ping without privilege, and ports below 1024 for every user.
pub(crate) fn make_pod() -> Result<(), SysctlError> {
    set("ipv4/ip_unprivileged_port_start", "0")?;
    if let Err(error) = set("ipv4/ping_group_range", "0 2147483647") {
        // In a user namespace the range may only hold groups that are mapped.
        if error.source.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
        set("ipv4/ping_group_range", &format!("0 {}", last_mapped_group()))?;
    }
    Ok(())
}

/// The last group of the mapping that starts at 0.
fn last_mapped_group() -> u32 {
    let map = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    let ranges = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) => Some((inside, count)),
            _ => None,
        }
    });
    let mut ranges: Vec<(u32, u32)> = ranges.collect();
    ranges.sort_unstable();
    // Consecutive lines continue each other (own id at 0, subordinate ids from 1).
    let end = ranges
        .iter()
        .fold(0, |end, (inside, count)| if *inside == end { end + count } else { end });
    end.saturating_sub(1)
}
