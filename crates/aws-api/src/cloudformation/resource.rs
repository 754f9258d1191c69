//! Resource types: which operations make, change and remove them, what `Ref` and `Fn::GetAtt` give, when they are ready.

mod capacity;
mod ec2;
mod eks;
mod iam;
mod nested;
mod scaling;
mod services;
mod users;

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::{self, Context};

/// Types that are known.
const KINDS: &[&str] = &[
    "AWS::CloudFormation::WaitConditionHandle",
    nested::KIND,
    "AWS::EC2::EIP",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::LaunchTemplate",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::PlacementGroup",
    "AWS::EC2::Route",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::Subnet",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCEndpoint",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EKS::AccessEntry",
    "AWS::EKS::Addon",
    "AWS::EKS::Cluster",
    "AWS::EKS::FargateProfile",
    "AWS::EKS::Nodegroup",
    "AWS::EKS::PodIdentityAssociation",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::OIDCProvider",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
];

/// Whether there is such a type here.
pub fn is_known(kind: &str) -> bool {
    [KINDS, services::KINDS, capacity::KINDS, scaling::KINDS, users::KINDS]
        .iter()
        .any(|kinds| kinds.contains(&kind))
}

/// A resource of a stack, on the way to be made or changed.
pub struct Wanted<'a> {
    /// On whose behalf.
    pub context: &'a Context,
    /// Its type.
    pub kind: &'a str,
    /// Its name in the template.
    pub logical: &'a str,
    /// The stack's name.
    pub stack: &'a str,
    /// The stack's id.
    pub stack_id: &'a str,
    /// Its properties, evaluated.
    pub properties: &'a Value,
    /// How an update is to go about it, evaluated; null when nothing is said.
    pub update_policy: &'a Value,
    /// The stack's tags.
    pub tags: &'a std::collections::BTreeMap<String, String>,
}

/// What became of a change.
pub enum Updated {
    /// It was changed where it is.
    Done,
    /// Only a new one can be so.
    Replace,
}

impl Wanted<'_> {
    /// Calls an operation as a client would.
    async fn call(&self, table: &'static str, operation: &str, input: Value) -> Result<Value, ApiError> {
        operations::perform(self.context.clone(), table, operation, without_nulls(input)).await
    }

    /// The template's and the stack's tags, and those by which CloudFormation finds what it has made.
    fn all_tags(&self) -> Vec<Value> {
        let mut tags = self.tags.clone();
        tags.extend(self.properties.tags("Tags"));
        tags.insert("aws:cloudformation:stack-name".to_owned(), self.stack.to_owned());
        tags.insert("aws:cloudformation:stack-id".to_owned(), self.stack_id.to_owned());
        tags.insert("aws:cloudformation:logical-id".to_owned(), self.logical.to_owned());
        tags.into_iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect()
    }

    /// A name as CloudFormation makes them: the same for the same resource of the same stack, so that what was made before
    /// the process was killed is found again.
    fn generated_name(&self, most: usize) -> String {
        let text = format!("{}/{}", self.stack_id, self.logical);
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let suffix = format!("{hash:016X}");
        let room = most.saturating_sub(14);
        let base: String = format!("{}-{}", self.stack, self.logical).chars().take(room).collect();
        format!("{base}-{}", &suffix[..12])
    }

    fn name(&self, member: &str, most: usize) -> String {
        self.properties
            .text(member)
            .map_or_else(|| self.generated_name(most), str::to_owned)
    }
}

/// Members that are null are members that are not there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        other => other,
    }
}

fn unsupported(kind: &str) -> ApiError {
    ApiError::bad_request("InvalidRequest", format!("Resource type {kind} is not supported"))
}

