//! Roles as eksctl's stacks make them: for service accounts, pod identities, nodes and Fargate's pods.

use cluster_lifecycle::cluster_config::parts::{AddonPolicies, Document, WellKnownPolicies};
use stack_planner::Node;

mod statements;

use statements::Statement;
pub use statements::statements;

/// Who may assume a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// A service, `eks.amazonaws.com`.
    Service(&'static str),
    /// A service account by EKS Pod Identity.
    PodIdentity,
    /// A service account by its token.
    ServiceAccount {
        /// The provider's ARN.
        provider: String,
        /// Host and path of the issuer.
        issuer: String,
        /// `namespace:name`.
        account: String,
    },
}

/// A role that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// What the stack says it is.
    pub description: String,
    /// Its logical name in the stack, which is also the output that tells its ARN.
    pub logical: &'static str,
    /// Its own name; CloudFormation gives one otherwise.
    pub name: Option<String>,
    /// Who may assume it.
    pub trust: Trust,
    /// Managed policies.
    pub managed: Vec<String>,
    /// Inline policies: logical name and statements.
    pub inline: Vec<(String, Vec<Statement>)>,
    /// An inline policy of the user's.
    pub document: Option<Document>,
    /// Its permissions boundary.
    pub boundary: Option<String>,
}

/// The ARN of a policy of AWS's.
pub fn managed(name: &str) -> String {
    format!("arn:aws:iam::aws:policy/{name}")
}

