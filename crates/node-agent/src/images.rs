//! Images for containers: pull policy, back-off, and the events and waiting reasons that go with them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cri_api::v1 as cri;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use pod_lifecycle::backoff::BackOff;
use pod_lifecycle::plan::Waiting;
use pod_lifecycle::spec::go_duration;

use crate::agent::Agent;
use crate::events::Kind;

mod credentials;

/// How long `ErrImagePull` stands before it turns into `ImagePullBackOff`.
const SHOW_ERROR: Duration = Duration::from_secs(1);

/// Remembers failed pulls.
pub(crate) struct Puller {
    back_off: Mutex<BackOff>,
    /// The last error of each image, for the message of ImagePullBackOff.
    errors: Mutex<BTreeMap<String, String>>,
}

impl Default for Puller {
    fn default() -> Self {
        Self {
            back_off: Mutex::new(BackOff::of_kubelet()),
            errors: Mutex::default(),
        }
    }
}

impl Puller {
    fn back_off(&self) -> MutexGuard<'_, BackOff> {
        self.back_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn errors(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A container cannot have its image now.
#[derive(Debug)]
pub(crate) struct NoImage {
    pub(crate) waiting: Waiting,
    pub(crate) retry_at: Timestamp,
}

/// Makes sure that the container's image is there by its pull policy.
pub(crate) async fn ensure(
    agent: &Agent,
    pod: &Pod,
    container: &Container,
    secrets: &[Secret],
) -> Result<cri::Image, NoImage> {
    let image = container.image.as_deref().unwrap_or_default();
    let policy = container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    if let Err(problem) = pod_lifecycle::image_name::check(image) {
        let message =
            format!("Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {problem}");
        event(agent, pod, container, Kind::Warning, "InspectFailed", message.clone());
        return Err(failed(agent, pod, container, "InvalidImageName", message));
    }
    let present = match agent.runtime.image(image).await {
        Ok(present) => present,
        Err(error) => return Err(failed(agent, pod, container, "ImageInspectError", error.reason())),
    };
    match (policy, present) {
        ("Never", None) => {
            let message = format!("Container image {image:?} is not present with pull policy of Never");
            event(
                agent,
                pod,
                container,
                Kind::Warning,
                "ErrImageNeverPull",
                message.clone(),
            );
            Err(failed(agent, pod, container, "ErrImageNeverPull", message))
        }
        ("Never" | "IfNotPresent", Some(found)) => {
            let message =
                format!("Container image {image:?} already present on machine and can be accessed by the pod");
            event(agent, pod, container, Kind::Normal, "Pulled", message);
            Ok(found)
        }
        _ => pull(agent, pod, container, image, secrets).await,
    }
}

fn event(agent: &Agent, pod: &Pod, container: &Container, kind: Kind, reason: &'static str, message: String) {
    agent.events.pod(pod, Some(&container.name), kind, reason, message);
}

fn failed(agent: &Agent, pod: &Pod, container: &Container, reason: &str, message: String) -> NoImage {
    event(
        agent,
        pod,
        container,
        Kind::Warning,
        "Failed",
        format!("Error: {reason}"),
    );
    let waiting = Waiting {
        reason: reason.to_owned(),
        message,
    };
    NoImage {
        waiting,
        retry_at: agent.now() + Duration::from_secs(10),
    }
}

async fn pull(
    agent: &Agent,
    pod: &Pod,
    container: &Container,
    image: &str,
    secrets: &[Secret],
) -> Result<cri::Image, NoImage> {
    let key = format!("{}_{image}", pod.metadata.uid.as_deref().unwrap_or_default());
    if let Some((until, _)) = agent.images.back_off().wait_after_attempt(&key, agent.now()) {
        return Err(backing_off(agent, pod, container, image, &key, until));
    }
    let message = format!("Pulling image {image:?}");
    event(agent, pod, container, Kind::Normal, "Pulling", message);
    let started = agent.now();
    let result = pull_with_any(agent, image, credentials::candidates(image, secrets)).await;
    let now = agent.now();
    let took = go_duration(round(now.duration_since(started).unsigned_abs()));
    match result {
        Ok(found) => {
            agent.images.back_off().forget(&key);
            agent.images.errors().remove(&key);
            let message = format!(
                "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {} bytes.",
                found.size
            );
            event(agent, pod, container, Kind::Normal, "Pulled", message);
            Ok(found)
        }
        Err(reason) => {
            agent.images.back_off().next(&key, now, now);
            agent.images.errors().insert(key, format!("ErrImagePull: {reason}"));
            let message = format!("Failed to pull image {image:?}: {reason}");
            event(agent, pod, container, Kind::Warning, "Failed", message);
            let mut failure = failed(agent, pod, container, "ErrImagePull", reason);
            failure.retry_at = now + SHOW_ERROR;
            Err(failure)
        }
    }
}

fn backing_off(agent: &Agent, pod: &Pod, container: &Container, image: &str, key: &str, until: Timestamp) -> NoImage {
    let message = format!("Back-off pulling image {image:?}");
    event(agent, pod, container, Kind::Normal, "BackOff", message.clone());
    let error = agent.images.errors().get(key).cloned();
    let message = error.map_or(message.clone(), |error| format!("{message}: {error}"));
    let mut failure = failed(agent, pod, container, "ImagePullBackOff", message);
    failure.retry_at = until;
    failure
}

/// Tries each credential, none last; answers the runtime's words when all fail.
async fn pull_with_any(agent: &Agent, image: &str, candidates: Vec<cri::AuthConfig>) -> Result<cri::Image, String> {
    let mut reason = String::new();
    for auth in candidates.into_iter().map(Some).chain([None]) {
        match agent.runtime.pull_image(image, auth).await {
            Ok(reference) => {
                let found = agent.runtime.image(&reference).await.map_err(|error| error.reason())?;
                return Ok(found.unwrap_or_else(|| cri::Image {
                    id: reference,
                    ..Default::default()
                }));
            }
            Err(error) => reason = error.reason(),
        }
    }
    Err(reason)
}

/// Go prints durations of pulls in whole milliseconds.
fn round(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
