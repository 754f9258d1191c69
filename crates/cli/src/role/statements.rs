//! The permissions that eksctl's words (`autoScaler`, `externalDNS` …) stand for: actions and resources, as AWS's guides name
//! them for each controller.

use stack_planner::Node;

use super::{map, texts};

/// A statement that allows actions on resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    actions: &'static [&'static str],
    resources: &'static [&'static str],
}

impl Statement {
    /// As a part of a policy.
    pub fn node(&self) -> Node {
        map([
            ("Effect", Node::text("Allow")),
            ("Action", texts(self.actions)),
            ("Resource", texts(self.resources)),
        ])
    }
}

const fn on(resources: &'static [&'static str], actions: &'static [&'static str]) -> Statement {
    Statement { actions, resources }
}

const EVERYTHING: &[&str] = &["*"];
const HOSTED_ZONES: &[&str] = &["arn:aws:route53:::hostedzone/*"];

const AUTO_SCALING: &[Statement] = &[on(
    EVERYTHING,
    &[
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:DescribeTags",
        "autoscaling:SetDesiredCapacity",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
        "eks:DescribeNodegroup",
    ],
)];

const EXTERNAL_DNS: &[Statement] = &[
    on(HOSTED_ZONES, &["route53:ChangeResourceRecordSets"]),
    on(
        EVERYTHING,
        &[
            "route53:ListHostedZones",
            "route53:ListResourceRecordSets",
            "route53:ListTagsForResource",
            "route53:ListTagsForResources",
        ],
    ),
];

const CERT_MANAGER: &[Statement] = &[
    on(HOSTED_ZONES, &["route53:ChangeResourceRecordSets"]),
    on(&["arn:aws:route53:::change/*"], &["route53:GetChange"]),
    on(
        EVERYTHING,
        &["route53:ListResourceRecordSets", "route53:ListHostedZonesByName"],
    ),
];

const LOAD_BALANCERS: &[Statement] = &[on(
    EVERYTHING,
    &[
        "iam:CreateServiceLinkedRole",
        "ec2:Describe*",
        "ec2:GetCoipPoolUsage",
        "ec2:GetSecurityGroupsForVpc",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:CreateSecurityGroup",
        "ec2:DeleteSecurityGroup",
        "ec2:CreateTags",
        "ec2:DeleteTags",
        "elasticloadbalancing:*",
        "cognito-idp:DescribeUserPoolClient",
        "acm:ListCertificates",
        "acm:DescribeCertificate",
        "iam:ListServerCertificates",
        "iam:GetServerCertificate",
        "waf-regional:*WebACL*",
        "wafv2:*WebACL*",
        "shield:GetSubscriptionState",
        "shield:DescribeProtection",
        "shield:CreateProtection",
        "shield:DeleteProtection",
    ],
)];

const FILE_SYSTEMS: &[Statement] = &[on(
    EVERYTHING,
    &[
        "elasticfilesystem:DescribeAccessPoints",
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeMountTargets",
        "elasticfilesystem:CreateAccessPoint",
        "elasticfilesystem:DeleteAccessPoint",
        "elasticfilesystem:TagResource",
        "ec2:DescribeAvailabilityZones",
    ],
)];

const EFS: &[Statement] = &[on(EVERYTHING, &["elasticfilesystem:*"])];
const FSX: &[Statement] = &[on(EVERYTHING, &["fsx:*", "iam:CreateServiceLinkedRole"])];
const X_RAY: &[Statement] = &[on(
    EVERYTHING,
    &[
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:GetSamplingStatisticSummaries",
    ],
)];
const MESH_SUPPORT: Statement = on(
    EVERYTHING,
    &[
        "servicediscovery:*",
        "route53:GetHealthCheck",
        "route53:CreateHealthCheck",
        "route53:UpdateHealthCheck",
        "route53:DeleteHealthCheck",
        "route53:ChangeResourceRecordSets",
    ],
);
const APP_MESH: &[Statement] = &[on(EVERYTHING, &["appmesh:*"]), MESH_SUPPORT];
const APP_MESH_PREVIEW: &[Statement] = &[on(EVERYTHING, &["appmesh-preview:*"]), MESH_SUPPORT];

const CONNECTOR: &[Statement] = &[
    on(&["arn:aws:eks:*:*:cluster/*"], &["ssmmessages:CreateControlChannel"]),
    on(
        EVERYTHING,
        &[
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenDataChannel",
            "ssmmessages:OpenControlChannel",
        ],
    ),
];

/// The statements of a policy, by its logical name.
pub fn statements(policy: &str) -> Vec<Statement> {
    let statements = match policy {
        "PolicyAutoScaling" => AUTO_SCALING,
        "PolicyExternalDNS" => EXTERNAL_DNS,
        "PolicyCertManager" => CERT_MANAGER,
        "PolicyAWSLoadBalancerController" => LOAD_BALANCERS,
        "PolicyEFSCSIController" => FILE_SYSTEMS,
        "PolicyEFS" => EFS,
        "PolicyFSX" => FSX,
        "PolicyXRay" => X_RAY,
        "PolicyAppMesh" => APP_MESH,
        "PolicyAppMeshPreview" => APP_MESH_PREVIEW,
        "eks-connector-agent" => CONNECTOR,
        _ => &[],
    };
    statements.to_vec()
}