/// A map of a template.
pub fn map<const N: usize>(entries: [(&str, Node); N]) -> Node {
    Node::Map(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// A list of texts of a template.
pub fn texts<T: AsRef<str>>(items: &[T]) -> Node {
    Node::List(items.iter().map(|item| Node::text(item.as_ref())).collect())
}

impl Role {
    /// A role of that trust with nothing attached.
    pub fn new(logical: &'static str, description: impl Into<String>, trust: Trust) -> Self {
        Self {
            description: description.into(),
            logical,
            name: None,
            trust,
            managed: Vec::new(),
            inline: Vec::new(),
            document: None,
            boundary: None,
        }
    }

    /// Attaches what eksctl's words stand for.
    pub fn well_known(&mut self, words: &WellKnownPolicies) {
        let on = |word: Option<bool>| word == Some(true);
        if on(words.image_builder) {
            self.managed.push(managed("AmazonEC2ContainerRegistryPowerUser"));
        }
        if on(words.ebs_csi_controller) {
            self.managed.push(managed("service-role/AmazonEBSCSIDriverPolicy"));
        }
        let policies = [
            (on(words.auto_scaler), "PolicyAutoScaling"),
            (
                on(words.aws_load_balancer_controller),
                "PolicyAWSLoadBalancerController",
            ),
            (on(words.external_dns), "PolicyExternalDNS"),
            (on(words.cert_manager), "PolicyCertManager"),
            (on(words.efs_csi_controller), "PolicyEFSCSIController"),
        ];
        self.attach(&policies);
    }

    /// Attaches what a node group's `withAddonPolicies` stands for.
    pub fn addon_policies(&mut self, words: &AddonPolicies) {
        let on = |word: Option<bool>| word == Some(true);
        for (wanted, policy) in [
            (on(words.image_builder), "AmazonEC2ContainerRegistryPowerUser"),
            (on(words.cloud_watch), "CloudWatchAgentServerPolicy"),
            (on(words.ebs), "service-role/AmazonEBSCSIDriverPolicy"),
        ] {
            if wanted {
                self.managed.push(managed(policy));
            }
        }
        let policies = [
            (on(words.auto_scaler), "PolicyAutoScaling"),
            (
                on(words.aws_load_balancer_controller) || on(words.alb_ingress),
                "PolicyAWSLoadBalancerController",
            ),
            (on(words.external_dns), "PolicyExternalDNS"),
            (on(words.cert_manager), "PolicyCertManager"),
            (on(words.efs), "PolicyEFS"),
            (on(words.fsx), "PolicyFSX"),
            (on(words.x_ray), "PolicyXRay"),
            (on(words.app_mesh), "PolicyAppMesh"),
            (on(words.app_mesh_preview), "PolicyAppMeshPreview"),
        ];
        self.attach(&policies);
    }

    fn attach(&mut self, policies: &[(bool, &'static str)]) {
        let wanted = policies.iter().filter(|(wanted, _)| *wanted);
        self.inline
            .extend(wanted.map(|(_, name)| ((*name).to_owned(), statements(name))));
    }

    /// The template of a stack that holds the role and its policies, and tells the role's ARN.
    pub fn template(&self) -> Node {
        let mut properties = vec![
            ("AssumeRolePolicyDocument".to_owned(), self.trust.document()),
            ("ManagedPolicyArns".to_owned(), texts(&self.managed)),
        ];
        if let Some(name) = &self.name {
            properties.push(("RoleName".to_owned(), Node::text(name)));
        }
        if let Some(boundary) = &self.boundary {
            properties.push(("PermissionsBoundary".to_owned(), Node::text(boundary)));
        }
        let role = map([
            ("Type", Node::text("AWS::IAM::Role")),
            ("Properties", Node::Map(properties)),
        ]);
        let mut resources = vec![(self.logical.to_owned(), role)];
        for (name, document) in self.documents() {
            let policy = self.policy(&name, document);
            resources.push((name, policy));
        }
        let attribute = map([("Fn::GetAtt", Node::text(format!("{}.Arn", self.logical)))]);
        map([
            ("AWSTemplateFormatVersion", Node::text("2010-09-09")),
            ("Description", Node::text(&self.description)),
            ("Resources", Node::Map(resources)),
            (
                "Outputs",
                Node::Map(vec![(self.logical.to_owned(), map([("Value", attribute)]))]),
            ),
        ])
    }

    /// The inline policies: name and document.
    pub fn documents(&self) -> Vec<(String, Node)> {
        let inline = self.inline.iter().map(|(name, statements)| {
            let list = statements.iter().map(Statement::node).collect();
            (name.clone(), policy_document(Node::List(list)))
        });
        let own = self
            .document
            .iter()
            .map(|document| ("Policy1".to_owned(), node(document)));
        inline.chain(own).collect()
    }

    fn policy(&self, name: &str, document: Node) -> Node {
        let own_name = map([("Fn::Sub", Node::text(format!("${{AWS::StackName}}-{name}")))]);
        let role = map([("Ref", Node::text(self.logical))]);
        map([
            ("Type", Node::text("AWS::IAM::Policy")),
            (
                "Properties",
                map([
                    ("PolicyName", own_name),
                    ("Roles", Node::List(vec![role])),
                    ("PolicyDocument", document),
                ]),
            ),
        ])
    }
}

fn policy_document(statements: Node) -> Node {
    map([("Version", Node::text("2012-10-17")), ("Statement", statements)])
}

impl Trust {
    /// The trust policy.
    pub fn document(&self) -> Node {
        let statement = match self {
            Self::Service(service) => map([
                ("Effect", Node::text("Allow")),
                ("Action", texts(&["sts:AssumeRole"])),
                ("Principal", map([("Service", texts(&[service]))])),
            ]),
            Self::PodIdentity => map([
                ("Effect", Node::text("Allow")),
                ("Action", texts(&["sts:AssumeRole", "sts:TagSession"])),
                ("Principal", map([("Service", Node::text("pods.eks.amazonaws.com"))])),
            ]),
            Self::ServiceAccount {
                provider,
                issuer,
                account,
            } => {
                let equals = Node::Map(vec![
                    (
                        format!("{issuer}:sub"),
                        Node::text(format!("system:serviceaccount:{account}")),
                    ),
                    (format!("{issuer}:aud"), Node::text("sts.amazonaws.com")),
                ]);
                map([
                    ("Effect", Node::text("Allow")),
                    ("Action", texts(&["sts:AssumeRoleWithWebIdentity"])),
                    ("Principal", map([("Federated", Node::text(provider))])),
                    ("Condition", map([("StringEquals", equals)])),
                ])
            }
        };
        policy_document(Node::List(vec![statement]))
    }
}

/// A part of a file as a part of a template.
pub fn node(document: &Document) -> Node {
    match document {
        Document::Null => Node::Null,
        Document::Boolean(value) => Node::Bool(*value),
        Document::Integer(value) => Node::Integer(*value),
        Document::Number(value) => Node::Float(*value),
        Document::Text(text) => Node::text(text),
        Document::List(items) => Node::List(items.iter().map(node).collect()),
        Document::Map(entries) => Node::Map(entries.iter().map(|(key, value)| (key.clone(), node(value))).collect()),
    }
}

#[cfg(test)]
mod tests;
