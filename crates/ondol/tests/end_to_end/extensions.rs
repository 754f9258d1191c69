//! What users add to the API and serve from pods of theirs: admission webhooks, a conversion webhook, an aggregated API server.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::fs::File;
use std::process::Command;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;

use crate::support::{Ondol, PATIENCE, provisions};

/// A webhook that concerns ConfigMaps of the user's namespace.
const HOOK: &str = r#"{"apiVersion":"admissionregistration.k8s.io/v1","kind":"KIND","metadata":{"name":"NAME"},
    "webhooks":[{"name":"NAME.example.com","sideEffects":"None","admissionReviewVersions":["v1"],
        "clientConfig":{"service":{"namespace":"default","name":"hooks","path":"/NAME"},"caBundle":"BUNDLE"},
        "namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"default"}},
        "rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]}]}"#;

/// A kind whose older version has host and port in one text.
const SERVERS: &str = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
    "metadata":{"name":"servers.example.com"},
    "spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"servers","singular":"server","kind":"Server"},
        "conversion":{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],
            "clientConfig":{"service":{"namespace":"default","name":"hooks","path":"/convert"},"caBundle":"BUNDLE"}}},
        "versions":[
            {"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{
                "spec":{"type":"object","properties":{"host":{"type":"string"},"port":{"type":"integer"}}}}}}},
            {"name":"v1beta1","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object","properties":{
                "spec":{"type":"object","properties":{"address":{"type":"string"}}}}}}}]}}"#;

/// Says that a Service answers for a group and version.
const THINGS: &str = r#"{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService",
    "metadata":{"name":"v1.things.example.com"},
    "spec":{"group":"things.example.com","version":"v1","groupPriorityMinimum":1000,"versionPriority":10,
        "service":{"namespace":"default","name":"things"},"caBundle":"BUNDLE"}}"#;

fn object<K: DeserializeOwned>(text: &str) -> K {
    serde_json::from_str(text).unwrap()
}

/// Asks, again and again if need be, until the answer is the one that what was just configured makes; prints how long that took.
async fn first<T>(what: &str, mut ask: impl AsyncFnMut(u32) -> Result<T, String>) -> T {
    let configured = Instant::now();
    let mut asked = 0;
    loop {
        match ask(asked).await {
            Ok(answer) => {
                let took = configured.elapsed().as_secs_f64() * 1000.0;
                println!(
                    "{what} answered {took:.1} ms after it was configured, at request {}",
                    asked + 1
                );
                return answer;
            }
            Err(other) => assert!(configured.elapsed() < PATIENCE, "{what}: {other}"),
        }
        asked += 1;
    }
}

