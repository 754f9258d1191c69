//! Listeners.

use serde_json::{Value, json};

use super::{error, find, not_found, paged, rule, validation, view};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Protocols of network load balancers.
const PROTOCOLS: &[&str] = &["TCP", "UDP", "TCP_UDP", "TLS", "QUIC", "TCP_QUIC"];

/// The listeners of a load balancer.
pub fn of<'a>(state: &'a State, balancer: &str) -> impl Iterator<Item = &'a Item> + use<'a> {
    let balancer = balancer.to_owned();
    catalogue::of_kind(state, ItemKind::Listener)
        .filter(move |listener| listener.body.text("LoadBalancerArn") == Some(balancer.as_str()))
}

/// Actions with numbers and with target groups that are there.
pub fn actions(state: &State, given: &[Value]) -> Result<Vec<Value>, ApiError> {
    if given.is_empty() {
        return Err(validation("At least one action must be specified"));
    }
    let mut actions = Vec::new();
    for action in given {
        let mut action = action.clone();
        if let Some(members) = action.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        let config = action
            .get("ForwardConfig")
            .map(|config| config.list("TargetGroups").to_vec())
            .unwrap_or_default();
        let named = config
            .iter()
            .filter_map(|group| group.text("TargetGroupArn"))
            .chain(action.text("TargetGroupArn"));
        for arn in named {
            find(state, ItemKind::TargetGroup, arn)?;
        }
        if action.text("Type") == Some("forward") {
            if action.text("TargetGroupArn").is_none() && config.is_empty() {
                return Err(validation("A target group ARN must be specified"));
            }
            if config.is_empty() {
                action["ForwardConfig"] = json!({"TargetGroups": [{"TargetGroupArn": action["TargetGroupArn"]}]});
            } else if let ([only], None) = (&config[..], action.text("TargetGroupArn")) {
                action["TargetGroupArn"] = only["TargetGroupArn"].clone();
            }
        }
        actions.push(action);
    }
    Ok(actions)
}

/// `CreateListener`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let balancer = input.required("LoadBalancerArn");
    let (id, rule_id) = (context.region.random.hex(16), context.region.random.hex(16));
    let decide = |state: &State| {
        let owner = find(state, ItemKind::LoadBalancer, balancer)?;
        let protocol = input
            .text("Protocol")
            .ok_or_else(|| validation("A listener protocol must be specified"))?;
        if !PROTOCOLS.contains(&protocol) {
            return Err(validation(format!(
                "Listener protocol '{protocol}' must be one of '{}'",
                PROTOCOLS.join(", ")
            )));
        }
        let port = input
            .number("Port")
            .ok_or_else(|| validation("A listener port must be specified"))?;
        if of(state, balancer).any(|known| known.body.number("Port") == Some(port)) {
            let message = format!(
                "A listener already exists on this port for this load balancer '{}'",
                owner.body.required("LoadBalancerArn")
            );
            return Err(error("DuplicateListener", message));
        }
        let certificates = input.list("Certificates").to_vec();
        if protocol == "TLS" && certificates.is_empty() {
            return Err(error(
                "CertificateNotFound",
                "A certificate must be specified for TLS listeners",
            ));
        }
        let key = format!("{}/{id}", balancer.replacen(":loadbalancer/", ":listener/", 1));
        let actions = actions(state, input.list("DefaultActions"))?;
        let mut body = json!({
            "ListenerArn": key, "LoadBalancerArn": balancer, "Port": port, "Protocol": protocol, "DefaultActions": actions,
            "_Attributes": super::attribute::of_listener(protocol), "_Certificates": certificates,
        });
        if protocol == "TLS" {
            body["Certificates"] = certificates.into_iter().take(1).collect();
            body["SslPolicy"] = input.text("SslPolicy").unwrap_or("ELBSecurityPolicy-2016-08").into();
        }
        for member in ["AlpnPolicy", "MutualAuthentication"] {
            if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
                body[member] = value.clone();
            }
        }
        let default = rule::default(&key, &rule_id, &body["DefaultActions"]);
        let made = Item::new(ItemKind::Listener, key, body).tagged(input.tags("Tags"));
        let answer = json!({ "Listeners": [view(&made)] });
        Ok::<_, ApiError>((answer, vec![Change::put(made), Change::put(default)]))
    };
    context.region.ledger.change(decide).await
}

