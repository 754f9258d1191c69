//! `create|get|delete fargateprofile`, and the profiles of a file.

use std::path::Path;
use std::time::Duration;

use aws_types::eks::{
    CreateFargateProfileRequest, CreateFargateProfileResponse, DeleteFargateProfileRequest,
    DeleteFargateProfileResponse, DescribeFargateProfileRequest, DescribeFargateProfileResponse,
    FargateProfile as EksProfile, FargateProfileSelector as EksSelector, ListFargateProfilesRequest,
    ListFargateProfilesResponse,
};
use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::ClusterConfig;
use cluster_lifecycle::cluster_config::parts::{FargateProfile, FargateProfileSelector};

use super::config;
use super::given::Given;
use crate::arguments::Output;
use crate::aws::AwsError;
use crate::output;
use crate::role::{Role, Trust, managed};
use crate::session::{CommandError, Done, Made, Session, Timer};

/// `create fargateprofile`.
pub async fn create(home: &Path, given: &Given) -> Done {
    let (mut config, _) = config::existing(given, &["name", "namespace", "labels", "tags"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    if given.config_file().is_none() {
        let namespace = given.text("namespace");
        let selector = FargateProfileSelector {
            namespace: Some(namespace.ok_or_else(|| CommandError::Usage("--namespace must be set".to_owned()))?),
            labels: given.pairs("labels")?,
        };
        let name = given
            .name("name")?
            .unwrap_or_else(|| format!("fp-{}", SystemRandom.hex(8)));
        config.fargate_profiles = Some(vec![FargateProfile {
            name: Some(name),
            selectors: Some(vec![selector]),
            tags: given.pairs("tags")?,
            ..FargateProfile::default()
        }]);
    }
    session.existing_cluster(&config.metadata.name).await?;
    session.create_fargate_profiles(&config, given.timeout()).await
}

/// `get fargateprofile`.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let names = match given.name("name")? {
        Some(name) => vec![name],
        None => session.fargate_profiles(cluster).await?,
    };
    let mut found = Vec::new();
    for name in &names {
        found.push(session.describe_fargate_profile(cluster, name).await?);
    }
    let profiles: Vec<FargateProfile> = found.into_iter().map(shown).collect();
    let form = given.output()?;
    if form != Output::Table {
        return output::print_items(form, &profiles);
    }
    let rows: Vec<[String; 7]> = profiles.iter().flat_map(rows).collect();
    let header = [
        "NAME",
        "SELECTOR_NAMESPACE",
        "SELECTOR_LABELS",
        "POD_EXECUTION_ROLE_ARN",
        "SUBNETS",
        "TAGS",
        "STATUS",
    ];
    output::print(form, "fargateprofiles", &rows, header, Clone::clone)
}

fn rows(profile: &FargateProfile) -> Vec<[String; 7]> {
    let subnets = profile.subnets.clone().unwrap_or_default();
    let row = |selector: &FargateProfileSelector| {
        [
            profile.name.clone().unwrap_or_default(),
            selector.namespace.clone().unwrap_or_default(),
            output::labels(selector.labels.as_ref()),
            profile.pod_execution_role_arn.clone().unwrap_or_default(),
            if subnets.is_empty() {
                "<none>".to_owned()
            } else {
                subnets.join(",")
            },
            output::labels(profile.tags.as_ref()),
            profile.status.clone().unwrap_or_default(),
        ]
    };
    profile.selectors.iter().flatten().map(row).collect()
}

fn shown(profile: EksProfile) -> FargateProfile {
    let selector = |one: EksSelector| FargateProfileSelector {
        namespace: one.namespace,
        labels: one.labels.filter(|labels| !labels.is_empty()),
    };
    FargateProfile {
        name: profile.fargate_profile_name,
        pod_execution_role_arn: profile.pod_execution_role_arn,
        selectors: profile.selectors.map(|all| all.into_iter().map(selector).collect()),
        subnets: profile.subnets,
        tags: profile.tags.filter(|tags| !tags.is_empty()),
        status: profile.status,
    }
}

