//! `explain`: what the controllers would do about an object now.

use std::path::Path;

use clock::{Clock, SystemClock};

use crate::arguments::{Explain, Output};
use crate::session::{CommandError, Done, Session};
use crate::signing;

/// Asks the region and prints its answer as it comes.
pub async fn explain(home: &Path, options: &Explain) -> Done {
    let session = Session::open(home, None)?;
    let Some((kind, name)) = options.object.split_once('/').filter(|(_, name)| !name.is_empty()) else {
        let message = format!("{:?} is not kind/name, for example deployment/web", options.object);
        return Err(CommandError::Usage(message).into());
    };
    let cluster = match &options.cluster {
        Some(cluster) => cluster.clone(),
        None => only_cluster(&session).await?,
    };
    let token = signing::token(&cluster, session.aws.region(), session.aws.keys(), SystemClock.now());
    let form = match options.output {
        Output::Table => "text",
        Output::Json => "json",
        Output::Yaml => "yaml",
    };
    let query = [
        ("kind", kind),
        ("namespace", options.namespace.as_str()),
        ("name", name),
        ("form", form),
        ("region", session.aws.region()),
        ("account", session.aws.keys().account_id.as_str()),
    ];
    let path = format!("/_ondol/clusters/{cluster}/explain");
    let answer = session.aws.control_text(&path, &query, &token).await?;
    println!("{}", answer.trim_end());
    Ok(())
}

async fn only_cluster(session: &Session) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let clusters = session.clusters().await?;
    match clusters.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(CommandError::Usage("there is no cluster".to_owned()).into()),
        several => {
            let message = format!("say which cluster is meant with --cluster: {}", several.join(", "));
            Err(CommandError::Usage(message).into())
        }
    }
}
