//! A cluster's own VPC: made before it as eksctl's stack would, removed after it.

use aws_types::RegionName;
use cluster_lifecycle::cluster_config::ClusterConfig;
use ipnet::Ipv4Net;
use service_routing::subnets::plan_subnets;

use crate::aws::AwsError;
use crate::session::{CommandError, Made, Session};

/// eksctl's block.
const DEFAULT_CIDR: &str = "192.168.0.0/16";
/// How many zones eksctl takes.
const ZONES: usize = 3;
/// The tag by which a cluster's parts are found again.
const CLUSTER_TAG: &str = crate::stack::CLUSTER_TAG;

/// A subnet of the cluster.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Whether it is public.
    pub public: bool,
}

impl Session {
    /// Makes the VPC with a public and a private subnet in each zone.
    ///
    /// # Errors
    /// What EC2 answers, or a plan that cannot be cut; what was made by then is removed.
    pub async fn create_network(&self, config: &ClusterConfig) -> Made<Vec<Subnet>> {
        let cluster = &config.metadata.name;
        // A command that was killed may have left one behind; it belongs to no cluster.
        self.delete_network(cluster).await?;
        let made = self.try_create_network(config).await;
        let Err(error) = made else { return made };
        self.delete_network(cluster).await?;
        // A region that was killed between writing and answering has what it is asked for again: then all of it is
        // made once more.
        let was_repeated = error
            .downcast_ref::<AwsError>()
            .is_some_and(|error| error.code() == "InvalidSubnet.Conflict");
        if was_repeated {
            self.try_create_network(config).await
        } else {
            Err(error)
        }
    }

    async fn try_create_network(&self, config: &ClusterConfig) -> Made<Vec<Subnet>> {
        let cluster = &config.metadata.name;
        let text = config
            .vpc
            .as_ref()
            .and_then(|vpc| vpc.cidr.as_deref())
            .unwrap_or(DEFAULT_CIDR);
        let cidr: Ipv4Net = text
            .parse()
            .map_err(|error| CommandError::Usage(format!("vpc.cidr {text:?}: {error}")))?;
        let zones = self.zones(config)?;
        self.progress
            .info(format!("setting availability zones to [{}]", zones.join(" ")));
        let plan = plan_subnets(cidr, &zones)?;
        for zone in &plan {
            self.progress.info(format!(
                "subnets for {} - public:{} private:{}",
                zone.zone, zone.public, zone.private
            ));
        }
        let vpc = self.create_vpc(cluster, &cidr.to_string()).await?;
        let mut subnets = Vec::new();
        for zone in &plan {
            for (public, cidr) in [(true, zone.public), (false, zone.private)] {
                let id = self
                    .create_subnet(cluster, &vpc, &zone.zone, &cidr.to_string(), public)
                    .await?;
                subnets.push(Subnet {
                    id,
                    zone: zone.zone.clone(),
                    public,
                });
            }
        }
        Ok(subnets)
    }

    fn zones(&self, config: &ClusterConfig) -> Made<Vec<String>> {
        if let Some(zones) = &config.availability_zones {
            return Ok(zones.clone());
        }
        let name = RegionName::new(self.aws.region())?;
        let known = aws_types::region::find(&name)
            .map(aws_types::region::Region::zones)
            .unwrap_or_default();
        Ok(known
            .into_iter()
            .take(ZONES)
            .map(|(zone, _)| zone.to_string())
            .collect())
    }

