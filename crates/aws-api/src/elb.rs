//! Elastic Load Balancing: load balancers, target groups, listeners and rules as records with AWS's states and errors. Network
//! load balancers serve what `plan` reads from the records; those of type application are refused until they have a data path.

pub mod attribute;
pub mod listener;
pub mod plan;
pub mod rule;
pub mod tag;
pub mod target;

use std::collections::BTreeSet;

use aws_types::time::Time;
use serde_json::{Value, json};
use service_routing::LOAD_BALANCER_DOMAIN;

use crate::catalogue::{self, Item, ItemKind};
use crate::ec2::document::{self, Kind};
use crate::ec2::subnet;
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

fn error(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::bad_request(code, message)
}

fn validation(message: impl Into<String>) -> ApiError {
    error("ValidationError", message)
}

fn not_found(kind: ItemKind, arn: &str) -> ApiError {
    let (code, what) = match kind {
        ItemKind::LoadBalancer => ("LoadBalancerNotFound", "Load balancer"),
        ItemKind::TargetGroup => ("TargetGroupNotFound", "Target groups"),
        ItemKind::Listener => ("ListenerNotFound", "Listener"),
        _ => ("RuleNotFound", "Rule"),
    };
    match kind {
        ItemKind::LoadBalancer | ItemKind::Listener | ItemKind::TargetGroup if !arn.starts_with("arn:") => {
            validation(format!(
                "'{arn}' is not a valid {} ARN",
                what.to_lowercase().trim_end_matches('s')
            ))
        }
        _ => error(code, format!("{what} '{arn}' not found")),
    }
}

fn find<'a>(state: &'a State, kind: ItemKind, arn: &str) -> Result<&'a Item, ApiError> {
    catalogue::find(state, kind, arn).ok_or_else(|| not_found(kind, arn))
}

/// ELB's pages.
fn paged(input: &Value, member: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let wrong = || validation("The marker is not valid.");
    let (page, next) = catalogue::page(views, input.text("Marker"), input.number("PageSize"), 400, wrong)?;
    Ok(json!({member: page, "NextMarker": next}))
}

fn arn(context: &Context, rest: &str) -> String {
    format!(
        "arn:aws:elasticloadbalancing:{}:{}:{rest}",
        context.region.name, context.caller.account
    )
}

fn check_name(name: &str, what: &str) -> Result<(), ApiError> {
    if name.len() > 32 {
        return Err(validation(format!(
            "The {what} name '{name}' cannot be longer than '32' characters"
        )));
    }
    if !name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    {
        let message = format!(
            "The {what} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)"
        );
        return Err(validation(message));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(validation(format!(
            "The {what} name '{name}' cannot begin or end with a hyphen(-)"
        )));
    }
    Ok(())
}

/// A load balancer's place in each zone: the subnets that a request names.
fn zones(state: &State, input: &Value) -> Result<(String, Vec<Value>), ApiError> {
    let mapped = input
        .list("SubnetMappings")
        .iter()
        .filter_map(|mapping| mapping.text("SubnetId"));
    let ids: Vec<&str> = input.texts("Subnets").into_iter().chain(mapped).collect();
    let mut zones: Vec<Value> = Vec::new();
    let mut vpcs = BTreeSet::new();
    for id in ids {
        let subnet = subnet::find(state, id)
            .map_err(|_none| error("SubnetNotFound", format!("The subnet ID '{id}' does not exist")))?;
        if zones
            .iter()
            .any(|zone| zone.text("ZoneName") == Some(subnet.zone.as_str()))
        {
            return Err(error(
                "InvalidConfigurationRequest",
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            ));
        }
        vpcs.insert(subnet.vpc.to_string());
        zones.push(json!({"ZoneName": subnet.zone, "SubnetId": id, "LoadBalancerAddresses": []}));
    }
    if zones.is_empty() {
        return Err(validation("At least one subnet must be specified"));
    }
    if vpcs.len() > 1 {
        return Err(error(
            "InvalidConfigurationRequest",
            "The subnets must be in the same VPC",
        ));
    }
    Ok((vpcs.pop_first().unwrap_or_default(), zones))
}

