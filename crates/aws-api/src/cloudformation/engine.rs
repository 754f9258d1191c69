//! The task of one stack: makes, changes and removes its resources in the order of their dependencies, many at a time.
//!
//! What must be done is read from the record, so a new process continues where the old one was killed: resources that were
//! being made are made again, and those that were made already are found by their tags and names.

mod making;
mod removal;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use removal::drop_absent;
use stack_planner::{Node, Scope, Template};

use super::stack::Stack;
use super::world::World;
use super::{parse, pseudo};
use crate::error::ApiError;
use crate::ledger::Change;
use crate::operations::Context;
use crate::region::Region;

/// How often a resource that takes its time is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Sees to it that a task works on the stack: one at a time, which goes on with whatever the record says next.
pub fn drive(region: &Arc<Region>, id: &str) {
    if !region.stacks_at_work.begin(id) {
        return;
    }
    let (region, id) = (Arc::clone(region), id.to_owned());
    let supervisor = region.supervisor().clone();
    supervisor.spawn_until_cancelled(format!("stack {id}"), async move {
        let engine = Engine { region, id };
        loop {
            if let Err(error) = engine.run().await {
                tracing::error!(
                    stack = engine.id,
                    error = supervision::error_chain(&error),
                    "the stack cannot be worked on"
                );
                return engine.region.stacks_at_work.end(&engine.id);
            }
            let is_busy = || engine.stack().is_some_and(|stack| stack.is_busy());
            if engine.region.stacks_at_work.end_unless(&engine.id, is_busy) {
                return;
            }
        }
    });
}

/// The stacks that have a task.
#[derive(Default)]
pub struct AtWork(Mutex<BTreeSet<String>>);

impl AtWork {
    fn ids(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was no task yet.
    fn begin(&self, id: &str) -> bool {
        self.ids().insert(id.to_owned())
    }

    fn end(&self, id: &str) {
        self.ids().remove(id);
    }

    /// Ends unless there is something to do. Who writes that down asks for a task afterwards, so nothing stays undone.
    fn end_unless(&self, id: &str, is_busy: impl FnOnce() -> bool) -> bool {
        let mut ids = self.ids();
        let ends = !is_busy();
        if ends {
            ids.remove(id);
        }
        ends
    }
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

    /// Whether the stack has this status, and so nobody has called for another way.
    fn is_still(&self, status: &str) -> bool {
        self.stack_status().is_some_and(|current| current == status)
    }

    fn stack_status(&self) -> Option<String> {
        let look = |state: &crate::ledger::State| state.stacks.get(&self.id).map(|stack| stack.status.clone());
        self.region.ledger.read(look)
    }

    /// Ends a way that the stack is still on; one that is on another by now goes on there.
    async fn conclude(&self, status: &str, change: impl FnOnce(&mut Stack)) -> Result<(), ApiError> {
        self.edit(|stack| {
            if stack.status == status {
                change(stack);
            }
        })
        .await
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
                    let now = self.now();
                    self.conclude("CREATE_IN_PROGRESS", |stack| stack.set("CREATE_COMPLETE", None, now))
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
        self.conclude("CREATE_IN_PROGRESS", |stack| {
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
                self.conclude("UPDATE_IN_PROGRESS", |stack| {
                    drop_absent(stack, &present);
                    stack.before = None;
                    stack.set("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None, now);
                })
                .await
            }
            Err(reason) => {
                self.conclude("UPDATE_IN_PROGRESS", |stack| {
                    stack.set("UPDATE_ROLLBACK_IN_PROGRESS", Some(reason), now);
                })
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
        self.edit(|stack| {
            stack.skipped.clear();
            match made {
                Ok(()) => {
                    drop_absent(stack, &present);
                    stack.set("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None, now);
                }
                Err(reason) => stack.set("UPDATE_ROLLBACK_FAILED", Some(reason), now),
            }
        })
        .await
    }
}
