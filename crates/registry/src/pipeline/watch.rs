//! Following a collection: from a revision, or from the present state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use store::Revision;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Resource;
use super::list::check_fields;
use super::read::parse_version;
use crate::cache::{Caches, Change, ChangeKind, Item, ResourceCache, Since};
use crate::custom::Converter;
use crate::kinds::Verb;
use crate::options::WatchOptions;
use crate::registry::Registry;
use crate::render::Renderer;
use crate::request::{Context, Target, WatchEvent, WatchEventKind, WatchReply};
use crate::status::StatusError;

/// A watch without a timeout lasts between this and twice this; upstream's `--min-request-timeout`.
const SHORTEST: Duration = Duration::from_secs(1800);
/// Time between bookmarks, and before the end.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// Changes that are taken out of the cache at once.
const CHUNK: usize = 256;

impl Registry {
    /// Follows a collection, or one object when the target has a name.
    ///
    /// # Errors
    /// The `Status` to send instead of a stream.
    pub async fn watch(
        &self,
        context: &Context,
        target: &Target,
        options: WatchOptions,
    ) -> Result<WatchReply, StatusError> {
        let resource = self.resource(target, Verb::Watch)?;
        check_fields(&resource.kind, &options.field_selector)?;
        let version = options.resource_version.as_str();
        let from_now = matches!(version, "" | "0");
        if !from_now || options.send_initial_events == Some(true) {
            self.reach_asked(&resource, version).await?;
        } else if version.is_empty() {
            self.catch_up().await?;
        }
        let prefix = target.namespace.as_deref().filter(|_| resource.kind.namespaced);
        let prefix = prefix.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        self.check_readable(&resource, &prefix).await?;
        let cursor = if from_now {
            None
        } else {
            Some(parse_version(&resource, version)?)
        };
        let mut watcher = self.watcher(context, &resource, target, options);
        match (watcher.options.send_initial_events, cursor) {
            (Some(true), _) | (None, None) => watcher.begin_with_present().await?,
            (Some(false), None) => watcher.cursor = self.caches.reached(),
            (_, Some(revision)) => watcher.cursor = revision,
        }
        let events = stream::unfold(watcher, |mut watcher| async move {
            let event = watcher.next().await?;
            Some((event, watcher))
        });
        Ok(WatchReply {
            events: Box::pin(events),
        })
    }

    fn watcher(&self, context: &Context, resource: &Resource, target: &Target, options: WatchOptions) -> Watcher {
        let life = options
            .timeout
            .unwrap_or_else(|| SHORTEST + Duration::from_secs(self.random.below(SHORTEST.as_secs())));
        let now = Instant::now();
        Watcher {
            caches: self.caches.clone(),
            changed: resource.cache.subscribe(),
            cache: resource.cache.clone(),
            resource: resource.clone(),
            converter: self.converter.clone(),
            renderer: Renderer::new(resource.clone(), context, self.clock.clone()),
            namespace: target.namespace.clone().filter(|_| resource.kind.namespaced),
            name: target.name.clone(),
            options,
            cursor: 0,
            queue: VecDeque::new(),
            end: now + life,
            bookmark_at: now + BOOKMARK_EVERY,
            ended: false,
        }
    }
}

struct Watcher {
    caches: Arc<Caches>,
    cache: Arc<ResourceCache>,
    resource: Resource,
    converter: Arc<Converter>,
    changed: watch::Receiver<Revision>,
    renderer: Renderer,
    namespace: Option<String>,
    name: Option<String>,
    options: WatchOptions,
    /// Everything up to this revision has been looked at.
    cursor: Revision,
    queue: VecDeque<WatchEvent>,
    end: Instant,
    bookmark_at: Instant,
    ended: bool,
}

