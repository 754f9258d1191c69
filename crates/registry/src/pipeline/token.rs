//! Continue tokens: base64url of `{"v":"meta.k8s.io/v1","rv":…,"start":…}`, as upstream's `storage/continue.go`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::status::StatusError;

/// The form's version.
const VERSION: &str = "meta.k8s.io/v1";

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Continue {
    v: String,
    /// Revision of the whole list; -1 = any, for lists that are allowed to be inconsistent.
    #[serde(default)]
    pub rv: i64,
    /// First key, relative to the resource's prefix.
    pub start: String,
}

impl Continue {
    pub fn new(rv: i64, start: String) -> Self {
        Self {
            v: VERSION.to_owned(),
            rv,
            start,
        }
    }

    pub fn encode(&self) -> String {
        // A struct of texts and a number always has a JSON form.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub fn decode(token: &str) -> Result<Self, StatusError> {
        let invalid = |problem: String| StatusError::bad_request(format!("continue key is not valid: {problem}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|error| invalid(error.to_string()))?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        if token.v != VERSION {
            return Err(invalid(format!(
                "server does not recognize this encoded version {:?}",
                token.v
            )));
        }
        if token.rv == 0 {
            return Err(invalid(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned(),
            ));
        }
        if token.start.is_empty() || token.start.split('/').any(|part| part == "..") {
            return Err(invalid("encoded start key is empty or leaves its range".to_owned()));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_journey_and_bad_ones_are_refused() {
        let token = Continue::new(42, "default/a\0".to_owned());
        assert_eq!(Continue::decode(&token.encode()).unwrap(), token);
        for bad in [
            "",
            "!!",
            "e30",
            &Continue::new(0, "a".into()).encode(),
            &Continue::new(1, "../x".into()).encode(),
        ] {
            assert_eq!(Continue::decode(bad).unwrap_err().code(), 400, "{bad}");
        }
    }
}