/// Makes a resource and answers its physical id. One that was made already is found, not made again.
///
/// # Errors
/// What the service answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    match wanted.kind {
        "AWS::CloudFormation::WaitConditionHandle" => Ok(format!("{}/{}", wanted.stack_id, wanted.logical)),
        nested::KIND => nested::create(wanted).await,
        kind if services::KINDS.contains(&kind) => services::create(wanted).await,
        kind if capacity::KINDS.contains(&kind) => capacity::create(wanted).await,
        kind if scaling::KINDS.contains(&kind) => scaling::create(wanted).await,
        kind if kind.starts_with("AWS::EC2::") => ec2::create(wanted).await,
        kind if users::KINDS.contains(&kind) => users::create(wanted).await,
        kind if kind.starts_with("AWS::IAM::") => iam::create(wanted).await,
        kind if kind.starts_with("AWS::EKS::") => eks::create(wanted).await,
        kind => Err(unsupported(kind)),
    }
}

/// Changes a resource.
///
/// # Errors
/// What the service answers.
pub async fn update(wanted: &Wanted<'_>, physical: &str, before: &Value) -> Result<Updated, ApiError> {
    match wanted.kind {
        nested::KIND => nested::update(wanted, physical).await,
        kind if services::KINDS.contains(&kind) => services::update(wanted, physical).await,
        kind if capacity::KINDS.contains(&kind) => capacity::update(wanted, physical, before).await,
        kind if scaling::KINDS.contains(&kind) => scaling::update(wanted).await,
        kind if kind.starts_with("AWS::EC2::") => ec2::update(wanted, physical, before).await,
        kind if users::KINDS.contains(&kind) => users::update(wanted, physical, before).await,
        kind if kind.starts_with("AWS::IAM::") => iam::update(wanted, physical, before).await,
        kind if kind.starts_with("AWS::EKS::") => eks::update(wanted, physical, before).await,
        _ => Ok(Updated::Done),
    }
}

/// Removes a resource; one that is gone is success.
///
/// # Errors
/// What the service answers.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let removed = match wanted.kind {
        nested::KIND => nested::delete(wanted, physical).await,
        kind if services::KINDS.contains(&kind) => services::delete(wanted, physical).await,
        kind if capacity::KINDS.contains(&kind) => capacity::delete(wanted, physical).await,
        kind if scaling::KINDS.contains(&kind) => scaling::delete(wanted, physical).await,
        kind if kind.starts_with("AWS::EC2::") => ec2::delete(wanted, physical).await,
        kind if users::KINDS.contains(&kind) => users::delete(wanted, physical).await,
        kind if kind.starts_with("AWS::IAM::") => iam::delete(wanted, physical).await,
        kind if kind.starts_with("AWS::EKS::") => eks::delete(wanted, physical).await,
        _ => Ok(()),
    };
    match removed {
        Err(error) if is_gone(&error.code) => Ok(()),
        other => other,
    }
}

fn is_gone(code: &str) -> bool {
    code.contains("NotFound") || matches!(code, "NoSuchEntity" | "Gateway.NotAttached")
}

/// Where a resource that is being made or removed is.
pub enum Progress {
    /// Still on the way.
    Busy,
    /// There, or gone.
    Done,
    /// It will not be.
    Failed(String),
}

/// How far a resource is that was asked for.
pub fn created(state: &State, kind: &str, physical: &str) -> Progress {
    match kind {
        nested::KIND => nested::created(state, physical),
        kind if kind.starts_with("AWS::EKS::") => eks::created(state, kind, physical),
        _ => capacity::created(state, kind, physical),
    }
}

/// How far the removal of a resource is.
pub fn removed(state: &State, kind: &str, physical: &str) -> Progress {
    match kind {
        nested::KIND => nested::removed(state, physical),
        kind if kind.starts_with("AWS::EKS::") => eks::removed(state, kind, physical),
        _ => capacity::removed(state, kind, physical),
    }
}

/// What `Ref` gives.
pub fn reference(kind: &str, physical: &str) -> String {
    match kind {
        // The name and the ARN are both kept of these.
        "AWS::EC2::EIP" => physical.split('|').next().unwrap_or_default().to_owned(),
        _ => physical.to_owned(),
    }
}

