//! Rows of CloudWatch Logs.

use super::Row;
use crate::logs;

/// Every operation of it that is served.
pub const ROWS: &[Row] = &[
    row!("logs", "CreateLogGroup", logs::create_group),
    row!("logs", "DeleteLogGroup", logs::delete_group),
    row!("logs", "DescribeLogGroups", logs::describe_groups),
    row!("logs", "PutRetentionPolicy", logs::put_retention),
    row!("logs", "DeleteRetentionPolicy", logs::delete_retention),
    row!("logs", "TagResource", logs::tag),
    row!("logs", "UntagResource", logs::untag),
    row!("logs", "ListTagsForResource", logs::list_tags),
    row!("logs", "TagLogGroup", logs::tag),
    row!("logs", "UntagLogGroup", logs::untag),
    row!("logs", "ListTagsLogGroup", logs::list_tags),
    row!("logs", "CreateLogStream", logs::create_stream),
    row!("logs", "DeleteLogStream", logs::delete_stream),
    row!("logs", "DescribeLogStreams", logs::describe_streams),
    row!("logs", "PutLogEvents", logs::put),
    row!("logs", "GetLogEvents", logs::get),
    row!("logs", "FilterLogEvents", logs::filter),
];
