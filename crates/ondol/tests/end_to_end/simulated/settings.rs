//! A cluster's KMS key and identity provider: given by EKS's operations, in force in Kubernetes.

use std::process::Command;

use aws_types::region_files::{BUNDLE_FILE, CREDENTIALS_FILE, Credentials};
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};

use super::Simulation;
use crate::support::PATIENCE;

const SECRET: &str = r#"{"metadata":{"name":"a"},"stringData":{"password":"hunter2"}}"#;

impl Simulation {
    /// The real AWS CLI against this region; `None` where there is none.
    fn aws(&self, arguments: &str) -> Option<String> {
        let tools = std::env::var_os("ONDOL_TEST_TOOLS")?;
        let text = std::fs::read(self.path().join("h").join(CREDENTIALS_FILE)).unwrap();
        let keys: Credentials = serde_json::from_slice(&text).unwrap();
        let output = Command::new(std::path::Path::new(&tools).join("aws"))
            .args(arguments.split(' '))
            .env("AWS_ENDPOINT_URL", self.endpoint().endpoint)
            .env("AWS_DEFAULT_REGION", self.endpoint().region)
            .env("AWS_ACCESS_KEY_ID", keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", keys.secret_access_key)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(
            output.status.success(),
            "aws {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(said)
    }

    fn line(&self, line: &str) -> String {
        self.ok(&line.split(' ').collect::<Vec<_>>())
    }
}

/// Waits for an answer, or for a refusal that says why.
async fn until<T>(what: &str, look: impl AsyncFn() -> Result<T, String>) -> T {
    let waited = supervision::wait_until(what, PATIENCE, || look());
    waited.await.unwrap()
}

async fn refusal(secrets: &Api<Secret>) -> Result<String, String> {
    match secrets.get("a").await {
        Err(kube::Error::Api(status)) => Ok(format!("{} {}", status.code, status.message)),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_cannot_be_read_while_the_clusters_kms_key_is_disabled() {
    let simulation = Simulation::new();
    simulation.up();
    let Some(key) = simulation.aws("kms create-key --query KeyMetadata.Arn --output text") else {
        println!("skipped: no aws");
        return;
    };
    simulation.line("create cluster s --without-nodegroup");
    let client = simulation.client();
    let secrets = Api::<Secret>::default_namespaced(client.clone());
    let secret: Secret = serde_json::from_str(SECRET).unwrap();
    let made = secrets.create(&PostParams::default(), &secret).await.unwrap();
    simulation.line(&format!(
        "utils enable-secrets-encryption --cluster s --key-arn {key} --approve"
    ));
    let rewritten = until("the secret under the key", async || {
        let stored = secrets.get("a").await.map_err(|error| error.to_string())?;
        if stored.metadata.resource_version == made.metadata.resource_version {
            return Err("it was not written again".to_owned());
        }
        Ok(stored)
    });
    assert_eq!(rewritten.await.data, made.data);
    simulation.aws(&format!("kms disable-key --key-id {key}"));
    let said = until("a refusal", async || refusal(&secrets).await).await;
    assert!(
        said.starts_with("500 ") && said.contains("failed to decrypt DEK") && said.contains("is disabled"),
        "{said}"
    );
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    maps.list(&ListParams::default()).await.unwrap();
    simulation.aws(&format!("kms enable-key --key-id {key}"));
    let read = until("the secret again", async || {
        secrets.get("a").await.map_err(|error| error.to_string())
    });
    assert_eq!(read.await.data, made.data);
}

/// Who a token's bearer is to the cluster; an error with the code of a refusal.
async fn who(simulation: &Simulation, token: &str) -> Result<String, String> {
    let reviews = Api::<SelfSubjectReview>::all(simulation.client_with(token));
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    match review {
        Ok(review) => Ok(review
            .status
            .and_then(|status| status.user_info?.username)
            .unwrap_or_default()),
        Err(kube::Error::Api(status)) => Err(status.code.to_string()),
        Err(other) => Err(other.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_an_associated_identity_provider_let_in_under_its_prefix() {
    let simulation = Simulation::new();
    simulation.up();
    // One cluster is the issuer that another one is to believe: its endpoint's authority must be trusted.
    let bundle = simulation.path().join("h").join(BUNDLE_FILE);
    std::fs::copy(bundle, simulation.path().join("trusted.pem")).unwrap();
    simulation.line("down");
    simulation.up();
    simulation.line("create cluster issuer --without-nodegroup");
    let Some(issuer) =
        simulation.aws("eks describe-cluster --name issuer --query cluster.identity.oidc.issuer --output text")
    else {
        println!("skipped: no aws");
        return;
    };
    let accounts = Api::<ServiceAccount>::default_namespaced(simulation.client_of("issuer"));
    let request = r#"{"metadata":{},"spec":{"audiences":["people"]}}"#;
    let request: TokenRequest = serde_json::from_str(request).unwrap();
    let token = until("a token of the issuer", async || {
        let made = accounts
            .create_token_request("default", &PostParams::default(), &request)
            .await;
        made.map_err(|error| error.to_string())
    });
    let token = token.await.status.unwrap().token.unwrap();
    std::fs::remove_file(simulation.path().join("kubeconfig")).unwrap();
    simulation.line("create cluster s --without-nodegroup");
    assert_eq!(who(&simulation, &token).await, Err("401".to_owned()));
    let provider = format!("issuerUrl={issuer},clientId=people,identityProviderConfigName=p,usernamePrefix=oidc:");
    simulation.aws(&format!(
        "eks associate-identity-provider-config --cluster-name s --oidc {provider}"
    ));
    let name = until("the token is believed", async || who(&simulation, &token).await).await;
    assert_eq!(name, "oidc:system:serviceaccount:default:default");
    simulation.aws("eks wait cluster-active --name s");
    until("the provider is active", async || {
        let described = "eks describe-identity-provider-config --cluster-name s --identity-provider-config type=oidc,name=p \
                         --query identityProviderConfig.oidc.status --output text";
        let status = simulation.aws(described).unwrap_or_default();
        if status == "ACTIVE" { Ok(()) } else { Err(status) }
    })
    .await;
    simulation
        .aws("eks disassociate-identity-provider-config --cluster-name s --identity-provider-config type=oidc,name=p");
    until("the token is believed no more", async || {
        match who(&simulation, &token).await {
            Err(code) if code == "401" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
