//! Service Quotas: the limits that EKS and its neighbours have on AWS. Who wishes for more is given it at once: nothing here costs anybody
//! anything, and what is given is what the services then allow.

use aws_types::time::Time;
use serde_json::{Value, json};

use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// EKS's quota of clusters.
pub const CLUSTERS: &str = "L-1194D53C";
/// EKS's quota of node groups of a cluster.
pub const NODEGROUPS: &str = "L-6D54EA21";
/// EKS's quota of Fargate profiles of a cluster.
pub const FARGATE_PROFILES: &str = "L-23414FF3";

/// Service, its name, quota, its name, value, and whether more can be asked for.
const QUOTAS: &[(&str, &str, &str, &str, f64, bool)] = &[
    (
        "eks",
        "Amazon Elastic Kubernetes Service (Amazon EKS)",
        CLUSTERS,
        "Clusters",
        100.0,
        true,
    ),
    (
        "eks",
        "Amazon Elastic Kubernetes Service (Amazon EKS)",
        NODEGROUPS,
        "Managed node groups per cluster",
        30.0,
        true,
    ),
    (
        "eks",
        "Amazon Elastic Kubernetes Service (Amazon EKS)",
        "L-BD136A63",
        "Nodes per managed node group",
        450.0,
        true,
    ),
    (
        "eks",
        "Amazon Elastic Kubernetes Service (Amazon EKS)",
        FARGATE_PROFILES,
        "Fargate profiles per cluster",
        10.0,
        true,
    ),
    (
        "eks",
        "Amazon Elastic Kubernetes Service (Amazon EKS)",
        "L-74195BE5",
        "Control plane security groups per cluster",
        4.0,
        false,
    ),
    (
        "ec2",
        "Amazon Elastic Compute Cloud (Amazon EC2)",
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        1152.0,
        true,
    ),
    (
        "ec2",
        "Amazon Elastic Compute Cloud (Amazon EC2)",
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        1152.0,
        true,
    ),
    (
        "ec2",
        "Amazon Elastic Compute Cloud (Amazon EC2)",
        "L-0263D0A3",
        "EC2-VPC Elastic IPs",
        5.0,
        true,
    ),
    (
        "vpc",
        "Amazon Virtual Private Cloud (Amazon VPC)",
        "L-F678F1CE",
        "VPCs per Region",
        5.0,
        true,
    ),
    (
        "vpc",
        "Amazon Virtual Private Cloud (Amazon VPC)",
        "L-407747CB",
        "Subnets per VPC",
        200.0,
        true,
    ),
    (
        "vpc",
        "Amazon Virtual Private Cloud (Amazon VPC)",
        "L-A4707A72",
        "Internet gateways per Region",
        5.0,
        true,
    ),
    (
        "vpc",
        "Amazon Virtual Private Cloud (Amazon VPC)",
        "L-FE5A380F",
        "NAT gateways per Availability Zone",
        5.0,
        true,
    ),
    (
        "vpc",
        "Amazon Virtual Private Cloud (Amazon VPC)",
        "L-E79EC296",
        "VPC security groups per Region",
        2500.0,
        true,
    ),
    (
        "elasticloadbalancing",
        "Elastic Load Balancing",
        "L-69A177A2",
        "Network Load Balancers per Region",
        50.0,
        true,
    ),
    (
        "elasticloadbalancing",
        "Elastic Load Balancing",
        "L-B22855CB",
        "Target Groups per Region",
        3000.0,
        true,
    ),
    (
        "autoscaling",
        "Amazon EC2 Auto Scaling",
        "L-CDE20ADC",
        "Auto Scaling groups per region",
        500.0,
        true,
    ),
    (
        "ebs",
        "Amazon Elastic Block Store (Amazon EBS)",
        "L-7A658B76",
        "Storage for General Purpose SSD (gp3) volumes, in TiB",
        50.0,
        true,
    ),
    (
        "iam",
        "AWS Identity and Access Management (IAM)",
        "L-FE177D64",
        "Roles per account",
        1000.0,
        true,
    ),
];

fn no_service() -> ApiError {
    ApiError::bad_request(
        "NoSuchResourceException",
        "The request failed because the specified service does not exist.",
    )
}

/// Which value is meant: AWS's own, or what has been given since.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Default,
    Applied,
}

/// The most that was given of a quota, where more than AWS's own was.
fn given(state: &State, service: &str, code: &str) -> Option<f64> {
    let wishes = catalogue::of_kind(state, ItemKind::QuotaRequest).filter(|wish| {
        let is_meant = wish.body.text("ServiceCode") == Some(service) && wish.body.text("QuotaCode") == Some(code);
        is_meant && wish.body.text("Status") == Some("APPROVED")
    });
    wishes
        .filter_map(|wish| wish.body.get("DesiredValue").and_then(Value::as_f64))
        .reduce(f64::max)
}

