//! Rules about pods that stand for what a node runs by itself.

use kube_types::dynamic::Object;

use super::Request;
use crate::columns::string;
use crate::status::StatusError;

const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn mirror_pods_need_a_node(request: &Request<'_>, pod: &Object) -> Result<(), StatusError> {
    let mirror = pod.annotations().contains_key(MIRROR);
    if request.creates("", "pods") && mirror && string(&pod.0, &["spec", "nodeName"]).is_empty() {
        return Err(request.forbidden(pod, "a mirror pod must be bound to a node"));
    }
    Ok(())
}
