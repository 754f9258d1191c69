//! The task of one stack: makes, changes and removes its resources in the order of their dependencies, many at a time.
//!
//! What must be done is read from the record, so a new process continues where the old one was killed: resources that were
//! being made are made again, and those that were made already are found by their tags and names.

mod removal;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use removal::drop_absent;
use serde_json::Value;
use stack_planner::diff;
use stack_planner::{Node, Scope, Template, graph};

use super::resource::{self, Progress, Updated, Wanted};
use super::stack::{Made, Stack};
use super::stack_policy;
use super::world::World;
use super::{parse, pseudo};
use crate::error::ApiError;
use crate::ledger::Change;
use crate::operations::Context;
use crate::region::Region;

/// How often a resource that takes its time is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Starts the task of a stack.
pub fn drive(region: &Arc<Region>, id: &str) {
    let (region, id) = (Arc::clone(region), id.to_owned());
    let supervisor = region.supervisor().clone();
    supervisor.spawn_until_cancelled(format!("stack {id}"), async move {
        let engine = Engine { region, id };
        if let Err(error) = engine.run().await {
            tracing::error!(
                stack = engine.id,
                error = supervision::error_chain(&error),
                "the stack cannot be worked on"
            );
        }
    });
}

/// Continues every stack on which work was going on.
pub fn resume(region: &Arc<Region>) {
    let busy = region.ledger.read(|state| {
        let busy = state.stacks.values().filter(|stack| stack.is_busy());
        busy.map(|stack| stack.id.clone()).collect::<Vec<_>>()
    });
    busy.iter().for_each(|id| drive(region, id));
}

struct Engine {
    region: Arc<Region>,
    id: String,
}

/// What one resource's turn came to.
type Turn = (String, Result<(), String>);

