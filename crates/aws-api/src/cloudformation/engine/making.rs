//! Making and changing resources, each when those that it needs are there.

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use stack_planner::{Node, Template, diff, graph};

use super::{Engine, LOOK, Turn};
use crate::cloudformation::resource::{self, Progress, Updated, Wanted};
use crate::cloudformation::stack::{Made, Stack};
use crate::cloudformation::stack_policy;
use crate::error::ApiError;

impl Engine {
    /// Makes or changes every resource, each when those that it needs are done; the reason if one cannot be.
    ///
    /// Begins nothing more once the stack is on another way: removed before it was made, or its update called off. Who called
    /// this then finds another status than the one it works for.
    pub(super) async fn make(&self, template: &Template, verb: &'static str) -> Result<Result<(), String>, ApiError> {
        let Some(stack) = self.stack() else { return Ok(Ok(())) };
        let status = stack.status.as_str();
        let present = match self.present(&stack, template) {
            Ok(present) => present,
            Err(reason) => return Ok(Err(reason)),
        };
        let needs = graph::dependencies(template);
        let mut done: BTreeSet<String> = BTreeSet::new();
        let mut started: BTreeSet<String> = BTreeSet::new();
        let mut failures: Vec<String> = Vec::new();
        let mut turns = FuturesUnordered::new();
        loop {
            if failures.is_empty() && self.is_still(status) {
                let ready = |name: &&String| {
                    !started.contains(*name)
                        && needs[*name]
                            .iter()
                            .all(|need| !present.contains(need) || done.contains(need))
                };
                let next: Vec<String> = present.iter().filter(ready).cloned().collect();
                for name in next {
                    started.insert(name.clone());
                    turns.push(self.turn(template, name, verb));
                }
            }
            let Some((name, result)) = turns.next().await else {
                break;
            };
            if result.is_ok() {
                done.insert(name);
            } else {
                failures.push(name);
            }
        }
        if failures.is_empty() {
            return Ok(Ok(()));
        }
        let verb = if verb == "CREATE" { "create" } else { "update" };
        Ok(Err(format!(
            "The following resource(s) failed to {verb}: [{}].",
            failures.join(", ")
        )))
    }

    /// One resource: as the template wants it, and ready.
    async fn turn(&self, template: &Template, name: String, verb: &'static str) -> Turn {
        let mut result = self.settle(template, &name, verb).await;
        // Written down here and not by who waits for all turns: it would wait for the ledger and, meanwhile, nobody for the
        // turn that has it.
        if let Err(reason) = &mut result {
            let (now, shown, status) = (self.now(), reason.clone(), format!("{verb}_FAILED"));
            let told = self
                .edit(|stack| stack.set_resource(&name, &status, Some(shown), now))
                .await;
            if let Err(error) = told {
                *reason = format!("{reason} ({})", supervision::error_chain(&error));
            }
        }
        (name, result)
    }

    async fn settle(&self, template: &Template, name: &str, verb: &str) -> Result<(), String> {
        let said = |error: ApiError| format!("{} ({})", error.message, error.code);
        let Some(stack) = self.stack() else { return Ok(()) };
        let Some(wanted) = template.resource(name) else {
            return Ok(());
        };
        let properties = self.evaluated(&stack, template, &wanted.properties)?;
        if stack.skipped.contains(name) {
            let now = self.now();
            let skip = |stack: &mut Stack| stack.set_resource(name, "UPDATE_COMPLETE", None, now);
            return self.edit(skip).await.map_err(said);
        }
        let there = stack
            .resources
            .get(name)
            .filter(|made| made.physical.is_some() && made.kind == wanted.kind)
            .cloned();
        let is_looked_at = verb == "UPDATE" && resource::is_always_updated(&wanted.kind);
        let unchanged = !is_looked_at
            && there
                .as_ref()
                .is_some_and(|made| made.status.ends_with("_COMPLETE") && made.properties == properties);
        if unchanged {
            return Ok(());
        }
        let replaced = there.as_ref().is_some_and(|made| {
            diff::differing(&made.properties, &properties)
                .iter()
                .any(|property| resource::replaces(&wanted.kind, property))
        });
        if there.is_some() {
            stack_policy::check(&stack, name, &wanted.kind, replaced)?;
        }
        let status = if there.is_some() && !replaced && verb == "UPDATE" {
            "UPDATE"
        } else {
            "CREATE"
        };
        self.begin(name, &wanted.kind, status, replaced, &properties)
            .await
            .map_err(said)?;
        let before = there.filter(|made| !replaced && made.status.ends_with("_COMPLETE"));
        let policy = self.evaluated(&stack, template, &wanted.update_policy)?;
        self.carry_out(&stack, name, &wanted.kind, (&properties, &policy), before)
            .await?;
        let now = self.now();
        self.edit(|stack| stack.set_resource(name, &format!("{status}_COMPLETE"), None, now))
            .await
            .map_err(said)
    }

