//! What every command that speaks to the region has: its client, its progress lines, and how it waits.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_types::eks::{Cluster, DescribeClusterRequest, DescribeClusterResponse};
use aws_types::eks::{DescribeNodegroupRequest, DescribeNodegroupResponse, Nodegroup};

use crate::aws::{Aws, AwsError};
use crate::progress::Progress;
use crate::region;

/// How often a state is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// The result of a command.
pub type Done = Result<(), Box<dyn Error + Send + Sync>>;

/// What a step of a command makes.
pub type Made<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A command at work.
pub struct Session {
    /// The region.
    pub aws: Aws,
    /// Ondol's home.
    pub home: PathBuf,
    /// What is told.
    pub progress: Progress,
}

/// Why a command cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The named region is not known.
    #[error("region {0} is not known here; `aws ec2 describe-regions` lists those that are")]
    UnknownRegion(String),
    /// A cluster did not become what it should.
    #[error("cluster {name} is {status}: {reason}")]
    Cluster {
        /// Which.
        name: String,
        /// What it became.
        status: String,
        /// What EKS says about it.
        reason: String,
    },
    /// A node group did not become what it should.
    #[error("node group {name} of cluster {cluster} is {status}: {reason}")]
    Nodegroup {
        /// Its cluster.
        cluster: String,
        /// Which.
        name: String,
        /// What it became.
        status: String,
        /// What EKS says about it.
        reason: String,
    },
    /// It took too long.
    #[error("{what} took longer than {limit:?}; last seen: {seen}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// What was seen last.
        seen: String,
    },
    /// Flags or file lack something or contradict each other.
    #[error("{0}")]
    Usage(String),
}

