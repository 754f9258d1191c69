//! From `ondol create cluster` to the page of an app behind a load balancer.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use supervision::Supervisor;

use super::region::Region;
use crate::command::{TaskError, at, workspace};
use crate::demo::{eventually, fetch};

/// Creates the cluster and the app of the examples; answers how long it took until the command returned, and until the
/// page came.
pub async fn measure(region: &Region, supervisor: &Supervisor) -> Result<(Duration, Duration), TaskError> {
    let path = workspace().join("examples/demo.yaml");
    let manifest = std::fs::read_to_string(&path).map_err(at(&path))?;
    let started = Instant::now();
    let created = region.create_cluster()?;
    let mut connection = region.server(supervisor)?.connect().await?;
    for document in manifest.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document)
            .map_err(|error| TaskError::Unexpected(format!("{}: {error}", path.display())))?;
        let collection = match object["kind"].as_str() {
            Some("Deployment") => "/apis/apps/v1/namespaces/default/deployments",
            _ => "/api/v1/namespaces/default/services",
        };
        connection.json(Method::POST, collection, &object).await?;
    }
    let port = region.load_balancer_port()?;
    let host = loop {
        let service = connection
            .json(Method::GET, "/api/v1/namespaces/default/services/demo", &Value::Null)
            .await?;
        let host = service.and_then(|service| {
            let ingress = &service["status"]["loadBalancer"]["ingress"][0]["hostname"];
            ingress.as_str().map(str::to_owned)
        });
        match host {
            Some(host) => break host,
            None => supervision::sleep(Duration::from_millis(10)).await,
        }
    };
    eventually("the page", || fetch(&format!("127.0.0.1:{port}"), &host))?;
    Ok((created, started.elapsed()))
}
