//! Plans in words, for people who ask what would happen.

use std::fmt;

use crate::change::{Change, Plan, Propagation, Target};
use crate::kinds::AnyObject;

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.resource.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl fmt::Display for AnyObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metadata = self.metadata();
        write!(f, "{} ", self.kind())?;
        if let Some(namespace) = &metadata.namespace {
            write!(f, "{namespace}/")?;
        }
        match (&metadata.name, &metadata.generate_name) {
            (Some(name), _) => f.write_str(name),
            (None, Some(prefix)) => write!(f, "{prefix}…"),
            (None, None) => f.write_str("(unnamed)"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(object) => write!(f, "create {object}"),
            Self::Update(object) => write!(f, "update {object}"),
            Self::UpdateStatus(object) => write!(f, "update the status of {object}"),
            Self::UpdateApproval(request) => write!(
                f,
                "decide about CertificateSigningRequest {}",
                request.metadata.name.as_deref().unwrap_or_default()
            ),
            Self::PatchMetadata { target, .. } => write!(f, "change the metadata of {target}"),
            Self::Delete {
                target,
                propagation,
                grace_seconds,
            } => {
                write!(f, "delete {target}")?;
                match propagation {
                    Some(Propagation::Orphan) => f.write_str(", leaving its dependents")?,
                    Some(Propagation::Foreground) => f.write_str(", its dependents first")?,
                    Some(Propagation::Background) | None => {}
                }
                grace_seconds.map_or(Ok(()), |grace| write!(f, ", with {grace} s of grace"))
            }
            Self::DeleteCollection { resource, namespace } => {
                write!(f, "delete every {} in namespace {namespace}", resource.kind)
            }
            Self::Finalize(namespace) => write!(
                f,
                "let go of namespace {}",
                namespace.metadata.name.as_deref().unwrap_or_default()
            ),
        }
    }
}

impl fmt::Display for Plan {
    /// One line for each step, in order; then the events, and when to look again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        for step in &self.steps {
            writeln!(f, "{}", step.change)?;
        }
        for event in &self.events {
            writeln!(f, "tell: {} {}: {}", event.kind, event.reason, event.message)?;
        }
        match self.look_again_in {
            Some(delay) => writeln!(f, "look again in {:.1} s", delay.as_secs_f64()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
