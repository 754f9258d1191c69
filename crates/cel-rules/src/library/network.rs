//! URLs, addresses and blocks of addresses.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use url::Url;

use super::text;
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{Key, Map, Opaque, Value};

/// A block as it was written: an address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block(IpNet);

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

pub(super) const FUNCTIONS: &[Row] = &[
    row("url", &["(string) url"], Cost::First, |args| match args {
        [given] => parse_url(text(given)?).map(|url| Value::Opaque(Opaque::Url(Arc::new(url)))),
        _ => Err(EvalError::no_overload()),
    }),
    row("isURL", &["(string) bool"], Cost::First, |args| match args {
        [given] => Ok(Value::Bool(parse_url(text(given)?).is_ok())),
        _ => Err(EvalError::no_overload()),
    }),
    row("getScheme", &["url.() string"], Cost::Step, |args| {
        of_url(args, |url| url.scheme().to_owned())
    }),
    row("getHost", &["url.() string"], Cost::Step, |args| {
        of_url(args, |url| match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        })
    }),
    row("getHostname", &["url.() string"], Cost::Step, |args| {
        of_url(args, |url| {
            let host = url.host_str().unwrap_or_default();
            host.trim_start_matches('[').trim_end_matches(']').to_owned()
        })
    }),
    row("getPort", &["url.() string"], Cost::Step, |args| {
        of_url(args, |url| url.port().map(|port| port.to_string()).unwrap_or_default())
    }),
    row("getEscapedPath", &["url.() string"], Cost::Step, |args| {
        of_url(args, |url| url.path().to_owned())
    }),
    row("getQuery", &["url.() map<string, list<string>>"], Cost::Step, query),
    row("ip", &["(string) ip", "cidr.() ip"], Cost::First, |args| match args {
        [Value::Opaque(Opaque::Cidr(block))] => Ok(Value::Opaque(Opaque::Ip(block.0.addr()))),
        [given] => parse_ip(text(given)?).map(|ip| Value::Opaque(Opaque::Ip(ip))),
        _ => Err(EvalError::no_overload()),
    }),
    row("isIP", &["(string) bool"], Cost::First, |args| match args {
        [given] => Ok(Value::Bool(parse_ip(text(given)?).is_ok())),
        _ => Err(EvalError::no_overload()),
    }),
    row("ip.isCanonical", &["(string) bool"], Cost::First, |args| match args {
        [given] => Ok(Value::Bool(parse_ip(text(given)?)?.to_string() == text(given)?)),
        _ => Err(EvalError::no_overload()),
    }),
    row("family", &["ip.() int"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Ip(ip))] => Ok(Value::Int(if ip.is_ipv4() { 4 } else { 6 })),
        _ => Err(EvalError::no_overload()),
    }),
    row("isUnspecified", &["ip.() bool"], Cost::Step, |args| {
        of_ip(args, IpAddr::is_unspecified)
    }),
    row("isLoopback", &["ip.() bool"], Cost::Step, |args| {
        of_ip(args, IpAddr::is_loopback)
    }),
    row("isLinkLocalMulticast", &["ip.() bool"], Cost::Step, |args| {
        of_ip(args, link_local_multicast)
    }),
    row("isLinkLocalUnicast", &["ip.() bool"], Cost::Step, |args| {
        of_ip(args, link_local_unicast)
    }),
    row("isGlobalUnicast", &["ip.() bool"], Cost::Step, |args| {
        of_ip(args, |ip| {
            let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local_unicast(ip) || broadcast)
        })
    }),
    row("cidr", &["(string) cidr"], Cost::First, |args| match args {
        [given] => parse_cidr(text(given)?).map(|block| Value::Opaque(Opaque::Cidr(block))),
        _ => Err(EvalError::no_overload()),
    }),
    row("isCIDR", &["(string) bool"], Cost::First, |args| match args {
        [given] => Ok(Value::Bool(parse_cidr(text(given)?).is_ok())),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "containsIP",
        &["cidr.(string) bool", "cidr.(ip) bool"],
        Cost::First,
        |args| match args {
            [Value::Opaque(Opaque::Cidr(block)), Value::Opaque(Opaque::Ip(ip))] => {
                Ok(Value::Bool(block.0.contains(ip)))
            }
            [Value::Opaque(Opaque::Cidr(block)), given] => Ok(Value::Bool(block.0.contains(&parse_ip(text(given)?)?))),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "containsCIDR",
        &["cidr.(string) bool", "cidr.(cidr) bool"],
        Cost::First,
        |args| match args {
            [Value::Opaque(Opaque::Cidr(block)), Value::Opaque(Opaque::Cidr(inner))] => {
                Ok(Value::Bool(block.0.contains(&inner.0)))
            }
            [Value::Opaque(Opaque::Cidr(block)), given] => {
                Ok(Value::Bool(block.0.contains(&parse_cidr(text(given)?)?.0)))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row("masked", &["cidr.() cidr"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Cidr(block))] => Ok(Value::Opaque(Opaque::Cidr(Block(block.0.trunc())))),
        _ => Err(EvalError::no_overload()),
    }),
    row("prefixLength", &["cidr.() int"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Cidr(block))] => Ok(Value::Int(i64::from(block.0.prefix_len()))),
        _ => Err(EvalError::no_overload()),
    }),
];