impl Engine {
    async fn run(&self) -> Result<(), ApiError> {
        loop {
            let Some(stack) = self.stack() else { return Ok(()) };
            match &*stack.status {
                "CREATE_IN_PROGRESS" => self.create().await?,
                "ROLLBACK_IN_PROGRESS" => self.remove_all("ROLLBACK_COMPLETE", "ROLLBACK_FAILED").await?,
                "UPDATE_IN_PROGRESS" => self.update().await?,
                "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => self.clean_up("UPDATE_COMPLETE").await?,
                "UPDATE_ROLLBACK_IN_PROGRESS" => self.roll_back().await?,
                "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => self.clean_up("UPDATE_ROLLBACK_COMPLETE").await?,
                "DELETE_IN_PROGRESS" => self.remove_all("DELETE_COMPLETE", "DELETE_FAILED").await?,
                _ => return Ok(()),
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.region.clock.now()
    }

    fn stack(&self) -> Option<Stack> {
        self.region.ledger.read(|state| state.stacks.get(&self.id).cloned())
    }

    async fn edit(&self, change: impl FnOnce(&mut Stack)) -> Result<(), ApiError> {
        let decide = |state: &crate::ledger::State| {
            let Some(mut stack) = state.stacks.get(&self.id).cloned() else {
                return Ok(((), Vec::new()));
            };
            change(&mut stack);
            Ok::<_, ApiError>(((), vec![Change::put(stack)]))
        };
        self.region.ledger.change(decide).await
    }

    /// A template's resource, evaluated on what is there now.
    fn evaluated(&self, stack: &Stack, template: &Template, node: &Node) -> Result<Node, String> {
        let pseudo = pseudo(&self.region, stack);
        self.region.ledger.read(|state| {
            let world = World { state, stack };
            let scope = Scope {
                template,
                parameters: &stack.parameters,
                pseudo: &pseudo,
                resources: &world,
            };
            scope.value(node).map_err(|error| error.to_string())
        })
    }

    /// Names of the resources that the template has under its conditions.
    fn present(&self, stack: &Stack, template: &Template) -> Result<BTreeSet<String>, String> {
        let pseudo = pseudo(&self.region, stack);
        self.region.ledger.read(|state| {
            let world = World { state, stack };
            let scope = Scope {
                template,
                parameters: &stack.parameters,
                pseudo: &pseudo,
                resources: &world,
            };
            let mut names = BTreeSet::new();
            for wanted in &template.resources {
                if scope
                    .is_there(wanted.condition.as_deref())
                    .map_err(|error| error.to_string())?
                {
                    names.insert(wanted.name.clone());
                }
            }
            Ok(names)
        })
    }

    fn context(&self, stack: &Stack) -> Context {
        Context {
            region: Arc::clone(&self.region),
            caller: stack.caller.clone(),
        }
    }

    async fn create(&self) -> Result<(), ApiError> {
        let Some(stack) = self.stack() else { return Ok(()) };
        let template = parse(&stack.template)?;
        match self.make(&template, "CREATE").await? {
            Ok(()) => match self.outputs(&template).await? {
                Ok(()) => {
                    self.edit(|stack| stack.set("CREATE_COMPLETE", None, self.region.clock.now()))
                        .await
                }
                Err(reason) => self.failed(reason).await,
            },
            Err(reason) => self.failed(reason).await,
        }
    }

    /// A creation that failed: back to nothing, unless the caller wants to look at what is there.
    async fn failed(&self, reason: String) -> Result<(), ApiError> {
        let now = self.now();
        self.edit(|stack| {
            if stack.disable_rollback {
                stack.set("CREATE_FAILED", Some(reason), now);
            } else if stack.delete_on_failure {
                stack.set(
                    "DELETE_IN_PROGRESS",
                    Some(format!("{reason} Delete requested by user.")),
                    now,
                );
            } else {
                stack.set(
                    "ROLLBACK_IN_PROGRESS",
                    Some(format!("{reason} Rollback requested by user.")),
                    now,
                );
            }
        })
        .await
    }

    /// Makes or changes every resource, each when those that it needs are done; the reason if one cannot be.
    async fn make(&self, template: &Template, verb: &'static str) -> Result<Result<(), String>, ApiError> {
        let Some(stack) = self.stack() else { return Ok(Ok(())) };
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
            if failures.is_empty() {
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
                Progress::Busy => supervision::sleep(LOOK).await,
            }
        }
    }

    /// The stack's outputs, evaluated; the reason if one cannot be or its export is taken.
    async fn outputs(&self, template: &Template) -> Result<Result<(), String>, ApiError> {
        let Some(stack) = self.stack() else { return Ok(Ok(())) };
        let pseudo = pseudo(&self.region, &stack);
        let outputs = self.region.ledger.read(|state| {
            let world = World { state, stack: &stack };
            let scope = Scope {
                template,
                parameters: &stack.parameters,
                pseudo: &pseudo,
                resources: &world,
            };
            let text = |node: &Node| {
                scope
                    .value(node)
                    .map(|value| value.scalar().unwrap_or_default())
                    .map_err(|error| error.to_string())
            };
            let mut outputs = Vec::new();
            for output in &template.outputs {
                if !scope
                    .is_there(output.condition.as_deref())
                    .map_err(|error| error.to_string())?
                {
                    continue;
                }
                let export = output.export.as_ref().map(&text).transpose()?;
                let taken = super::query::exports(state)
                    .any(|(other, name, _)| other.id != stack.id && Some(name) == export.as_ref());
                if taken {
                    return Err(format!(
                        "Export with name {} is already exported by another stack.",
                        export.unwrap_or_default()
                    ));
                }
                outputs.push((
                    output.name.clone(),
                    text(&output.value)?,
                    output.description.clone(),
                    export,
                ));
            }
            Ok::<_, String>(outputs)
        });
        match outputs {
            Ok(outputs) => self.edit(|stack| stack.outputs = outputs).await.map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }

    async fn update(&self) -> Result<(), ApiError> {
        let Some(stack) = self.stack() else { return Ok(()) };
        let template = parse(&stack.template)?;
        let made = match self.make(&template, "UPDATE").await? {
            Ok(()) => self.outputs(&template).await?,
            failed => failed,
        };
        let now = self.now();
        match made {
            Ok(()) => {
                let Some(stack) = self.stack() else { return Ok(()) };
                let present = self.present(&stack, &template).unwrap_or_default();
                self.edit(|stack| {
                    drop_absent(stack, &present);
                    stack.before = None;
                    stack.set("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None, now);
                })
                .await
            }
            Err(reason) => {
                self.edit(|stack| stack.set("UPDATE_ROLLBACK_IN_PROGRESS", Some(reason), now))
                    .await
            }
        }
    }

    /// Goes back to the template, parameters and tags of before.
    async fn roll_back(&self) -> Result<(), ApiError> {
        self.edit(|stack| {
            if let Some(before) = stack.before.take() {
                (stack.template, stack.parameters, stack.tags) = *before;
            }
        })
        .await?;
        let Some(stack) = self.stack() else { return Ok(()) };
        let template = parse(&stack.template)?;
        let made = self.make(&template, "UPDATE").await?;
        let present = self.present(&stack, &template).unwrap_or_default();
        let now = self.now();
        self.edit(|stack| match made {
            Ok(()) => {
                drop_absent(stack, &present);
                stack.set("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None, now);
            }
            Err(reason) => stack.set("UPDATE_ROLLBACK_FAILED", Some(reason), now),
        })
        .await
    }
}
