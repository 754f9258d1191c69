//! Whether a request to make or change a cluster or node group is acceptable, and EKS's defaults for what it leaves out.

use aws_types::{ZoneName, eks_version, eks_version::EksVersion, instance_type};
use ipnet::Ipv4Net;

use crate::Refusal;
use crate::nodegroup::{Scaling, Unavailable};

/// The most nodes of a group (EKS's default quota).
pub const MOST_NODES: u32 = 450;

/// The version to make: the wanted one, or EKS's default.
///
/// # Errors
/// When EKS does not offer it.
pub fn version(wanted: Option<&str>) -> Result<&'static EksVersion, Refusal> {
    match wanted {
        None => Ok(eks_version::default_version()),
        Some(minor) => eks_version::find(minor)
            .ok_or_else(|| Refusal::invalid_parameter(format!("unsupported Kubernetes version {minor}"))),
    }
}

/// EKS puts a cluster's interfaces into at least two zones.
///
/// # Errors
/// When there are fewer.
pub fn zones(zones: &[ZoneName]) -> Result<(), Refusal> {
    let mut distinct: Vec<&ZoneName> = zones.iter().collect();
    distinct.sort();
    distinct.dedup();
    if distinct.len() < 2 {
        return Err(Refusal::invalid_parameter(
            "Subnets specified must be in at least two different AZs",
        ));
    }
    Ok(())
}

/// The services' range: the wanted one after EKS's checks, or EKS's default, which avoids the VPC.
///
/// # Errors
/// When the range is not private, not between /24 and /12, or overlaps the VPC.
pub fn service_cidr(wanted: Option<&str>, vpc: Ipv4Net) -> Result<Ipv4Net, Refusal> {
    let ten = Ipv4Net::new_assert([10, 0, 0, 0].into(), 8);
    let Some(text) = wanted else {
        let default = if ten.contains(&vpc) {
            ([172, 20, 0, 0], 16)
        } else {
            ([10, 100, 0, 0], 16)
        };
        return Ok(Ipv4Net::new_assert(default.0.into(), default.1));
    };
    let refuse = |why: &str| Refusal::invalid_parameter(format!("serviceIpv4Cidr {text} {why}"));
    let range: Ipv4Net = text
        .parse()
        .map_err(|error| refuse(&format!("is not a CIDR block: {error}")))?;
    let private = [
        ten,
        Ipv4Net::new_assert([172, 16, 0, 0].into(), 12),
        Ipv4Net::new_assert([192, 168, 0, 0].into(), 16),
    ];
    if !private.iter().any(|block| block.contains(&range)) {
        return Err(refuse("must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"));
    }
    if !(12..=24).contains(&range.prefix_len()) {
        return Err(refuse("must be between /24 and /12"));
    }
    if range.trunc() != range {
        return Err(refuse(&format!("has host bits set, the network is {}", range.trunc())));
    }
    if range.contains(&vpc) || vpc.contains(&range) {
        return Err(refuse(&format!("overlaps the VPC's block {vpc}")));
    }
    Ok(range)
}

/// Checks sizes against each other.
///
/// # Errors
/// EKS's sentences for sizes that contradict each other.
pub fn scaling(scaling: Scaling) -> Result<Scaling, Refusal> {
    let Scaling { min, max, desired } = scaling;
    let refuse = |message: String| Err(Refusal::invalid_parameter(message));
    if max < 1 {
        return refuse(format!("max size {max} must be at least 1"));
    }
    if min > max {
        return refuse(format!("Minimum capacity {min} can't be greater than max size {max}"));
    }
    if min > desired {
        return refuse(format!(
            "Minimum capacity {min} can't be greater than desired size {desired}"
        ));
    }
    if desired > max {
        return refuse(format!(
            "desired capacity {desired} can't be greater than max size {max}"
        ));
    }
    if max > MOST_NODES {
        return Err(Refusal::new(
            crate::refusal::RefusalKind::ResourceLimitExceeded,
            format!("max size {max} exceeds the limit of {MOST_NODES} nodes per node group"),
        ));
    }
    Ok(scaling)
}

/// `updateConfig`: one of the two numbers, 1 to 100; EKS's default is one node.
///
/// # Errors
/// When both are given or a number is out of range.
pub fn unavailable(count: Option<i64>, percentage: Option<i64>) -> Result<Unavailable, Refusal> {
    let checked = |name: &str, value: i64| match u32::try_from(value) {
        Ok(number) if (1..=100).contains(&number) => Ok(number),
        _ => Err(Refusal::invalid_parameter(format!(
            "{name} {value} must be between 1 and 100"
        ))),
    };
    match (count, percentage) {
        (Some(_), Some(_)) => Err(Refusal::invalid_parameter(
            "maxUnavailable and maxUnavailablePercentage cannot both be specified",
        )),
        (Some(count), None) => Ok(Unavailable::Count(checked("maxUnavailable", count)?)),
        (None, Some(share)) => Ok(Unavailable::Percentage(checked("maxUnavailablePercentage", share)?)),
        (None, None) => Ok(Unavailable::Count(1)),
    }
}