    /// Makes a resource, or changes the one that was there before, and waits until it is ready.
    async fn carry_out(
        &self,
        stack: &Stack,
        name: &str,
        kind: &str,
        (properties, policy): (&Node, &Node),
        before: Option<Made>,
    ) -> Result<(), String> {
        let said = |error: ApiError| format!("{} ({})", error.message, error.code);
        let context = self.context(stack);
        let values = serde_json::to_value(properties).map_err(|error| error.to_string())?;
        let policy = serde_json::to_value(policy).map_err(|error| error.to_string())?;
        let wanted = Wanted {
            context: &context,
            kind,
            logical: name,
            stack: &stack.name,
            stack_id: &stack.id,
            properties: &values,
            update_policy: &policy,
            tags: &stack.tags,
        };
        let physical = match before {
            Some(made) => {
                let physical = made.physical.unwrap_or_default();
                let before = serde_json::to_value(&made.properties).map_err(|error| error.to_string())?;
                self.change(&wanted, &physical, &before).await?
            }
            None => resource::create(&wanted).await.map_err(said)?,
        };
        self.edit(|stack| {
            if let Some(made) = stack.resources.get_mut(name) {
                made.physical = Some(physical.clone());
            }
        })
        .await
        .map_err(said)?;
        self.wait(kind, &physical).await
    }

    /// Changes a resource where it is, or makes the one that takes its place.
    async fn change(&self, wanted: &Wanted<'_>, physical: &str, before: &Value) -> Result<String, String> {
        let said = |error: ApiError| format!("{} ({})", error.message, error.code);
        match resource::update(wanted, physical, before).await.map_err(said)? {
            Updated::Done => Ok(physical.to_owned()),
            Updated::Replace => resource::create(wanted).await.map_err(said),
        }
    }

    /// Writes down that a resource is being made or changed; one that is replaced is kept to be removed later.
    async fn begin(
        &self,
        name: &str,
        kind: &str,
        verb: &str,
        replaced: bool,
        properties: &Node,
    ) -> Result<(), ApiError> {
        let now = self.now();
        self.edit(|stack| {
            if replaced && let Some(old) = stack.resources.remove(name) {
                stack
                    .garbage
                    .extend(old.physical.map(|physical| (old.kind, physical, old.properties)));
            }
            let made = stack.resources.entry(name.to_owned()).or_insert_with(|| Made {
                kind: kind.to_owned(),
                physical: None,
                status: String::new(),
                reason: None,
                properties: Node::Null,
                at: now,
            });
            made.properties = properties.clone();
            stack.set_resource(name, &format!("{verb}_IN_PROGRESS"), None, now);
        })
        .await
    }

    async fn wait(&self, kind: &str, physical: &str) -> Result<(), String> {
        loop {
            match self
                .region
                .ledger
                .read(|state| resource::created(state, kind, physical))
            {
                Progress::Done => return Ok(()),
                Progress::Failed(reason) => return Err(reason),
                Progress::Busy if self.is_still("DELETE_IN_PROGRESS") => {
                    return Err("Resource creation cancelled".to_owned());
                }
                Progress::Busy => supervision::sleep(LOOK).await,
            }
        }
    }
}
