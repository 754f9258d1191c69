//! Lifecycle hooks: a command in the container, an HTTP request to the pod, or a pause.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use crate::probes::http;
use crate::runtime::{Runtime, RuntimeError};

/// A hook that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error("rpc error: {}", .0.reason())]
    Runtime(#[source] RuntimeError),
    #[error("command '{command}' exited with {code}: {output}")]
    Exit { command: String, code: i32, output: String },
    #[error("http hook: {0}")]
    Http(String),
    #[error("hook has no handler that this node knows")]
    Unknown,
}

/// Runs a hook to its end.
pub(crate) async fn run(
    runtime: &Runtime,
    hook: &LifecycleHandler,
    container: &Container,
    id: &str,
    pod_ip: Option<&str>,
) -> Result<(), HookError> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        let shown = command.join(" ");
        let answer = runtime
            .exec_sync(id, command, Duration::ZERO)
            .await
            .map_err(HookError::Runtime)?;
        if answer.exit_code == 0 {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned();
        return Err(HookError::Exit {
            command: shown,
            code: answer.exit_code,
            output,
        });
    }
    if let Some(get) = &hook.http_get {
        let target = http::Target::of(get, container, pod_ip).map_err(HookError::Http)?;
        let answer = http::get(&target, "kube-lifecycle/1.36", Duration::from_secs(60))
            .await
            .map_err(HookError::Http)?;
        return if answer.status < 400 {
            Ok(())
        } else {
            Err(HookError::Http(format!("status code {}", answer.status)))
        };
    }
    if let Some(sleep) = &hook.sleep {
        supervision::sleep(Duration::from_secs(sleep.seconds.max(0).unsigned_abs())).await;
        return Ok(());
    }
    Err(HookError::Unknown)
}
