//! Resources of EC2 that are what is known of them: kept as the members that answers show, described, filtered and tagged
//! by one table.

use std::collections::BTreeMap;

use aws_types::ec2::Filter;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::filter::{Subject, passes};
use super::kinds::KINDS;
use super::{dry_run, invalid};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// A resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its members as answers show them, without id and tags.
    pub body: Value,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// Routes of subnets.
    RouteTable,
    /// A VPC's way out.
    InternetGateway,
    /// A way out for addresses that are not public.
    NatGateway,
    /// An elastic address.
    Address,
    /// Who may speak to whom.
    SecurityGroup,
    /// How instances are to be.
    LaunchTemplate,
    /// A public key.
    KeyPair,
    /// An EBS volume.
    Volume,
    /// What a volume held at a moment.
    Snapshot,
    /// A network interface that did not come with an instance.
    NetworkInterface,
    /// A way out for IPv6 addresses.
    EgressOnlyInternetGateway,
    /// A private way to a service.
    VpcEndpoint,
    /// Where instances stand to each other.
    PlacementGroup,
    /// What may pass a subnet's border.
    NetworkAcl,
    /// What instances learn by DHCP.
    DhcpOptions,
    /// A way between two VPCs.
    VpcPeering,
    /// What is to be written down of traffic.
    FlowLog,
    /// Blocks of addresses under one name.
    PrefixList,
    /// A machine image of one's own.
    Image,
    /// A wish for a Spot instance.
    SpotRequest,
}

/// What the API calls a kind, and how it is looked for.
pub struct Facts {
    pub(super) kind: Kind,
    /// The type in tag specifications and ARNs.
    pub resource_type: &'static str,
    pub(super) prefix: &'static str,
    /// The member that holds the id.
    pub(super) id: &'static str,
    /// Members of requests that list ids.
    pub(super) ids: &'static [&'static str],
    /// The member of answers that lists resources.
    pub(super) list: &'static str,
    pub(super) not_found: (&'static str, &'static str),
    /// Filters and the members that they look at; `[]` goes through a list.
    pub(super) filters: &'static [(&'static str, &'static str)],
}

impl Kind {
    /// What the API calls it.
    pub fn facts(self) -> &'static Facts {
        KINDS
            .iter()
            .find(|facts| facts.kind == self)
            .expect("every kind has a row (tested)")
    }

    /// The error for an id that nobody has.
    pub fn not_found(self, id: &str) -> ApiError {
        let (code, message) = self.facts().not_found;
        ApiError::bad_request(code, message.replace("{}", id))
    }
}

impl Document {
    /// A new one, with the tags that the request gives it.
    pub fn new(context: &Context, kind: Kind, input: &Value, body: Value) -> Self {
        let facts = kind.facts();
        let given = input.list("TagSpecifications").iter();
        let own = given.filter(|given| given.text("ResourceType") == Some(facts.resource_type));
        Self {
            kind,
            id: context.region.id(facts.prefix),
            body,
            tags: own.flat_map(|given| given.tags("Tags")).collect(),
        }
    }

    /// As answers show it.
    pub fn view(&self) -> Value {
        let mut view = self.body.clone();
        if let Some(members) = view.as_object_mut() {
            // What is kept beside the members of answers.
            members.retain(|name, _| !name.starts_with('_'));
        }
        view[self.kind.facts().id] = self.id.clone().into();
        // Volumes and snapshots without tags say nothing of tags.
        if !self.tags.is_empty() || !matches!(self.kind, Kind::Volume | Kind::Snapshot) {
            view["Tags"] = tag_list(&self.tags);
        }
        view
    }
}

/// The resource of that kind and id.
///
/// # Errors
/// The kind's own error when it is not there.
pub fn find<'a>(state: &'a State, kind: Kind, id: &str) -> Result<&'a Document, ApiError> {
    state
        .documents
        .get(id)
        .filter(|document| document.kind == kind)
        .ok_or_else(|| kind.not_found(id))
}

/// Those of a kind.
pub fn of_kind(state: &State, kind: Kind) -> impl Iterator<Item = &Document> {
    state.documents.values().filter(move |document| document.kind == kind)
}

