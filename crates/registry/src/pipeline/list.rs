//! Reading collections: which data, which objects of it, in which pieces.

use std::sync::Arc;

use kube_types::selector::FieldSelector;
use store::{RangeRequest, Revision, StoreError};

use super::Resource;
use super::read::parse_version;
use super::token::Continue;
use crate::cache::Item;
use crate::kinds::{ResourceKind, Verb};
use crate::options::{ListOptions, ResourceVersionMatch};
use crate::registry::Registry;
use crate::request::{Context, Reply, Target};
use crate::status::StatusError;

const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
     the continue parameter, or use the continue token in this response to retrieve the remainder of the results. \
     Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
     deleted between the time the first chunk was returned and now may show up in the list.";
const TOO_OLD: &str = "The resourceVersion for the provided list is too old.";

/// How many stored objects are read at once when history is listed.
const CHUNK: usize = 500;

/// What a list found.
pub(crate) struct Selection {
    pub items: Vec<Arc<Item>>,
    /// Revision that all items are of.
    pub revision: Revision,
    /// Token for the rest, when there is more.
    pub next: Option<String>,
    /// How many more there are, when that is known.
    pub remaining: Option<usize>,
}

/// Which data a list is made of. Source: upstream's table in `cacher/delegator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The newest.
    Newest,
    /// Whatever there is.
    Any,
    NotOlderThan(Revision),
    Exactly(Revision),
}

impl Registry {
    /// Reads a collection.
    ///
    /// # Errors
    /// The `Status` to send.
    pub async fn list(&self, context: &Context, target: &Target, options: ListOptions) -> Result<Reply, StatusError> {
        let resource = self.resource(target, Verb::List)?;
        let selection = self.select(&resource, target, &options).await?;
        self.render_list(context, &resource, &selection)
    }

    /// The objects that a list asks for.
    pub(crate) async fn select(
        &self,
        resource: &Resource,
        target: &Target,
        options: &ListOptions,
    ) -> Result<Selection, StatusError> {
        check_fields(&resource.kind, &options.field_selector)?;
        let token = match options.continue_token.as_str() {
            "" => None,
            token => Some(Continue::decode(token)?),
        };
        let at = choose(resource, options, token.as_ref())?;
        match at {
            At::Newest => self.catch_up().await?,
            At::Any => {}
            At::NotOlderThan(revision) | At::Exactly(revision) => self.reach(revision).await?,
        }
        let query = Query {
            resource,
            target,
            options,
            token: token.as_ref(),
        };
        if resource.kind.has_views() {
            return self.select_views(&query, at).await;
        }
        self.select_stored(&query, at).await
    }

    /// The objects that a list of stored objects asks for.
    async fn select_stored(&self, query: &Query<'_>, at: At) -> Result<Selection, StatusError> {
        self.check_readable(query.resource, &query.prefix()).await?;
        if let Some(selection) = self.select_cached(query, at) {
            return Ok(selection);
        }
        match at {
            At::Exactly(revision) => self.select_past(query, revision).await,
            _ => Err(StatusError::internal(
                "a list at no particular revision needs no history",
            )),
        }
    }

    /// The objects in the version asked for; selectors are about what they are there.
    async fn select_views(&self, query: &Query<'_>, at: At) -> Result<Selection, StatusError> {
        let all = ListOptions {
            limit: 0,
            label_selector: None,
            field_selector: FieldSelector::default(),
            ..query.options.clone()
        };
        let stored = self
            .select_stored(
                &Query {
                    options: &all,
                    ..*query
                },
                at,
            )
            .await?;
        let mut items = self.converter.views(query.resource, stored.items).await?;
        items.retain(|item| query.keeps(item));
        let limit = if query.options.limit == 0 {
            items.len()
        } else {
            query.options.limit
        };
        let rest = items.len().saturating_sub(limit);
        items.truncate(limit);
        Ok(query.page(items, stored.revision, rest > 0, Some(rest)))
    }

    /// Answers from memory, unless an older state is asked for.
    fn select_cached(&self, query: &Query<'_>, at: At) -> Option<Selection> {
        self.caches.snapshot(|reached| {
            let cache = &query.resource.cache;
            let revision = match at {
                At::Exactly(revision) if cache.last() <= revision && revision <= reached => revision,
                At::Exactly(_) => return None,
                _ => reached,
            };
            let limit = if query.options.limit == 0 {
                usize::MAX
            } else {
                query.options.limit
            };
            let after = query.token.map(|token| token.start.as_str());
            let (items, rest) = cache.select(&query.prefix(), after, |item| query.keeps(item), limit);
            Some(query.page(items, revision, rest > 0, Some(rest)))
        })
    }

