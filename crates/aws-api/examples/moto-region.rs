//! The region that moto's tests are run against (`cargo xtask moto-tests`): a region by each name that is asked for, in whose
//! clusters and instances nothing runs, and `POST /moto-api/reset` to begin anew. It prints its address.
#![allow(clippy::unwrap_used, reason = "a failed step ends the run")]

#[path = "../tests/it/fake_host.rs"]
#[allow(dead_code, reason = "tests of our own use the rest")]
mod fake_host;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_api::{Options, Partition};
use aws_types::region_files::Credentials;
use aws_types::{AccountId, RegionName};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use clock::{SystemClock, SystemRandom};
use fake_host::FakeHost;
use http::StatusCode;
use supervision::Supervisor;
use tempfile::TempDir;
use tokio::sync::Mutex as AsyncMutex;
use tower::ServiceExt;

/// A region with what it runs on.
struct Running {
    router: Router,
    supervisor: Supervisor,
    _directory: TempDir,
}

/// The regions that have been asked for since the last reset.
/// As in the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Regions = Arc<AsyncMutex<BTreeMap<String, Running>>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let regions = Regions::default();
    let router = Router::new().fallback(answer).with_state(regions);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}

async fn answer(State(regions): State<Regions>, request: Request) -> Response {
    if request.uri().path() == "/moto-api/reset" {
        let old = std::mem::take(&mut *regions.lock().await);
        for running in old.into_values() {
            running.supervisor.drain(Duration::from_secs(5)).await;
        }
        return "ok".into_response();
    }
    let name = region_of(&request);
    let mut known = regions.lock().await;
    if !known.contains_key(&name) {
        let Ok(region) = RegionName::new(name.clone()) else {
            return (StatusCode::BAD_REQUEST, "no region").into_response();
        };
        known.insert(name.clone(), start(region).await);
    }
    let router = known[&name].router.clone();
    drop(known);
    router.oneshot(request).await.into_response()
}

/// The region of a request's signature; IAM and unsigned calls are us-east-1's.
fn region_of(request: &Request) -> String {
    let header = request
        .headers()
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let scope = header
        .and_then(|header| header.split_once("Credential="))
        .map(|(_, scope)| scope.split('/').nth(2));
    scope.flatten().unwrap_or("us-east-1").to_owned()
}

/// The keys that moto gives to every client, and moto's account.
fn credentials() -> Credentials {
    Credentials {
        account_id: AccountId::new("123456789012").unwrap(),
        user_name: "moto".to_owned(),
        access_key_id: "FOOBARKEY".to_owned(),
        secret_access_key: "FOOBARSECRET".to_owned(),
    }
}

async fn start(region: RegionName) -> Running {
    let supervisor = Supervisor::new("region");
    let directory = tempfile::tempdir().unwrap();
    let store = store::open(&directory.path().join("store"), store::Options::default(), &supervisor).unwrap();
    let options = Options {
        store,
        host: FakeHost::new(Arc::new(Mutex::default())),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        supervisor: supervisor.clone(),
        region,
        credentials: credentials(),
        accounts: None,
        throttled: false,
        tls_endpoint: "https://localhost:4566".to_owned(),
    };
    let region = Partition::open(options).await.unwrap();
    region.resume();
    Running {
        router: region.router(),
        supervisor,
        _directory: directory,
    }
}
