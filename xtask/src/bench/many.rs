//! A region with many clusters: what its operations take, and what each cluster costs in memory.
//!
//! A thousand clusters are metadata only: the same region, on a host that runs nothing. Fifty are real control planes with
//! simulated nodes in one region process.

mod aws;
mod bare;

use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use supervision::Supervisor;

pub use self::aws::Keys;
use self::aws::{Answer, Aws};
use self::bare::Bare;
use super::REST;
use super::figures::{Durations, Table, mebibytes, milliseconds};
use super::processes::{Memory, processor_time};
use super::region::Region;
use crate::command::TaskError;
use crate::demo::build;

/// How long all clusters together may take to become ACTIVE.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How often a state is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How many more clusters than AWS lets an account have at first.
const QUOTA: (&str, &str) = ("eks", "L-1194D53C");

/// How much is measured.
#[derive(Args)]
pub struct Options {
    /// Clusters that are metadata only, each with a node group.
    #[arg(long, default_value_t = 1000)]
    metadata: usize,
    /// Clusters that run, each with simulated nodes.
    #[arg(long, default_value_t = 50)]
    running: usize,
    /// Nodes of each cluster that runs.
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Calls of each operation.
    #[arg(long, default_value_t = 200)]
    calls: usize,
}

/// A region and what it is asked through.
struct Subject {
    aws: Aws,
    pid: u32,
}

/// Makes the clusters, calls the operations, prints.
pub async fn measure(options: &Options, debug: bool, supervisor: &Supervisor) -> Result<(), TaskError> {
    if options.metadata > 0 {
        let bare = Bare::start(debug)?;
        let aws = Aws::connect(&bare.endpoint, Bare::keys(), supervisor).await?;
        let mut subject = Subject { aws, pid: bare.pid() };
        subject
            .measure("metadata only", options.metadata, 1, options.calls)
            .await?;
    }
    if options.running > 0 {
        let ondol = build(debug)?;
        let region = Region::start_simulated(&ondol)?;
        let measured = running(&region, options, supervisor).await;
        let ended = region.end();
        measured.and(ended)?;
    }
    Ok(())
}

async fn running(region: &Region, options: &Options, supervisor: &Supervisor) -> Result<(), TaskError> {
    let (endpoint, keys) = region.aws()?;
    let processes = region.processes()?;
    let own = processes.iter().find(|(_, role)| role == "region-server");
    let pid = own.map_or(0, |(pid, _)| *pid);
    let aws = Aws::connect(&endpoint, keys, supervisor).await?;
    let mut subject = Subject { aws, pid };
    let nodes = options.nodes;
    let title = format!("running, {nodes} simulated nodes each");
    subject.measure(&title, options.running, nodes, options.calls).await
}

impl Subject {
    async fn measure(&mut self, title: &str, clusters: usize, nodes: usize, calls: usize) -> Result<(), TaskError> {
        let before = self.memory()?;
        let started = Instant::now();
        self.make(clusters, nodes).await?;
        let made = started.elapsed();
        supervision::sleep(REST).await;
        let after = self.memory()?;
        let used = processor_time(self.pid);
        supervision::sleep(REST).await;
        let idle = processor_time(self.pid).saturating_sub(used);
        self.operations(title, clusters, calls).await?;
        let each = |before: u64, after: u64| mebibytes(after.saturating_sub(before) / clusters.max(1) as u64);
        let mut table = Table::new(["memory of the region's process", "before", "after", "each cluster"]);
        for (name, before, after) in [
            ("PSS", before.proportional, after.proportional),
            ("RSS", before.resident, after.resident),
        ] {
            table.row([
                name.to_owned(),
                mebibytes(before),
                mebibytes(after),
                each(before, after),
            ]);
        }
        table.print(&format!("{clusters} clusters, {title}"));
        println!(
            "  made in {:.1} s; at rest the process takes {:.1} % of a processor",
            made.as_secs_f64(),
            idle.as_secs_f64() / REST.as_secs_f64() * 100.0
        );
        Ok(())
    }

    fn memory(&self) -> Result<Memory, TaskError> {
        Memory::of(self.pid).ok_or_else(|| TaskError::Unexpected("the region has ended".into()))
    }

    async fn ec2(&mut self, fields: &[(&str, &str)]) -> Result<Answer, TaskError> {
        self.aws.form("ec2", "2016-11-15", fields).await
    }

