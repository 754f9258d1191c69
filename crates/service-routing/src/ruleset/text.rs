//! A table as text, close to what nft prints: for snapshots, logs and people.
use std::fmt::{Display, Formatter, Result};

use super::{Affinity, ChainKind, Data, DataType, Field, Protocol, Rule, SetKind, Statement, Table, Value, Verdict};

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "table ip {} {{", self.name)?;
        for (name, set) in &self.sets {
            let kind = match &set.kind {
                SetKind::Set => String::new(),
                SetKind::Map(data) => format!(" : {}", join(data)),
                SetKind::VerdictMap => " : verdict".to_owned(),
                SetKind::Learned(data) => format!(" : {}; flags dynamic,timeout", join(data)),
            };
            writeln!(f, "  {name} {{ {}{kind} }}", join(&set.key))?;
            for (key, data) in &set.elements {
                match data {
                    Data::Member => writeln!(f, "    {}", join(key))?,
                    Data::Values(values) => writeln!(f, "    {} : {}", join(key), join(values))?,
                    Data::Verdict(verdict) => writeln!(f, "    {} : {verdict}", join(key))?,
                }
            }
        }
        for (name, chain) in &self.chains {
            writeln!(f, "  chain {name} {{")?;
            if let Some(hook) = chain.hook {
                let kind = if hook.kind == ChainKind::Nat { "nat" } else { "filter" };
                let point = format!("{:?}", hook.point).to_lowercase();
                writeln!(f, "    type {kind} hook {point} priority {}", hook.priority)?;
            }
            for rule in &chain.rules {
                writeln!(f, "    {}", rule_text(rule))?;
            }
            writeln!(f, "  }}")?;
        }
        writeln!(f, "}}")
    }
}

fn rule_text(rule: &Rule) -> String {
    rule.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn join(parts: &[impl Display]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" . ")
}

impl Display for DataType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Address => "ipv4_addr",
            Self::Protocol => "inet_proto",
            Self::Port => "inet_service",
            Self::Index => "index",
        })
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Protocol(protocol) => protocol.fmt(f),
            Self::Port(port) => port.fmt(f),
            Self::Index(index) => write!(f, "#{index}"),
        }
    }
}

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.label()[1..])
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::SourceAddress => f.write_str("ip saddr"),
            Self::DestinationAddress => f.write_str("ip daddr"),
            Self::Protocol => f.write_str("meta l4proto"),
            Self::DestinationPort => f.write_str("th dport"),
            Self::Random(below) => write!(f, "numgen random mod {below}"),
        }
    }
}

impl Display for Affinity {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            service,
            learned,
            valid,
            seconds,
        } = self;
        write!(
            f,
            "@{learned} {{ ip saddr . {} }} through @{valid} for {seconds}s",
            join(service)
        )
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Member { key, set } => write!(f, "{} @{set}", join(key)),
            Self::DestinationIn { range, negated: false } => write!(f, "ip daddr {range}"),
            Self::DestinationIn { range, negated: true } => write!(f, "ip daddr != {range}"),
            Self::SourceIn(range) => write!(f, "ip saddr {range}"),
            Self::ProtocolIs(protocol) => write!(f, "meta l4proto {protocol}"),
            Self::ProtocolNumberIs(number) => write!(f, "meta l4proto {number}"),
            Self::DestinationPortIn { first, last } if first == last => write!(f, "th dport {first}"),
            Self::DestinationPortIn { first, last } => write!(f, "th dport {first}-{last}"),
            Self::IcmpIs { kind, code: None } => write!(f, "icmp type {kind}"),
            Self::IcmpIs { kind, code: Some(code) } => write!(f, "icmp type {kind} icmp code {code}"),
            Self::CameInBy(prefix) => write!(f, "iifname {prefix}*"),
            Self::DestinationIsLocal => f.write_str("fib daddr type local"),
            Self::SourceIsLocal => f.write_str("fib saddr type local"),
            Self::NewConnection => f.write_str("ct state new"),
            Self::EstablishedConnection => f.write_str("ct state established,related"),
            Self::Marked(bits) => write!(f, "meta mark & {bits:#x} == {bits:#x}"),
            Self::Mark(bits) => write!(f, "meta mark set meta mark | {bits:#x}"),
            Self::Count => f.write_str("counter"),
            Self::VerdictOf { key, map } => write!(f, "{} vmap @{map}", join(key)),
            Self::RedirectByMap { key, map } => write!(f, "dnat to {} map @{map}", join(key)),
            Self::RedirectTo(to) => write!(f, "dnat to {to}"),
            Self::DeliverTo(to) => write!(f, "tproxy to {to}"),
            Self::RedirectAsBefore(affinity) => write!(f, "dnat to {affinity}"),
            Self::RedirectAndRemember {
                affinity,
                numbers,
                count,
            } => {
                write!(f, "dnat to @{numbers} random of {count} into {affinity}")
            }
            Self::Masquerade => f.write_str("masquerade"),
            Self::Reject => f.write_str("reject"),
            Self::Verdict(verdict) => verdict.fmt(f),
        }
    }
}
