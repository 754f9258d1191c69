//! Rows of Systems Manager.

use super::Row;
use crate::ssm;

/// Every operation of it that is served.
pub const ROWS: &[Row] = &[
    row!("ssm", "PutParameter", ssm::put),
    row!("ssm", "GetParameter", ssm::get),
    row!("ssm", "GetParameters", ssm::get_several),
    row!("ssm", "GetParametersByPath", ssm::by_path),
    row!("ssm", "DescribeParameters", ssm::describe),
    row!("ssm", "GetParameterHistory", ssm::history),
    row!("ssm", "LabelParameterVersion", ssm::label),
    row!("ssm", "DeleteParameter", ssm::delete),
    row!("ssm", "DeleteParameters", ssm::delete_several),
    row!("ssm", "AddTagsToResource", ssm::add_tags),
    row!("ssm", "RemoveTagsFromResource", ssm::remove_tags),
    row!("ssm", "ListTagsForResource", ssm::list_tags),
];
