//! What each signer of the cluster signs, and for how long.
//!
//! Source: `pkg/controller/certificates/signer` and `pkg/apis/certificates/helpers.go` of upstream; the signer of EKS for
//! applications is the one that its guide to the certificates API names.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use certificates::Request;
use jiff::{SignedDuration, Timestamp};

use crate::identity::{NODE_USER_PREFIX, NODES};

/// The longest life of a certificate, and its life when nothing is asked (upstream's `--cluster-signing-duration`).
const LONGEST: SignedDuration = SignedDuration::from_hours(365 * 24);
/// No certificate is made for less.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);
/// Clocks that are behind by this much accept a new certificate.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// Certificates of less than this lose nothing of their life by the backdating.
const SHORT: SignedDuration = SignedDuration::from_hours(8);

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// Clients of the API server.
    Client,
    /// Kubelets as clients of the API server.
    KubeletClient,
    /// The HTTPS ports of kubelets.
    KubeletServing,
    /// Servers in pods, at EKS.
    ApplicationServing,
}

/// Why a request is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Of another group, or of more than one.
    #[error("subject organization is not system:nodes")]
    Organization,
    /// Not a node's name.
    #[error("subject common name does not begin with system:node:")]
    CommonName,
    /// A server needs a name or an address.
    #[error("DNS or IP subjectAltName is required")]
    NoName,
    /// Names of this kind must not be asked for.
    #[error("{0} subjectAltNames are not allowed")]
    Names(&'static str),
    /// Not exactly the usages of the signer.
    #[error("usages did not match [{0}]")]
    Usages(String),
    /// A usage that clients do not have.
    #[error("invalid usage for client certificate: {0}")]
    NotForClients(String),
    /// A usage that clients must have.
    #[error("missing required usage for client certificate: client auth")]
    NoClient,
}

impl Signer {
    /// The signer of a name; `None` for one that somebody else is.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "kubernetes.io/kube-apiserver-client" => Self::Client,
            "kubernetes.io/kube-apiserver-client-kubelet" => Self::KubeletClient,
            "kubernetes.io/kubelet-serving" => Self::KubeletServing,
            "beta.eks.amazonaws.com/app-serving" => Self::ApplicationServing,
            _ => return None,
        })
    }

    /// Does the signer sign this?
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, request: &Request, usages: &[String]) -> Result<(), Unfit> {
        match self {
            Self::Client => client(usages),
            Self::KubeletClient => kubelet_client(request, usages),
            Self::KubeletServing => kubelet_serving(request, usages),
            Self::ApplicationServing => exactly(usages, &["digital signature", "key encipherment", "server auth"]),
        }
    }
}

fn client(usages: &[String]) -> Result<(), Unfit> {
    for usage in usages {
        if !matches!(usage.as_str(), "digital signature" | "key encipherment" | "client auth") {
            return Err(Unfit::NotForClients(usage.clone()));
        }
    }
    if usages.iter().any(|usage| usage == "client auth") {
        Ok(())
    } else {
        Err(Unfit::NoClient)
    }
}

fn kubelet_client(request: &Request, usages: &[String]) -> Result<(), Unfit> {
    of_nodes(request)?;
    let names = [
        ("DNS", request.dns_names.is_empty()),
        ("Email", request.emails.is_empty()),
        ("IP", request.addresses.is_empty()),
        ("URI", request.uris.is_empty()),
    ];
    if let Some((kind, _)) = names.into_iter().find(|(_, none)| !none) {
        return Err(Unfit::Names(kind));
    }
    named_as_node(request)?;
    exactly(usages, &["client auth", "digital signature", "key encipherment"])
}

fn kubelet_serving(request: &Request, usages: &[String]) -> Result<(), Unfit> {
    of_nodes(request)?;
    if request.dns_names.is_empty() && request.addresses.is_empty() {
        return Err(Unfit::NoName);
    }
    for (kind, none) in [("Email", request.emails.is_empty()), ("URI", request.uris.is_empty())] {
        if !none {
            return Err(Unfit::Names(kind));
        }
    }
    exactly(usages, &["digital signature", "key encipherment", "server auth"])?;
    named_as_node(request)
}

fn of_nodes(request: &Request) -> Result<(), Unfit> {
    if request.organizations == [NODES] {
        Ok(())
    } else {
        Err(Unfit::Organization)
    }
}

fn named_as_node(request: &Request) -> Result<(), Unfit> {
    if request.common_name.starts_with(NODE_USER_PREFIX) {
        Ok(())
    } else {
        Err(Unfit::CommonName)
    }
}

/// These usages, of which only `key encipherment` may be missing: keys that are not of RSA do not have it.
fn exactly(usages: &[String], wanted: &[&str]) -> Result<(), Unfit> {
    let asked: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let all: BTreeSet<&str> = wanted.iter().copied().collect();
    let mut without_rsa = all.clone();
    without_rsa.remove("key encipherment");
    if asked == all || asked == without_rsa {
        Ok(())
    } else {
        Err(Unfit::Usages(wanted.join(" ")))
    }
}

/// From when until when a certificate holds that is made now by an authority that ends at `authority`; `None` when the
/// authority has ended.
#[must_use]
pub fn validity(
    now: Timestamp,
    expiration_seconds: Option<i32>,
    authority: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let asked = expiration_seconds.map(|seconds| SignedDuration::from_secs(i64::from(seconds)));
    let life = asked.map_or(LONGEST, |asked| asked.clamp(SHORTEST, LONGEST));
    if now >= authority {
        return None;
    }
    let lasting = if life < SHORT { life } else { life - BACKDATE };
    Some((now - BACKDATE, (now + lasting).min(authority)))
}
