//! `utils` that only tell: versions and configuration of add-ons, Kubernetes versions, stacks, health, the schema.

use std::path::Path;

use aws_types::eks::{
    AddonInfo, DescribeAddonConfigurationRequest, DescribeAddonConfigurationResponse, DescribeAddonVersionsRequest,
    DescribeClusterVersionsRequest, DescribeClusterVersionsResponse,
};
use serde::Serialize;
use stack_planner::Node;

use super::config;
use super::given::Given;
use crate::arguments::Output;
use crate::output;
use crate::role::map;
use crate::session::{CommandError, Done, Session};
use crate::stack::Stack;

/// `utils describe-addon-versions`.
pub async fn addon_versions(home: &Path, given: &Given) -> Done {
    let session = Session::open(home, given.text("region").as_deref())?;
    let cluster = match given.config_file() {
        Some(path) => Some(config::read(&path)?.0.metadata.name),
        None => given.text("cluster"),
    };
    let version = match (given.text("kubernetes-version"), cluster) {
        (Some(version), _) => version,
        (None, Some(cluster)) => {
            let version = session.existing_cluster(&cluster).await?.version.unwrap_or_default();
            session
                .progress
                .info(format!("Kubernetes version {version:?} in use by cluster {cluster:?}"));
            version
        }
        (None, None) => {
            return Err(CommandError::Usage("cluster name or kubernetes version must be set".to_owned()).into());
        }
    };
    let request = DescribeAddonVersionsRequest {
        kubernetes_version: Some(version),
        addon_name: given.name("name")?,
        types: given.some_list("types"),
        owners: given.some_list("owners"),
        publishers: given.some_list("publishers"),
        ..DescribeAddonVersionsRequest::default()
    };
    #[derive(Serialize)]
    struct Shown {
        #[serde(rename = "Addons")]
        addons: Node,
    }
    let addons: Vec<AddonInfo> = session.addon_versions(&request).await?;
    let shown = Shown {
        addons: output::sdk::list("AddonInfo", &addons)?,
    };
    output::print_tabbed(&shown)
}

/// `utils describe-addon-configuration`.
pub async fn addon_configuration(home: &Path, given: &Given) -> Done {
    let session = Session::open(home, given.text("region").as_deref())?;
    let name = given.name("name")?;
    let request = DescribeAddonConfigurationRequest {
        addon_name: Some(name.ok_or_else(|| CommandError::Usage("addon name must be supplied".to_owned()))?),
        addon_version: Some(given.required("version")?),
    };
    let answer: DescribeAddonConfigurationResponse = session.aws.eks("DescribeAddonConfiguration", &request).await?;
    let schema = answer.configuration_schema.ok_or_else(|| {
        let (name, version) = (request.addon_name.as_deref(), request.addon_version.as_deref());
        let which = format!("{}@{}", name.unwrap_or_default(), version.unwrap_or_default());
        CommandError::Usage(format!("no configuration schema found for {which}"))
    })?;
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Shown {
        configuration_schema: Node,
        pod_identity_configuration: Node,
    }
    let identities = answer.pod_identity_configuration.unwrap_or_default();
    output::print_tabbed(&Shown {
        configuration_schema: output::sorted(serde_json::from_str(&schema)?),
        pod_identity_configuration: output::sdk::list("AddonPodIdentityConfiguration", &identities)?,
    })
}

/// `utils describe-cluster-versions`.
pub async fn cluster_versions(home: &Path, given: &Given) -> Done {
    let session = Session::open(home, given.text("region").as_deref())?;
    let mut request = DescribeClusterVersionsRequest {
        cluster_type: given.text("cluster-types"),
        cluster_versions: given.some_list("cluster-versions"),
        default_only: given.set_to("default-only"),
        include_all: given.set_to("include-all"),
        status: given.text("status"),
        ..DescribeClusterVersionsRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page: DescribeClusterVersionsResponse = session.aws.eks("DescribeClusterVersions", &request).await?;
        found.extend(page.cluster_versions.unwrap_or_default());
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Shown {
        cluster_versions: Node,
    }
    let shown = Shown {
        cluster_versions: output::sdk::list("ClusterVersionInformation", &found)?,
    };
    output::print_items(Output::Json, &shown)
}

/// `utils describe-stacks`.
pub async fn stacks(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let stacks = session.stacks_of(&config.metadata.name).await?;
    let wanted: Vec<String> = given
        .list("resource-status")
        .iter()
        .map(|status| status.to_uppercase())
        .collect();
    if !wanted.is_empty() && !given.is_on("events") {
        let message = "--resource-status flag cannot be specified without setting --events=true";
        return Err(CommandError::Usage(message.to_owned()).into());
    }
    let shown: Vec<Node> = stacks.iter().map(shown).collect();
    if given.text("output").is_some() {
        return match given.output()? {
            Output::Table => Err(CommandError::Usage("output type \"table\" is not supported".to_owned()).into()),
            form => output::print_items(form, &shown),
        };
    }
    for (stack, shown) in stacks.iter().zip(shown) {
        let text = serde_json::to_string(&shown)?;
        session.progress.info(format!("stack/{} = {text}", stack.name));
        if given.is_on("events") {
            print_events(&session, stack, &wanted).await?;
        }
    }
    Ok(())
}

fn shown(stack: &Stack) -> Node {
    let texts = |pairs: &std::collections::BTreeMap<String, String>| {
        let pairs = pairs.iter().map(|(key, value)| (key.clone(), Node::text(value)));
        Node::Map(pairs.collect())
    };
    map([
        ("StackId", Node::text(&stack.id)),
        ("StackName", Node::text(&stack.name)),
        ("StackStatus", Node::text(&stack.status)),
        ("StackStatusReason", Node::text(&stack.reason)),
        ("CreationTime", Node::text(&stack.created)),
        ("Outputs", texts(&stack.outputs)),
        ("Tags", texts(&stack.tags)),
    ])
}

async fn print_events(session: &Session, stack: &Stack, wanted: &[String]) -> Done {
    let parameters = [("StackName", stack.id.as_str())];
    let events = session.aws.cloudformation("DescribeStackEvents", &parameters).await?;
    for event in events.list("StackEvents") {
        let part = |name: &str| event.member(name).unwrap_or_default();
        if wanted.is_empty() || wanted.iter().any(|status| status == part("ResourceStatus")) {
            session.progress.info(format!(
                "CloudFormation.events/{} = {} {} {} {}",
                stack.name,
                part("Timestamp"),
                part("LogicalResourceId"),
                part("ResourceStatus"),
                part("ResourceStatusReason")
            ));
        }
    }
    Ok(())
}

/// `utils nodegroup-health`.
pub async fn nodegroup_health(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let name = given.name("name")?;
    let name = name.ok_or_else(|| CommandError::Usage("name must be set".to_owned()))?;
    session.existing_cluster(&config.metadata.name).await?;
    let group = session.nodegroup(&config.metadata.name, &name).await?;
    let group = group.ok_or_else(|| CommandError::Usage(format!("No node group found for name: {name}.")))?;
    let issues = group.health.and_then(|health| health.issues).unwrap_or_default();
    if issues.is_empty() {
        session
            .progress
            .info(format!("No health issues found. Node group {name:?} is active"));
    }
    for issue in issues {
        session.progress.warning(issue.message.unwrap_or_default());
    }
    Ok(())
}

/// `utils schema`: what a ClusterConfig may hold, as a JSON Schema.
pub fn schema() -> Done {
    println!("{}", cluster_lifecycle::cluster_config::json_schema());
    Ok(())
}
