//! Lifecycle actions that an instance waits for before it comes into service or goes: one for each hook of its group.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::group::AutoScalingGroup;
use super::instance::{Ec2Instance, LifeState};
use crate::members::Members;

/// Which way the instance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transition {
    /// Into service.
    Launching,
    /// Away.
    Terminating,
}

impl Transition {
    /// The hook's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }
}

/// An action that somebody must complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The hook.
    pub hook: String,
    /// What tells this action from others.
    pub token: String,
    /// When it ends with the default result.
    pub until: Timestamp,
    /// When it ends however many heartbeats come.
    pub last: Timestamp,
    /// Seconds that a heartbeat adds.
    pub heartbeat: i64,
    /// Whether the instance goes on when nobody completes the action.
    pub continues: bool,
    /// Whether those who want to know have been told.
    pub told: bool,
}

/// What an instance waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which way it goes.
    pub transition: Transition,
    /// What is still to be completed.
    pub actions: Vec<Action>,
}

/// What became of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Waiting,
    /// All is done.
    Continue,
    /// Somebody gave the instance up.
    Abandon,
}

impl Hold {
    /// The wait that a group's hooks ask for; `None` when there is no hook for this way.
    pub fn begin(
        transition: Transition,
        hooks: &BTreeMap<String, Value>,
        now: Timestamp,
        mut token: impl FnMut() -> String,
    ) -> Option<Self> {
        let own = hooks
            .iter()
            .filter(|(_, hook)| hook.text("LifecycleTransition") == Some(transition.name()));
        let after = |seconds: i64| now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
        let actions: Vec<Action> = own
            .map(|(name, hook)| {
                let heartbeat = hook.number("HeartbeatTimeout").unwrap_or(3600);
                Action {
                    hook: name.clone(),
                    token: token(),
                    until: after(heartbeat),
                    last: after(hook.number("GlobalTimeout").unwrap_or(172_800)),
                    heartbeat,
                    continues: hook.text("DefaultResult") == Some("CONTINUE"),
                    told: false,
                }
            })
            .collect();
        (!actions.is_empty()).then_some(Self { transition, actions })
    }

    /// Completes the action of a hook.
    pub fn complete(&mut self, hook: &str, continues: bool) -> Outcome {
        self.actions.retain(|action| action.hook != hook);
        // An instance that goes, goes, whatever is said; but others may still have work with it.
        if !continues {
            return Outcome::Abandon;
        }
        self.outcome()
    }

    /// Ends what nobody completed in time.
    pub fn expire(&mut self, now: Timestamp) -> Outcome {
        let (over, left): (Vec<Action>, Vec<Action>) = std::mem::take(&mut self.actions)
            .into_iter()
            .partition(|action| action.until <= now || action.last <= now);
        self.actions = left;
        if over.iter().any(|action| !action.continues) {
            return Outcome::Abandon;
        }
        self.outcome()
    }

    fn outcome(&self) -> Outcome {
        if self.actions.is_empty() {
            Outcome::Continue
        } else {
            Outcome::Waiting
        }
    }
}

impl Ec2Instance {
    /// Whether it is on its way out of its group.
    pub fn is_leaving(&self) -> bool {
        self.hold
            .as_ref()
            .is_some_and(|hold| hold.transition == Transition::Terminating)
    }

    /// Whether it does its group's work.
    pub fn is_in_service(&self) -> bool {
        self.state == LifeState::Running && self.hold.is_none() && !self.standby
    }

    /// Begins to leave its group: it waits for the group's hooks first, if it was in service.
    pub fn leave(
        &mut self,
        group: &AutoScalingGroup,
        now: Timestamp,
        reason: (&str, String),
        token: impl FnMut() -> String,
    ) {
        if self.is_leaving() {
            return;
        }
        let waits = self.state == LifeState::Running && !group.deleting;
        self.hold = if waits {
            Hold::begin(Transition::Terminating, &group.hooks, now, token)
        } else {
            None
        };
        match self.hold {
            Some(_) => self.reason = Some((reason.0.to_owned(), reason.1)),
            None => self.become_state(LifeState::ShuttingDown, now, Some(reason)),
        }
    }

    /// Goes on after a wait.
    pub fn settle(&mut self, outcome: Outcome, now: Timestamp) {
        let Some(transition) = self.hold.as_ref().map(|hold| hold.transition) else {
            return;
        };
        let reason = || {
            let code = "Client.UserInitiatedShutdown";
            self.reason
                .clone()
                .unwrap_or_else(|| (code.to_owned(), format!("{code}: User initiated shutdown")))
        };
        match (transition, outcome) {
            (_, Outcome::Waiting) => {}
            (Transition::Launching, Outcome::Continue) => {
                self.hold = None;
                self.since = now;
            }
            (Transition::Launching, Outcome::Abandon) | (Transition::Terminating, _) => {
                let (code, message) = reason();
                self.hold = None;
                self.become_state(LifeState::ShuttingDown, now, Some((code.as_str(), message)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hooks() -> BTreeMap<String, Value> {
        let hook = |way: Transition, result: &str| json!({"LifecycleTransition": way.name(), "HeartbeatTimeout": 60, "GlobalTimeout": 6000, "DefaultResult": result});
        [
            ("up".to_owned(), hook(Transition::Launching, "ABANDON")),
            ("more".to_owned(), hook(Transition::Launching, "CONTINUE")),
            ("down".to_owned(), hook(Transition::Terminating, "CONTINUE")),
        ]
        .into()
    }

    fn begin(way: Transition) -> Hold {
        Hold::begin(way, &hooks(), Timestamp::UNIX_EPOCH, || "token".to_owned()).unwrap()
    }

    #[test]
    fn an_instance_waits_for_every_hook_of_its_way() {
        let mut hold = begin(Transition::Launching);
        assert_eq!(hold.complete("more", true), Outcome::Waiting);
        assert_eq!(hold.complete("up", true), Outcome::Continue);
        assert_eq!(begin(Transition::Terminating).actions.len(), 1);
        assert!(
            Hold::begin(
                Transition::Launching,
                &BTreeMap::new(),
                Timestamp::UNIX_EPOCH,
                String::new
            )
            .is_none()
        );
    }

    #[test]
    fn what_nobody_completes_ends_with_the_hook_s_default() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(begin(Transition::Launching).expire(at(59)), Outcome::Waiting);
        assert_eq!(begin(Transition::Launching).expire(at(60)), Outcome::Abandon);
        assert_eq!(begin(Transition::Terminating).expire(at(60)), Outcome::Continue);
    }
}