/// The architecture that all types share.
///
/// # Errors
/// When a type is unknown or two types differ in architecture.
pub fn instance_types(names: &[String]) -> Result<&'static str, Refusal> {
    let mut architecture = None;
    for name in names {
        let known = instance_type::find(name).ok_or_else(|| {
            Refusal::invalid_parameter(format!("The following supplied instance types do not exist: [{name}]"))
        })?;
        if architecture
            .replace(known.architecture)
            .is_some_and(|before| before != known.architecture)
        {
            let message = format!(
                "instance types must have the same architecture, {name} is {}",
                known.architecture
            );
            return Err(Refusal::invalid_parameter(message));
        }
    }
    Ok(architecture.unwrap_or("x86_64"))
}

/// The version of a node group: the cluster's own, or an older one that the kubelet skew allows (three minors).
///
/// # Errors
/// When it is newer than the control plane or too old.
pub fn nodegroup_version(wanted: Option<&str>, cluster: &str) -> Result<&'static EksVersion, Refusal> {
    let control_plane = version(Some(cluster))?;
    let Some(minor) = wanted else { return Ok(control_plane) };
    let nodes = version(Some(minor))?;
    if nodes.minor_number() > control_plane.minor_number() {
        let message =
            format!("Requested Nodegroup version {minor} is higher than the cluster's Kubernetes version {cluster}");
        return Err(Refusal::invalid_parameter(message));
    }
    if nodes.minor_number() + 3 < control_plane.minor_number() {
        let message =
            format!("Requested Nodegroup version {minor} is too old for the cluster's Kubernetes version {cluster}");
        return Err(Refusal::invalid_parameter(message));
    }
    Ok(nodes)
}

/// The version that a cluster is upgraded to: the next minor, when no node group would be too old for it.
///
/// # Errors
/// EKS's sentences for what cannot be.
pub fn next_version(
    current: &str,
    wanted: &str,
    nodegroups: &[&str],
    force: bool,
) -> Result<&'static EksVersion, Refusal> {
    let (now, next) = (version(Some(current))?, version(Some(wanted))?);
    if next.minor == now.minor {
        let message = format!("Cluster is already at the desired configuration with version {wanted}");
        return Err(Refusal::invalid_parameter(message));
    }
    if next.minor_number() != now.minor_number() + 1 {
        let message = format!("Unsupported Kubernetes minor version update from {current} to {wanted}");
        return Err(Refusal::invalid_parameter(message));
    }
    let old = nodegroups.iter().filter_map(|minor| eks_version::find(minor));
    let oldest = old.map(EksVersion::minor_number).min();
    if !force && oldest.is_some_and(|oldest| oldest + 3 < next.minor_number()) {
        let message = format!(
            "Kubelet version(s) of node groups are too old for an upgrade to {wanted}; update the node groups first"
        );
        return Err(Refusal::invalid_request(message));
    }
    Ok(next)
}

/// The version that a node group is updated to: the wanted one, or its own, of which a newer release is taken.
///
/// # Errors
/// EKS's sentences for what cannot be.
pub fn nodegroup_upgrade(current: &str, wanted: Option<&str>, cluster: &str) -> Result<&'static EksVersion, Refusal> {
    let next = nodegroup_version(Some(wanted.unwrap_or(current)), cluster)?;
    let now = version(Some(current))?;
    if next.minor_number() < now.minor_number() {
        let message = format!(
            "Requested Nodegroup version {} is lower than the current version {current}",
            next.minor
        );
        return Err(Refusal::invalid_parameter(message));
    }
    if next.minor_number() > now.minor_number() + 1 {
        let message = format!(
            "Requested Nodegroup version {} is more than one minor above the current version {current}",
            next.minor
        );
        return Err(Refusal::invalid_parameter(message));
    }
    Ok(next)
}

/// The Kubernetes version of a release of EKS's Amazon Linux images, `1.33` of `1.33.5-20251101`; `None` for releases that name none, as
/// Bottlerocket's.
fn version_of_release(release: &str) -> Option<String> {
    let (number, date) = release.split_once('-')?;
    let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let (minor, _) = number.rsplit_once('.').filter(|_| is_date)?;
    Some(minor.to_owned())
}

/// The version that a request for a node group means: the one that it names, or that of the release that it names.
///
/// # Errors
/// EKS's sentence for a release of another version.
pub fn version_or_release(version: Option<&str>, release: Option<&str>) -> Result<Option<String>, Refusal> {
    let of_release = release.and_then(version_of_release);
    match (version, of_release) {
        (Some(version), Some(of_release)) if version != of_release => {
            let message = format!(
                "Requested release version {} is not valid for kubernetes version {version}.",
                release.unwrap_or_default()
            );
            Err(Refusal::invalid_parameter(message))
        }
        (version, of_release) => Ok(version.map(str::to_owned).or(of_release)),
    }
}

#[cfg(test)]
mod tests;
