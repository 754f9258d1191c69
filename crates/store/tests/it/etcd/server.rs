//! Servers of etcd that tests start, with and without TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use store::{EtcdLocation, open_etcd};
use tempfile::TempDir;

use crate::contract::Subject;

/// Where etcd is; `None`, with a word about it, where there is none. In CI that is a failure.
pub fn program() -> Option<&'static str> {
    let there = Command::new("etcd")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if there.is_ok_and(|status| status.success()) {
        return Some("etcd");
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "etcd must be on PATH in CI (Debian: etcd-server)"
    );
    println!("skipped: there is no etcd on PATH");
    None
}

/// An etcd server with a directory of its own. Ends with this value.
pub struct Etcd {
    child: Child,
    port: u16,
    dir: TempDir,
    tls: bool,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Etcd {
    /// A server that lets everybody in.
    pub async fn start() -> Self {
        let mut etcd = Self::spawned(false);
        let location = etcd.location("");
        etcd.until_up(&location).await;
        etcd
    }

    /// A server that speaks TLS with clients whose certificate its CA has signed. [`Etcd::secure_location`] has one.
    pub async fn start_secure() -> Self {
        let mut etcd = Self::spawned(true);
        let location = etcd.secure_location("root");
        etcd.until_up(&location).await;
        etcd
    }

    fn spawned(tls: bool) -> Self {
        // Memory where there is some: the checks are about meaning, not about disks.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        }
        .unwrap();
        if tls {
            write_certificates(dir.path());
        }
        let port = free_port();
        Self {
            child: spawn(dir.path(), port, tls),
            port,
            dir,
            tls,
        }
    }

    /// Waits for its answer; another process may have taken the port, then another one is tried.
    async fn until_up(&mut self, location: &EtcdLocation) {
        let mut location = location.clone();
        for _ in 0..600 {
            if let Ok(store) = open_etcd(&location).await {
                return drop(store);
            }
            if self.child.try_wait().unwrap().is_some() {
                self.port = free_port();
                self.child = spawn(self.dir.path(), self.port, self.tls);
                location.members = vec![format!("127.0.0.1:{}", self.port)];
            }
            supervision::sleep(Duration::from_millis(100)).await;
        }
        panic!("etcd does not answer");
    }

    /// Where it is, without TLS and without a user.
    pub fn location(&self, prefix: &str) -> EtcdLocation {
        EtcdLocation::parse(&format!("etcd://127.0.0.1:{}{prefix}", self.port)).unwrap()
    }

    /// Where it is, for who has the client certificate of this name: `root`, `ondol` or `stranger`.
    pub fn secure_location(&self, certificate: &str) -> EtcdLocation {
        let file = |name: &str| self.file(name).display().to_string();
        let url = format!(
            "etcds://127.0.0.1:{}?ca={}&cert={}&key={}",
            self.port,
            file("ca.pem"),
            file(&format!("{certificate}.pem")),
            file(&format!("{certificate}.key")),
        );
        EtcdLocation::parse(&url).unwrap()
    }

    /// Where it is, for a user with a password.
    pub fn user_location(&self, user: &str, password: &str) -> EtcdLocation {
        let file = self.file(&format!("{user}-{password}"));
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let url = format!("etcd://{user}@127.0.0.1:{}?password-file={}", self.port, file.display());
        EtcdLocation::parse(&url).unwrap()
    }

    /// A file beside its data.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn store(&self, prefix: &str) -> Subject {
        self.store_at(&self.location(prefix)).await
    }

    pub async fn store_at(&self, location: &EtcdLocation) -> Subject {
        Subject {
            store: open_etcd(location).await.unwrap(),
            clock: Arc::new(ManualClock::default()),
        }
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it on its data after [`Etcd::kill`].
    pub async fn start_again(&mut self, location: &EtcdLocation) {
        self.child = spawn(self.dir.path(), self.port, self.tls);
        self.until_up(location).await;
    }

    /// Kills the server and starts it again on its data.
    pub async fn restart(&mut self) {
        self.kill();
        self.start_again(&self.location("")).await;
    }

    /// Posts to etcd's JSON gateway, which has what the store's own stubs leave out. Answers the body.
    pub fn post(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: etcd\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path} {body}: {answer}");
        answer
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(dir: &Path, port: u16, tls: bool) -> Child {
    let scheme = if tls { "https" } else { "http" };
    let (client, peer) = (
        format!("{scheme}://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{}", free_port()),
    );
    let mut etcd = Command::new("etcd");
    etcd.arg("--data-dir")
        .arg(dir.join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if tls {
        etcd.arg("--client-cert-auth");
        for (flag, file) in [
            ("--trusted-ca-file", "ca.pem"),
            ("--cert-file", "server.pem"),
            ("--key-file", "server.key"),
        ] {
            etcd.arg(flag).arg(dir.join(file));
        }
    }
    etcd.spawn().unwrap()
}

/// A CA, the server's certificate, those of the clients `root` and `ondol`, and one of a CA that nobody knows.
fn write_certificates(dir: &Path) {
    let authority = || {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "etcd-ca");
        let pem = parameters.self_signed(&key).unwrap().pem();
        let issuer = Issuer::from_ca_cert_pem(&pem, key).unwrap();
        (pem, issuer)
    };
    let (pem, known) = authority();
    let (_, unknown) = authority();
    std::fs::write(dir.join("ca.pem"), pem).unwrap();
    for (name, issuer, usage) in [
        ("server", &known, ExtendedKeyUsagePurpose::ServerAuth),
        ("root", &known, ExtendedKeyUsagePurpose::ClientAuth),
        ("ondol", &known, ExtendedKeyUsagePurpose::ClientAuth),
        ("stranger", &unknown, ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        // The gateway inside etcd speaks to it as a client with the server's own certificate.
        parameters.extended_key_usages = match usage {
            ExtendedKeyUsagePurpose::ServerAuth => vec![usage, ExtendedKeyUsagePurpose::ClientAuth],
            client => vec![client],
        };
        let certificate = parameters.signed_by(&key, issuer).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
