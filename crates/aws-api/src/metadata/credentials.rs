//! The credentials of an instance's role: sessions whose name is the instance, made anew before they end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use access_rules::iam_policy::Facts;
use aws_types::InstanceId;
use jiff::SignedDuration;
use serde_json::json;

use super::facts;
use super::tree::{moment, role_name};
use crate::caller::Caller;
use crate::error::ApiError;
use crate::iam::entity::Entity;
use crate::operations::Context;
use crate::region::Region;
use crate::sts::{self, Session, assume};

/// How long credentials of an instance live.
const LIFE: SignedDuration = SignedDuration::from_hours(6);
/// What they must have left to be shown: SDKs look for others a quarter of an hour before the end.
const LEAST_LEFT: SignedDuration = SignedDuration::from_hours(1);

/// The sessions of a VPC's instances that were made last.
#[derive(Default)]
pub struct Credentials(Mutex<BTreeMap<InstanceId, Session>>);

impl Credentials {
    /// The document that SDKs read.
    ///
    /// # Errors
    /// When a session cannot be written down.
    pub async fn of(&self, region: &Arc<Region>, facts: &facts::Facts) -> Result<String, ApiError> {
        let now = region.clock.now();
        let Some(role) = role(region, facts) else {
            let name = role_name(&facts.role);
            let message = format!(
                "EC2 cannot assume the role {name}. Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc."
            );
            let refusal =
                json!({"Code": "AssumeRoleUnauthorizedAccess", "Message": message, "LastUpdated": moment(now)});
            return Ok(format!("{refusal:#}"));
        };
        let kept = self.kept().get(&facts.id).cloned();
        let arn = caller(region, facts, &role).arn;
        let fits = |session: &Session| session.expires_at > now + LEAST_LEFT && session.caller.arn == arn;
        let session = match kept.filter(fits) {
            Some(session) => session,
            None => {
                let caller = caller(region, facts, &role);
                let context = Context {
                    region: Arc::clone(region),
                    caller: caller.clone(),
                };
                let made = sts::issue(&context, caller, LIFE.as_secs()).await?;
                self.kept().retain(|_, session| session.expires_at > now);
                self.kept().insert(facts.id.clone(), made.clone());
                made
            }
        };
        let document = json!({
            "Code": "Success", "LastUpdated": moment(session.expires_at - LIFE), "Type": "AWS-HMAC",
            "AccessKeyId": session.access_key_id, "SecretAccessKey": session.secret, "Token": session.token,
            "Expiration": moment(session.expires_at),
        });
        Ok(format!("{document:#}"))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<InstanceId, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The instance's role, if it is there and lets EC2 have it.
pub fn role(region: &Region, facts: &facts::Facts) -> Option<Entity> {
    region.ledger.read(|state| {
        let role = assume::find(state, &facts.role)?;
        assume::trusts_service(role, "ec2.amazonaws.com", "sts:AssumeRole", &Facts::new()).then(|| role.clone())
    })
}

/// The instance as a caller: its role, in a session of its own name.
pub fn caller(region: &Region, facts: &facts::Facts, role: &Entity) -> Caller {
    assume::session(region.account(), role, facts.id.as_str(), None, BTreeMap::new())
}