fn security_groups(state: &State, input: &Value) -> Result<Vec<String>, ApiError> {
    let groups = input.texts("SecurityGroups");
    for id in &groups {
        document::find(state, Kind::SecurityGroup, id)
            .map_err(|error_of_ec2| error("InvalidSecurityGroup", error_of_ec2.message))?;
    }
    Ok(groups.into_iter().map(str::to_owned).collect())
}

/// `CreateLoadBalancer`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("Name");
    check_name(name, "load balancer")?;
    let kind = input.text("Type").unwrap_or("application");
    if kind != "network" {
        let message =
            format!("Load balancers of type '{kind}' are not available in this region; those of type 'network' are");
        return Err(error("OperationNotPermitted", message));
    }
    let scheme = input.text("Scheme").unwrap_or("internet-facing");
    let id = context.region.random.hex(16);
    let arn = arn(&context, &format!("loadbalancer/net/{name}/{id}"));
    let host = if scheme == "internal" {
        format!("internal-{name}")
    } else {
        name.to_owned()
    };
    let decide = |state: &State| {
        let (vpc, zones) = zones(state, &input)?;
        let groups = security_groups(state, &input)?;
        let mut body = json!({
            "LoadBalancerArn": arn, "DNSName": format!("{host}-{id}.{}.{LOAD_BALANCER_DOMAIN}", context.region.name),
            "CanonicalHostedZoneId": "ZIBE1TIR4HY56", "CreatedTime": Time(context.region.clock.now()),
            "LoadBalancerName": name, "Scheme": scheme, "VpcId": vpc, "State": {"Code": "active"}, "Type": kind,
            "AvailabilityZones": zones, "IpAddressType": input.text("IpAddressType").unwrap_or("ipv4"),
            "_Attributes": attribute::of_load_balancer(),
        });
        if !groups.is_empty() {
            body["SecurityGroups"] = groups.into();
        }
        let mut known = catalogue::of_kind(state, ItemKind::LoadBalancer);
        if let Some(known) = known.find(|known| known.body.text("LoadBalancerName") == Some(name)) {
            // The same wish again gives the same load balancer.
            let same = ["Scheme", "Type", "AvailabilityZones", "IpAddressType"]
                .iter()
                .all(|member| known.body[*member] == body[*member]);
            if same {
                return Ok((view(known), Vec::new()));
            }
            let message = format!("A load balancer with the same name '{name}' exists, but with different settings");
            return Err(error("DuplicateLoadBalancerName", message));
        }
        let made = Item::new(ItemKind::LoadBalancer, arn.clone(), body).tagged(input.tags("Tags"));
        let mut answer = view(&made);
        answer["State"] = json!({"Code": "provisioning"});
        Ok::<_, ApiError>((answer, vec![Change::put(made)]))
    };
    let made = context.region.ledger.change(decide).await?;
    Ok(json!({ "LoadBalancers": [made] }))
}

/// Without what is kept beside.
fn view(item: &Item) -> Value {
    let mut view = item.body.clone();
    if let Some(members) = view.as_object_mut() {
        members.retain(|name, _| !name.starts_with('_'));
    }
    view
}

/// `DescribeLoadBalancers`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let (arns, names) = (input.texts("LoadBalancerArns"), input.texts("Names"));
    let views = context.region.ledger.read(|state| {
        for arn in &arns {
            find(state, ItemKind::LoadBalancer, arn)?;
        }
        let all: Vec<&Item> = catalogue::of_kind(state, ItemKind::LoadBalancer).collect();
        for name in &names {
            if !all.iter().any(|one| one.body.text("LoadBalancerName") == Some(name)) {
                return Err(error(
                    "LoadBalancerNotFound",
                    format!("Load balancers '[{name}]' not found"),
                ));
            }
        }
        let chosen = all.into_iter().filter(|one| {
            (arns.is_empty() || arns.contains(&one.key.as_str()))
                && (names.is_empty() || names.contains(&one.body.required("LoadBalancerName")))
        });
        Ok(chosen.map(view).collect())
    })?;
    paged(&input, "LoadBalancers", views)
}

/// `DeleteLoadBalancer`: with its listeners and their rules; one that is gone is success.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("LoadBalancerArn");
    let decide = |state: &State| {
        let Some(known) = catalogue::find(state, ItemKind::LoadBalancer, arn) else {
            return Ok((nothing(), Vec::new()));
        };
        if attribute::is_set(known, "deletion_protection.enabled") {
            let name = known.body.required("LoadBalancerName");
            let message = format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
            tracing::debug!(name, "deletion protection");
            return Err(error("OperationNotPermitted", message));
        }
        let mut changes = vec![known.removal()];
        for listener in listener::of(state, arn) {
            changes.push(listener.removal());
            changes.extend(rule::of(state, &listener.key).map(Item::removal));
        }
        Ok::<_, ApiError>((nothing(), changes))
    };
    context.region.ledger.change(decide).await
}

