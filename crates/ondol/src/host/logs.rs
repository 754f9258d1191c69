//! What a cluster's components say, on its way to the region, which writes it where EKS does.

use std::sync::Arc;

use aws_api::LogKind;
use aws_api::host::ClusterRef;
use clock::Clock;
use kube_api::LogReader;
use reconcile_loop::{ComponentLog, LogKeeper, Severity};

use super::EksTokens;

/// EKS's audit policy.
pub(super) const AUDIT_POLICY: &str = include_str!("eks_audit_policy.yaml");

/// The logs of one cluster.
pub(super) struct ClusterLogs {
    pub(super) tokens: Arc<dyn EksTokens>,
    pub(super) cluster: ClusterRef,
    pub(super) clock: Arc<dyn Clock>,
}

/// The log of one of a cluster's components.
struct OwnLog {
    logs: Arc<ClusterLogs>,
    kind: LogKind,
}

impl LogKeeper for OwnLog {
    fn is_wanted(&self) -> bool {
        self.logs.tokens.wants_log(&self.logs.cluster, self.kind)
    }

    fn write(&self, severity: Severity, place: &str, text: String) {
        let line = self.logs.line(severity.letter(), place, &text);
        self.logs.write(self.kind, line);
    }
}

impl ClusterLogs {
    /// The log of a component.
    pub(super) fn of(self: &Arc<Self>, kind: LogKind) -> ComponentLog {
        let logs = Arc::clone(self);
        ComponentLog::kept_by(Arc::new(OwnLog { logs, kind }))
    }

    /// A line as Kubernetes' components write them: severity and time, process, where it is said, and what.
    fn line(&self, severity: char, place: &str, text: &str) -> String {
        let now = self.clock.now().strftime("%m%d %H:%M:%S.%6f");
        format!("{severity}{now}      10 {place}] {text}")
    }

    fn write(&self, kind: LogKind, line: String) {
        self.tokens.log(&self.cluster, kind, line);
    }
}

impl LogReader for ClusterLogs {
    fn wants_audit(&self) -> bool {
        self.tokens.wants_log(&self.cluster, LogKind::Audit)
    }

    fn audit(&self, line: String) {
        self.write(LogKind::Audit, line);
    }

    fn wants_requests(&self) -> bool {
        self.tokens.wants_log(&self.cluster, LogKind::Api)
    }

    fn request(&self, line: String) {
        self.write(LogKind::Api, self.line('I', "httplog.go:134", &line));
    }
}
