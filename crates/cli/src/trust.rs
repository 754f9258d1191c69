//! `ondol trust`: what to do so that clients believe the region's TLS endpoint and the issuers of its clusters.

use std::error::Error;
use std::path::{Path, PathBuf};

use aws_types::region_files::{AUTHORITY_FILE, BUNDLE_FILE};

use crate::region;

/// `trust`.
#[derive(Debug, clap::Args)]
pub struct Trust {
    /// Print the certificate of the region's authority, PEM, and nothing else.
    #[arg(long, conflicts_with = "bundle")]
    pub pem: bool,
    /// Write that certificate and those that the system trusts to a file.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
}

/// Prints or writes certificates, or says how to use them. The machine's own store is changed by nobody but the user.
pub fn trust(home: &Path, options: &Trust) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (authority, bundle) = (home.join(AUTHORITY_FILE), home.join(BUNDLE_FILE));
    let pem = read(home, &authority)?;
    if options.pem {
        print!("{pem}");
        return Ok(());
    }
    if let Some(file) = &options.bundle {
        let text = read(home, &bundle)?;
        std::fs::write(file, text).map_err(|error| format!("write {}: {error}", file.display()))?;
        println!("wrote {}", file.display());
        return Ok(());
    }
    let address = region::endpoint(home).ok().and_then(|endpoint| endpoint.tls_endpoint);
    println!("{}", instructions(address.as_deref(), &authority, &bundle));
    Ok(())
}

fn read(home: &Path, path: &Path) -> Result<String, region::FindError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(region::FindError::NotRunning { home: home.to_owned() })
        }
        Err(source) => {
            let path = PathBuf::from(path);
            Err(region::FindError::Read { path, source })
        }
    }
}

fn instructions(address: Option<&str>, authority: &Path, bundle: &Path) -> String {
    let (authority, bundle) = (authority.display(), bundle.display());
    let address = address.unwrap_or("https://localhost:4566");
    format!(
        "The region answers TLS at {address}, with a certificate of its own authority:
  {authority}
Together with those that this machine trusts already it is in:
  {bundle}

For one shell (`ondol env` prints these too):
  export AWS_CA_BUNDLE='{bundle}'   # aws, boto3
  export SSL_CERT_FILE='{bundle}'   # eksctl, terraform and other Go programs, OpenSSL

For the whole machine, if you want that (nothing of this is done for you):
  Debian, Ubuntu:  sudo cp '{authority}' /usr/local/share/ca-certificates/ondol.crt && sudo update-ca-certificates
  Fedora, RHEL:    sudo cp '{authority}' /etc/pki/ca-trust/source/anchors/ondol.crt && sudo update-ca-trust
  Arch:            sudo trust anchor '{authority}'"
    )
}
