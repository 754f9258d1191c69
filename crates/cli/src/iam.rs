//! IAM as the commands need it: roles made and removed by name, and the cluster's OIDC provider.

use aws_types::eks::Cluster;
use sha2::{Digest, Sha256};

use crate::aws::AwsError;
use crate::role::Role;
use crate::session::{CommandError, Made, Session};

/// The longest name of a role.
const LONGEST_NAME: usize = 64;
/// The thumbprint that AWS no longer looks at, but asks for.
const THUMBPRINT: &str = "0000000000000000000000000000000000000000";
/// Who tokens of service accounts are for.
const AUDIENCE: &str = "sts.amazonaws.com";

/// A role's name: the wanted one, cut with a mark of its own where it is too long.
pub fn role_name(wanted: &str) -> String {
    if wanted.len() <= LONGEST_NAME {
        return wanted.to_owned();
    }
    let mark = hex::encode(&Sha256::digest(wanted)[..4]);
    let kept: String = wanted.chars().take(LONGEST_NAME - 9).collect();
    format!("{kept}-{mark}")
}

/// What exists already is what was wanted: a repeated call finds it so.
fn or_there<T: Default>(outcome: Result<T, AwsError>) -> Result<T, AwsError> {
    match outcome {
        Err(error) if error.code() == "EntityAlreadyExists" => Ok(T::default()),
        other => other,
    }
}

/// What is gone already needs no deletion.
fn or_gone<T: Default>(outcome: Result<T, AwsError>) -> Result<T, AwsError> {
    match outcome {
        Err(error) if error.code() == "NoSuchEntity" => Ok(T::default()),
        other => other,
    }
}

impl Session {
    /// Makes a role with its policies, or completes one that is there; tells its ARN.
    ///
    /// # Errors
    /// What IAM answers, for example that a policy does not exist.
    pub async fn create_role(&self, name: &str, role: &Role) -> Made<String> {
        let trust = serde_json::to_string(&role.trust.document())?;
        let mut parameters = vec![
            ("RoleName", name),
            ("AssumeRolePolicyDocument", trust.as_str()),
            ("Description", role.description.as_str()),
        ];
        if let Some(boundary) = &role.boundary {
            parameters.push(("PermissionsBoundary", boundary));
        }
        or_there(self.aws.iam("CreateRole", &parameters).await)?;
        for policy in &role.managed {
            let parameters = [("RoleName", name), ("PolicyArn", policy.as_str())];
            self.aws.iam("AttachRolePolicy", &parameters).await?;
        }
        for (policy, document) in role.documents() {
            let document = serde_json::to_string(&document)?;
            let parameters = [
                ("RoleName", name),
                ("PolicyName", policy.as_str()),
                ("PolicyDocument", document.as_str()),
            ];
            self.aws.iam("PutRolePolicy", &parameters).await?;
        }
        let made = self.aws.iam("GetRole", &[("RoleName", name)]).await?;
        let arn = made.find("Arn").map(|arn| arn.text.clone());
        arn.ok_or_else(|| CommandError::Usage(format!("role {name} has no ARN")).into())
    }

    /// Removes a role with its policies. One that is gone is success.
    ///
    /// # Errors
    /// What IAM answers.
    pub async fn delete_role(&self, name: &str) -> Result<(), AwsError> {
        let own = [("RoleName", name)];
        let attached = or_gone(self.aws.iam("ListAttachedRolePolicies", &own).await)?;
        for policy in attached.list("AttachedPolicies") {
            let arn = policy.member("PolicyArn").unwrap_or_default();
            let parameters = [("RoleName", name), ("PolicyArn", arn)];
            or_gone(self.aws.iam("DetachRolePolicy", &parameters).await)?;
        }
        let inline = or_gone(self.aws.iam("ListRolePolicies", &own).await)?;
        for policy in inline.list("PolicyNames") {
            let parameters = [("RoleName", name), ("PolicyName", policy.text.as_str())];
            or_gone(self.aws.iam("DeleteRolePolicy", &parameters).await)?;
        }
        or_gone(self.aws.iam("DeleteRole", &own).await).map(drop)
    }

    /// Host and path of the cluster's issuer, without a port, as IAM names it.
    ///
    /// # Errors
    /// When the cluster has none yet.
    pub fn issuer(&self, cluster: &Cluster) -> Result<String, CommandError> {
        let issuer = cluster
            .identity
            .as_ref()
            .and_then(|identity| identity.oidc.as_ref()?.issuer.clone());
        let url = issuer.ok_or_else(|| CommandError::Usage("the cluster has no OIDC issuer yet".to_owned()))?;
        let rest = url.trim_start_matches("https://").trim_end_matches('/');
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.split(':').next().unwrap_or_default();
        Ok(format!("{host}/{path}"))
    }

    fn provider_arn(&self, issuer: &str) -> String {
        format!("arn:aws:iam::{}:oidc-provider/{issuer}", self.aws.keys().account_id)
    }

    /// The ARN of the cluster's OIDC provider, if IAM knows one.
    ///
    /// # Errors
    /// What IAM answers.
    pub async fn oidc_provider(&self, issuer: &str) -> Result<Option<String>, AwsError> {
        let arn = self.provider_arn(issuer);
        let found = self
            .aws
            .iam(
                "GetOpenIDConnectProvider",
                &[("OpenIDConnectProviderArn", arn.as_str())],
            )
            .await;
        match found {
            Ok(_) => Ok(Some(arn)),
            Err(error) if error.code() == "NoSuchEntity" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets roles trust the tokens of the cluster's service accounts.
    ///
    /// # Errors
    /// What IAM answers.
    pub async fn create_oidc_provider(&self, cluster: &Cluster) -> Made<String> {
        let issuer = self.issuer(cluster)?;
        let url = format!("https://{issuer}");
        let parameters = [
            ("Url", url.as_str()),
            ("ClientIDList.member.1", AUDIENCE),
            ("ThumbprintList.member.1", THUMBPRINT),
            ("Tags.member.1.Key", crate::stack::CLUSTER_TAG),
            ("Tags.member.1.Value", cluster.name.as_deref().unwrap_or_default()),
        ];
        or_there(self.aws.iam("CreateOpenIDConnectProvider", &parameters).await)?;
        Ok(self.provider_arn(&issuer))
    }

    /// Removes the provider of a cluster that goes.
    ///
    /// # Errors
    /// What IAM answers.
    pub async fn delete_oidc_provider(&self, cluster: &Cluster) -> Made<()> {
        let arn = self.provider_arn(&self.issuer(cluster)?);
        let parameters = [("OpenIDConnectProviderArn", arn.as_str())];
        or_gone(self.aws.iam("DeleteOpenIDConnectProvider", &parameters).await)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_too_long_are_cut_and_stay_apart() {
        assert_eq!(role_name("short"), "short");
        let (one, other) = ("a".repeat(80), format!("{}b", "a".repeat(79)));
        assert_eq!(role_name(&one).len(), LONGEST_NAME);
        assert_ne!(role_name(&one), role_name(&other));
    }
}
