//! The cluster's CA as the signer of what is asked for through the certificates API.

use certificates::{AuthorityError, Issuer, Wanted, issue};
use jiff::Timestamp;
use rcgen::{PKCS_ECDSA_P256_SHA256, SigningKey};

use super::ClusterPki;

impl certificates::Authority for ClusterPki {
    fn expires(&self) -> Result<Timestamp, AuthorityError> {
        Ok(Issuer::parse(self.ca_pem())?.expires)
    }

    fn issue(&self, wanted: &Wanted<'_>) -> Result<String, AuthorityError> {
        let key = self.authority.key();
        if *key.algorithm() != PKCS_ECDSA_P256_SHA256 {
            return Err(AuthorityError::Key("it is not an ECDSA key on P-256".to_owned()));
        }
        issue(wanted, &Issuer::parse(self.ca_pem())?, |content| {
            key.sign(content)
                .map_err(|error| AuthorityError::Key(error.to_string()))
        })
    }
}
