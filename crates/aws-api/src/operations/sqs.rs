//! Rows of SQS.

use super::Row;
use crate::sqs;

/// Every operation of it that is served.
pub const ROWS: &[Row] = &[
    row!("sqs", "CreateQueue", sqs::create),
    row!("sqs", "GetQueueUrl", sqs::get_url),
    row!("sqs", "ListQueues", sqs::list),
    row!("sqs", "DeleteQueue", sqs::delete),
    row!("sqs", "PurgeQueue", sqs::purge),
    row!("sqs", "GetQueueAttributes", sqs::attributes),
    row!("sqs", "SetQueueAttributes", sqs::set_attributes),
    row!("sqs", "TagQueue", sqs::tag),
    row!("sqs", "UntagQueue", sqs::untag),
    row!("sqs", "ListQueueTags", sqs::list_tags),
    row!("sqs", "SendMessage", sqs::message::send),
    row!("sqs", "SendMessageBatch", sqs::message::send_batch),
    row!("sqs", "ReceiveMessage", sqs::message::receive),
    row!("sqs", "DeleteMessage", sqs::message::delete),
    row!("sqs", "DeleteMessageBatch", sqs::message::delete_batch),
    row!("sqs", "ChangeMessageVisibility", sqs::message::change_visibility),
];