/// What `Fn::GetAtt` gives.
pub fn attribute(state: &State, kind: &str, physical: &str, name: &str) -> Option<Value> {
    match kind {
        nested::KIND => nested::attribute(state, physical, name),
        kind if services::KINDS.contains(&kind) => services::attribute(state, kind, physical, name),
        kind if capacity::KINDS.contains(&kind) => capacity::attribute(state, kind, physical, name),
        kind if kind.starts_with("AWS::EC2::") => ec2::attribute(state, kind, physical, name),
        kind if users::KINDS.contains(&kind) => users::attribute(state, kind, physical, name),
        kind if kind.starts_with("AWS::IAM::") => iam::attribute(state, kind, physical, name),
        kind if kind.starts_with("AWS::EKS::") => eks::attribute(state, kind, physical, name),
        _ => None,
    }
}

/// Whether an update looks at a resource although its properties are what they were.
pub fn is_always_updated(kind: &str) -> bool {
    kind == nested::KIND
}

/// Whether a property can only be had by a new resource.
pub fn replaces(kind: &str, property: &str) -> bool {
    let keeps: &[&str] = match kind {
        nested::KIND => return false,
        "AWS::EC2::VPC" => &["EnableDnsSupport", "EnableDnsHostnames", "Tags"],
        "AWS::EC2::Subnet" => &["MapPublicIpOnLaunch", "Tags", "PrivateDnsNameOptionsOnLaunch"],
        "AWS::EC2::SecurityGroup" => &["SecurityGroupIngress", "SecurityGroupEgress", "Tags"],
        "AWS::EC2::LaunchTemplate" => &["LaunchTemplateData", "VersionDescription", "TagSpecifications"],
        "AWS::EC2::Route" => &["GatewayId", "NatGatewayId"],
        "AWS::EC2::InternetGateway" | "AWS::EC2::RouteTable" | "AWS::EC2::NatGateway" | "AWS::EC2::EIP" => &["Tags"],
        "AWS::IAM::Role" => &[
            "AssumeRolePolicyDocument",
            "ManagedPolicyArns",
            "Policies",
            "Description",
            "MaxSessionDuration",
            "PermissionsBoundary",
            "Tags",
        ],
        "AWS::IAM::Policy" => &["PolicyDocument", "Roles", "Users", "Groups"],
        "AWS::IAM::ManagedPolicy" => &["PolicyDocument", "Roles", "Users", "Groups"],
        "AWS::IAM::OIDCProvider" => &["ThumbprintList", "ClientIdList", "Tags"],
        "AWS::IAM::InstanceProfile" => &["Roles"],
        "AWS::EKS::Cluster" => &[
            "Version",
            "Logging",
            "Tags",
            "AccessConfig",
            "UpgradePolicy",
            "ResourcesVpcConfig",
            "DeletionProtection",
        ],
        "AWS::EKS::Nodegroup" => &[
            "ScalingConfig",
            "Labels",
            "Taints",
            "UpdateConfig",
            "Version",
            "ReleaseVersion",
            "Tags",
            "ForceUpdateEnabled",
            "LaunchTemplate",
        ],
        "AWS::EKS::Addon" => &[
            "AddonVersion",
            "ServiceAccountRoleArn",
            "ConfigurationValues",
            "ResolveConflicts",
            "Tags",
            "PreserveOnDelete",
            "PodIdentityAssociations",
        ],
        "AWS::EKS::AccessEntry" => &["AccessPolicies", "KubernetesGroups", "Username", "Tags"],
        "AWS::EKS::PodIdentityAssociation" => &["RoleArn", "TargetRoleArn", "DisableSessionTags", "Tags"],
        "AWS::EC2::VPCEndpoint" => &["Tags"],
        other if users::KINDS.contains(&other) => users::keeps(other),
        other if capacity::KINDS.contains(&other) => capacity::keeps(other),
        other if scaling::KINDS.contains(&other) => return scaling::replaces(other, property),
        other => services::keeps(other),
    };
    !keeps.contains(&property)
}
