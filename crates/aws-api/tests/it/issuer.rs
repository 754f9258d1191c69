//! The service-account key of the fake clusters: known to the tests, so that they can sign tokens as a cluster would.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

/// A token with these claims.
pub fn sign(claims: &Value) -> String {
    let header = Header {
        kid: Some("test".to_owned()),
        ..Header::new(Algorithm::RS256)
    };
    let key = EncodingKey::from_rsa_pem(include_bytes!("issuer.pem")).unwrap();
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}