/// `DescribeListeners`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let arns = input.texts("ListenerArns");
    let views = context.region.ledger.read(|state| {
        if let Some(balancer) = input.text("LoadBalancerArn") {
            find(state, ItemKind::LoadBalancer, balancer)?;
            return Ok(of(state, balancer).map(view).collect());
        }
        if arns.is_empty() {
            return Err(validation(
                "You must specify either listener ARNs or a load balancer ARN",
            ));
        }
        arns.iter()
            .map(|arn| find(state, ItemKind::Listener, arn).map(view))
            .collect::<Result<Vec<_>, _>>()
    })?;
    paged(&input, "Listeners", views)
}

/// `ModifyListener`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("ListenerArn");
    let decide = |state: &State| {
        let mut listener = find(state, ItemKind::Listener, arn)?.clone();
        let mut changes = Vec::new();
        for member in [
            "Port",
            "Protocol",
            "SslPolicy",
            "AlpnPolicy",
            "Certificates",
            "MutualAuthentication",
        ] {
            if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
                listener.body[member] = value.clone();
            }
        }
        if !input.list("DefaultActions").is_empty() {
            let actions = actions(state, input.list("DefaultActions"))?;
            listener.body["DefaultActions"] = actions.clone().into();
            let default = rule::of(state, arn).find(|rule| rule.body.flag("IsDefault") == Some(true));
            changes.extend(default.cloned().map(|mut rule| {
                rule.body["Actions"] = actions.into();
                Change::put(rule)
            }));
        }
        let answer = json!({ "Listeners": [view(&listener)] });
        changes.push(Change::put(listener));
        Ok::<_, ApiError>((answer, changes))
    };
    context.region.ledger.change(decide).await
}

/// `DeleteListener`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("ListenerArn");
    let decide = |state: &State| {
        let listener = find(state, ItemKind::Listener, arn)?;
        let rules = rule::of(state, arn).map(Item::removal);
        Ok::<_, ApiError>((nothing(), rules.chain([listener.removal()]).collect()))
    };
    context.region.ledger.change(decide).await
}

async fn certificates(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&mut Vec<Value>) -> Value,
) -> Result<Value, ApiError> {
    let arn = input.required("ListenerArn");
    catalogue::edit(
        context,
        ItemKind::Listener,
        arn,
        || not_found(ItemKind::Listener, arn),
        |_, listener| {
            let mut known = listener.body.list("_Certificates").to_vec();
            let answer = change(&mut known);
            listener.body["_Certificates"] = known.into();
            Ok(answer)
        },
    )
    .await
}

/// `AddListenerCertificates`.
pub async fn add_certificates(context: Context, input: Value) -> Result<Value, ApiError> {
    certificates(&context, &input, |known| {
        let given: Vec<Value> = input
            .list("Certificates")
            .iter()
            .map(|one| json!({"CertificateArn": one["CertificateArn"]}))
            .collect();
        let new: Vec<Value> = given.iter().filter(|one| !known.contains(one)).cloned().collect();
        known.extend(new);
        json!({ "Certificates": given })
    })
    .await
}

/// `RemoveListenerCertificates`.
pub async fn remove_certificates(context: Context, input: Value) -> Result<Value, ApiError> {
    certificates(&context, &input, |known| {
        let going: Vec<&str> = input
            .list("Certificates")
            .iter()
            .filter_map(|one| one.text("CertificateArn"))
            .collect();
        known.retain(|one| !going.contains(&one.required("CertificateArn")));
        nothing()
    })
    .await
}

/// `DescribeListenerCertificates`: the first is the default one.
pub async fn describe_certificates(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("ListenerArn");
    let views = context.region.ledger.read(|state| {
        let listener = find(state, ItemKind::Listener, arn)?;
        let known = listener.body.list("_Certificates").iter().enumerate();
        Ok::<_, ApiError>(
            known
                .map(|(index, one)| json!({"CertificateArn": one["CertificateArn"], "IsDefault": index == 0}))
                .collect(),
        )
    })?;
    paged(&input, "Certificates", views)
}
