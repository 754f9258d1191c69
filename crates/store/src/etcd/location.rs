//! Where an etcd cluster is and how to be let in, as one URL:
//! `etcd://[user@]host:port[,host:port…][/prefix][?ca=…&cert=…&key=…&password-file=…]`.

use std::path::PathBuf;

use crate::StoreError;

#[cfg(test)]
mod tests;

/// The default port of etcd's clients.
const PORT: u16 = 2379;

/// An etcd cluster and the part of it that belongs to this store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EtcdLocation {
    /// `host:port` of the members.
    pub members: Vec<String>,
    /// What all keys begin with; may be empty.
    pub prefix: String,
    /// Speak TLS: `etcds://`, or certificates are given.
    pub tls: bool,
    /// File of the CA that the members' certificates are checked with; the system's roots are not asked.
    pub ca: Option<PathBuf>,
    /// Files of a client certificate and its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// User and the file that holds the password.
    pub user: Option<(String, PathBuf)>,
}

impl EtcdLocation {
    /// Reads a URL.
    ///
    /// # Errors
    /// `Invalid` that names what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let invalid = |problem: &str| StoreError::Invalid(format!("{url}: {problem}"));
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid("expected etcd://host:port"))?;
        let secure = match scheme {
            "etcd" => false,
            "etcds" => true,
            _ => return Err(invalid("expected etcd:// or etcds://")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user.to_owned()), hosts),
            None => (None, authority),
        };
        let members: Vec<String> = hosts
            .split(',')
            .filter(|host| !host.is_empty())
            .map(with_port)
            .collect();
        if members.is_empty() {
            return Err(invalid("no host is named"));
        }
        let mut parameters = Parameters::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "ca" => &mut parameters.ca,
                "cert" => &mut parameters.certificate,
                "key" => &mut parameters.key,
                "password-file" => &mut parameters.password,
                other => return Err(invalid(&format!("unknown parameter {other}"))),
            };
            *slot = Some(PathBuf::from(value));
        }
        let client_certificate = match (parameters.certificate, parameters.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(invalid("cert and key belong together")),
        };
        let user = match (user, parameters.password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            _ => return Err(invalid("a user and password-file belong together")),
        };
        Ok(Self {
            members,
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("/{prefix}")
            },
            tls: secure || parameters.ca.is_some() || client_certificate.is_some(),
            ca: parameters.ca,
            client_certificate,
            user,
        })
    }

    /// The same cluster with a longer prefix.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self {
            prefix: format!("{}/{name}", self.prefix),
            ..self.clone()
        }
    }
}

#[derive(Default)]
struct Parameters {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    password: Option<PathBuf>,
}

fn with_port(host: &str) -> String {
    let named = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if named {
        host.to_owned()
    } else {
        format!("{host}:{PORT}")
    }
}