/// Starts the pods, which have a certificate for both Services; answers it as a `caBundle`.
async fn serve(ondol: &Ondol) -> String {
    let names = ["hooks.default.svc".to_owned(), "things.default.svc".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = ondol.file("tls.crt", &made.cert.pem());
    let key = ondol.file("tls.key", &made.signing_key.serialize_pem());
    ondol
        .kubectl([
            "create",
            "secret",
            "tls",
            "serving",
            &format!("--cert={certificate}"),
            &format!("--key={key}"),
        ])
        .ok();
    let files = [
        ("serving.py", include_str!("extensions/serving.py")),
        ("hooks.py", include_str!("extensions/hooks.py")),
        ("things.py", include_str!("extensions/things.py")),
    ];
    let [serving, hooks, things] = files.map(|(name, text)| format!("--from-file={}", ondol.file(name, text)));
    ondol
        .kubectl(["create", "configmap", "files", &serving, &hooks, &things])
        .ok();
    let pods = ondol.file("pods.yaml", include_str!("extensions/pods.yaml"));
    ondol.kubectl(["apply", "-f", &pods]).ok();
    for name in ["hooks", "things"] {
        let rollout = ["rollout", "status", &format!("deployment/{name}"), "--timeout=120s"];
        ondol.kubectl(rollout).ok();
    }
    STANDARD.encode(made.cert.pem())
}

/// A ConfigMap with one entry.
async fn put(client: &Client, name: &str, key: &str) -> Result<ConfigMap, kube::Error> {
    let text = format!(r#"{{"metadata":{{"name":"{name}"}},"data":{{"{key}":"no"}}}}"#);
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.create(&PostParams::default(), &object(&text)).await
}

async fn admission_webhooks_change_and_refuse(client: &Client, bundle: &str) {
    let hook = |kind: &str, name: &str| {
        HOOK.replace("KIND", kind)
            .replace("NAME", name)
            .replace("BUNDLE", bundle)
    };
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = object(&hook("MutatingWebhookConfiguration", "mutate"));
    mutating.create(&PostParams::default(), &configuration).await.unwrap();
    first("a mutating webhook", async |asked| {
        let made = put(client, &format!("signed-{asked}"), "key").await;
        let made = made.map_err(|error| error.to_string())?;
        let signed = made.annotations().get("signed-by");
        (signed.map(String::as_str) == Some("a pod"))
            .then_some(())
            .ok_or_else(|| format!("{:?}", made.metadata))
    })
    .await;

    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = object(&hook("ValidatingWebhookConfiguration", "validate"));
    validating.create(&PostParams::default(), &configuration).await.unwrap();
    let message = first("a validating webhook", async |asked| {
        match put(client, &format!("refused-{asked}"), "refuse").await {
            Ok(made) => Err(format!("{} was let in", made.name_any())),
            Err(kube::Error::Api(refusal)) => Ok(refusal.message),
            Err(other) => Err(other.to_string()),
        }
    })
    .await;
    let expected = r#"admission webhook "validate.example.com" denied the request: the pod says no"#;
    assert_eq!(message, expected);
    put(client, "good", "key").await.unwrap();
}

async fn a_conversion_webhook_brings_objects_into_both_versions(ondol: &Ondol, client: &Client, bundle: &str) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = object(&SERVERS.replace("BUNDLE", bundle));
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    let older = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1beta1", "Server"));
    let servers: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &older);
    let old =
        r#"{"apiVersion":"example.com/v1beta1","kind":"Server","metadata":{"name":"old"},"spec":{"address":"a:80"}}"#;
    let made = first("a conversion webhook", async |_| {
        let made = servers.create(&PostParams::default(), &object(old)).await;
        made.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(made.data["spec"]["address"], "a:80");
    let new = "{apiVersion: example.com/v1, kind: Server, metadata: {name: new}, spec: {host: b, port: 443}}";
    ondol.kubectl(["apply", "-f", &ondol.file("new.yaml", new)]).ok();
    let listed = |version: &str, path: &str| {
        let output = format!("jsonpath={{range .items[*]}}{path} {{end}}");
        ondol
            .kubectl(["get", &format!("servers.{version}.example.com"), "-o", &output])
            .ok()
    };
    assert_eq!(
        listed("v1beta1", "{.metadata.name}={.spec.address}"),
        "new=b:443 old=a:80 "
    );
    assert_eq!(
        listed("v1", "{.metadata.name}={.spec.host}/{.spec.port}"),
        "new=b/443 old=a/80 "
    );
}

async fn an_aggregated_server_is_one_with_the_api(ondol: &Ondol, client: &Client, bundle: &str) {
    let services: Api<APIService> = Api::all(client.clone());
    let service = object(&THINGS.replace("BUNDLE", bundle));
    services.create(&PostParams::default(), &service).await.unwrap();
    let path = "/apis/things.example.com/v1/namespaces/default/things";
    let listed = first("an aggregated API server", async |_| {
        let request = Request::get(path).body(Vec::new()).unwrap();
        client.request_text(request).await.map_err(|error| error.to_string())
    })
    .await;
    assert!(listed.contains("ThingList"), "{listed}");
    ondol
        .kubectl([
            "wait",
            "apiservice/v1.things.example.com",
            "--for=condition=Available",
            "--timeout=120s",
        ])
        .ok();

    let discovered = ["api-resources", "--api-group=things.example.com", "--no-headers"];
    let known = ondol.kubectl(discovered).ok();
    assert_eq!(
        known.split_whitespace().collect::<Vec<_>>(),
        ["things", "th", "things.example.com/v1", "true", "Thing"]
    );
    let thing = |name: &str| {
        let text = format!(
            "{{apiVersion: things.example.com/v1, kind: Thing, metadata: {{name: {name}}}, spec: {{size: 2}}}}"
        );
        ondol.file(&format!("{name}.yaml"), &text)
    };
    let made = ondol.kubectl(["create", "-f", &thing("one")]).ok();
    assert_eq!(made, "thing.things.example.com/one created\n");
    let path = "jsonpath={.spec.size} {.status.madeBy}";
    let shown = ondol.kubectl(["get", "th", "one", "-o", path]).ok();
    let myself = ondol
        .kubectl(["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])
        .ok();
    assert_eq!(shown, format!("2 {myself}"), "the server knows who asked");
    let again = ondol.kubectl(["create", "-f", &thing("one")]).refused();
    assert!(again.contains("AlreadyExists"), "{again}");
    let missing = ondol.kubectl(["get", "thing", "none"]).refused();
    assert_eq!(
        missing,
        "Error from server (NotFound): things.example.com \"none\" not found\n"
    );
    let explained = ondol.kubectl(["explain", "thing.spec.size"]).ok();
    assert!(explained.contains("Size of the thing."), "{explained}");
    is_watched(ondol, &thing).await;
}

/// What is made while one watches is seen at once.
async fn is_watched(ondol: &Ondol, thing: &impl Fn(&str) -> String) {
    let seen = ondol.home().join("watched");
    let mut watching = Command::new(ondol.tool("kubectl"))
        .args(["get", "things", "--watch", "-o", "name"])
        .envs(ondol.environment())
        .stdout(File::create(&seen).unwrap())
        .spawn()
        .unwrap();
    let sees = async |wanted: &str| {
        let waited = supervision::wait_until("the watch shows it", PATIENCE, async || {
            let text = std::fs::read_to_string(&seen).unwrap();
            (text == wanted).then_some(()).ok_or(text)
        });
        waited.await.unwrap_or_else(|error| panic!("{error}"));
    };
    sees("thing.things.example.com/one\n").await;
    ondol.kubectl(["create", "-f", &thing("two")]).ok();
    sees("thing.things.example.com/one\nthing.things.example.com/two\n").await;
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[tokio::test]
async fn webhooks_conversions_and_api_servers_of_pods_answer_once_they_are_configured() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol.load_image("boto3");
    ondol.run(["create", "cluster", "--name", "added", "--nodes", "1"]).ok();
    let bundle = serve(&ondol).await;
    let client = ondol.client("added");
    admission_webhooks_change_and_refuse(&client, &bundle).await;
    a_conversion_webhook_brings_objects_into_both_versions(&ondol, &client, &bundle).await;
    an_aggregated_server_is_one_with_the_api(&ondol, &client, &bundle).await;
    ondol.down();
}