/// Makes one and answers it as `member`.
///
/// # Errors
/// When the check refuses, or `DryRun` is asked for.
pub async fn create(
    context: &Context,
    input: &Value,
    document: Document,
    member: &str,
    check: impl FnOnce(&State) -> Result<(), ApiError>,
) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let mut answer = nothing();
    answer[member] = document.view();
    let decide = |state: &State| {
        check(state)?;
        Ok::<_, ApiError>(((), vec![Change::put(document)]))
    };
    context.region.ledger.change(decide).await?;
    Ok(answer)
}

/// Changes one.
///
/// # Errors
/// When it is not there, or what the change answers.
pub async fn edit<T>(
    context: &Context,
    input: &Value,
    kind: Kind,
    id: &str,
    change: impl FnOnce(&State, &mut Document) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let decide = |state: &State| {
        let mut document = find(state, kind, id)?.clone();
        let answer = change(state, &mut document)?;
        Ok((answer, vec![Change::put(document)]))
    };
    context.region.ledger.change(decide).await
}

/// Removes one, if the check lets it go.
///
/// # Errors
/// When it is not there, or what the check answers.
pub async fn remove(
    context: &Context,
    input: &Value,
    kind: Kind,
    id: &str,
    check: impl FnOnce(&State, &Document) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    dry_run(input.flag("DryRun"))?;
    let decide = |state: &State| {
        check(state, find(state, kind, id)?)?;
        Ok::<_, ApiError>(((), vec![Change::remove::<Document>(id.to_owned())]))
    };
    context.region.ledger.change(decide).await
}

/// "Something uses it."
pub fn in_use(what: &str, id: &str) -> ApiError {
    ApiError::bad_request(
        "DependencyViolation",
        format!("The {what} '{id}' has dependencies and cannot be deleted."),
    )
}

/// The texts at a path of members.
fn at(value: &Value, path: &str) -> Vec<String> {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let found = match first.strip_suffix("[]") {
        Some(list) => value.list(list).iter().collect(),
        None => value.get(first).into_iter().collect::<Vec<_>>(),
    };
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    match rest {
        Some(rest) => found.into_iter().flat_map(|value| at(value, rest)).collect(),
        None => found.into_iter().filter_map(text).collect(),
    }
}

/// Views that pass the request's filters, a page at a time.
///
/// # Errors
/// When a filter or token is not known.
pub fn answer(
    input: &Value,
    list: &str,
    filters: &[(&str, &str)],
    views: Vec<(Value, BTreeMap<String, String>)>,
) -> Result<Value, ApiError> {
    let ready = views.into_iter().map(|(view, tags)| (move || view, tags));
    answer_of(input, list, filters, ready)
}

/// The same of resources whose views are made only for those that are shown, or of whose members a filter asks.
///
/// # Errors
/// When a filter or token is not known.
pub fn answer_of<V: FnOnce() -> Value>(
    input: &Value,
    list: &str,
    filters: &[(&str, &str)],
    resources: impl Iterator<Item = (V, BTreeMap<String, String>)>,
) -> Result<Value, ApiError> {
    let (by_tag, by_member) = wanted_filters(input, filters)?;
    let window = Window::of(input)?;
    let (mut shown, mut passed) = (Vec::new(), 0);
    for (view, tags) in resources {
        let of_tags = Subject {
            values: &[],
            tags: &tags,
        };
        if !passes(Some(&by_tag), &of_tags)? {
            continue;
        }
        let is_shown = window.holds(passed);
        if is_shown || !by_member.is_empty() {
            let view = view();
            let values = values_of(&view, filters, &by_member);
            let of_members = Subject {
                values: &values,
                tags: &tags,
            };
            if !passes(Some(&by_member), &of_members)? {
                continue;
            }
            if is_shown {
                shown.push(view);
            }
        }
        passed += 1;
    }
    Ok(window.answer(list, shown, passed))
}

