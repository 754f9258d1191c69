//! `/debug/api_priority_and_fairness/dump_…`: what runs and waits, as tables of text.

use std::fmt::Write;

use http::StatusCode;

use super::Fairness;
use crate::respond::{self, Answer};

const PREFIX: &str = "/debug/api_priority_and_fairness/";

/// Answers a path of the dumps; `None` for any other.
pub(crate) fn answer(fairness: &Fairness, path: &str) -> Option<Answer> {
    let text = match path.strip_prefix(PREFIX)? {
        "dump_priority_levels" => levels(fairness),
        "dump_queues" => queues(fairness),
        "dump_requests" => requests(fairness),
        _ => return None,
    };
    // Writing to a string does not fail.
    Some(respond::text(StatusCode::OK, text.unwrap_or_default()))
}

fn levels(fairness: &Fairness) -> Result<String, std::fmt::Error> {
    let heads = "PriorityLevelName, ActiveQueues, IsIdle, IsQuiescing, WaitingRequests, ExecutingRequests, \
                 DispatchedRequests, RejectedRequests, TimedoutRequests, CancelledRequests";
    let mut text = format!("{heads}\n");
    for (name, entry) in &fairness.settings.load().levels {
        if entry.level.exempt {
            writeln!(
                text,
                "{name}, <none>, <none>, <none>, <none>, <none>, <none>, <none>, <none>, <none>"
            )?;
            continue;
        }
        let state = entry.lock();
        let (waiting, running) = (state.queues.waiting(), state.queues.running());
        let active = state.queues.active().count();
        let idle = waiting + running == 0;
        writeln!(
            text,
            "{name}, {active}, {idle}, false, {waiting}, {running}, <none>, <none>, <none>, <none>"
        )?;
    }
    Ok(text)
}

fn queues(fairness: &Fairness) -> Result<String, std::fmt::Error> {
    let mut text =
        String::from("PriorityLevelName, Index, PendingRequests, ExecutingRequests, SeatsInUse, NextDispatchR\n");
    for (name, entry) in &fairness.settings.load().levels {
        let state = entry.lock();
        for (index, waiting, seats, next) in state.queues.active() {
            writeln!(text, "{name}, {index}, {waiting}, <none>, {seats}, {next:.8}ss")?;
        }
    }
    Ok(text)
}

fn requests(fairness: &Fairness) -> Result<String, std::fmt::Error> {
    let mut text =
        String::from("PriorityLevelName, FlowSchemaName, QueueIndex, RequestIndexInQueue, UserName, WaitSeconds\n");
    for (name, entry) in &fairness.settings.load().levels {
        let state = entry.lock();
        let (mut last, mut place) = (None, 0);
        for (queue, id) in state.queues.requests() {
            place = if last == Some(queue) { place + 1 } else { 0 };
            last = Some(queue);
            if let Some(shown) = state.shown(id) {
                let waits = shown.waits.as_secs_f64();
                writeln!(
                    text,
                    "{name}, {}, {queue}, {place}, {}, {waits:.3}",
                    shown.schema, shown.user
                )?;
            }
        }
    }
    Ok(text)
}
