//! SSH keys of node groups: a key pair of EC2's, or a public key that becomes one under eksctl's name for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_types::eks::RemoteAccessConfig;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use cluster_lifecycle::cluster_config::ClusterConfig;
use cluster_lifecycle::cluster_config::parts::NodeGroupSsh;
use sha2::{Digest, Sha256};

use crate::aws::AwsError;
use crate::session::{CommandError, Made, Session};

/// Where eksctl looks when no key is named.
const DEFAULT_KEY: &str = "~/.ssh/id_rsa.pub";

/// What stands before the fingerprint in the names of a cluster's keys.
fn prefix(cluster: &str) -> String {
    format!("eksctl-{cluster}-nodegroup-")
}

/// The fingerprint of a public key in OpenSSH's form, as OpenSSH shows it.
fn fingerprint(key: &str) -> Option<String> {
    let blob = STANDARD.decode(key.split_whitespace().nth(1)?).ok()?;
    Some(STANDARD_NO_PAD.encode(Sha256::digest(blob)))
}

/// A path whose `~` is the user's home.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// How node groups are reached by SSH, by their names.
pub type SshAccesses = BTreeMap<String, RemoteAccessConfig>;

impl Session {
    /// The SSH access of every node group that is to have it.
    ///
    /// # Errors
    /// When there is no such key, or EC2 does not take it.
    pub async fn ssh_accesses(&self, config: &ClusterConfig) -> Made<SshAccesses> {
        let mut accesses = SshAccesses::new();
        for group in config.managed_node_groups.iter().flatten() {
            let ssh = group.ssh.clone().unwrap_or_default();
            if let Some(access) = self.ssh_access(&config.metadata.name, &group.name, &ssh).await? {
                accesses.insert(group.name.clone(), access);
            }
        }
        Ok(accesses)
    }

    /// How a group's nodes are reached by SSH, if they are to be: with the name of the key pair, which is made when it must.
    ///
    /// # Errors
    /// When there is no such key, or EC2 does not take it.
    async fn ssh_access(&self, cluster: &str, group: &str, ssh: &NodeGroupSsh) -> Made<Option<RemoteAccessConfig>> {
        let names_key = ssh.public_key.is_some() || ssh.public_key_name.is_some() || ssh.public_key_path.is_some();
        if !ssh.allow.unwrap_or(names_key) {
            return Ok(None);
        }
        let key = match (&ssh.public_key, &ssh.public_key_name) {
            (Some(key), _) => self.import_key(cluster, group, key).await?,
            (None, Some(name)) => self.existing_key(name).await?,
            (None, None) => {
                let path = ssh.public_key_path.as_deref().unwrap_or(DEFAULT_KEY);
                match std::fs::read_to_string(expanded(path)) {
                    Ok(key) => self.import_key(cluster, group, &key).await?,
                    // What is no file may be the name of a key pair.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.existing_key(path).await?,
                    Err(error) => return Err(CommandError::Usage(format!("SSH public key {path:?}: {error}")).into()),
                }
            }
        };
        let progress = &self.progress;
        progress.info(format!("using EC2 key pair {key:?}"));
        progress.warning("nodes have no SSH server; use `kubectl debug node/NAME`");
        Ok(Some(RemoteAccessConfig {
            ec2_ssh_key: Some(key),
            source_security_groups: ssh.source_security_group_ids.clone(),
        }))
    }

    async fn existing_key(&self, name: &str) -> Made<String> {
        match self.aws.ec2("DescribeKeyPairs", &[("KeyName.1", name)]).await {
            Ok(_) => Ok(name.to_owned()),
            Err(error) if error.code() == "InvalidKeyPair.NotFound" => {
                Err(CommandError::Usage(format!("cannot find EC2 key pair {name:?}")).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn import_key(&self, cluster: &str, group: &str, key: &str) -> Made<String> {
        let print = fingerprint(key);
        let print = print.ok_or_else(|| CommandError::Usage(format!("parsing SSH public key {key:?}")))?;
        let name = format!("{}{group}-{print}", prefix(cluster));
        let material = STANDARD.encode(key);
        let parameters = [("KeyName", name.as_str()), ("PublicKeyMaterial", material.as_str())];
        match self.aws.ec2("ImportKeyPair", &parameters).await {
            Ok(_) => Ok(name),
            // The name says which key it is.
            Err(error) if error.code() == "InvalidKeyPair.Duplicate" => Ok(name),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the key pairs that were made for a cluster's node groups.
    ///
    /// # Errors
    /// What EC2 answers.
    pub async fn delete_ssh_keys(&self, cluster: &str) -> Result<(), AwsError> {
        let known = self.aws.ec2("DescribeKeyPairs", &[]).await?.all("keyName");
        for name in known.iter().filter(|name| name.starts_with(&prefix(cluster))) {
            self.aws.ec2("DeleteKeyPair", &[("KeyName", name)]).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_openssh_s() {
        // From `ssh-keygen -lf`.
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChLMQzsqa7tXgnOSvUYJkYKGOIBDHpcIhrTBvOSl me@here";
        let print = fingerprint(key).unwrap();
        assert_eq!(print, "x+upC6PoQKvANnD5is+8QYelhgwgs1+w31cdzxjEnkc");
        assert_eq!(fingerprint("no key"), None);
    }
}