fn parse_url(given: &str) -> Result<Url, EvalError> {
    let base = given.starts_with('/').then(|| Url::parse("none:///").ok()).flatten();
    let parsed = match base {
        Some(base) => base.join(given),
        None => Url::parse(given),
    };
    parsed.map_err(|error| EvalError::new(format!("URL parse error during conversion from string: {error}")))
}

fn of_url<'a>(args: &[Value<'a>], part: impl Fn(&Url) -> String) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Opaque(Opaque::Url(url))] => {
            let shown = part(url);
            Ok(Value::text(if shown == "none" { String::new() } else { shown }))
        }
        _ => Err(EvalError::no_overload()),
    }
}

fn query<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Opaque(Opaque::Url(url))] = args else {
        return Err(EvalError::no_overload());
    };
    let mut found: std::collections::BTreeMap<Key, Vec<Value<'a>>> = std::collections::BTreeMap::new();
    for (key, value) in url.query_pairs() {
        let values = found.entry(Key::String(key.into_owned())).or_default();
        values.push(Value::text(value.into_owned()));
    }
    let lists = found.into_iter().map(|(key, values)| (key, Value::list(values)));
    Ok(Value::Map(Map::Owned(Arc::new(lists.collect()))))
}

/// Upstream takes no zones, no leading zeros and no IPv4 in IPv6.
fn parse_ip(given: &str) -> Result<IpAddr, EvalError> {
    let refused = || {
        EvalError::new(format!(
            "IP Address \"{given}\" parse error during conversion from string"
        ))
    };
    let ip: IpAddr = given.parse().or(Err(refused()))?;
    match ip {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => Err(EvalError::new(format!(
            "IPv4-mapped IPv6 address \"{given}\" is not allowed"
        ))),
        ip => Ok(ip),
    }
}

fn parse_cidr(given: &str) -> Result<Block, EvalError> {
    let refused = || {
        EvalError::new(format!(
            "network address parse error during conversion from string: \"{given}\""
        ))
    };
    let (address, _) = given.split_once('/').ok_or_else(refused)?;
    parse_ip(address)?;
    given.parse().map(Block).or(Err(refused()))
}

fn of_ip<'a>(args: &[Value<'a>], rule: impl Fn(&IpAddr) -> bool) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Opaque(Opaque::Ip(ip))] => Ok(Value::Bool(rule(ip))),
        _ => Err(EvalError::no_overload()),
    }
}

fn link_local_unicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn link_local_multicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => matches!(ip.octets(), [224, 0, 0, _]),
        IpAddr::V6(ip) => ip.octets()[0] == 0xff && ip.octets()[1] & 0x0f == 2,
    }
}
