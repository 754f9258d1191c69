//! The certificate authority of a cluster: the one that EKS made with it. A second one, to which the cluster could go over, cannot
//! be made here.

use aws_types::eks;
use aws_types::time::Time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::refusal::RefusalKind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::find_cluster;
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// Who made it and put it in use.
const EKS: &str = "EKS";

/// The id of an authority: it follows from its certificate.
fn id_of(pem: &str) -> String {
    hex::encode(&Sha256::digest(pem)[..16])
}

/// What `DescribeCluster` says of a cluster's authority.
pub fn of_cluster(cluster: &Cluster) -> eks::Certificate {
    let pem = cluster.certificate_authority_pem.as_ref();
    eks::Certificate {
        data: pem.map(|pem| STANDARD.encode(pem)),
        active: pem.map(|pem| eks::ActiveCertificateAuthority {
            id: Some(id_of(pem)),
            activated_by: Some(EKS.to_owned()),
        }),
    }
}

fn summary(cluster: &Cluster, pem: &str) -> Value {
    let made = Time(cluster.created_at);
    json!({
        "id": id_of(pem), "createdAt": made, "createdBy": EKS, "activatedAt": made, "activatedBy": EKS,
        "signingStatus": "IN_USE", "distributionStatus": "COMPLETE",
    })
}

/// The cluster and the certificate of the authority that an input names.
fn find<'a>(state: &'a State, input: &Value) -> Result<(&'a Cluster, &'a str), Refusal> {
    let cluster = find_cluster(state, input.text("clusterName"))?;
    let id = input.required("certificateAuthorityId");
    let pem = cluster.certificate_authority_pem.as_deref();
    let pem = pem.filter(|pem| id_of(pem) == id).ok_or_else(|| {
        let message = format!("No certificate authority found for id: {id}.");
        Refusal::new(RefusalKind::ResourceNotFound, message).of_cluster(cluster.name.as_str())
    })?;
    Ok((cluster, pem))
}

/// `ListCertificateAuthorities`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let known = cluster.certificate_authority_pem.as_deref();
        let shown: Vec<Value> = known.map(|pem| summary(cluster, pem)).into_iter().collect();
        Ok(json!({ "certificateAuthorities": shown }))
    })
}

/// `DescribeCertificateAuthority`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let (cluster, pem) = find(state, &input)?;
        let (not_before, not_after) = certificates::validity(pem.as_bytes())
            .ok_or_else(|| ApiError::internal(format!("the authority of cluster {} is damaged", cluster.name)))?;
        let mut shown = summary(cluster, pem);
        shown["validity"] = json!({"notBefore": Time(not_before), "notAfter": Time(not_after)});
        shown["rollbackAvailable"] = false.into();
        shown["data"] = STANDARD.encode(pem).into();
        Ok(json!({ "certificateAuthority": shown }))
    })
}

/// `CreateCertificateAuthority`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let message = "The cluster has 1 certificate authority, which is the limit in this region";
        let refusal = Refusal::new(RefusalKind::ResourceLimitExceeded, message);
        Err(refusal.of_cluster(cluster.name.as_str()).into())
    })
}

/// `ActivateCertificateAuthority`: the only one is active.
pub async fn activate(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let (cluster, pem) = find(state, &input)?;
        let message = format!("Certificate authority {} is already in use", id_of(pem));
        Err(Refusal::invalid_parameter(message)
            .of_cluster(cluster.name.as_str())
            .into())
    })
}

/// `DeleteCertificateAuthority`: the only one signs.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let (cluster, pem) = find(state, &input)?;
        let message = format!("Certificate authority {} is in use and cannot be deleted", id_of(pem));
        Err(Refusal::in_use(message).of_cluster(cluster.name.as_str()).into())
    })
}
