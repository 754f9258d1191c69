//! Lists once, then follows the watch; goes on where it was after an interruption, and lists again when the server
//! does not remember that far back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Status;
use kube_types::ObjectKey;
use supervision::{Restart, Supervisor};

use super::{Cached, Selection, Shared};

/// Seconds after which the server ends a watch, so that a dead connection is noticed at last.
const WATCH_SECONDS: u32 = 290;

/// A watch that ends is begun again almost at once; one that keeps failing, every five seconds.
const RESTART: Restart = Restart {
    healthy_after: Duration::from_secs(5),
    ..Restart::always().pauses(Duration::from_millis(20), Duration::from_secs(5))
};

/// Why following was interrupted.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("cannot list {kind}")]
    List { kind: String, source: Box<kube::Error> },
    #[error("cannot watch {kind}")]
    Watch { kind: String, source: Box<kube::Error> },
    #[error("the watch of {kind} ended: {} ({})", status.message, status.reason)]
    Ended { kind: String, status: Box<Status> },
    #[error("the server gave {kind} the resourceVersion {version:?}, which is no number")]
    Version {
        kind: String,
        version: String,
        source: std::num::ParseIntError,
    },
}

/// Starts to keep `shared` up to date.
pub(super) fn start<K: Cached>(api: Api<K>, selection: Selection, shared: &Arc<Shared<K>>, supervisor: &Supervisor) {
    let follower = Arc::new(Follower {
        api,
        selection,
        shared: Arc::clone(shared),
        resume: Mutex::default(),
    });
    let name = format!("cache {}", K::plural(&()));
    supervisor.spawn_restarting(name, RESTART, move || {
        let follower = Arc::clone(&follower);
        async move { follower.follow().await }
    });
}

struct Follower<K> {
    api: Api<K>,
    selection: Selection,
    shared: Arc<Shared<K>>,
    /// The revision from which the watch goes on; `None` = a list is needed first.
    resume: Mutex<Option<u64>>,
}

impl<K: Cached> Follower<K> {
    /// Follows until the watch ends, as it does now and then.
    async fn follow(&self) -> Result<(), FollowError> {
        let resume = *self.resume.lock().unwrap_or_else(PoisonError::into_inner);
        let from = match resume {
            Some(revision) => revision,
            None => self.list().await?,
        };
        let parameters = WatchParams {
            label_selector: self.selection.labels.clone(),
            field_selector: self.selection.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: false,
        };
        let events = self
            .api
            .watch(&parameters, &from.to_string())
            .await
            .map_err(|error| self.interrupted(error))?;
        pin_mut!(events);
        while let Some(event) = events.next().await {
            self.take(event.map_err(|error| self.interrupted(error))?)?;
        }
        Ok(())
    }

    async fn list(&self) -> Result<u64, FollowError> {
        let parameters = ListParams {
            label_selector: self.selection.labels.clone(),
            field_selector: self.selection.fields.clone(),
            ..ListParams::default()
        };
        let listed = self.api.list(&parameters).await;
        let listed = listed.map_err(|source| FollowError::List {
            kind: kind::<K>(),
            source: Box::new(source),
        })?;
        let revision = number::<K>(listed.metadata.resource_version.as_deref())?;
        let objects = listed
            .items
            .into_iter()
            .map(|object| (key(&object), Arc::new(trimmed(object))));
        self.shared.replace(objects.collect::<BTreeMap<_, _>>());
        self.reach(revision);
        Ok(revision)
    }

    fn take(&self, event: WatchEvent<K>) -> Result<(), FollowError> {
        let revision = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let revision = number::<K>(object.meta().resource_version.as_deref())?;
                self.shared.put(key(&object), trimmed(object));
                revision
            }
            WatchEvent::Deleted(object) => {
                let revision = number::<K>(object.meta().resource_version.as_deref())?;
                self.shared.remove(&key(&object));
                revision
            }
            WatchEvent::Bookmark(bookmark) => number::<K>(Some(&bookmark.metadata.resource_version))?,
            WatchEvent::Error(status) => {
                self.forget_if_expired(&status);
                return Err(FollowError::Ended {
                    kind: kind::<K>(),
                    status,
                });
            }
        };
        self.reach(revision);
        Ok(())
    }

    fn reach(&self, revision: u64) {
        *self.resume.lock().unwrap_or_else(PoisonError::into_inner) = Some(revision);
        self.shared.reach(revision);
    }

    fn interrupted(&self, error: kube::Error) -> FollowError {
        if let kube::Error::Api(status) = &error {
            self.forget_if_expired(status);
        }
        FollowError::Watch {
            kind: kind::<K>(),
            source: Box::new(error),
        }
    }

    /// 410: the server's history does not reach back to where this watch was.
    fn forget_if_expired(&self, status: &Status) {
        if status.code == 410 {
            *self.resume.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

fn kind<K: Cached>() -> String {
    K::kind(&()).into_owned()
}

fn key<K: Cached>(object: &K) -> ObjectKey {
    let metadata = object.meta();
    ObjectKey {
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

fn trimmed<K: Cached>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

fn number<K: Cached>(version: Option<&str>) -> Result<u64, FollowError> {
    let version = version.unwrap_or_default();
    version.parse().map_err(|source| FollowError::Version {
        kind: kind::<K>(),
        version: version.to_owned(),
        source,
    })
}
