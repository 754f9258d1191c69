//! Rows of KMS.

use super::Row;
use crate::kms;

/// Every operation of it that is served.
pub const ROWS: &[Row] = &[
    row!("kms", "CreateKey", kms::create),
    row!("kms", "DescribeKey", kms::describe),
    row!("kms", "ListKeys", kms::list),
    row!("kms", "ListAliases", kms::list_aliases),
    row!("kms", "CreateAlias", kms::create_alias),
    row!("kms", "UpdateAlias", kms::update_alias),
    row!("kms", "DeleteAlias", kms::delete_alias),
    row!("kms", "EnableKey", kms::enable),
    row!("kms", "DisableKey", kms::disable),
    row!("kms", "UpdateKeyDescription", kms::update_description),
    row!("kms", "ScheduleKeyDeletion", kms::schedule_deletion),
    row!("kms", "CancelKeyDeletion", kms::cancel_deletion),
    row!("kms", "EnableKeyRotation", kms::enable_rotation),
    row!("kms", "DisableKeyRotation", kms::disable_rotation),
    row!("kms", "GetKeyRotationStatus", kms::rotation),
    row!("kms", "GetKeyPolicy", kms::policy),
    row!("kms", "PutKeyPolicy", kms::put_policy),
    row!("kms", "ListKeyPolicies", kms::list_policies),
    row!("kms", "TagResource", kms::tag),
    row!("kms", "UntagResource", kms::untag),
    row!("kms", "ListResourceTags", kms::list_tags),
    row!("kms", "Encrypt", kms::usage::encrypt),
    row!("kms", "Decrypt", kms::usage::decrypt),
    row!("kms", "ReEncrypt", kms::usage::re_encrypt),
    row!("kms", "GenerateDataKey", kms::usage::data_key),
    row!("kms", "GenerateDataKeyWithoutPlaintext", kms::usage::closed_data_key),
    row!("kms", "GenerateRandom", kms::usage::random),
    row!("kms", "CreateGrant", kms::grant::create),
    row!("kms", "ListGrants", kms::grant::list),
    row!("kms", "ListRetirableGrants", kms::grant::list_retirable),
    row!("kms", "RevokeGrant", kms::grant::revoke),
    row!("kms", "RetireGrant", kms::grant::retire),
];
