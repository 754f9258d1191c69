//! What a rule of a security group lets pass, as EC2 writes it.
use crate::ruleset::Statement;

/// Protocol numbers of those that have ports or types.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP_V6: u8 = 58;

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// Everything.
    All,
    /// Everything of one protocol.
    Protocol(u8),
    /// TCP or UDP to a range of ports.
    Ports {
        /// The protocol's number.
        protocol: u8,
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// ICMP messages of one type.
    Icmp {
        /// The type.
        kind: u8,
        /// The code, if it matters.
        code: Option<u8>,
    },
}

impl Traffic {
    /// A permission's `IpProtocol`, `FromPort` and `ToPort`; `None` for what no IPv4 packet is. Of ICMP the two are type and
    /// code, -1 for any; of other protocols than TCP and UDP they say nothing.
    #[must_use]
    pub fn parse(protocol: &str, from: Option<i64>, to: Option<i64>) -> Option<Self> {
        let number = match protocol.to_ascii_lowercase().as_str() {
            "-1" | "all" => return Some(Self::All),
            "tcp" => TCP,
            "udp" => UDP,
            "icmp" => ICMP,
            "icmpv6" => ICMP_V6,
            other => other.parse().ok()?,
        };
        match number {
            ICMP_V6 => None,
            TCP | UDP => {
                let port = |given: Option<i64>, otherwise: u16| match given {
                    None | Some(-1) => Some(otherwise),
                    Some(port) => u16::try_from(port).ok(),
                };
                let (first, last) = (port(from, 0)?, port(to, u16::MAX)?);
                Some(match (first, last) {
                    (0, u16::MAX) => Self::Protocol(number),
                    _ => Self::Ports {
                        protocol: number,
                        first,
                        last,
                    },
                })
            }
            ICMP => Some(match from.map(u8::try_from) {
                Some(Ok(kind)) => Self::Icmp {
                    kind,
                    code: to.and_then(|code| u8::try_from(code).ok()),
                },
                _ => Self::Protocol(ICMP),
            }),
            other => Some(Self::Protocol(other)),
        }
    }

    /// The conditions that such a packet meets.
    pub(super) fn conditions(self) -> Vec<Statement> {
        match self {
            Self::All => Vec::new(),
            Self::Protocol(number) => vec![Statement::ProtocolNumberIs(number)],
            Self::Ports { protocol, first, last } => vec![
                Statement::ProtocolNumberIs(protocol),
                Statement::DestinationPortIn { first, last },
            ],
            Self::Icmp { kind, code } => vec![Statement::ProtocolNumberIs(ICMP), Statement::IcmpIs { kind, code }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_as_ec2_means_them() {
        let ports = |protocol, first, last| Some(Traffic::Ports { protocol, first, last });
        let cases = [
            (("-1", None, None), Some(Traffic::All)),
            (("-1", Some(0), Some(65535)), Some(Traffic::All)),
            (("tcp", Some(443), Some(443)), ports(TCP, 443, 443)),
            (("udp", Some(1025), Some(65535)), ports(UDP, 1025, 65535)),
            (("6", Some(0), Some(0)), ports(TCP, 0, 0)),
            (("tcp", Some(0), Some(65535)), Some(Traffic::Protocol(TCP))),
            (("tcp", None, None), Some(Traffic::Protocol(TCP))),
            (("tcp", Some(-1), Some(-1)), Some(Traffic::Protocol(TCP))),
            (("icmp", Some(-1), Some(-1)), Some(Traffic::Protocol(ICMP))),
            (("icmp", Some(8), Some(-1)), Some(Traffic::Icmp { kind: 8, code: None })),
            (
                ("icmp", Some(3), Some(4)),
                Some(Traffic::Icmp { kind: 3, code: Some(4) }),
            ),
            (("50", Some(1), Some(2)), Some(Traffic::Protocol(50))),
            (("icmpv6", Some(-1), Some(-1)), None),
            (("58", None, None), None),
            (("nonsense", None, None), None),
        ];
        for ((protocol, from, to), expected) in cases {
            assert_eq!(
                Traffic::parse(protocol, from, to),
                expected,
                "{protocol} {from:?} {to:?}"
            );
        }
    }
}
