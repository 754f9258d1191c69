//! Rows of CloudFormation.

use super::Row;
use crate::cloudformation;

/// Every operation of CloudFormation that is served.
pub const ROWS: &[Row] = &[
    row!("cloudformation", "CreateStack", cloudformation::stack::create),
    row!("cloudformation", "UpdateStack", cloudformation::stack::update),
    row!("cloudformation", "DeleteStack", cloudformation::deletion::delete),
    row!(
        "cloudformation",
        "CancelUpdateStack",
        cloudformation::rollback::cancel_update
    ),
    row!(
        "cloudformation",
        "ContinueUpdateRollback",
        cloudformation::rollback::continue_rollback
    ),
    row!(
        "cloudformation",
        "UpdateTerminationProtection",
        cloudformation::stack::protect
    ),
    row!("cloudformation", "SetStackPolicy", cloudformation::stack::set_policy),
    row!("cloudformation", "GetStackPolicy", cloudformation::query::policy),
    row!("cloudformation", "DescribeStacks", cloudformation::query::describe),
    row!("cloudformation", "ListStacks", cloudformation::query::list),
    row!("cloudformation", "DescribeStackEvents", cloudformation::query::events),
    row!(
        "cloudformation",
        "DescribeStackResources",
        cloudformation::query::resources
    ),
    row!(
        "cloudformation",
        "DescribeStackResource",
        cloudformation::query::one_resource
    ),
    row!(
        "cloudformation",
        "ListStackResources",
        cloudformation::query::list_resources
    ),
    row!("cloudformation", "GetTemplate", cloudformation::query::template),
    row!("cloudformation", "GetTemplateSummary", cloudformation::query::summary),
    row!("cloudformation", "ValidateTemplate", cloudformation::query::validate),
    row!("cloudformation", "ListExports", cloudformation::query::list_exports),
    row!("cloudformation", "ListImports", cloudformation::query::list_imports),
    row!("cloudformation", "CreateChangeSet", cloudformation::change_set::create),
    row!(
        "cloudformation",
        "DescribeChangeSet",
        cloudformation::change_set::describe
    ),
    row!("cloudformation", "ListChangeSets", cloudformation::change_set::list),
    row!(
        "cloudformation",
        "ExecuteChangeSet",
        cloudformation::change_set::execute
    ),
    row!("cloudformation", "DeleteChangeSet", cloudformation::change_set::delete),
    row!(
        "cloudformation",
        "DetectStackDrift",
        cloudformation::drift::detect_stack
    ),
    row!(
        "cloudformation",
        "DetectStackResourceDrift",
        cloudformation::drift::detect_resource
    ),
    row!(
        "cloudformation",
        "DescribeStackDriftDetectionStatus",
        cloudformation::drift::status
    ),
    row!(
        "cloudformation",
        "DescribeStackResourceDrifts",
        cloudformation::drift::describe
    ),
];
