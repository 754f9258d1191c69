//! aws-node: reports on the node's addresses.
//!
//! Handing an address to a pod is done by the machine's runtime, which must work before any pod does; this part shows
//! its record where the VPC CNI shows its own: metrics on 61678, introspection on 127.0.0.1:61679.
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use hyper::StatusCode;
use supervision::Supervisor;
use thiserror::Error;
use vpc_driver::machine::{PoolError, PoolRecord};

use crate::health::{self, Page};

/// Where aws-node looks and answers.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder with the record of addresses, mounted from the machine.
    pub pool_dir: PathBuf,
    /// Where `/metrics` and `/healthz` answer.
    pub metrics_address: SocketAddr,
    /// Where `/v1/enis` and `/v1/pods` answer.
    pub introspection_address: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pool_dir: PathBuf::from("/run/address-pool"),
            metrics_address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 61678)),
            introspection_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 61679)),
        }
    }
}

/// Why aws-node cannot start.
#[derive(Debug, Error)]
pub enum CniError {
    /// A port is taken.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Reports until the supervisor is cancelled.
///
/// # Errors
/// When a port is taken.
pub async fn run(config: Config, supervisor: &Supervisor) -> Result<(), CniError> {
    let Config {
        pool_dir,
        metrics_address,
        introspection_address,
    } = config;
    let dir = pool_dir.clone();
    let served = health::serve(metrics_address, supervisor, move |path| metrics_page(&dir, path)).await;
    served.map_err(|source| CniError::Listen {
        address: metrics_address,
        source,
    })?;
    let dir = pool_dir.clone();
    let served = health::serve(introspection_address, supervisor, move |path| {
        introspection_page(&dir, path)
    })
    .await;
    served.map_err(|source| CniError::Listen {
        address: introspection_address,
        source,
    })?;
    match PoolRecord::read(&pool_dir) {
        Ok(record) => tracing::info!(addresses = record.addresses.len(), "address pool found"),
        Err(error) => tracing::warn!(error = supervision::error_chain(&error), "address pool cannot be read"),
    }
    supervisor.cancelled().await;
    Ok(())
}

fn metrics_page(dir: &Path, path: &str) -> Option<Page> {
    match path {
        "/metrics" => Some(page(dir, |record| {
            format!(
                "awscni_total_ip_addresses {}\nawscni_assigned_ip_addresses {}\nawscni_eni_allocated 1\n",
                record.addresses.len(),
                record.allocations.len()
            )
        })),
        "/healthz" => Some(page(dir, |_| "ok\n".to_owned())),
        _ => None,
    }
}

fn introspection_page(dir: &Path, path: &str) -> Option<Page> {
    match path {
        "/v1/pods" => Some(page(dir, |record| {
            let pods = record.allocations.values();
            let lines = pods.map(|pod| format!("{}/{} {} {}\n", pod.namespace, pod.name, pod.address, pod.link));
            lines.collect()
        })),
        "/v1/enis" => Some(page(dir, |record| {
            let lines = record.addresses.iter().map(|address| {
                let assigned = record.allocations.values().any(|pod| pod.address == *address);
                format!("{address} {}\n", if assigned { "assigned" } else { "free" })
            });
            lines.collect()
        })),
        _ => None,
    }
}

fn page(dir: &Path, show: impl FnOnce(&PoolRecord) -> String) -> Page {
    let shown: Result<String, PoolError> = PoolRecord::read(dir).map(|record| show(&record));
    match shown {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n", supervision::error_chain(&error)),
        ),
    }
}
