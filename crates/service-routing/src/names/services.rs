//! Which of AWS's host names stand for services of the region, which a VPC's resolver leads to the region itself.

/// Labels of names that are no service's endpoint: objects in S3, registries of images (whose layers come from there), load balancers,
/// instances and databases. These are somebody's own hosts and stay where they are.
const NOT_SERVICES: [&str; 8] = [
    "s3",
    "s3-accelerate",
    "s3express",
    "dkr",
    "elb",
    "compute",
    "compute-1",
    "rds",
];

/// Whether a name is that of a service's endpoint: `sts.ap-northeast-2.amazonaws.com`, `iam.amazonaws.com`, `eks-auth.us-east-1.api.aws`.
/// Those of all regions count: keys of this one are no use at any other, and are best not shown to it.
///
/// `name` may end with a dot and is compared without regard to case.
#[must_use]
pub fn is_endpoint(name: &str) -> bool {
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    let service = lower
        .strip_suffix(".amazonaws.com")
        .or_else(|| lower.strip_suffix(".api.aws"));
    let Some(service) = service else { return false };
    let mut labels = service.split('.');
    labels.clone().all(|label| !label.is_empty())
        && labels.all(|label| !NOT_SERVICES.contains(&label) && !label.starts_with("s3-"))
}

#[cfg(test)]
mod tests {
    use super::is_endpoint;

    #[test]
    fn endpoints_are_told_from_hosts() {
        for (name, expected) in [
            ("sts.ap-northeast-2.amazonaws.com", true),
            ("STS.amazonaws.com.", true),
            ("oidc.eks.ap-northeast-2.amazonaws.com", true),
            ("api.ecr.ap-northeast-2.amazonaws.com", true),
            ("eks-auth.ap-northeast-2.api.aws", true),
            ("amazonaws.com", false),
            (".amazonaws.com", false),
            ("602401143452.dkr.ecr.us-west-2.amazonaws.com", false),
            ("bucket.s3.us-west-2.amazonaws.com", false),
            ("s3.amazonaws.com", false),
            ("s3-us-west-2.amazonaws.com", false),
            ("name-1.us-west-2.elb.amazonaws.com", false),
            ("ec2-1-2-3-4.compute-1.amazonaws.com", false),
            ("ip-10-0-1-5.ap-northeast-2.compute.internal", false),
            ("example.com", false),
        ] {
            assert_eq!(is_endpoint(name), expected, "{name}");
        }
    }
}