    /// Answers from the store's history.
    async fn select_past(&self, query: &Query<'_>, revision: Revision) -> Result<Selection, StatusError> {
        let root = query.resource.prefix();
        let prefix = format!("{root}{}", query.prefix());
        let whole = RangeRequest::prefix(prefix.clone().into_bytes());
        let mut start = match query.token {
            Some(token) if format!("{root}{}", token.start) > prefix => format!("{root}{}", token.start),
            _ => prefix,
        };
        let limit = if query.options.limit == 0 {
            usize::MAX
        } else {
            query.options.limit
        };
        let mut items: Vec<Arc<Item>> = Vec::new();
        loop {
            let request = RangeRequest {
                start: start.clone().into_bytes().into(),
                ..whole.clone()
            };
            let read = match self.store.range(request.limit(CHUNK).at(revision)).await {
                Ok(read) => read,
                Err(StoreError::Compacted { .. }) => return Err(query.too_old()),
                Err(error) => return Err(self.store_error(&error)),
            };
            for entry in &read.items {
                let item =
                    Item::opened(query.resource.stored(), &self.encryption, entry).map_err(StatusError::internal)?;
                if query.keeps(&item) {
                    if items.len() == limit {
                        return Ok(query.page(items, revision, true, None));
                    }
                    items.push(Arc::new(item));
                }
                start = format!("{}\0", String::from_utf8_lossy(&entry.key));
            }
            if !read.more {
                return Ok(query.page(items, revision, false, None));
            }
        }
    }
}

fn choose(resource: &Resource, options: &ListOptions, token: Option<&Continue>) -> Result<At, StatusError> {
    if let Some(token) = token {
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(StatusError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        return Ok(u64::try_from(token.rv).map_or(At::Newest, At::Exactly));
    }
    let version = options.resource_version.as_str();
    match (version, options.resource_version_match) {
        ("", _) => Ok(At::Newest),
        ("0", _) => Ok(At::Any),
        (_, Some(ResourceVersionMatch::NotOlderThan)) => Ok(At::NotOlderThan(parse_version(resource, version)?)),
        (_, Some(ResourceVersionMatch::Exact)) => Ok(At::Exactly(parse_version(resource, version)?)),
        (_, None) if options.limit > 0 => Ok(At::Exactly(parse_version(resource, version)?)),
        (_, None) => Ok(At::NotOlderThan(parse_version(resource, version)?)),
    }
}

#[derive(Clone, Copy)]
struct Query<'a> {
    resource: &'a Resource,
    target: &'a Target,
    options: &'a ListOptions,
    token: Option<&'a Continue>,
}

impl Query<'_> {
    /// Start of the keys within the resource.
    fn prefix(&self) -> String {
        match &self.target.namespace {
            Some(namespace) if self.resource.kind.namespaced => format!("{namespace}/"),
            _ => String::new(),
        }
    }

    fn keeps(&self, item: &Item) -> bool {
        item.matches_labels(self.options.label_selector.as_ref())
            && item.matches_fields(&self.resource.kind, &self.options.field_selector)
            && self
                .target
                .name
                .as_deref()
                .is_none_or(|name| *name == *item.extract.name)
    }

    fn page(&self, items: Vec<Arc<Item>>, revision: Revision, more: bool, rest: Option<usize>) -> Selection {
        let next = items.last().filter(|_| more).map(|last| {
            let key = self
                .resource
                .cache_key(last.extract.namespace.as_deref(), &last.extract.name);
            let revision = i64::try_from(revision).unwrap_or(i64::MAX);
            Continue::new(revision, format!("{key}\0")).encode()
        });
        let selected = self.options.label_selector.is_some() || !self.options.field_selector.is_empty();
        let remaining = if next.is_some() && !selected { rest } else { None };
        Selection {
            items,
            revision,
            next,
            remaining,
        }
    }

    /// 410, with a token that goes on inconsistently when this list was a continued one.
    fn too_old(&self) -> StatusError {
        match self.token {
            Some(token) => {
                StatusError::expired(CONTINUE_TOO_OLD).with_continue(Continue::new(-1, token.start.clone()).encode())
            }
            None => StatusError::expired(TOO_OLD),
        }
    }
}

/// Only the fields that a kind declares may be selected on.
pub(crate) fn check_fields(kind: &ResourceKind, selector: &FieldSelector) -> Result<(), StatusError> {
    for requirement in selector.requirements() {
        let name = requirement.field.as_str();
        let known = name == "metadata.name"
            || (name == "metadata.namespace" && kind.namespaced)
            || kind.fields.iter().any(|field| field.name == name);
        if !known {
            return Err(StatusError::bad_request(if kind.fields.is_empty() {
                format!("\"{name}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
            } else {
                format!("field label not supported: {name}")
            }));
        }
    }
    Ok(())
}
