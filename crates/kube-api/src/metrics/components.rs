//! The metrics of the scheduler and of the controllers, where EKS shows them: below `/apis/metrics.eks.amazonaws.com/v1`.
//!
//! Source: the guide "Fetch control plane raw metrics in Prometheus format" of EKS.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use axum::body::Body;
use http::{HeaderMap, StatusCode};
use prometheus_client::registry::Registry;

use crate::request_info::RequestInfo;
use crate::respond::{self, Answer};
use supervision::exposition;

const GROUP: &str = "metrics.eks.amazonaws.com";

/// The components' metrics by the names that EKS gives them: `kcm` and `ksh`.
#[derive(Default)]
pub(crate) struct Components(RwLock<BTreeMap<String, Registry>>);

impl Components {
    pub(crate) fn add(&self, name: &str, registry: Registry) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), registry);
    }

    /// The answer for `…/<name>/container/metrics`; `None` for every other path.
    pub(crate) fn answer(&self, info: &RequestInfo, headers: &HeaderMap) -> Option<Answer> {
        let about = (
            info.group.as_str(),
            info.version.as_str(),
            info.name.as_str(),
            info.subresource.as_str(),
        );
        if about != (GROUP, "v1", "container", "metrics") || info.verb != "get" {
            return None;
        }
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let registry = all.get(&info.resource)?;
        let format = super::format_for(headers);
        Some(match exposition::write(registry, "", format) {
            Ok(text) => respond::with_type(StatusCode::OK, format.media_type(), Body::from(text)),
            Err(error) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        })
    }
}
