//! From a certificate request to a certificate that lets its bearer in.

use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube_client::Credentials;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use tokio::net::TcpListener;

use crate::cluster::{Cluster, eventually};

type Requests = Api<CertificateSigningRequest>;

/// Asks for a client certificate and gives the key that it is for.
async fn ask(cluster: &Cluster, name: &str, user: &str, group: &str, signer: &str) -> KeyPair {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, user);
    parameters.distinguished_name.push(DnType::OrganizationName, group);
    let pem = parameters
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .expect("a request");
    let request = CertificateSigningRequest {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: CertificateSigningRequestSpec {
            request: ByteString(pem.into_bytes()),
            signer_name: signer.to_owned(),
            usages: Some(["digital signature", "client auth"].map(str::to_owned).to_vec()),
            expiration_seconds: Some(3600),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let requests: Requests = Api::all(cluster.client.clone());
    requests
        .create(&PostParams::default(), &request)
        .await
        .expect("the request is taken");
    key
}

async fn decide(cluster: &Cluster, name: &str, kind: &str) {
    let requests: Requests = Api::all(cluster.client.clone());
    let decision = serde_json::from_str::<CertificateSigningRequest>(&format!(
        r#"{{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{{"name":"{name}"}},
            "spec":{{"request":"","signerName":""}},
            "status":{{"conditions":[{{"type":"{kind}","status":"True","reason":"Test"}}]}}}}"#
    ));
    let mut decided = requests.get(name).await.expect("the request is there");
    decided.status = decision.expect("a decision").status;
    let body = serde_json::to_vec(&decided).expect("an object serializes");
    requests
        .replace_subresource("approval", name, &PostParams::default(), &decided)
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)));
}

/// The certificate, once it is there.
async fn certificate(cluster: &Cluster, name: &str) -> String {
    let requests: Requests = Api::all(cluster.client.clone());
    let bytes = eventually("a certificate", || async {
        let status = requests.get(name).await.map_err(|error| error.to_string())?.status;
        let issued = status.clone().and_then(|status| status.certificate);
        issued.ok_or_else(|| format!("{status:?}"))
    });
    String::from_utf8(bytes.await.0).expect("PEM")
}

#[tokio::test]
async fn an_approved_request_becomes_a_certificate_that_lets_its_bearer_in() {
    let cluster = Cluster::start().await;
    let key = ask(&cluster, "jane", "jane", "dev", "kubernetes.io/kube-apiserver-client").await;
    decide(&cluster, "jane", "Approved").await;
    let credentials = Credentials::ClientCertificate {
        certificate: certificate(&cluster, "jane").await,
        key: key.serialize_pem(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (served, tasks) = (cluster.served.clone(), cluster.supervisor.clone());
    cluster.supervisor.spawn("serve", async move {
        served.serve_tls(listener, &tasks).await.expect("the API is served");
    });
    let client = kube_client::https(
        &format!("https://{address}"),
        cluster.pki.ca_pem(),
        &credentials,
        "default",
    );
    let reviews: Api<SelfSubjectReview> = Api::all(client.expect("a client"));
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    let user = review
        .expect("the bearer is let in")
        .status
        .and_then(|status| status.user_info);
    let user = user.expect("a user");
    assert_eq!(user.username.as_deref(), Some("jane"));
    assert_eq!(
        user.groups,
        Some(vec!["dev".to_owned(), "system:authenticated".to_owned()])
    );
    cluster.stop().await;
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one story, in order")]
async fn requests_that_do_not_fit_fail_and_nodes_get_theirs_without_a_person() {
    let cluster = Cluster::start().await;
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    // The administrator asks in the name of a node, which the role for it lets.
    let binding = ClusterRoleBinding {
        metadata: ObjectMeta {
            name: Some("bootstrap".to_owned()),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "ClusterRole".to_owned(),
            name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient".to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "User".to_owned(),
            name: "admin".to_owned(),
            ..Subject::default()
        }]),
    };
    let bindings: Api<ClusterRoleBinding> = Api::all(cluster.client.clone());
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .expect("a binding");
    ask(&cluster, "node", "system:node:n1", "system:nodes", kubelet).await;
    certificate(&cluster, "node").await;
    let requests: Requests = Api::all(cluster.client.clone());
    let conditions = requests
        .get("node")
        .await
        .expect("the request")
        .status
        .and_then(|status| status.conditions);
    let condition = conditions.into_iter().flatten().next().expect("a condition");
    assert_eq!(
        condition.message.as_deref(),
        Some("Auto approving kubelet client certificate after SubjectAccessReview.")
    );
    ask(&cluster, "unfit", "jane", "dev", kubelet).await;
    decide(&cluster, "unfit", "Approved").await;
    let message = eventually("a failed condition", || async {
        let status = requests.get("unfit").await.map_err(|error| error.to_string())?.status;
        let conditions = status.clone().and_then(|status| status.conditions).unwrap_or_default();
        let failed = conditions.into_iter().find(|condition| condition.type_ == "Failed");
        failed
            .map(|condition| condition.message)
            .ok_or_else(|| format!("{status:?}"))
    });
    assert_eq!(
        message.await.as_deref(),
        Some("subject organization is not system:nodes")
    );
    // Nothing is lost by a label that somebody puts on it.
    let label = serde_json::from_str::<kube::core::DynamicObject>(r#"{"metadata":{"labels":{"a":"b"}}}"#);
    let patch = Patch::Merge(label.expect("a patch"));
    let labelled = requests
        .patch("unfit", &PatchParams::default(), &patch)
        .await
        .expect("a label");
    assert_eq!(
        labelled
            .status
            .and_then(|status| status.conditions)
            .map(|all| all.len()),
        Some(2)
    );
    cluster.stop().await;
}