    /// A VPC, and in it all clusters with a node group each, and a stack for each.
    async fn make(&mut self, clusters: usize, nodes: usize) -> Result<(), TaskError> {
        let wish = json!({"ServiceCode": QUOTA.0, "QuotaCode": QUOTA.1, "DesiredValue": clusters.max(101)});
        let target = "ServiceQuotasV20190624.RequestServiceQuotaIncrease";
        self.aws.target("servicequotas", target, &wish).await?;
        // A VPC for a hundred clusters, as people share them; a /16 has no addresses for more nodes.
        let mut subnets = json!(null);
        for number in 0..clusters {
            if number % 100 == 0 {
                subnets = self.network().await?;
            }
            let body = json!({"name": name(number), "roleArn": "arn:aws:iam::000000000000:role/cluster",
                "resourcesVpcConfig": {"subnetIds": subnets}, "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"}});
            self.aws.eks(Method::POST, "/clusters", &body).await?;
            let stack = format!("eksctl-{}-cluster", name(number));
            let template = r#"{"Resources": {"Name": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}}}"#;
            let fields = [
                ("Action", "CreateStack"),
                ("StackName", stack.as_str()),
                ("TemplateBody", template),
            ];
            self.aws.form("cloudformation", "2010-05-15", &fields).await?;
        }
        for number in 0..clusters {
            let described = self.wait(&format!("/clusters/{}", name(number)), "cluster").await?;
            let subnets = &described["resourcesVpcConfig"]["subnetIds"];
            let body = json!({"nodegroupName": "workers", "subnets": subnets, "nodeRole": "arn:aws:iam::000000000000:role/node",
                "scalingConfig": {"minSize": 0, "maxSize": nodes.max(1), "desiredSize": nodes}, "instanceTypes": ["t3.small"]});
            let path = format!("/clusters/{}/node-groups", name(number));
            self.aws.eks(Method::POST, &path, &body).await?;
        }
        for number in 0..clusters {
            let path = format!("/clusters/{}/node-groups/workers", name(number));
            self.wait(&path, "nodegroup").await?;
        }
        Ok(())
    }

    async fn network(&mut self) -> Result<Value, TaskError> {
        let made = self
            .ec2(&[("Action", "CreateVpc"), ("CidrBlock", "10.0.0.0/16")])
            .await?;
        let vpc = made.element("vpcId")?;
        let mut subnets = Vec::new();
        for (zone, block) in [("ap-northeast-2a", "10.0.0.0/17"), ("ap-northeast-2b", "10.0.128.0/17")] {
            let fields = [
                ("Action", "CreateSubnet"),
                ("VpcId", vpc.as_str()),
                ("CidrBlock", block),
                ("AvailabilityZone", zone),
            ];
            subnets.push(self.ec2(&fields).await?.element("subnetId")?);
        }
        Ok(json!(subnets))
    }

    async fn wait(&mut self, path: &str, member: &str) -> Result<Value, TaskError> {
        let started = Instant::now();
        loop {
            let answer = self.aws.eks(Method::GET, path, &Value::Null).await?.json()?;
            let found = &answer[member];
            match found["status"].as_str() {
                Some("ACTIVE") => return Ok(found.clone()),
                Some("CREATING") if started.elapsed() < PATIENCE => supervision::sleep(LOOK).await,
                _ => return Err(TaskError::Unexpected(format!("{path} is {found}"))),
            }
        }
    }

    async fn operations(&mut self, title: &str, clusters: usize, calls: usize) -> Result<(), TaskError> {
        let mut table = Table::new(["operation", "p50", "p99", "answer", "server CPU each"]);
        for operation in OPERATIONS {
            let mut durations = Durations::default();
            let mut bytes = 0;
            let used = processor_time(self.pid);
            let mut token = None;
            for call in 0..calls {
                let answer = self.call(operation, call % clusters.max(1), token.as_deref()).await?;
                token = if *operation == "ListClusters" {
                    answer.json()?["nextToken"].as_str().map(str::to_owned)
                } else {
                    None
                };
                bytes = bytes.max(answer.body.len() as u64);
                durations.add(answer.took);
            }
            let each = processor_time(self.pid).saturating_sub(used) / u32::try_from(calls.max(1)).unwrap_or(1);
            table.row([
                (*operation).to_owned(),
                milliseconds(durations.percentile(50)),
                milliseconds(durations.percentile(99)),
                format!("{:.1} KiB", bytes as f64 / 1024.0),
                milliseconds(each),
            ]);
        }
        table.print(&format!(
            "operations with {clusters} clusters, {title} (aim: under 10 ms)"
        ));
        Ok(())
    }

    async fn call(&mut self, operation: &str, number: usize, token: Option<&str>) -> Result<Answer, TaskError> {
        let nothing = Value::Null;
        match operation {
            "ListClusters" => {
                let next = token.map_or_else(String::new, |token| format!("&nextToken={token}"));
                self.aws
                    .eks(Method::GET, &format!("/clusters?maxResults=100{next}"), &nothing)
                    .await
            }
            "DescribeCluster" => {
                self.aws
                    .eks(Method::GET, &format!("/clusters/{}", name(number)), &nothing)
                    .await
            }
            "ListNodegroups" => {
                self.aws
                    .eks(
                        Method::GET,
                        &format!("/clusters/{}/node-groups", name(number)),
                        &nothing,
                    )
                    .await
            }
            "DescribeInstances of a cluster" => {
                let fields = [
                    ("Action", "DescribeInstances"),
                    ("Filter.1.Name", "tag:eks:cluster-name"),
                    ("Filter.1.Value.1", &name(number)),
                ];
                self.ec2(&fields).await
            }
            "DescribeInstances, a page of 100" => {
                self.ec2(&[("Action", "DescribeInstances"), ("MaxResults", "100")])
                    .await
            }
            _ => {
                let fields = [("Action", "ListStacks")];
                self.aws.form("cloudformation", "2010-05-15", &fields).await
            }
        }
    }
}

/// What is called.
const OPERATIONS: &[&str] = &[
    "ListClusters",
    "DescribeCluster",
    "ListNodegroups",
    "DescribeInstances of a cluster",
    "DescribeInstances, a page of 100",
    "ListStacks",
];

fn name(number: usize) -> String {
    format!("cluster-{number:04}")
}
