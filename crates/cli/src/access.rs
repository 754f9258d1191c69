//! Getting in: the kubeconfig entry of a cluster, and the token that kubectl asks for.

use std::error::Error;
use std::path::Path;

use clock::{Clock, SystemClock};
use jiff::SignedDuration;
use serde::Serialize;

use crate::arguments::GetToken;
use crate::eksctl::{self, Given};
use crate::kubeconfig::{self, Entry};
use crate::session::{CommandError, Done, Session};
use crate::signing;

/// How long kubectl may use a token: a minute less than the cluster takes it.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(14);

impl Session {
    /// Writes the cluster's entry and says under which context.
    ///
    /// # Errors
    /// When the cluster has no endpoint yet, or the file cannot be changed.
    pub async fn write_kubeconfig(&self, cluster: &str, given: &Given) -> Result<String, Box<dyn Error + Send + Sync>> {
        let described = self.existing_cluster(cluster).await?;
        let authority = described.certificate_authority.and_then(|authority| authority.data);
        let (Some(server), Some(certificate_authority_data)) = (described.endpoint, authority) else {
            return Err(CommandError::Usage(format!(
                "cluster {cluster} has no endpoint yet, it is {}",
                described.status.unwrap_or_default()
            ))
            .into());
        };
        let region = self.aws.region();
        let (name, context) = Entry::names(cluster, region, &self.aws.keys().user_name);
        let program = std::env::current_exe()?;
        let entry = Entry {
            cluster: name,
            context: context.clone(),
            server,
            certificate_authority_data,
            command: program.display().to_string(),
            args: ["get-token", "--cluster-name", cluster, "--region", region]
                .map(str::to_owned)
                .to_vec(),
            env: vec![
                (
                    "ONDOL_HOME".to_owned(),
                    std::path::absolute(&self.home)?.display().to_string(),
                ),
                (
                    crate::region::ACCOUNT.to_owned(),
                    self.aws.keys().account_id.to_string(),
                ),
            ],
        };
        let path = if given.is_on("auto-kubeconfig") {
            kubeconfig::own_path(cluster)?
        } else {
            kubeconfig::path(given.kubeconfig().as_deref())?
        };
        kubeconfig::write(&path, &entry, given.is_on("set-kubeconfig-context"))?;
        self.progress
            .done(format!("saved kubeconfig as {:?}", path.display().to_string()));
        Ok(context)
    }
}

/// `utils write-kubeconfig`.
pub async fn write_kubeconfig(home: &Path, given: &Given) -> Done {
    let (config, _) = eksctl::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    session.write_kubeconfig(&config.metadata.name, given).await?;
    Ok(())
}

/// kubectl's credential plug-in answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    kind: &'static str,
    api_version: &'static str,
    spec: Empty,
    status: ExecStatus,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    expiration_timestamp: String,
    token: String,
}

/// `get-token`: no call to the region, as with the AWS CLI.
pub fn get_token(home: &Path, options: &GetToken) -> Done {
    let session = Session::open(home, options.region.as_deref())?;
    let now = SystemClock.now();
    let status = ExecStatus {
        expiration_timestamp: (now + TOKEN_LIFE).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        token: signing::token(&options.cluster_name, session.aws.region(), session.aws.keys(), now),
    };
    let credential = ExecCredential {
        kind: "ExecCredential",
        api_version: "client.authentication.k8s.io/v1beta1",
        spec: Empty {},
        status,
    };
    println!("{}", serde_json::to_string(&credential)?);
    Ok(())
}
