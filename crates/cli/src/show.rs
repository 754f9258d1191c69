//! `get cluster`, `get nodegroup` and `status`, as table, JSON or YAML.

use std::path::Path;

use aws_types::eks::{
    ListClustersRequest, ListClustersResponse, ListNodegroupsRequest, ListNodegroupsResponse, Nodegroup,
};
use aws_types::status::{ClusterStatus, RegionStatus};
use comfy_table::Table;
use serde::Serialize;

use crate::arguments::{Output, Status};
use crate::aws::AwsError;
use crate::eksctl::{self, Given};
use crate::output;
use crate::session::{CommandError, Done, Made, Session};
use crate::stack::CLUSTER_TAG;

/// What eksctl shows in a list of clusters.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ClusterSummary {
    name: String,
    region: String,
    owned: &'static str,
}

/// `get cluster`: one with what it is, or the names of all.
pub async fn clusters(home: &Path, given: &Given) -> Done {
    let name = match given.config_file() {
        Some(_) => Some(eksctl::existing(given, &[])?.0.metadata.name),
        None => given.name("name")?,
    };
    let session = Session::open(home, given.text("region").as_deref())?;
    let Some(name) = name else {
        let sessions = if given.is_on("all-regions") {
            in_all_regions(home, &session).await?
        } else {
            vec![session]
        };
        return list_clusters(&sessions, given.output()?).await;
    };
    if given.is_on("all-regions") {
        let message = "--all-regions is for listing all clusters, it must be used without cluster name flag/argument";
        return Err(CommandError::Usage(message.to_owned()).into());
    }
    let found = [session.existing_cluster(&name).await?];
    let form = given.output()?;
    if form != Output::Table {
        return output::print_items(form, &output::sdk::list("Cluster", &found)?);
    }
    let header = [
        "NAME",
        "VERSION",
        "STATUS",
        "CREATED",
        "VPC",
        "SUBNETS",
        "SECURITYGROUPS",
        "PROVIDER",
    ];
    output::print(form, "clusters", &found, header, |cluster| {
        let network = cluster.resources_vpc_config.clone().unwrap_or_default();
        let list = |ids: Option<Vec<String>>| {
            ids.map(|mut ids| {
                ids.sort();
                ids.join(",")
            })
        };
        let provider = cluster.connector_config.clone().and_then(|config| config.provider);
        let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            shown(cluster.name.clone()),
            shown(cluster.version.clone()),
            shown(cluster.status.clone()),
            shown(cluster.created_at.map(time)),
            shown(network.vpc_id),
            shown(list(network.subnet_ids)),
            shown(list(network.security_group_ids)),
            provider.unwrap_or_else(|| "EKS".to_owned()),
        ]
    })
}

/// A session for each region.
async fn in_all_regions(home: &Path, session: &Session) -> Made<Vec<Session>> {
    let names = session.aws.ec2("DescribeRegions", &[]).await?.all("regionName");
    names.iter().map(|name| Session::open(home, Some(name))).collect()
}

async fn list_clusters(sessions: &[Session], form: Output) -> Done {
    let mut found = Vec::new();
    for session in sessions {
        // Registered clusters of other makers too.
        let all = ListClustersRequest {
            include: Some(vec!["all".to_owned()]),
            ..ListClustersRequest::default()
        };
        for name in session.list_clusters(all).await? {
            // eksctl's own are known by the tag that its stacks, and the commands here, put on them.
            let cluster = session.cluster(&name).await?.unwrap_or_default();
            let is_owned = cluster.tags.is_some_and(|tags| tags.contains_key(CLUSTER_TAG));
            found.push(ClusterSummary {
                name,
                region: session.aws.region().to_owned(),
                owned: if is_owned { "True" } else { "False" },
            });
        }
    }
    let header = ["NAME", "REGION", "EKSCTL CREATED"];
    output::print(form, "clusters", &found, header, |cluster| {
        [cluster.name.clone(), cluster.region.clone(), cluster.owned.to_owned()]
    })
}

