//! What a plugin says of itself, and until when it is believed.
//!
//! Source: `kmsv2PluginProbe` in `apiserver/pkg/server/options/encryptionconfig/config.go`.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::v2::StatusResponse;

/// How long a plugin that was well is asked again later, and one that was not.
pub const PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(10));

/// How long values may be written after a plugin was last known to be well.
const BELIEVED: Duration = Duration::from_secs(180);

/// Longest name of a key, in bytes.
const LONGEST_KEY_ID: usize = 1024;

/// What is known of a plugin.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether it was asked once.
    pub probed: bool,
    /// The key that encrypts, as it was last said.
    pub key_id: String,
    /// The version that it said first.
    version: String,
    writable_until: Option<Instant>,
    /// What was wrong when it was asked last.
    pub problem: Option<String>,
}

impl Health {
    /// Takes an answer in, or the failure to get one; `began` is when the question was asked.
    pub fn take(&mut self, name: &str, answer: Result<StatusResponse, String>, began: Instant) {
        self.probed = true;
        self.problem = match answer {
            Err(error) => Some(format!(
                "failed to perform status section of the healthz check for KMS Provider {name}, error: {error}"
            )),
            Ok(answer) => match self.problems(&answer).as_slice() {
                [] => {
                    self.key_id = answer.key_id;
                    self.writable_until = Some(began + BELIEVED);
                    None
                }
                [one] => Some(unhealthy(name, one)),
                several => Some(unhealthy(name, &format!("[{}]", several.join(", ")))),
            },
        };
    }

    fn problems(&mut self, answer: &StatusResponse) -> Vec<String> {
        let mut problems = Vec::new();
        if answer.healthz != "ok" {
            problems.push(format!("got unexpected healthz status: {}", answer.healthz));
        }
        if !matches!(answer.version.as_str(), "v2" | "v2beta1") {
            problems.push(format!("expected KMSv2 API version v2, got {}", answer.version));
        } else if self.version.is_empty() {
            self.version.clone_from(&answer.version);
        } else if self.version != answer.version {
            problems.push(format!(
                "KMSv2 API version should not change after the initial status response version {}, got {}",
                self.version, answer.version
            ));
        }
        if let Err(problem) = check_key_id(&answer.key_id) {
            let hash = hash(&answer.key_id);
            problems.push(format!("got invalid KMSv2 KeyID hash {hash:?}: {problem}"));
        }
        problems
    }

    /// Whether values may be written now.
    ///
    /// # Errors
    /// Why not.
    pub fn check_writable(&self, now: Instant) -> Result<(), String> {
        match self.writable_until {
            Some(until) if now <= until => Ok(()),
            Some(until) => Err(format!(
                "encryptedDEKSource with keyID hash {:?} expired {} seconds ago",
                hash(&self.key_id),
                (now - until).as_secs()
            )),
            None => Err(self
                .problem
                .clone()
                .unwrap_or_else(|| "the plugin has not answered yet".to_owned())),
        }
    }
}

fn unhealthy(name: &str, problem: &str) -> String {
    format!("kmsv2 Provider {name} is not healthy, error: {problem}")
}

fn check_key_id(key_id: &str) -> Result<(), String> {
    match key_id.len() {
        0 => Err("keyID is empty".to_owned()),
        length if length > LONGEST_KEY_ID => Err(format!(
            "keyID is {length} bytes, which exceeds the max size of {LONGEST_KEY_ID}"
        )),
        _ => Ok(()),
    }
}

/// Names of keys may be secret: messages have their hash.
fn hash(key_id: &str) -> String {
    if key_id.is_empty() {
        return String::new();
    }
    format!("sha256:{}", hex::encode(Sha256::digest(key_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(version: &str, healthz: &str, key_id: &str) -> Result<StatusResponse, String> {
        Ok(StatusResponse {
            version: version.to_owned(),
            healthz: healthz.to_owned(),
            key_id: key_id.to_owned(),
        })
    }

    #[test]
    fn a_plugin_that_is_not_well_is_believed_for_three_minutes() {
        let (mut health, start) = (Health::default(), Instant::now());
        assert!(health.check_writable(start).is_err(), "nothing is known yet");
        health.take("p", answer("v2", "ok", "one"), start);
        assert_eq!((health.problem.as_deref(), health.key_id.as_str()), (None, "one"));
        health.take("p", Err("gone".to_owned()), start + BELIEVED / 2);
        assert_eq!(health.key_id, "one");
        assert!(health.check_writable(start + BELIEVED).is_ok());
        let late = health
            .check_writable(start + BELIEVED + Duration::from_secs(5))
            .unwrap_err();
        assert!(
            late.starts_with("encryptedDEKSource with keyID hash \"sha256:") && late.ends_with("expired 5 seconds ago")
        );
        health.take("p", answer("v2", "ok", "two"), start + BELIEVED * 2);
        assert!(health.check_writable(start + BELIEVED * 2).is_ok());
        assert_eq!(health.key_id, "two");
    }

    #[test]
    fn what_is_wrong_with_an_answer_is_said_in_upstreams_words() {
        let (mut health, now) = (Health::default(), Instant::now());
        let mut said = |answer| {
            health.take("p", answer, now);
            health.problem.clone().unwrap_or_default()
        };
        assert_eq!(
            said(answer("v2", "sick", "one")),
            "kmsv2 Provider p is not healthy, error: got unexpected healthz status: sick"
        );
        assert_eq!(
            said(answer("v3", "ok", "")),
            "kmsv2 Provider p is not healthy, error: [expected KMSv2 API version v2, got v3, \
             got invalid KMSv2 KeyID hash \"\": keyID is empty]"
        );
        let changed = said(answer("v2beta1", "ok", "one"));
        assert!(changed.contains("should not change after the initial status response version v2, got v2beta1"));
        assert_eq!(said(answer("v2", "ok", "one")), "");
    }
}
