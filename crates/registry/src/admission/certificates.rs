//! Who asks for a certificate is what the server knows, not what the request says.

use kube_types::dynamic::{Object, Value, json};

use super::Request;
use crate::status::StatusError;

pub(super) fn record_requester(request: &Request<'_>, object: &mut Object) -> Result<(), StatusError> {
    if !request.creates("certificates.k8s.io", "certificatesigningrequests") {
        return Ok(());
    }
    let user = &request.context.user;
    let Some(spec) = object.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    spec.insert("username".to_owned(), user.name.as_str().into());
    spec.insert("groups".to_owned(), json!(user.groups));
    spec.remove("uid");
    spec.remove("extra");
    if let Some(uid) = &user.uid {
        spec.insert("uid".to_owned(), uid.as_str().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(user.extra));
    }
    Ok(())
}