    async fn create_vpc(&self, cluster: &str, cidr: &str) -> Made<String> {
        let name = format!("eksctl-{cluster}-cluster/VPC");
        let parameters = [
            ("CidrBlock", cidr),
            ("TagSpecification.1.ResourceType", "vpc"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", name.as_str()),
            ("TagSpecification.1.Tag.2.Key", CLUSTER_TAG),
            ("TagSpecification.1.Tag.2.Value", cluster),
        ];
        Ok(self
            .aws
            .ec2("CreateVpc", &parameters)
            .await?
            .first("vpcId")
            .unwrap_or_default())
    }

    async fn create_subnet(&self, cluster: &str, vpc: &str, zone: &str, cidr: &str, public: bool) -> Made<String> {
        let (kind, role) = if public {
            ("Public", "kubernetes.io/role/elb")
        } else {
            ("Private", "kubernetes.io/role/internal-elb")
        };
        let name = format!(
            "eksctl-{cluster}-cluster/Subnet{kind}{}",
            zone.replace('-', "").to_uppercase()
        );
        let parameters = [
            ("VpcId", vpc),
            ("CidrBlock", cidr),
            ("AvailabilityZone", zone),
            ("TagSpecification.1.ResourceType", "subnet"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", name.as_str()),
            ("TagSpecification.1.Tag.2.Key", CLUSTER_TAG),
            ("TagSpecification.1.Tag.2.Value", cluster),
            ("TagSpecification.1.Tag.3.Key", role),
            ("TagSpecification.1.Tag.3.Value", "1"),
        ];
        Ok(self
            .aws
            .ec2("CreateSubnet", &parameters)
            .await?
            .first("subnetId")
            .unwrap_or_default())
    }

    /// The subnets of a VPC that exists, as the configuration names them; `None` when it names none.
    ///
    /// # Errors
    /// When one is named otherwise than by its id, or EC2 does not know it.
    pub async fn given_network(&self, config: &ClusterConfig) -> Made<Option<Vec<Subnet>>> {
        let Some(named) = config.vpc.as_ref().and_then(|vpc| vpc.subnets.as_ref()) else {
            return Ok(None);
        };
        let mut subnets = Vec::new();
        for (public, kind, named) in [(true, "public", &named.public), (false, "private", &named.private)] {
            for (key, spec) in named.iter().flatten() {
                let missing = || CommandError::Usage(format!("vpc.subnets.{kind}.{key}: the subnet's id must be set"));
                let id = spec.id.clone().ok_or_else(missing)?;
                let found = self.aws.ec2("DescribeSubnets", &[("SubnetId.1", id.as_str())]).await?;
                let zone = found.first("availabilityZone").unwrap_or_default();
                subnets.push(Subnet { id, zone, public });
            }
        }
        self.progress
            .info(format!("using existing VPC with {} subnet(s)", subnets.len()));
        Ok(Some(subnets))
    }

    /// The subnets that were made for a cluster, found by their tag.
    ///
    /// # Errors
    /// What EC2 answers.
    pub async fn network(&self, cluster: &str) -> Made<Vec<Subnet>> {
        let tag = format!("tag:{CLUSTER_TAG}");
        let mut subnets = Vec::new();
        for (public, role) in [
            (true, "kubernetes.io/role/elb"),
            (false, "kubernetes.io/role/internal-elb"),
        ] {
            let filters = [
                ("Filter.1.Name", &*tag),
                ("Filter.1.Value.1", cluster),
                ("Filter.2.Name", "tag-key"),
                ("Filter.2.Value.1", role),
            ];
            let answer = self.aws.ec2("DescribeSubnets", &filters).await?;
            let found = answer.all("subnetId").into_iter().zip(answer.all("availabilityZone"));
            subnets.extend(found.map(|(id, zone)| Subnet { id, zone, public }));
        }
        Ok(subnets)
    }

    /// Removes the VPCs that were made for a cluster with their subnets; says how many there were.
    ///
    /// # Errors
    /// What EC2 answers, for example that something still uses them.
    pub async fn delete_network(&self, cluster: &str) -> Made<usize> {
        let tag = format!("tag:{CLUSTER_TAG}");
        let filter = [("Filter.1.Name", &*tag), ("Filter.1.Value.1", cluster)];
        for subnet in self.aws.ec2("DescribeSubnets", &filter).await?.all("subnetId") {
            self.aws.ec2("DeleteSubnet", &[("SubnetId", &subnet)]).await?;
        }
        let vpcs = self.aws.ec2("DescribeVpcs", &filter).await?.all("vpcId");
        for vpc in &vpcs {
            self.aws.ec2("DeleteVpc", &[("VpcId", vpc)]).await?;
        }
        Ok(vpcs.len())
    }
}
