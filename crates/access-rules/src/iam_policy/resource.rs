//! What IAM says of a statement's resources: they are `*` or ARNs, and some services' ARNs have rules of their own.

const PARTITIONS: &[&str] = &[
    "aws",
    "aws-cn",
    "aws-us-gov",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
    "aws-eusc",
];

/// What a resource of IAM begins with.
const IAM_PATHS: &[&str] = &[
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

/// IAM's sentence about a resource that it refuses.
pub(super) fn fault(resource: &str) -> Option<String> {
    if resource == "*" {
        return None;
    }
    let Some((_, rest)) = resource.split_once(':') else {
        return Some(format!("Resource {resource} must be in ARN format or \"*\"."));
    };
    let (partition, rest) = match rest.split_once(':') {
        Some((partition, rest)) => (partition, Some(rest)),
        None => (rest, None),
    };
    if partition != "*" && !PARTITIONS.contains(&partition) {
        let arn = completed(partition, rest.unwrap_or_default());
        return Some(format!(
            "Partition \"{partition}\" is not valid for resource \"{arn}\"."
        ));
    }
    let Some(rest) = rest else {
        return Some("Resource vendor must be fully qualified and cannot contain regexes.".to_owned());
    };
    let mut parts = rest.splitn(4, ':');
    let [service, region, _account, id] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    match service {
        "iam" if !region.is_empty() => Some(format!("IAM resource {resource} cannot contain region information.")),
        "iam" if id != "*" && !IAM_PATHS.iter().any(|path| id.starts_with(path)) => Some(format!(
            "IAM resource path must either be \"*\" or start with {}.",
            IAM_PATHS.join(", ")
        )),
        "s3" if !region.is_empty() && !id.starts_with("accesspoint/") => {
            Some(format!("Resource {resource} can not contain region information."))
        }
        _ => None,
    }
}

/// An ARN with `*` for the parts that are missing.
fn completed(partition: &str, rest: &str) -> String {
    let mut parts = rest.splitn(4, ':');
    let first = parts.next().unwrap_or_default();
    let first = if first.is_empty() && !rest.contains(':') {
        "*"
    } else {
        first
    };
    let [region, account, id] = std::array::from_fn(|_| parts.next().unwrap_or("*"));
    format!("arn:{partition}:{first}:{region}:{account}:{id}")
}

/// Whether IAM's older parser can read a resource: with an empty part it needs all six, and a service.
pub(super) fn is_legible(resource: &str) -> bool {
    let has_parts = !resource.contains("::") || resource.matches(':').count() >= 5;
    resource == "*" || (has_parts && resource.split(':').nth(2).is_some_and(|service| !service.is_empty()))
}
