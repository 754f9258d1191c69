//! Taking resources away again, each after those that need it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use stack_planner::{Node, Template, graph};

use super::{Engine, LOOK, Turn};
use crate::cloudformation::resource::{self, Progress, Wanted};
use crate::cloudformation::stack::{Made, Stack};
use crate::error::ApiError;

/// How often the removal of a resource that something still uses is tried again, and how long.
const RETRY: Duration = Duration::from_secs(1);
const MOST_RETRIES: u32 = 120;
/// The same where whatever stays is left behind: what needs it may be among that.
const FORCED_RETRIES: u32 = 3;

impl Engine {
    /// Removes what was replaced or is no longer in the template. What cannot be removed is left, as CloudFormation does.
    pub(super) async fn clean_up(&self, end: &str) -> Result<(), ApiError> {
        let Some(stack) = self.stack() else { return Ok(()) };
        for (kind, physical, properties) in stack.garbage.iter().rev() {
            if let Err(reason) = self.remove(&stack, "", kind, physical, properties).await {
                tracing::warn!(
                    stack = self.id,
                    kind,
                    physical,
                    reason,
                    "a resource that is no longer needed stays"
                );
            }
        }
        let now = self.now();
        self.edit(|stack| {
            stack.garbage = Vec::new();
            stack.set(end, None, now);
        })
        .await
    }

    /// Removes every resource, each after those that need it.
    pub(super) async fn remove_all(&self, done: &str, failed: &str) -> Result<(), ApiError> {
        let Some(stack) = self.stack() else { return Ok(()) };
        let template = Template::parse(&stack.template).unwrap_or_default();
        let needs = graph::dependencies(&template);
        let mut left: BTreeMap<String, Made> = stack
            .resources
            .clone()
            .into_iter()
            .filter(|(_, made)| made.status != "DELETE_COMPLETE")
            .collect();
        let mut running: BTreeSet<String> = BTreeSet::new();
        let mut failures = Vec::new();
        let mut turns = FuturesUnordered::new();
        loop {
            let free = |name: &&String| {
                let needed = |other: &String| {
                    other != *name
                        && left.contains_key(other)
                        && needs.get(other).is_some_and(|own| own.contains(*name))
                };
                !running.contains(*name) && !left.keys().any(needed)
            };
            let next: Vec<String> = left.keys().filter(free).cloned().collect();
            for name in next {
                running.insert(name.clone());
                turns.push(self.removal(&stack, &template, name));
            }
            let Some((name, result)) = turns.next().await else {
                break;
            };
            match result {
                Ok(()) => drop(left.remove(&name)),
                Err(_reason) => failures.push(name),
            }
        }
        let now = self.now();
        self.conclude(&stack.status, |stack| {
            if failures.is_empty() {
                stack.set(done, None, now);
                stack.deleted_at = stack.is_gone().then_some(now);
                stack.outputs = Vec::new();
            } else {
                stack.set(
                    failed,
                    Some(format!(
                        "The following resource(s) failed to delete: [{}].",
                        failures.join(", ")
                    )),
                    now,
                );
            }
        })
        .await
    }

    async fn removal(&self, stack: &Stack, template: &Template, name: String) -> Turn {
        let result = self.remove_one(stack, template, &name).await;
        (name, result)
    }

    async fn remove_one(&self, stack: &Stack, template: &Template, name: &str) -> Result<(), String> {
        let said = |error: ApiError| format!("{} ({})", error.message, error.code);
        let Some(made) = stack.resources.get(name) else {
            return Ok(());
        };
        let policy = template
            .resource(name)
            .and_then(|resource| resource.deletion_policy.as_deref());
        let now = self.now();
        let stays = policy == Some("Retain") || stack.retained.contains(name);
        if stays && stack.status == "DELETE_IN_PROGRESS" {
            return self
                .edit(|stack| stack.set_resource(name, "DELETE_SKIPPED", None, now))
                .await
                .map_err(said);
        }
        self.edit(|stack| stack.set_resource(name, "DELETE_IN_PROGRESS", None, now))
            .await
            .map_err(said)?;
        if let Some(physical) = &made.physical
            && let Err(reason) = self.remove(stack, name, &made.kind, physical, &made.properties).await
        {
            let (now, shown) = (self.now(), reason.clone());
            let status = if stack.forced {
                "DELETE_SKIPPED"
            } else {
                "DELETE_FAILED"
            };
            self.edit(|stack| stack.set_resource(name, status, Some(shown), now))
                .await
                .map_err(said)?;
            return if stack.forced { Ok(()) } else { Err(reason) };
        }
        let now = self.now();
        self.edit(|stack| stack.set_resource(name, "DELETE_COMPLETE", None, now))
            .await
            .map_err(said)
    }

    /// Removes a resource and waits until it is gone; what something still uses is tried again for a while.
    async fn remove(
        &self,
        stack: &Stack,
        logical: &str,
        kind: &str,
        physical: &str,
        properties: &Node,
    ) -> Result<(), String> {
        let context = self.context(stack);
        let values = serde_json::to_value(properties).map_err(|error| error.to_string())?;
        let wanted = Wanted {
            context: &context,
            kind,
            logical,
            stack: &stack.name,
            stack_id: &stack.id,
            properties: &values,
            update_policy: &serde_json::Value::Null,
            tags: &stack.tags,
        };
        let most = if stack.forced { FORCED_RETRIES } else { MOST_RETRIES };
        let mut tries = 0;
        while let Err(error) = resource::delete(&wanted, physical).await {
            let passing = matches!(
                &*error.code,
                "DependencyViolation" | "ResourceInUseException" | "DeleteConflict" | "InvalidIPAddress.InUse"
            );
            tries += 1;
            if !passing || tries > most {
                return Err(format!("{} ({})", error.message, error.code));
            }
            supervision::sleep(RETRY).await;
        }
        loop {
            match self
                .region
                .ledger
                .read(|state| resource::removed(state, kind, physical))
            {
                Progress::Done => return Ok(()),
                Progress::Failed(reason) => return Err(reason),
                Progress::Busy => supervision::sleep(LOOK).await,
            }
        }
    }
}

/// Resources that the template no longer has are garbage.
pub(super) fn drop_absent(stack: &mut Stack, present: &BTreeSet<String>) {
    let gone: Vec<String> = stack
        .resources
        .keys()
        .filter(|name| !present.contains(*name))
        .cloned()
        .collect();
    for name in gone {
        if let Some(made) = stack.resources.remove(&name) {
            stack
                .garbage
                .extend(made.physical.map(|physical| (made.kind, physical, made.properties)));
        }
    }
}