/// `delete fargateprofile`.
pub async fn delete(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &["name"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let names: Vec<String> = match &config.fargate_profiles {
        Some(profiles) => profiles.iter().filter_map(|profile| profile.name.clone()).collect(),
        None => {
            let name = given.name("name")?;
            vec![name.ok_or_else(|| CommandError::Usage("invalid Fargate profile: empty name".to_owned()))?]
        }
    };
    for name in &names {
        session.start_deleting_fargate_profile(cluster, name).await?;
        session
            .progress
            .info(format!("deleted Fargate profile {name:?} on EKS cluster {cluster:?}"));
        if given.is_on("wait") {
            session
                .wait_for_no_fargate_profile(cluster, name, given.timeout())
                .await?;
        }
    }
    Ok(())
}

impl Session {
    /// Makes the profiles of a configuration one after another, as EKS wants it.
    ///
    /// # Errors
    /// What EKS answers.
    pub async fn create_fargate_profiles(&self, config: &ClusterConfig, limit: Duration) -> Done {
        let profiles = config.fargate_profiles.as_deref().unwrap_or_default();
        if profiles.is_empty() {
            return Ok(());
        }
        let cluster = &config.metadata.name;
        let own = config
            .iam
            .as_ref()
            .and_then(|iam| iam.fargate_pod_execution_role_arn.clone());
        let subnets = self.network(cluster).await?;
        let private: Vec<String> = subnets
            .into_iter()
            .filter(|subnet| !subnet.public)
            .map(|subnet| subnet.id)
            .collect();
        let there = self.fargate_profiles(cluster).await?;
        for profile in profiles {
            let name = profile.name.clone().unwrap_or_default();
            if there.contains(&name) {
                self.progress.info(format!(
                    "Fargate profile {name:?} already exists on EKS cluster {cluster:?}"
                ));
                continue;
            }
            let role = match profile.pod_execution_role_arn.clone().or_else(|| own.clone()) {
                Some(role) => role,
                None => self.fargate_role(cluster, limit).await?,
            };
            self.progress
                .info(format!("creating Fargate profile {name:?} on EKS cluster {cluster:?}"));
            let selectors = profile.selectors.iter().flatten().map(|selector| EksSelector {
                namespace: selector.namespace.clone(),
                labels: selector.labels.clone(),
            });
            let request = CreateFargateProfileRequest {
                fargate_profile_name: Some(name.clone()),
                cluster_name: Some(cluster.clone()),
                pod_execution_role_arn: Some(role),
                subnets: profile
                    .subnets
                    .clone()
                    .or_else(|| Some(private.clone()).filter(|ids| !ids.is_empty())),
                selectors: Some(selectors.collect()),
                client_request_token: Some(SystemRandom.uuid()),
                tags: profile.tags.clone(),
            };
            let made = self
                .aws
                .eks::<CreateFargateProfileResponse>("CreateFargateProfile", &request);
            made.await?;
            self.wait_for_fargate_profile(cluster, &name, limit).await?;
            self.progress
                .info(format!("created Fargate profile {name:?} on EKS cluster {cluster:?}"));
        }
        Ok(())
    }

    /// The role that pulls the images of Fargate's pods.
    async fn fargate_role(&self, cluster: &str, limit: Duration) -> Made<String> {
        let logical = "FargatePodExecutionRole";
        let mut role = Role::new(
            logical,
            format!("role of the Fargate pods of {cluster}"),
            Trust::Service("eks-fargate-pods.amazonaws.com"),
        );
        role.managed = vec![managed("AmazonEKSFargatePodExecutionRolePolicy")];
        let name = format!("eksctl-{cluster}-fargate");
        let stack = self.create_stack(cluster, &name, &role.template(), &[], limit).await?;
        let arn = stack.outputs.get(logical).cloned();
        arn.ok_or_else(|| CommandError::Usage(format!("stack {name} tells no role")).into())
    }

    /// The names of a cluster's profiles.
    ///
    /// # Errors
    /// What EKS answers.
    pub async fn fargate_profiles(&self, cluster: &str) -> Result<Vec<String>, AwsError> {
        let mut request = ListFargateProfilesRequest {
            cluster_name: Some(cluster.to_owned()),
            ..ListFargateProfilesRequest::default()
        };
        let mut names = Vec::new();
        loop {
            let page: ListFargateProfilesResponse = self.aws.eks("ListFargateProfiles", &request).await?;
            names.extend(page.fargate_profile_names.unwrap_or_default());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(names);
            }
        }
    }

    async fn describe_fargate_profile(&self, cluster: &str, name: &str) -> Result<EksProfile, AwsError> {
        let request = DescribeFargateProfileRequest {
            cluster_name: Some(cluster.to_owned()),
            fargate_profile_name: Some(name.to_owned()),
        };
        let answer: DescribeFargateProfileResponse = self.aws.eks("DescribeFargateProfile", &request).await?;
        Ok(answer.fargate_profile.unwrap_or_default())
    }

    async fn wait_for_fargate_profile(&self, cluster: &str, name: &str, limit: Duration) -> Done {
        let mut timer = Timer::new(format!("Fargate profile {name} becoming ACTIVE"), limit);
        loop {
            let status = self
                .describe_fargate_profile(cluster, name)
                .await?
                .status
                .unwrap_or_default();
            match status.as_str() {
                "ACTIVE" => return Ok(()),
                "CREATING" => timer.pause(&status).await?,
                _ => return Err(CommandError::Usage(format!("Fargate profile {name} is {status}")).into()),
            }
        }
    }

    /// Asks for the deletion of a profile. The next one may be asked for when it is gone.
    ///
    /// # Errors
    /// What EKS answers.
    pub async fn start_deleting_fargate_profile(&self, cluster: &str, name: &str) -> Result<(), AwsError> {
        let request = DeleteFargateProfileRequest {
            cluster_name: Some(cluster.to_owned()),
            fargate_profile_name: Some(name.to_owned()),
        };
        self.aws
            .eks::<DeleteFargateProfileResponse>("DeleteFargateProfile", &request)
            .await
            .map(drop)
    }

    /// Waits until a profile is gone.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn wait_for_no_fargate_profile(&self, cluster: &str, name: &str, limit: Duration) -> Done {
        let mut timer = Timer::new(format!("deletion of Fargate profile {name}"), limit);
        while self.fargate_profiles(cluster).await?.iter().any(|there| there == name) {
            timer.pause("DELETING").await?;
        }
        Ok(())
    }
}
