//! Which certificate requests are approved without a person, and what must be allowed for that.
//!
//! Source of the rules: `pkg/controller/certificates/approver`. Serving certificates of nodes are approved when they name
//! nothing but the node's own addresses, as EKS does for its nodes and upstream leaves to others.

#[cfg(test)]
mod tests;

use access_rules::signers::Signer;
use certificates::Request;
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::api::core::v1::Node;
use plan::{Change, Plan, World, whole_seconds};

use crate::certificate_signing::{has, is_issued};

/// Name of the controller.
pub const NAME: &str = "certificatesigningrequest-approving-controller";

/// A way in which a request may be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The subresource of certificate requests that the requester must be allowed to create; `None` when nothing is to be
    /// asked any more.
    pub permission: Option<&'static str>,
    message: &'static str,
}

const SELF: Way = Way {
    permission: Some("selfnodeclient"),
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const NODE: Way = Way {
    permission: Some("nodeclient"),
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};
const SERVING: Way = Way {
    permission: None,
    message: "Auto approving kubelet serving certificate for the node's own addresses.",
};

/// The ways to try, in order; none for a request that was decided, or that people decide.
#[must_use]
pub fn ways(request: &CertificateSigningRequest, world: &World) -> Vec<Way> {
    if is_issued(request) || has(request, "Approved") || has(request, "Denied") {
        return Vec::new();
    }
    let Some(signer) = Signer::parse(&request.spec.signer_name) else {
        return Vec::new();
    };
    // What cannot be read was never accepted by the API server.
    let Ok(asked) = Request::parse(&request.spec.request.0) else {
        return Vec::new();
    };
    let usages = request.spec.usages.clone().unwrap_or_default();
    if signer.check(&asked, &usages).is_err() {
        return Vec::new();
    }
    let by_itself = request.spec.username.as_deref() == Some(asked.common_name.as_str());
    match signer {
        Signer::KubeletClient if by_itself => vec![SELF, NODE],
        Signer::KubeletClient => vec![NODE],
        Signer::KubeletServing if by_itself && names_only_itself(&asked, world) => vec![SERVING],
        Signer::KubeletServing | Signer::Client | Signer::ApplicationServing => Vec::new(),
    }
}

/// Approves the request in this way.
#[must_use]
pub fn approve(request: &CertificateSigningRequest, way: Way, now: Timestamp) -> Plan {
    let mut approved = request.clone();
    let status = approved.status.get_or_insert_default();
    status
        .conditions
        .get_or_insert_default()
        .push(CertificateSigningRequestCondition {
            type_: "Approved".to_owned(),
            status: "True".to_owned(),
            reason: Some("AutoApproved".to_owned()),
            message: Some(way.message.to_owned()),
            last_update_time: Some(whole_seconds(now)),
            last_transition_time: None,
        });
    Change::UpdateApproval(Box::new(approved)).into()
}

fn names_only_itself(asked: &Request, world: &World) -> bool {
    let name = asked.common_name.strip_prefix("system:node:").unwrap_or_default();
    let Some(node) = world.nodes.cluster(name) else {
        return false;
    };
    let own = own_names(node, name);
    let dns = asked.dns_names.iter().all(|wanted| own.contains(&wanted.as_str()));
    let mut addresses = asked.addresses.iter().map(ToString::to_string);
    dns && addresses.all(|wanted| own.contains(&wanted.as_str()))
}

fn own_names<'a>(node: &'a Node, name: &'a str) -> Vec<&'a str> {
    let addresses = node.status.as_ref().and_then(|status| status.addresses.as_ref());
    let addresses = addresses.into_iter().flatten().map(|address| address.address.as_str());
    addresses.chain([name]).collect()
}
