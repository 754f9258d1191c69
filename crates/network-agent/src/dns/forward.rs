//! Asks other servers: questions and replies pass through as they are.
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// How long one server may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The largest reply by UDP.
const LARGEST: usize = 4096;

/// The servers that know other names.
#[derive(Clone, Debug)]
pub struct Forwarder {
    servers: Servers,
}

#[derive(Clone, Debug)]
enum Servers {
    File(PathBuf),
    Fixed(Vec<SocketAddr>),
}

impl Forwarder {
    /// The servers that a file in the form of resolv.conf names. It is read for each question, so a laptop that changes
    /// networks goes on resolving.
    #[must_use]
    pub fn of_file(resolv_conf: PathBuf) -> Self {
        Self {
            servers: Servers::File(resolv_conf),
        }
    }

    /// These servers.
    #[must_use]
    pub fn of_servers(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers: Servers::Fixed(servers),
        }
    }

    /// The servers of the machine that this process runs on.
    #[must_use]
    pub fn of_host() -> Self {
        Self::of_file(PathBuf::from("/etc/resolv.conf"))
    }

    async fn servers(&self) -> Vec<SocketAddr> {
        let path = match &self.servers {
            Servers::File(path) => path,
            Servers::Fixed(servers) => return servers.clone(),
        };
        match tokio::fs::read_to_string(path).await {
            Ok(text) => parse_servers(&text),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "no resolvers are known");
                Vec::new()
            }
        }
    }

    /// The reply of the first server that gives one, by the same transport as the question came.
    pub(super) async fn ask(&self, question: &[u8], stream: bool) -> Option<Vec<u8>> {
        for server in self.servers().await {
            let asked = async {
                if stream {
                    ask_stream(server, question).await
                } else {
                    ask_datagram(server, question).await
                }
            };
            match tokio::time::timeout(LIMIT, asked).await {
                Ok(Ok(reply)) => return Some(reply),
                Ok(Err(error)) => tracing::debug!(%server, %error, "resolver does not answer"),
                Err(_elapsed) => tracing::debug!(%server, "resolver does not answer in time"),
            }
        }
        None
    }
}

fn parse_servers(text: &str) -> Vec<SocketAddr> {
    let mut words = text.lines().map(str::split_whitespace);
    let servers = words.by_ref().filter_map(|mut line| match (line.next(), line.next()) {
        (Some("nameserver"), Some(address)) => address.parse::<IpAddr>().ok(),
        _ => None,
    });
    servers.map(|address| SocketAddr::new(address, 53)).collect()
}

/// A socket of its own for each question: its port is a part of what a forger would have to guess.
async fn ask_datagram(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if buffer.get(..2) == question.get(..2) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn ask_stream(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_framed(&mut stream, question).await?;
    read_framed(&mut stream).await
}

/// Writes a message with its length before it, as DNS over TCP has it.
pub(super) async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

/// Reads a message with its length before it.
pub(super) async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::parse_servers;

    #[test]
    fn name_servers_of_a_file() {
        let text =
            "# comment\nsearch a.b\nnameserver 10.0.0.2\nnameserver  fe80::1\nnameserver nonsense\noptions ndots:5\n";
        let shown: Vec<String> = parse_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.2:53", "[fe80::1]:53"]);
    }
}