impl Session {
    /// Finds the running process. The region is the asked one, that of the environment as for other AWS clients, or the one that the
    /// process was started as.
    ///
    /// # Errors
    /// When none runs, or the region is not known.
    pub fn open(home: &Path, wanted: Option<&str>) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut endpoint = region::endpoint(home)?;
        let of_environment = || {
            let mut variables = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter();
            variables.find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let wanted = wanted.map(str::to_owned).or_else(of_environment);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != endpoint.region) {
            if !aws_types::region::REGIONS.iter().any(|known| known.name == wanted) {
                return Err(CommandError::UnknownRegion(wanted).into());
            }
            endpoint.region = wanted;
        }
        let aws = Aws::new(home, endpoint, region::credentials(home)?);
        Ok(Self {
            aws,
            home: home.to_owned(),
            progress: Progress::start(),
        })
    }

    /// The cluster; `None` when there is none.
    ///
    /// # Errors
    /// Other answers than "not found".
    pub async fn cluster(&self, name: &str) -> Result<Option<Cluster>, AwsError> {
        let request = DescribeClusterRequest {
            name: Some(name.to_owned()),
        };
        match self
            .aws
            .eks::<DescribeClusterResponse>("DescribeCluster", &request)
            .await
        {
            Ok(answer) => Ok(answer.cluster),
            Err(error) if error.code() == "ResourceNotFound" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The cluster, which must be there.
    ///
    /// # Errors
    /// Also when there is none: EKS's own sentence.
    pub async fn existing_cluster(&self, name: &str) -> Result<Cluster, AwsError> {
        let request = DescribeClusterRequest {
            name: Some(name.to_owned()),
        };
        let answer: DescribeClusterResponse = self.aws.eks("DescribeCluster", &request).await?;
        Ok(answer.cluster.unwrap_or_default())
    }

    /// The node group; `None` when there is none.
    ///
    /// # Errors
    /// Other answers than "not found".
    pub async fn nodegroup(&self, cluster: &str, name: &str) -> Result<Option<Nodegroup>, AwsError> {
        let request = DescribeNodegroupRequest {
            cluster_name: Some(cluster.to_owned()),
            nodegroup_name: Some(name.to_owned()),
        };
        match self
            .aws
            .eks::<DescribeNodegroupResponse>("DescribeNodegroup", &request)
            .await
        {
            Ok(answer) => Ok(answer.nodegroup),
            Err(error) if error.code() == "ResourceNotFound" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the cluster is ACTIVE.
    ///
    /// # Errors
    /// When it fails, goes, or takes too long.
    pub async fn wait_for_cluster(&self, name: &str, limit: Duration) -> Result<Cluster, Box<dyn Error + Send + Sync>> {
        let mut timer = Timer::new(format!("cluster {name} becoming ACTIVE"), limit);
        loop {
            let cluster = self.existing_cluster(name).await?;
            let status = cluster.status.clone().unwrap_or_default();
            match status.as_str() {
                "ACTIVE" => return Ok(cluster),
                "CREATING" | "UPDATING" | "PENDING" => timer.pause(&status).await?,
                _ => {
                    let issues = cluster.health.and_then(|health| health.issues).unwrap_or_default();
                    let reason = issues
                        .into_iter()
                        .filter_map(|issue| issue.message)
                        .collect::<Vec<_>>()
                        .join("; ");
                    return Err(CommandError::Cluster {
                        name: name.to_owned(),
                        status,
                        reason,
                    }
                    .into());
                }
            }
        }
    }

    /// Waits until the node group is ACTIVE: all of its nodes are Ready.
    ///
    /// # Errors
    /// When it fails, goes, or takes too long.
    pub async fn wait_for_nodegroup(
        &self,
        cluster: &str,
        name: &str,
        limit: Duration,
    ) -> Result<Nodegroup, Box<dyn Error + Send + Sync>> {
        let mut timer = Timer::new(format!("node group {name} becoming ACTIVE"), limit);
        loop {
            let group = self.nodegroup(cluster, name).await?.unwrap_or_default();
            let status = group.status.clone().unwrap_or_else(|| "gone".to_owned());
            match status.as_str() {
                "ACTIVE" => return Ok(group),
                "CREATING" | "UPDATING" => timer.pause(&status).await?,
                _ => {
                    let issues = group.health.and_then(|health| health.issues).unwrap_or_default();
                    let sentence = |issue: aws_types::eks::Issue| {
                        format!(
                            "{}: {}",
                            issue.code.unwrap_or_default(),
                            issue.message.unwrap_or_default()
                        )
                    };
                    let reason = issues.into_iter().map(sentence).collect::<Vec<_>>().join("; ");
                    return Err(CommandError::Nodegroup {
                        cluster: cluster.to_owned(),
                        name: name.to_owned(),
                        status,
                        reason,
                    }
                    .into());
                }
            }
        }
    }

    /// Waits until there is no such node group.
    ///
    /// # Errors
    /// When it cannot be deleted or takes too long.
    pub async fn wait_for_no_nodegroup(&self, cluster: &str, name: &str, limit: Duration) -> Done {
        let mut timer = Timer::new(format!("deletion of node group {name}"), limit);
        while let Some(group) = self.nodegroup(cluster, name).await? {
            timer.pause(&group.status.unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// Waits until there is no such cluster.
    ///
    /// # Errors
    /// When it cannot be deleted or takes too long.
    pub async fn wait_for_no_cluster(&self, name: &str, limit: Duration) -> Done {
        let mut timer = Timer::new(format!("deletion of cluster {name}"), limit);
        while let Some(cluster) = self.cluster(name).await? {
            timer.pause(&cluster.status.unwrap_or_default()).await?;
        }
        Ok(())
    }
}

/// A wait with an end.
pub struct Timer {
    what: String,
    limit: Duration,
    began: jiff::Timestamp,
}

impl Timer {
    /// A wait for `what`, which begins now.
    pub fn new(what: String, limit: Duration) -> Self {
        use clock::Clock;
        Self {
            what,
            limit,
            began: clock::SystemClock.now(),
        }
    }

    /// Pauses until the next look.
    ///
    /// # Errors
    /// When the limit has passed.
    pub async fn pause(&mut self, seen: &str) -> Result<(), CommandError> {
        use clock::Clock;
        if clock::SystemClock.now().duration_since(self.began).unsigned_abs() > self.limit {
            return Err(CommandError::TimedOut {
                what: self.what.clone(),
                limit: self.limit,
                seen: seen.to_owned(),
            });
        }
        supervision::sleep(LOOK).await;
        Ok(())
    }
}
