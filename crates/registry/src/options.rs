//! The parameters of requests, read from query strings and bodies with upstream's checks.

use std::str::FromStr;
use std::time::Duration;

use kube_types::selector::{FieldSelector, LabelSelector};
use serde::Deserialize;

use crate::pipeline::LONGEST_MANAGER;
use crate::status::StatusError;

#[cfg(test)]
mod tests;

/// Decoded `key=value` pairs of a query string, in order.
pub type Query<'a> = &'a [(String, String)];

/// Parameters of a get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetOptions {
    /// `resourceVersion`: empty = newest, `0` = any, else not older than.
    pub resource_version: String,
}

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceVersionMatch {
    /// Data at least as new as the revision.
    NotOlderThan,
    /// Data at exactly the revision.
    Exact,
}

/// Parameters of a list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// `labelSelector`; `None` selects everything.
    pub label_selector: Option<LabelSelector>,
    /// `fieldSelector`.
    pub field_selector: FieldSelector,
    /// `resourceVersion` as sent.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub resource_version_match: Option<ResourceVersionMatch>,
    /// `limit`; 0 = all.
    pub limit: usize,
    /// `continue` as sent.
    pub continue_token: String,
}

/// Parameters of a watch.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// `labelSelector`; `None` selects everything.
    pub label_selector: Option<LabelSelector>,
    /// `fieldSelector`.
    pub field_selector: FieldSelector,
    /// `resourceVersion` as sent.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub resource_version_match: Option<ResourceVersionMatch>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
    /// `timeoutSeconds`.
    pub timeout: Option<Duration>,
}

/// `fieldValidation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Unknown and duplicate fields are dropped in silence.
    Ignore,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// They are errors.
    Strict,
}

/// Parameters of create, update and patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// `dryRun=All`.
    pub dry_run: bool,
    /// `fieldManager`.
    pub field_manager: String,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// `force`, for apply patches only.
    pub force: Option<bool>,
}

/// `propagationPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Dependents stay.
    Orphan,
    /// Dependents go afterwards.
    Background,
    /// Dependents go first.
    Foreground,
}

/// What must hold for a deletion to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preconditions {
    /// The object's uid.
    pub uid: Option<String>,
    /// The object's resourceVersion.
    pub resource_version: Option<String>,
}

/// Parameters of delete and of each deletion of deletecollection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// `gracePeriodSeconds`.
    pub grace_period_seconds: Option<i64>,
    /// `preconditions`.
    pub preconditions: Preconditions,
    /// `propagationPolicy`.
    pub propagation: Option<Propagation>,
    /// `orphanDependents`, older than `propagationPolicy`.
    pub orphan_dependents: Option<bool>,
    /// `dryRun=All`.
    pub dry_run: bool,
}

fn last<'a>(query: Query<'a>, name: &str) -> Option<&'a str> {
    query
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn number<T: FromStr>(query: Query<'_>, name: &str) -> Result<Option<T>, StatusError>
where
    T::Err: std::fmt::Display,
{
    match last(query, name) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_error: T::Err| {
            StatusError::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
        }),
    }
}

/// Upstream reads `?flag`, `?flag=1` and `?flag=true` alike.
fn flag(query: Query<'_>, name: &str) -> Option<bool> {
    last(query, name).map(|text| !matches!(text, "0" | "false" | "False" | "FALSE" | "f" | "F"))
}

fn label_selector(query: Query<'_>) -> Result<Option<LabelSelector>, StatusError> {
    let text = last(query, "labelSelector").unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    LabelSelector::parse(text)
        .map(Some)
        .map_err(|error| StatusError::bad_request(error.to_string()))
}

fn field_selector(query: Query<'_>) -> Result<FieldSelector, StatusError> {
    let text = last(query, "fieldSelector").unwrap_or_default();
    FieldSelector::parse(text).map_err(|error| StatusError::bad_request(error.to_string()))
}

fn list_invalid(field: &str, kind: object_rules::field::Kind, value: &str, detail: &str) -> StatusError {
    let mut errors = object_rules::field::Errors::new();
    errors.push(kind, field, Some(value.into()), detail);
    StatusError::invalid(&crate::status::Subject::new("meta.k8s.io", "ListOptions"), "", &errors)
}

fn version_match(query: Query<'_>) -> Result<Option<ResourceVersionMatch>, StatusError> {
    match last(query, "resourceVersionMatch").unwrap_or_default() {
        "" => Ok(None),
        "NotOlderThan" => Ok(Some(ResourceVersionMatch::NotOlderThan)),
        "Exact" => Ok(Some(ResourceVersionMatch::Exact)),
        other => Err(list_invalid(
            "resourceVersionMatch",
            object_rules::field::Kind::NotSupported,
            other,
            "supported values: \"Exact\", \"NotOlderThan\", \"\"",
        )),
    }
}

