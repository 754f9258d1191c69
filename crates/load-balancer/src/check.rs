//! One question to a target: does it accept, does its page come?

use std::net::{SocketAddr, SocketAddrV4};
use std::{io, str};

use service_routing::network_balancers::{CheckFailure, HealthCheck, Question};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::balancer::{Dialer, TargetStream};

/// How much of an answer is read for its status line.
const MOST: usize = 4096;

/// Asks once.
pub(crate) async fn ask(dialer: &dyn Dialer, target: SocketAddrV4, check: &HealthCheck) -> Result<(), CheckFailure> {
    let port = check.port.unwrap_or(target.port());
    let to = SocketAddr::from((*target.ip(), port));
    let asked = async {
        let mut stream = dialer.dial(to).await?;
        match &check.question {
            Question::Connection => Ok(None),
            Question::Page { path, .. } => status_of(&mut *stream, path, to).await.map(Some),
        }
    };
    let answer = tokio::time::timeout(check.timeout, asked).await;
    match answer.map_err(io::Error::other).and_then(|answer| answer) {
        Ok(None) => Ok(()),
        Ok(Some(code)) if is_good(code, &check.question) => Ok(()),
        Ok(Some(code)) => Err(CheckFailure::Code(code)),
        Err(error) => {
            tracing::debug!(%target, %error, "health check");
            Err(CheckFailure::NoAnswer)
        }
    }
}

fn is_good(code: u16, question: &Question) -> bool {
    match question {
        Question::Connection => true,
        Question::Page { codes, .. } => codes.iter().any(|(first, last)| (*first..=*last).contains(&code)),
    }
}

/// The status of the page at a path.
async fn status_of(stream: &mut dyn TargetStream, path: &str, host: SocketAddr) -> io::Result<u16> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut part = [0; 512];
    while !answer.contains(&b'\n') && answer.len() < MOST {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&part[..read]);
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let code = str::from_utf8(line).ok().and_then(|line| {
        let (version, rest) = line.split_once(' ')?;
        let code = rest.get(..3)?.parse().ok()?;
        version.starts_with("HTTP/").then_some(code)
    });
    code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
}
