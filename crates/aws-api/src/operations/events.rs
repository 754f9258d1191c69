//! Rows of EventBridge.

use super::Row;
use crate::events;

/// Every operation of it that is served.
pub const ROWS: &[Row] = &[
    row!("events", "PutRule", events::put),
    row!("events", "DescribeRule", events::describe),
    row!("events", "ListRules", events::list),
    row!("events", "ListRuleNamesByTarget", events::by_target),
    row!("events", "DeleteRule", events::delete),
    row!("events", "EnableRule", events::enable),
    row!("events", "DisableRule", events::disable),
    row!("events", "PutTargets", events::put_targets),
    row!("events", "RemoveTargets", events::remove_targets),
    row!("events", "ListTargetsByRule", events::targets),
    row!("events", "PutEvents", events::put_events),
    row!("events", "ListEventBuses", events::buses),
    row!("events", "DescribeEventBus", events::describe_bus),
    row!("events", "TagResource", events::tag),
    row!("events", "UntagResource", events::untag),
    row!("events", "ListTagsForResource", events::list_tags),
];