impl GetOptions {
    /// Reads the query of a get.
    pub fn from_query(query: Query<'_>) -> Self {
        Self {
            resource_version: last(query, "resourceVersion").unwrap_or_default().to_owned(),
        }
    }
}

impl ListOptions {
    /// Reads the query of a list and refuses combinations that mean nothing, as upstream's `ValidateListOptions`.
    ///
    /// # Errors
    /// 400 for selectors and numbers that do not parse, 422 for illegal combinations.
    pub fn from_query(query: Query<'_>) -> Result<Self, StatusError> {
        use object_rules::field::Kind;
        let options = Self {
            label_selector: label_selector(query)?,
            field_selector: field_selector(query)?,
            resource_version: last(query, "resourceVersion").unwrap_or_default().to_owned(),
            resource_version_match: version_match(query)?,
            limit: usize::try_from(number::<i64>(query, "limit")?.unwrap_or(0)).unwrap_or(0),
            continue_token: last(query, "continue").unwrap_or_default().to_owned(),
        };
        if options.resource_version_match.is_some() {
            if !options.continue_token.is_empty() {
                let detail = "resourceVersionMatch is forbidden when continue is provided";
                return Err(list_invalid("resourceVersionMatch", Kind::Forbidden, "", detail));
            }
            if options.resource_version.is_empty() {
                let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                return Err(list_invalid("resourceVersionMatch", Kind::Forbidden, "", detail));
            }
            if options.resource_version_match == Some(ResourceVersionMatch::Exact) && options.resource_version == "0" {
                let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                return Err(list_invalid("resourceVersionMatch", Kind::Forbidden, "", detail));
            }
        }
        if last(query, "sendInitialEvents").is_some_and(|v| !v.is_empty()) {
            let detail = "sendInitialEvents is forbidden for list";
            return Err(list_invalid("sendInitialEvents", Kind::Forbidden, "", detail));
        }
        Ok(options)
    }
}

impl WatchOptions {
    /// Reads the query of a watch and refuses combinations that mean nothing, as upstream's `ValidateListOptions`.
    ///
    /// # Errors
    /// 400 for selectors and numbers that do not parse, 422 for illegal combinations.
    pub fn from_query(query: Query<'_>) -> Result<Self, StatusError> {
        use object_rules::field::Kind;
        let options = Self {
            label_selector: label_selector(query)?,
            field_selector: field_selector(query)?,
            resource_version: last(query, "resourceVersion").unwrap_or_default().to_owned(),
            resource_version_match: version_match(query)?,
            bookmarks: flag(query, "allowWatchBookmarks").unwrap_or(false),
            send_initial_events: flag(query, "sendInitialEvents"),
            timeout: number::<u64>(query, "timeoutSeconds")?
                .filter(|s| *s > 0)
                .map(Duration::from_secs),
        };
        let forbidden = |field, detail| Err(list_invalid(field, Kind::Forbidden, "", detail));
        match (options.send_initial_events, options.resource_version_match) {
            (Some(_), None) => forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ),
            (Some(_), Some(ResourceVersionMatch::Exact)) => Err(list_invalid(
                "resourceVersionMatch",
                Kind::NotSupported,
                "Exact",
                "supported values: \"NotOlderThan\"",
            )),
            (None, Some(_)) => forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
            _ => Ok(options),
        }
    }
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>) -> Result<bool, StatusError> {
    let values: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
    match values.iter().find(|value| **value != "All") {
        None => Ok(!values.is_empty()),
        Some(other) => {
            let mut errors = object_rules::field::Errors::new();
            errors.push(
                object_rules::field::Kind::NotSupported,
                "dryRun",
                Some((*other).into()),
                "supported values: \"All\"",
            );
            let subject = crate::status::Subject::new("meta.k8s.io", "CreateOptions");
            Err(StatusError::invalid(&subject, "", &errors))
        }
    }
}

impl WriteOptions {
    /// Reads the query of a create, update or patch.
    ///
    /// # Errors
    /// 422 for values that do not exist.
    pub fn from_query(query: Query<'_>) -> Result<Self, StatusError> {
        let all = query
            .iter()
            .filter(|(key, _)| key == "dryRun")
            .map(|(_, value)| value.as_str());
        let field_validation = match last(query, "fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let mut errors = object_rules::field::Errors::new();
                errors.push(
                    object_rules::field::Kind::NotSupported,
                    "fieldValidation",
                    Some(other.into()),
                    "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
                );
                let subject = crate::status::Subject::new("meta.k8s.io", "CreateOptions");
                return Err(StatusError::invalid(&subject, "", &errors));
            }
        };
        Ok(Self {
            dry_run: dry_run(all)?,
            field_manager: last(query, "fieldManager").unwrap_or_default().to_owned(),
            field_validation,
            force: flag(query, "force"),
        })
    }
}