impl Watcher {
    async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            // Both are read before the changes: nothing that happens in between is overlooked.
            self.changed.borrow_and_update();
            let reached = self.caches.reached();
            match self.cache.since(self.cursor, CHUNK) {
                Since::TooOld { oldest } => {
                    let message = format!("too old resource version: {} ({oldest})", self.cursor);
                    self.queue
                        .push_back(self.renderer.error(&StatusError::expired(message)));
                    self.ended = true;
                }
                Since::Changes(changes) if changes.is_empty() => {
                    // The resource is served no more, or by another schema: clients ask anew.
                    if self.cache.is_closed() {
                        return None;
                    }
                    self.cursor = self.cursor.max(reached);
                    self.wait().await?;
                }
                Since::Changes(changes) => {
                    for change in &changes {
                        self.cursor = change.item.revision;
                        if let Err(error) = self.take(change).await {
                            self.queue.push_back(self.renderer.error(&error));
                            self.ended = true;
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Waits for a change or for the time of a bookmark; `None` at the end of the watch.
    async fn wait(&mut self) -> Option<()> {
        let now = Instant::now();
        if now >= self.end {
            return None;
        }
        if self.options.bookmarks && now >= self.bookmark_at {
            self.queue.push_back(self.renderer.bookmark(self.cursor, false));
            let last = self.end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(self.end);
            let next = now + BOOKMARK_EVERY;
            self.bookmark_at = if now >= last { self.end } else { next.min(last) };
            return Some(());
        }
        let until = if self.options.bookmarks {
            self.bookmark_at.min(self.end)
        } else {
            self.end
        };
        match tokio::time::timeout_at(until, self.changed.changed()).await {
            // The registry is closing.
            Ok(Err(_closed)) => None,
            _ => Some(()),
        }
    }

    async fn begin_with_present(&mut self) -> Result<(), StatusError> {
        let prefix = self
            .namespace
            .as_ref()
            .map(|namespace| format!("{namespace}/"))
            .unwrap_or_default();
        let later = self.resource.kind.has_views();
        let (revision, mut items) = self.caches.snapshot(|reached| {
            let (items, _) = self
                .cache
                .select(&prefix, None, |item| later || self.selects(item), usize::MAX);
            (reached, items)
        });
        if later {
            items = self.converter.views(&self.resource, items).await?;
            items.retain(|item| self.selects(item));
        }
        self.cursor = revision;
        for item in &items {
            self.queue.push_back(self.renderer.event(WatchEventKind::Added, item));
        }
        if self.options.send_initial_events == Some(true) && self.options.bookmarks {
            self.queue.push_back(self.renderer.bookmark(revision, true));
        }
        Ok(())
    }

    fn selects(&self, item: &Item) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|namespace| item.extract.namespace.as_deref() == Some(namespace))
            && self.name.as_deref().is_none_or(|name| *name == *item.extract.name)
            && item.matches_labels(self.options.label_selector.as_ref())
            && item.matches_fields(self.resource.ruling(), &self.options.field_selector)
    }

    /// What a change means to this watcher. Source: `convertToWatchEvent`.
    async fn take(&mut self, change: &Change) -> Result<(), StatusError> {
        let revision = change.item.revision;
        let previous = match &change.previous {
            Some(previous) => Some(self.converter.view(&self.resource, previous.clone()).await?),
            None => None,
        };
        let item = match (&previous, change.kind) {
            (Some(previous), ChangeKind::Delete) => Arc::new(previous.at_revision(revision)),
            _ => self.converter.view(&self.resource, change.item.clone()).await?,
        };
        let before = previous.as_deref().is_some_and(|item| self.selects(item));
        let after = change.kind == ChangeKind::Put && self.selects(&item);
        let event = match (before, after) {
            (false, false) => return Ok(()),
            (false, true) => self.renderer.event(WatchEventKind::Added, &item),
            (true, true) => self.renderer.event(WatchEventKind::Modified, &item),
            (true, false) if change.kind == ChangeKind::Delete => self.renderer.event(WatchEventKind::Deleted, &item),
            // It left the selection: the client sees it as it knew it, at the revision of the change.
            (true, false) => match &previous {
                Some(previous) => self
                    .renderer
                    .event(WatchEventKind::Deleted, &previous.at_revision(revision)),
                None => return Ok(()),
            },
        };
        self.queue.push_back(event);
        Ok(())
    }
}
