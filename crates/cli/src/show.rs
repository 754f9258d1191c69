//! `get cluster`, `get nodegroup` and `status`, as table, JSON or YAML.

use std::error::Error;
use std::path::Path;

use aws_types::eks::{
    Cluster, ListClustersRequest, ListClustersResponse, ListNodegroupsRequest, ListNodegroupsResponse, Nodegroup,
};
use aws_types::status::RegionStatus;
use comfy_table::Table;
use serde::Serialize;

use crate::arguments::{GetCluster, GetNodegroup, Output, Status};
use crate::aws::AwsError;
use crate::session::{Done, Session};

/// `get cluster`.
pub async fn clusters(home: &Path, options: &GetCluster) -> Done {
    let session = Session::open(home, options.region.as_deref())?;
    let names = match options.name.clone().or_else(|| options.positional_name.clone()) {
        Some(name) => vec![name],
        None => session.clusters().await?,
    };
    let mut found: Vec<Cluster> = Vec::new();
    for name in &names {
        found.push(session.existing_cluster(name).await?);
    }
    let row = |cluster: &Cluster| {
        let network = cluster.resources_vpc_config.clone().unwrap_or_default();
        [
            cluster.name.clone().unwrap_or_default(),
            session.aws.region().to_owned(),
            cluster.version.clone().unwrap_or_default(),
            cluster.status.clone().unwrap_or_default(),
            cluster
                .created_at
                .map(|created| created.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
                .unwrap_or_default(),
            network.vpc_id.unwrap_or_default(),
            cluster.endpoint.clone().unwrap_or_default(),
        ]
    };
    print(
        options.output,
        &found,
        ["NAME", "REGION", "VERSION", "STATUS", "CREATED", "VPC", "ENDPOINT"],
        row,
    )
}

/// What eksctl shows of a node group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodegroupSummary {
    cluster: String,
    name: String,
    status: String,
    max_size: i64,
    min_size: i64,
    desired_capacity: i64,
    instance_type: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    creation_time: String,
    #[serde(rename = "NodeInstanceRoleARN")]
    node_instance_role_arn: String,
    auto_scaling_group_name: String,
    version: String,
    #[serde(rename = "NodeGroupType")]
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
            cluster: group.cluster_name.unwrap_or_default(),
            name: group.nodegroup_name.unwrap_or_default(),
            status: group.status.unwrap_or_default(),
            max_size: scaling.max_size.unwrap_or_default(),
            min_size: scaling.min_size.unwrap_or_default(),
            desired_capacity: scaling.desired_size.unwrap_or_default(),
            instance_type: group.instance_types.unwrap_or_default().join(","),
            image_id: group.ami_type.unwrap_or_default(),
            creation_time: group
                .created_at
                .map(|created| created.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
                .unwrap_or_default(),
            node_instance_role_arn: group.node_role.unwrap_or_default(),
            auto_scaling_group_name: asg.and_then(|asg| asg.name).unwrap_or_default(),
            version: group.version.unwrap_or_default(),
            node_group_type: "managed",
        }
    }
}

/// `get nodegroup`.
pub async fn nodegroups(home: &Path, options: &GetNodegroup) -> Done {
    let session = Session::open(home, options.region.as_deref())?;
    let names = match &options.name {
        Some(name) => vec![name.clone()],
        None => session.nodegroups(&options.cluster).await?,
    };
    let mut found: Vec<NodegroupSummary> = Vec::new();
    for name in &names {
        let group = session.nodegroup(&options.cluster, name).await?;
        let missing = || crate::session::CommandError::Usage(format!("No node group found for name: {name}."));
        found.push(group.ok_or_else(missing)?.into());
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
            group.creation_time.clone(),
            group.min_size.to_string(),
            group.max_size.to_string(),
            group.desired_capacity.to_string(),
            group.instance_type.clone(),
            group.image_id.clone(),
            group.auto_scaling_group_name.clone(),
            group.node_group_type.to_owned(),
        ]
    };
    print(options.output, &found, header, row)
}

impl Session {
    /// The names of all clusters.
    pub async fn clusters(&self) -> Result<Vec<String>, AwsError> {
        let mut request = ListClustersRequest::default();
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
    for cluster in &status.clusters {
        let ready = cluster.nodes.iter().filter(|node| node.ready).count();
        let nodes = format!("{ready}/{}", cluster.nodes.len());
        clusters.add_row([
            &cluster.name,
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

fn print<T: Serialize, const N: usize>(
    output: Output,
    items: &[T],
    header: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(items)?),
        Output::Yaml => print!("{}", serde_saphyr::to_string(&items)?),
        Output::Table => {
            let mut shown = table(header);
            for item in items {
                shown.add_row(row(item));
            }
            println!("{shown}");
        }
    }
    Ok(())
}