impl WriteOptions {
    /// What is wrong with the options of a create or update; `kind` is what the refusal names.
    pub(crate) fn check(&self, kind: &str) -> Result<(), StatusError> {
        let mut errors = object_rules::field::Errors::new();
        self.check_manager(&mut errors);
        invalid_unless_empty(kind, &errors)
    }

    /// What is wrong with the options of a patch. Source: `ValidatePatchOptions`.
    pub(crate) fn check_patch(&self, apply: bool) -> Result<(), StatusError> {
        let mut errors = object_rules::field::Errors::new();
        if apply && self.field_manager.is_empty() {
            errors.required("fieldManager", "is required for apply patch");
        }
        if !apply && self.force.is_some() {
            errors.forbidden("force", "may not be specified for non-apply patch");
        }
        self.check_manager(&mut errors);
        invalid_unless_empty("PatchOptions", &errors)
    }

    fn check_manager(&self, errors: &mut object_rules::field::Errors) {
        let name = self.field_manager.as_str();
        if name.len() > LONGEST_MANAGER {
            let detail = format!("may not be more than {LONGEST_MANAGER} bytes");
            errors.push(
                object_rules::field::Kind::TooLong,
                "fieldManager",
                Some(name.into()),
                detail,
            );
        }
        if name.chars().any(char::is_control) {
            errors.invalid("fieldManager", name, "should only contain printable characters");
        }
    }
}

fn invalid_unless_empty(kind: &str, errors: &object_rules::field::Errors) -> Result<(), StatusError> {
    if errors.is_empty() {
        return Ok(());
    }
    let subject = crate::status::Subject::new("meta.k8s.io", kind);
    Err(StatusError::invalid(&subject, "", errors))
}

/// `DeleteOptions` as a body.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeleteBody {
    kind: Option<String>,
    grace_period_seconds: Option<i64>,
    preconditions: Option<Preconditions>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    dry_run: Option<Vec<String>>,
}

impl DeleteBody {
    fn read(query: Query<'_>, body: &[u8]) -> Result<Self, StatusError> {
        if !body.iter().all(u8::is_ascii_whitespace) {
            return serde_saphyr::from_slice(body).map_err(|error| StatusError::bad_request(error.to_string()));
        }
        Ok(Self {
            kind: None,
            grace_period_seconds: number(query, "gracePeriodSeconds")?,
            preconditions: None,
            propagation_policy: last(query, "propagationPolicy").map(str::to_owned),
            orphan_dependents: flag(query, "orphanDependents"),
            dry_run: Some(
                query
                    .iter()
                    .filter(|(key, _)| key == "dryRun")
                    .map(|(_, value)| value.clone())
                    .collect(),
            ),
        })
    }

    fn propagation(&self) -> Result<Option<Propagation>, StatusError> {
        use object_rules::field::Kind;
        let propagation = match self.propagation_policy.as_deref() {
            None => return Ok(None),
            Some("Orphan") => Propagation::Orphan,
            Some("Background") => Propagation::Background,
            Some("Foreground") => Propagation::Foreground,
            Some(other) => {
                let detail = "supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\"";
                return Err(delete_invalid(Kind::NotSupported, Some(other), detail));
            }
        };
        if self.orphan_dependents.is_some() {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            return Err(delete_invalid(Kind::Invalid, None, detail));
        }
        Ok(Some(propagation))
    }
}

fn delete_invalid(kind: object_rules::field::Kind, value: Option<&str>, detail: &str) -> StatusError {
    let mut errors = object_rules::field::Errors::new();
    errors.push(kind, "propagationPolicy", value.map(Into::into), detail);
    StatusError::invalid(
        &crate::status::Subject::new("meta.k8s.io", "DeleteOptions"),
        "",
        &errors,
    )
}

impl DeleteOptions {
    /// Reads the options of a deletion: from the body when there is one, else from the query.
    ///
    /// # Errors
    /// 400 for a body that is no `DeleteOptions`, 422 for illegal values and combinations.
    pub fn read(query: Query<'_>, body: &[u8]) -> Result<Self, StatusError> {
        let read = DeleteBody::read(query, body)?;
        if let Some(kind) = read
            .kind
            .as_deref()
            .filter(|kind| !kind.is_empty() && *kind != "DeleteOptions")
        {
            let message = format!("decoded object cannot be converted to DeleteOptions: {kind}");
            return Err(StatusError::bad_request(message));
        }
        let propagation = read.propagation()?;
        Ok(Self {
            grace_period_seconds: read.grace_period_seconds,
            preconditions: read.preconditions.unwrap_or_default(),
            propagation,
            orphan_dependents: read.orphan_dependents,
            dry_run: dry_run(read.dry_run.iter().flatten().map(String::as_str))?,
        })
    }
}