/// The request's filters: those of tags, and those of members, which must be known.
fn wanted_filters(input: &Value, known: &[(&str, &str)]) -> Result<(Vec<Filter>, Vec<Filter>), ApiError> {
    let wanted: Vec<Filter> = match input.get("Filters").or_else(|| input.get("Filter")) {
        Some(Value::Null) | None => Vec::new(),
        Some(filters) => serde_json::from_value(filters.clone()).map_err(ApiError::internal)?,
    };
    let is_of_tags = |filter: &Filter| {
        let name = filter.name.as_deref().unwrap_or_default();
        matches!(name, "tag-key" | "tag-value") || name.starts_with("tag:")
    };
    let (by_tag, by_member): (Vec<Filter>, Vec<Filter>) = wanted.into_iter().partition(is_of_tags);
    let is_unknown = |filter: &&Filter| {
        let name = filter.name.as_deref().unwrap_or_default();
        !known.iter().any(|(known, _)| *known == name)
    };
    match by_member.iter().find(is_unknown) {
        Some(filter) => Err(invalid(format!(
            "The filter '{}' is invalid",
            filter.name.as_deref().unwrap_or_default()
        ))),
        None => Ok((by_tag, by_member)),
    }
}

/// What a view has to say to the filters that are asked for.
fn values_of<'a>(view: &Value, known: &[(&'a str, &str)], wanted: &[Filter]) -> Vec<(&'a str, String)> {
    let mut values = Vec::new();
    for (name, path) in known {
        if !wanted.iter().any(|filter| filter.name.as_deref() == Some(name)) {
            continue;
        }
        let found = at(view, path);
        // A filter is known even when this resource has nothing to say to it.
        if found.is_empty() {
            values.push((*name, String::new()));
        }
        values.extend(found.into_iter().map(|value| (*name, value)));
    }
    values
}

/// The page that a request asks for.
struct Window {
    begin: usize,
    most: usize,
}

impl Window {
    fn of(input: &Value) -> Result<Self, ApiError> {
        let token = input.text("NextToken").unwrap_or("0");
        let begin = token
            .parse()
            .map_err(|_no_token| invalid(format!("Invalid value '{token}' for nextToken.")))?;
        let most = input
            .number("MaxResults")
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(1000)
            .max(1);
        Ok(Self { begin, most })
    }

    /// Whether the one of that number is on the page.
    fn holds(&self, number: usize) -> bool {
        number >= self.begin && number - self.begin < self.most
    }

    fn answer(&self, list: &str, page: Vec<Value>, total: usize) -> Value {
        let end = self.begin + page.len();
        let mut answer = json!({ list: page });
        if end < total {
            answer["NextToken"] = end.to_string().into();
        }
        answer
    }
}

/// One page: `NextToken` is where the next begins.
///
/// # Errors
/// When the token was not made here.
pub fn page(input: &Value, list: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let window = Window::of(input)?;
    let total = views.len();
    let shown = views.into_iter().skip(window.begin).take(window.most).collect();
    Ok(window.answer(list, shown, total))
}

/// Describes the resources of a kind.
///
/// # Errors
/// When an id or filter is not known.
pub fn describe(context: &Context, input: &Value, kind: Kind) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let facts = kind.facts();
    let ids: Vec<&str> = facts.ids.iter().flat_map(|member| input.texts(member)).collect();
    context.region.ledger.read(|state| {
        for id in &ids {
            find(state, kind, id)?;
        }
        let chosen = of_kind(state, kind).filter(|document| ids.is_empty() || ids.contains(&document.id.as_str()));
        let chosen = chosen.map(|document| (|| document.view(), document.tags.clone()));
        // Addresses come without pages, and their model knows no token.
        answer_of(input, facts.list, facts.filters, chosen)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row() {
        for facts in KINDS {
            assert_eq!(
                KINDS.iter().filter(|other| other.kind == facts.kind).count(),
                1,
                "{:?}",
                facts.kind
            );
            assert_eq!(facts.kind.facts().kind, facts.kind);
        }
    }

    #[test]
    fn paths_go_through_lists() {
        let value = json!({"A": [{"B": 1}, {"B": "x"}, {}], "C": {"D": true}});
        assert_eq!(at(&value, "A[].B"), ["1", "x"]);
        assert_eq!(at(&value, "C.D"), ["true"]);
        assert!(at(&value, "A[].E").is_empty());
    }
}
