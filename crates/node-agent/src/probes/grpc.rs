//! The gRPC health check (`grpc.health.v1.Health/Check`), its two messages written by field number.

use std::time::Duration;

use tonic::client::Grpc;
use tonic::transport::Endpoint;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;

/// Succeeds when the service answers SERVING.
pub(super) async fn check(host: &str, port: i32, service: String, timeout: Duration) -> Result<(), String> {
    let port = u16::try_from(port).map_err(|error| format!("invalid port number {port}: {error}"))?;
    let address = super::http::join(host, port);
    match tokio::time::timeout(timeout, call(&address, service)).await {
        Ok(Ok(SERVING)) => Ok(()),
        Ok(Ok(status)) => {
            let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
            let name = usize::try_from(status)
                .ok()
                .and_then(|index| name.get(index))
                .copied()
                .unwrap_or("UNKNOWN");
            Err(format!("service unhealthy (responded with {name:?})"))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(format!(
            "timeout: failed to connect service {address:?} within {}",
            pod_lifecycle::spec::go_duration(timeout)
        )),
    }
}

async fn call(address: &str, service: String) -> Result<i32, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| {
        format!(
            "error: failed to connect service {address:?}: {}",
            supervision::error_chain(&error)
        )
    })?;
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| error.to_string())?;
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let request = tonic::Request::new(HealthCheckRequest { service });
    let response = client.unary(request, path, codec).await.map_err(|status| {
        if status.code() == tonic::Code::Unimplemented {
            return "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned();
        }
        format!("error: health rpc failed: {status}")
    })?;
    Ok(response.into_inner().status)
}