/// How many the account may have in this region.
pub fn most(state: &State, service: &str, code: &str) -> usize {
    let own = QUOTAS
        .iter()
        .find(|(known, _, quota, ..)| *known == service && *quota == code);
    let value = given(state, service, code).or(own.map(|quota| quota.4));
    value.map_or(usize::MAX, |value| value as usize)
}

fn view(
    context: &Context,
    which: Which,
    (service, name, code, quota, value, adjustable): (&str, &str, &str, &str, f64, bool),
) -> Value {
    let value = match which {
        Which::Default => value,
        Which::Applied => context
            .region
            .ledger
            .read(|state| given(state, service, code))
            .unwrap_or(value),
    };
    let (region, account) = (&context.region.name, &context.caller.account);
    json!({
        "ServiceCode": service, "ServiceName": name, "QuotaCode": code, "QuotaName": quota, "Value": value, "Unit": "None",
        "Adjustable": adjustable, "GlobalQuota": service == "iam", "QuotaAppliedAtLevel": "ACCOUNT",
        "QuotaArn": format!("arn:aws:servicequotas:{region}:{account}:{service}/{code}"),
    })
}

fn paged(input: &Value, member: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let wrong = || ApiError::bad_request("InvalidPaginationTokenException", "Invalid input was provided.");
    let (page, next) = catalogue::page(views, input.text("NextToken"), input.number("MaxResults"), 100, wrong)?;
    Ok(json!({member: page, "NextToken": next}))
}

/// `ListServices`.
pub async fn services(_context: Context, input: Value) -> Result<Value, ApiError> {
    let mut views: Vec<Value> = Vec::new();
    for (service, name, ..) in QUOTAS {
        if !views.iter().any(|view| view.text("ServiceCode") == Some(service)) {
            views.push(json!({"ServiceCode": service, "ServiceName": name}));
        }
    }
    paged(&input, "Services", views)
}

/// `ListServiceQuotas`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    listed(&context, Which::Applied, &input)
}

/// `ListAWSDefaultServiceQuotas`.
pub async fn list_defaults(context: Context, input: Value) -> Result<Value, ApiError> {
    listed(&context, Which::Default, &input)
}

fn listed(context: &Context, which: Which, input: &Value) -> Result<Value, ApiError> {
    let service = input.required("ServiceCode");
    let own: Vec<Value> = QUOTAS
        .iter()
        .filter(|(known, ..)| *known == service)
        .map(|quota| view(context, which, *quota))
        .filter(|view| {
            input
                .text("QuotaCode")
                .is_none_or(|code| view.text("QuotaCode") == Some(code))
        })
        .collect();
    if own.is_empty() {
        return Err(no_service());
    }
    paged(input, "Quotas", own)
}

fn find(context: &Context, which: Which, input: &Value) -> Result<Value, ApiError> {
    let (service, code) = (input.required("ServiceCode"), input.required("QuotaCode"));
    if !QUOTAS.iter().any(|(known, ..)| *known == service) {
        return Err(no_service());
    }
    let found = QUOTAS
        .iter()
        .find(|(known, _, quota, ..)| *known == service && *quota == code);
    let message = "The request failed because the specified service quota does not exist.";
    found
        .map(|quota| view(context, which, *quota))
        .ok_or_else(|| ApiError::bad_request("NoSuchResourceException", message))
}

/// `GetServiceQuota`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    Ok(json!({ "Quota": find(&context, Which::Applied, &input)? }))
}

/// `GetAWSDefaultServiceQuota`.
pub async fn get_default(context: Context, input: Value) -> Result<Value, ApiError> {
    Ok(json!({ "Quota": find(&context, Which::Default, &input)? }))
}

/// `RequestServiceQuotaIncrease`.
pub async fn request(context: Context, input: Value) -> Result<Value, ApiError> {
    let quota = find(&context, Which::Applied, &input)?;
    if quota["Adjustable"] != true {
        let message = "The requested quota is not adjustable.";
        return Err(ApiError::bad_request("IllegalArgumentException", message));
    }
    let wanted = input.get("DesiredValue").and_then(Value::as_f64).unwrap_or(0.0);
    if quota["Value"].as_f64().is_some_and(|value| wanted <= value) {
        let message = "The requested quota increase must be greater than the current value.";
        return Err(ApiError::bad_request("IllegalArgumentException", message));
    }
    let (id, now) = (context.region.random.alphanumeric(40), Time(context.region.clock.now()));
    let mut body = json!({
        "Id": id, "DesiredValue": wanted, "Status": "APPROVED", "Created": now, "LastUpdated": now, "Requester": context.caller.arn,
        "QuotaRequestedAtLevel": "ACCOUNT",
    });
    for member in [
        "ServiceCode",
        "ServiceName",
        "QuotaCode",
        "QuotaName",
        "QuotaArn",
        "GlobalQuota",
        "Unit",
    ] {
        body[member] = quota[member].clone();
    }
    catalogue::create(
        &context,
        Item::new(ItemKind::QuotaRequest, id, body.clone()),
        |_| Ok(()),
    )
    .await?;
    Ok(json!({ "RequestedQuota": body }))
}
