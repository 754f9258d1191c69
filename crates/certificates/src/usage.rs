//! What a certificate may be used for, by the names of the Kubernetes API.

/// One entry of `spec.usages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// A bit of the extension "key usage", counted from the first.
    Key(u8),
    /// An identifier in the extension "extended key usage", as its encoded arcs.
    Extended(&'static [u8]),
}

/// Source: `keyUsageDict` and `extKeyUsageDict` of client-go's `util/certificate/csr`.
const NAMES: &[(&str, Usage)] = &[
    ("signing", Usage::Key(0)),
    ("digital signature", Usage::Key(0)),
    ("content commitment", Usage::Key(1)),
    ("key encipherment", Usage::Key(2)),
    ("data encipherment", Usage::Key(3)),
    ("key agreement", Usage::Key(4)),
    ("cert sign", Usage::Key(5)),
    ("crl sign", Usage::Key(6)),
    ("encipher only", Usage::Key(7)),
    ("decipher only", Usage::Key(8)),
    ("any", Usage::Extended(&[0x55, 0x1d, 0x25, 0x00])),
    ("server auth", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 1])),
    ("client auth", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 2])),
    ("code signing", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 3])),
    ("email protection", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 4])),
    ("s/mime", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 4])),
    ("ipsec end system", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 5])),
    ("ipsec tunnel", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 6])),
    ("ipsec user", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 7])),
    ("timestamping", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 8])),
    ("ocsp signing", Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 9])),
    (
        "microsoft sgc",
        Usage::Extended(&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x0a, 3, 3]),
    ),
    (
        "netscape sgc",
        Usage::Extended(&[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 4, 1]),
    ),
];

impl Usage {
    /// The usage of a name; `None` for one that the API does not know.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, usage)| *usage)
    }

    /// Every name, sorted.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    }
}