fn time(time: aws_types::time::Time) -> String {
    time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What eksctl shows of a node group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodegroupSummary {
    stack_name: String,
    cluster: String,
    name: String,
    status: String,
    max_size: i64,
    min_size: i64,
    desired_capacity: i64,
    instance_type: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    #[serde(serialize_with = "output::sdk::go_time")]
    creation_time: Option<aws_types::time::Time>,
    #[serde(rename = "NodeInstanceRoleARN")]
    node_instance_role_arn: String,
    auto_scaling_group_name: String,
    version: String,
    #[serde(rename = "Type")]
    node_group_type: &'static str,
}

impl From<Nodegroup> for NodegroupSummary {
    fn from(group: Nodegroup) -> Self {
        let scaling = group.scaling_config.unwrap_or_default();
        let asg = group
            .resources
            .and_then(|resources| resources.auto_scaling_groups)
            .and_then(|groups| groups.into_iter().next());
        Self {
            stack_name: String::new(),
            cluster: group.cluster_name.unwrap_or_default(),
            name: group.nodegroup_name.unwrap_or_default(),
            status: group.status.unwrap_or_default(),
            max_size: scaling.max_size.unwrap_or_default(),
            min_size: scaling.min_size.unwrap_or_default(),
            desired_capacity: scaling.desired_size.unwrap_or_default(),
            instance_type: group.instance_types.unwrap_or_default().join(","),
            image_id: group.ami_type.unwrap_or_default(),
            creation_time: group.created_at,
            node_instance_role_arn: group.node_role.unwrap_or_default(),
            auto_scaling_group_name: asg.and_then(|asg| asg.name).unwrap_or_default(),
            version: group.version.unwrap_or_default(),
            node_group_type: "managed",
        }
    }
}

/// `get nodegroup`.
pub async fn nodegroups(home: &Path, given: &Given) -> Done {
    let (config, _) = eksctl::existing(given, &["name"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let names = match given.name("name")? {
        Some(name) => vec![name],
        None => session.nodegroups(cluster).await?,
    };
    let stacks = session.stacks_of(cluster).await?;
    let mut found: Vec<NodegroupSummary> = Vec::new();
    for name in &names {
        let group = session.nodegroup(cluster, name).await?;
        let missing = || CommandError::Usage(format!("No node group found for name: {name}."));
        let mut summary = NodegroupSummary::from(group.ok_or_else(missing)?);
        let own = format!("eksctl-{cluster}-nodegroup-{name}");
        summary.stack_name = stacks
            .iter()
            .find(|stack| stack.name == own)
            .map(|stack| stack.name.clone())
            .unwrap_or_default();
        found.push(summary);
    }
    let form = given.output()?;
    if found.is_empty() && form == Output::Table {
        return Err(CommandError::Usage("No nodegroups found".to_owned()).into());
    }
    let header = [
        "CLUSTER",
        "NODEGROUP",
        "STATUS",
        "CREATED",
        "MIN SIZE",
        "MAX SIZE",
        "DESIRED CAPACITY",
        "INSTANCE TYPE",
        "IMAGE ID",
        "ASG NAME",
        "TYPE",
    ];
    let row = |group: &NodegroupSummary| {
        [
            group.cluster.clone(),
            group.name.clone(),
            group.status.clone(),
            group.creation_time.map(time).unwrap_or_default(),
            group.min_size.to_string(),
            group.max_size.to_string(),
            group.desired_capacity.to_string(),
            group.instance_type.clone(),
            group.image_id.clone(),
            group.auto_scaling_group_name.clone(),
            group.node_group_type.to_owned(),
        ]
    };
    output::print(form, "nodegroups", &found, header, row)
}

impl Session {
    /// The names of all clusters.
    pub async fn clusters(&self) -> Result<Vec<String>, AwsError> {
        self.list_clusters(ListClustersRequest::default()).await
    }

    async fn list_clusters(&self, mut request: ListClustersRequest) -> Result<Vec<String>, AwsError> {
        let mut names = Vec::new();
        loop {
            let page: ListClustersResponse = self.aws.eks("ListClusters", &request).await?;
            names.extend(page.clusters.unwrap_or_default());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(names);
            }
        }
    }

    /// The names of a cluster's node groups.
    pub async fn nodegroups(&self, cluster: &str) -> Result<Vec<String>, AwsError> {
        let mut request = ListNodegroupsRequest {
            cluster_name: Some(cluster.to_owned()),
            ..ListNodegroupsRequest::default()
        };
        let mut names = Vec::new();
        loop {
            let page: ListNodegroupsResponse = self.aws.eks("ListNodegroups", &request).await?;
            names.extend(page.nodegroups.unwrap_or_default());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(names);
            }
        }
    }
}

/// `status`.
pub async fn status(home: &Path, options: &Status) -> Done {
    let session = Session::open(home, None)?;
    let status: RegionStatus = session.aws.control("/_ondol/status").await?;
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&status)?),
        Output::Yaml => print!("{}", serde_saphyr::to_string(&status)?),
        Output::Table => print_status(&status),
    }
    Ok(())
}

fn print_status(status: &RegionStatus) {
    println!("region {} of account {}\n", status.region, status.account);
    let mut clusters = table(["CLUSTER", "STATUS", "VERSION", "NODES READY", "ENDPOINT"]);
    // Where a cluster is, is said of those that are not where the process was started as.
    let shown_name = |cluster: &ClusterStatus| {
        let elsewhere = [(&cluster.region, &status.region), (&cluster.account, &status.account)];
        let said: Vec<&str> = elsewhere
            .into_iter()
            .filter(|(own, usual)| own != usual && !own.is_empty())
            .map(|(own, _)| own.as_str())
            .collect();
        match said.is_empty() {
            true => cluster.name.clone(),
            false => format!("{} ({})", cluster.name, said.join(", ")),
        }
    };
    for cluster in &status.clusters {
        let ready = cluster.nodes.iter().filter(|node| node.ready).count();
        let nodes = format!("{ready}/{}", cluster.nodes.len());
        clusters.add_row([
            &shown_name(cluster),
            &cluster.status,
            &cluster.version,
            &nodes,
            cluster.endpoint.as_deref().unwrap_or(""),
        ]);
    }
    println!("{clusters}\n");
    if !status.load_balancers.is_empty() {
        let mut balancers = table(["LOAD BALANCER", "CLUSTER", "SERVICE", "LISTENS ON"]);
        for balancer in &status.load_balancers {
            balancers.add_row([
                &balancer.host_name,
                &balancer.cluster,
                &balancer.service,
                &balancer.listeners.join(" "),
            ]);
        }
        println!("{balancers}\n");
    }
    let mut processes = table(["PID", "PROCESS", "OF", "MEMORY"]);
    for process in &status.processes {
        processes.add_row([
            process.pid.to_string(),
            process.role.clone(),
            process.of.clone(),
            mebibytes(process.memory_bytes),
        ]);
    }
    let all = status.processes.iter().map(|process| process.memory_bytes).sum();
    println!(
        "{processes}\n\nmemory of all {} processes together: {}",
        status.processes.len(),
        mebibytes(all)
    );
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    table
}
