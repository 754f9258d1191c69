//! Objects that everybody can read: the templates that AWS's guides name by their URLs, written anew.

/// Where the EKS User Guide has the template of a VPC with public and private subnets. Its folders are the days of its versions.
const VPC: (&str, &str) = ("amazon-eks", "/amazon-eks-vpc-private-subnets.yaml");

/// The text of a public object.
pub(super) fn find(bucket: &str, key: &str) -> Option<&'static str> {
    let is_vpc = bucket == VPC.0 && key.starts_with("cloudformation/") && key.ends_with(VPC.1);
    is_vpc.then_some(include_str!("public/eks-vpc.yaml"))
}