async fn edit(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&State, &mut Item) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let arn = input.required("LoadBalancerArn");
    catalogue::edit(
        context,
        ItemKind::LoadBalancer,
        arn,
        || not_found(ItemKind::LoadBalancer, arn),
        change,
    )
    .await
}

/// `SetIpAddressType`.
pub async fn set_address_type(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.required("IpAddressType");
    if wanted != "ipv4" {
        return Err(error(
            "InvalidConfigurationRequest",
            "The specified subnets do not have IPv6 CIDR blocks",
        ));
    }
    edit(&context, &input, |_, balancer| {
        balancer.body["IpAddressType"] = wanted.into();
        Ok(json!({ "IpAddressType": wanted }))
    })
    .await
}

/// `SetSecurityGroups`.
pub async fn set_security_groups(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |state, balancer| {
        let groups = security_groups(state, &input)?;
        balancer.body["SecurityGroups"] = groups.clone().into();
        Ok(json!({ "SecurityGroupIds": groups }))
    })
    .await
}

/// `SetSubnets`.
pub async fn set_subnets(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |state, balancer| {
        let (_, zones) = zones(state, &input)?;
        balancer.body["AvailabilityZones"] = zones.clone().into();
        Ok(json!({"AvailabilityZones": zones, "IpAddressType": balancer.body["IpAddressType"]}))
    })
    .await
}

/// `DescribeAccountLimits`.
pub async fn limits(_context: Context, _input: Value) -> Result<Value, ApiError> {
    let limits = [
        ("network-load-balancers", 50),
        ("listeners-per-network-load-balancer", 50),
        ("target-groups", 3000),
        ("targets-per-network-load-balancer", 3000),
        ("rules-per-application-load-balancer", 100),
    ];
    let views: Vec<Value> = limits
        .iter()
        .map(|(name, most)| json!({"Name": name, "Max": most.to_string()}))
        .collect();
    Ok(json!({ "Limits": views }))
}

/// `DescribeSSLPolicies`.
pub async fn ssl_policies(_context: Context, input: Value) -> Result<Value, ApiError> {
    let known = [
        "ELBSecurityPolicy-2016-08",
        "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "ELBSecurityPolicy-TLS13-1-3-2021-06",
    ];
    let wanted = input.texts("Names");
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(name)) {
        return Err(error("SSLPolicyNotFound", format!("SSL policy '{unknown}' not found")));
    }
    let chosen = known.iter().filter(|name| wanted.is_empty() || wanted.contains(name));
    let views: Vec<Value> = chosen
        .map(|name| json!({"Name": name, "SslProtocols": ["TLSv1.2", "TLSv1.3"], "Ciphers": []}))
        .collect();
    Ok(json!({ "SslPolicies": views }))
}

/// `DescribeCapacityReservation`, `ModifyCapacityReservation`: capacity is not reserved here.
pub async fn capacity(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("LoadBalancerArn");
    context
        .region
        .ledger
        .read(|state| find(state, ItemKind::LoadBalancer, arn).map(drop))?;
    Ok(json!({ "CapacityReservationState": [] }))
}

/// The classic load balancers' `DescribeLoadBalancers`: there are none.
pub async fn classic(_context: Context, input: Value) -> Result<Value, ApiError> {
    match input.texts("LoadBalancerNames").first() {
        Some(name) => Err(error(
            "LoadBalancerNotFound",
            format!("There is no ACTIVE Load Balancer named '{name}'"),
        )),
        None => Ok(json!({ "LoadBalancerDescriptions": [] })),
    }
}

/// The classic load balancers' `DescribeTags`: there are none to have any.
pub async fn classic_tags(_context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input
        .texts("LoadBalancerNames")
        .first()
        .copied()
        .unwrap_or_default()
        .to_owned();
    Err(error(
        "LoadBalancerNotFound",
        format!("There is no ACTIVE Load Balancer named '{name}'"),
    ))
}
