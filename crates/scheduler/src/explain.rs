//! Why a pod waits, and what would be decided about it now: the very decision, not carried out.

use std::collections::BTreeMap;
use std::fmt;

use kube_types::ObjectKey;
use scheduling::Decision;
use serde::Serialize;
use tokio::time::Instant;

use crate::state::State;

/// What the scheduler would do with a waiting pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Where it waits, and for what.
    pub waiting: String,
    /// Attempts so far.
    pub attempts: u32,
    /// The node that it would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Why it gets none, as its condition says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Per node: the plugin that rejected it, and its reasons.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rejections: BTreeMap<String, String>,
    /// Where pods of lower priority would have to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preempts_on: Option<String>,
    /// Those pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub victims: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scheduler")?;
        writeln!(f, "  {}; attempts so far: {}", self.waiting, self.attempts)?;
        if let Some(node) = &self.node {
            writeln!(f, "  bind to {node}")?;
        }
        if let Some(message) = &self.message {
            writeln!(f, "  {message}")?;
        }
        for (node, reasons) in &self.rejections {
            writeln!(f, "    {node}: {reasons}")?;
        }
        match &self.preempts_on {
            Some(node) => writeln!(f, "  make room on {node} by ending {}", self.victims.join(", ")),
            None => Ok(()),
        }
    }
}

impl State {
    /// What would be decided now about a pod that waits.
    pub(crate) fn explain(&self, pod: &ObjectKey, now: Instant) -> Option<Explanation> {
        let waiting = self.queue.find(pod)?;
        let mut explanation = Explanation {
            waiting: waiting.place(now),
            attempts: waiting.attempts,
            node: None,
            message: None,
            rejections: BTreeMap::new(),
            preempts_on: None,
            victims: Vec::new(),
        };
        match self.schedule(&waiting.pod) {
            Decision::Place { node, .. } => explanation.node = Some(node),
            Decision::Impossible(failure) => {
                explanation.message = Some(failure.to_string());
                let rejected = failure.rejections.into_iter();
                explanation.rejections = rejected
                    .map(|(node, rejection)| (node, format!("{}: {}", rejection.plugin, rejection.reasons.join(", "))))
                    .collect();
                if let Some(candidate) = failure.preemption.candidate {
                    explanation.preempts_on = Some(candidate.node);
                    explanation.victims = candidate
                        .victims
                        .iter()
                        .map(|victim| ObjectKey::of(victim.as_ref()).to_string())
                        .collect();
                }
            }
        }
        Some(explanation)
    }
}
