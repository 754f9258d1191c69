//! The protocol of the instance metadata service: tokens, versions one and two, and who may ask from how far.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_types::{InstanceId, VpcId};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::credentials::Credentials;
use super::facts::{self, Facts};
use super::serve::{Answer, Reply, Request};
use super::tree::{self, Found};
use crate::region::Region;

#[cfg(test)]
mod tests;

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const SECONDS_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// Six hours.
const LONGEST_TOKEN: i64 = 21_600;
/// A VPC's tokens beyond this number end before their time, those that would end soonest first.
const MOST_TOKENS: usize = 50_000;

/// The tokens of a VPC's instances: which instance each is for, and until when.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<String, (InstanceId, Timestamp)>);

impl Tokens {
    fn put(&mut self, token: String, instance: InstanceId, until: Timestamp, now: Timestamp) {
        if self.0.len() >= MOST_TOKENS {
            self.0.retain(|_, (_, until)| *until > now);
        }
        while self.0.len() >= MOST_TOKENS {
            let soonest = self.0.iter().min_by_key(|(_, (_, until))| *until);
            let Some(soonest) = soonest.map(|(token, _)| token.clone()) else {
                break;
            };
            self.0.remove(&soonest);
        }
        self.0.insert(token, (instance, until));
    }

    /// Seconds that a token of this instance still lives.
    fn left(&self, token: &str, instance: &InstanceId, now: Timestamp) -> Option<i64> {
        let (owner, until) = self.0.get(token)?;
        let left = until.as_second() - now.as_second();
        (owner == instance && left > 0).then_some(left)
    }
}

/// Instance metadata of a VPC.
pub struct Service {
    region: Arc<Region>,
    vpc: VpcId,
    tokens: Mutex<Tokens>,
    credentials: Credentials,
}

/// What a request is worth before what it asks for is looked up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// A token is made that lives this many seconds.
    Token(i64),
    /// What is at the path may be shown; seconds that the token still lives, if there was one.
    Path(Option<i64>),
    /// It is refused.
    Refused(StatusCode),
}

/// Decides about a request of an instance or its pods, by the rules of "Use the Instance Metadata Service" of the EC2 user guide.
pub(super) fn admit(facts: &Facts, request: &Request, tokens: &Tokens, now: Timestamp) -> Admitted {
    if !facts.options.enabled {
        return Admitted::Refused(StatusCode::FORBIDDEN);
    }
    if request.path == TOKEN_PATH {
        if request.method != Method::PUT {
            return Admitted::Refused(StatusCode::METHOD_NOT_ALLOWED);
        }
        // Whatever passes requests on for others must not get a token for them.
        if request.header("x-forwarded-for").is_some() {
            return Admitted::Refused(StatusCode::FORBIDDEN);
        }
        let seconds = request.header(SECONDS_HEADER).and_then(|text| text.parse().ok());
        return match seconds {
            Some(seconds @ 1..=LONGEST_TOKEN) => Admitted::Token(seconds),
            _ => Admitted::Refused(StatusCode::BAD_REQUEST),
        };
    }
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Admitted::Refused(StatusCode::METHOD_NOT_ALLOWED);
    }
    match request.header(TOKEN_HEADER) {
        Some(token) => match tokens.left(token, &facts.id, now) {
            Some(left) => Admitted::Path(Some(left)),
            None => Admitted::Refused(StatusCode::UNAUTHORIZED),
        },
        None if facts.options.tokens_required => Admitted::Refused(StatusCode::UNAUTHORIZED),
        None => Admitted::Path(None),
    }
}

fn refused(status: StatusCode) -> Reply {
    let reason = status.canonical_reason().unwrap_or_default();
    let title = format!("{} - {reason}", status.as_u16());
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    );
    let mut reply = Reply::new(status, "text/html", page);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        reply.headers.push(("allow", "OPTIONS, GET, HEAD, PUT".to_owned()));
    }
    reply
}

impl Service {
    /// The metadata of a VPC's instances.
    pub fn new(region: Arc<Region>, vpc: VpcId) -> Self {
        Self {
            region,
            vpc,
            tokens: Mutex::default(),
            credentials: Credentials::default(),
        }
    }

    async fn reply(&self, request: Request) -> Reply {
        let Some(facts) = facts::find(&self.region, &self.vpc, request.from) else {
            return refused(StatusCode::NOT_FOUND);
        };
        let now = self.region.clock.now();
        let admitted = {
            let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            admit(&facts, &request, &tokens, now)
        };
        match admitted {
            Admitted::Refused(status) => refused(status),
            Admitted::Token(seconds) => self.new_token(&facts, seconds, now),
            Admitted::Path(left) => {
                let mut reply = self.show(&facts, &request.path).await;
                reply
                    .headers
                    .extend(left.map(|left| (SECONDS_HEADER, left.to_string())));
                reply
            }
        }
    }

    /// The answer's packets go no further than the instance lets them: behind the last hop, nobody gets a token.
    fn new_token(&self, facts: &Facts, seconds: i64, now: Timestamp) -> Reply {
        let token = format!("AQAEA{}==", self.region.random.alphanumeric(49));
        let until = now + SignedDuration::from_secs(seconds);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.put(token.clone(), facts.id.clone(), until, now);
        let mut reply = Reply::new(StatusCode::OK, "text/plain", token);
        reply.headers.push((SECONDS_HEADER, seconds.to_string()));
        reply.hops = Some(facts.options.hop_limit);
        reply
    }

    async fn show(&self, facts: &Facts, path: &str) -> Reply {
        match tree::look(facts, path) {
            None => refused(StatusCode::NOT_FOUND),
            Some(Found::Text(text)) => Reply::new(StatusCode::OK, "text/plain", text),
            Some(Found::UserData(bytes)) => Reply::new(StatusCode::OK, "application/octet-stream", bytes),
            Some(Found::Credentials) => match self.credentials.of(&self.region, facts).await {
                Ok(text) => Reply::new(StatusCode::OK, "text/plain", text),
                Err(error) => {
                    tracing::error!(instance = %facts.id, error = error.message, "credentials of the instance's role");
                    refused(StatusCode::INTERNAL_SERVER_ERROR)
                }
            },
        }
    }
}

impl Answer for Service {
    fn answer(&self, request: Request) -> BoxFuture<'_, Reply> {
        async move {
            let mut reply = self.reply(request).await;
            reply.headers.push(("server", "EC2ws".to_owned()));
            reply
        }
        .boxed()
    }
}
