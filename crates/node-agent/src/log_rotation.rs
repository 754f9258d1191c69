//! Keeps container logs small: a file that has grown past the limit is put aside and the runtime begins a new one.
//!
//! As the kubelet with its defaults: 10 MiB for a file, five files for a container, looked at every ten seconds. What is put aside is not compressed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::agent::Agent;
use crate::container_config::PodPaths;

/// `containerLogMaxSize`
const MOST_BYTES: u64 = 10 << 20;
/// `containerLogMaxFiles`, the one that is written included.
const MOST_FILES: usize = 5;
/// `containerLogMonitorInterval`
const LOOK: Duration = Duration::from_secs(10);

/// Looks at the logs of this node's containers, for ever.
pub(crate) async fn keep(agent: Arc<Agent>) {
    loop {
        supervision::sleep(LOOK).await;
        for pod in agent.pods() {
            let paths = PodPaths::of(&agent.config, &pod);
            for (id, log) in running(&pod, &paths) {
                if std::fs::metadata(&log).is_ok_and(|found| found.len() > MOST_BYTES)
                    && let Err(error) = rotate(&agent, &id, &log).await
                {
                    tracing::warn!(log = %log.display(), error, "log is not rotated");
                }
            }
        }
    }
}

/// Containers that run: the runtime's id and the file that is written.
fn running(pod: &Pod, paths: &PodPaths) -> Vec<(String, PathBuf)> {
    let Some(status) = &pod.status else { return Vec::new() };
    let lists = [
        &status.init_container_statuses,
        &status.container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let one = |container: &ContainerStatus| {
        container.state.as_ref()?.running.as_ref()?;
        let (_, id) = container.container_id.as_deref()?.split_once("://")?;
        let log = paths
            .logs
            .join(&container.name)
            .join(format!("{}.log", container.restart_count));
        Some((id.to_owned(), log))
    };
    lists.into_iter().flatten().flatten().filter_map(one).collect()
}

async fn rotate(agent: &Agent, id: &str, log: &Path) -> Result<(), String> {
    let aside = put_aside(log, agent.now()).map_err(|error| error.to_string())?;
    if let Err(error) = agent.runtime.reopen_log(id).await {
        // The container goes on writing to the file under its new name, so it gets its old one back.
        std::fs::rename(&aside, log).map_err(|error| error.to_string())?;
        return Err(error.reason());
    }
    remove_surplus(log).map_err(|error| error.to_string())
}

/// `0.log` becomes `0.log.20260102-030405`.
fn put_aside(log: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let aside = PathBuf::from(format!("{}.{}", log.display(), now.strftime("%Y%m%d-%H%M%S")));
    std::fs::rename(log, &aside)?;
    Ok(aside)
}

/// Removes the oldest files beyond the number that is kept.
fn remove_surplus(log: &Path) -> io::Result<()> {
    let (Some(directory), Some(name)) = (log.parent(), log.file_name()) else {
        return Ok(());
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut aside: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            aside.push(entry.path());
        }
    }
    // The time is in the name.
    aside.sort();
    let surplus = aside.len().saturating_sub(MOST_FILES - 1);
    aside.into_iter().take(surplus).try_for_each(std::fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("0.log");
        std::fs::write(directory.path().join("1.log"), "another attempt").unwrap();
        for second in 0..7 {
            std::fs::write(&log, format!("{second}")).unwrap();
            let aside = put_aside(&log, Timestamp::from_second(second).unwrap()).unwrap();
            assert_eq!(
                aside.file_name().unwrap().to_string_lossy(),
                format!("0.log.19700101-00000{second}")
            );
            remove_surplus(&log).unwrap();
        }
        let mut left: Vec<String> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        let expected = [
            "0.log.19700101-000003",
            "0.log.19700101-000004",
            "0.log.19700101-000005",
            "0.log.19700101-000006",
            "1.log",
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn only_what_runs_is_looked_at() {
        let pod: Pod = serde_json::from_str(
            r#"{"metadata":{"name":"p","namespace":"n","uid":"u"},"status":{"containerStatuses":[
                {"name":"a","containerID":"ondol://1","restartCount":2,"image":"","imageID":"","ready":true,"state":{"running":{}}},
                {"name":"b","containerID":"ondol://2","restartCount":0,"image":"","imageID":"","ready":false,"state":{"terminated":{"exitCode":0}}}]}}"#,
        )
        .unwrap();
        let paths = PodPaths {
            dir: "/d".into(),
            logs: "/l".into(),
        };
        assert_eq!(running(&pod, &paths), [("1".to_owned(), PathBuf::from("/l/a/2.log"))]);
    }
}
