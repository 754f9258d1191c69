//! X.509 as values: what a certificate signing request says, and the certificate that answers it.
//!
//! **Invariant:** holds no key and reads no clock: who signs, and what is allowed, is said elsewhere.
#![forbid(unsafe_code)]

mod der;
mod issue;
mod request;
mod trust;
mod usage;

pub use issue::{Authority, AuthorityError, Issuer, Wanted, check_chain, expiry, issue, validity};
pub use request::{Request, RequestError};
pub use trust::{any_client, any_server, known_servers};
pub use usage::Usage;

#[cfg(test)]
mod tests;
