//! What a namespace's labels ask of its pods.
//!
//! Source: `k8s.io/pod-security-admission/api/helpers.go`.

use std::collections::BTreeMap;
use std::fmt;

/// How much a pod may ask for, the least strict first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    #[default]
    Privileged,
    /// What gives no known way out of the container.
    Baseline,
    /// What is good practice.
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// The version of Kubernetes whose rules are meant. One that is still to come has the rules of the newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.N
    Minor(u64),
    /// Whatever the server knows as the newest.
    #[default]
    Latest,
}

impl Version {
    /// Reads `latest` or `v1.N`, as upstream without leading zeros and within its numbers.
    fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest);
        }
        let digits = text.strip_prefix("v1.")?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        let minor: u64 = digits.parse().ok()?;
        (plain && i64::try_from(minor).is_ok()).then_some(Self::Minor(minor))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minor(minor) => write!(f, "v1.{minor}"),
            Self::Latest => f.write_str("latest"),
        }
    }
}

/// A level as a version of Kubernetes understands it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standard {
    /// The level.
    pub level: Level,
    /// The version.
    pub version: Version,
}

impl Standard {
    /// Whether pods that kept to `old` have to be looked at again. Less of the same version never needs it, and what
    /// allows everything neither.
    #[must_use]
    pub fn asks_more_than(&self, old: &Self) -> bool {
        let relaxed = self.version == old.version && self.level <= old.level;
        self.level != Level::Privileged && !relaxed
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

/// A label that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelError {
    /// The key.
    pub label: &'static str,
    /// What it says.
    pub value: String,
    /// What it must say.
    pub problem: &'static str,
}

/// What a namespace's labels say; `privileged:latest` where they say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Pods that violate it are refused.
    pub enforce: Standard,
    /// Violations are noted in the audit log.
    pub audit: Standard,
    /// The client is warned of violations.
    pub warn: Standard,
}

impl Policy {
    /// Reads a namespace's labels. There is always a policy, and beside it the labels that are wrong: a wrong level is
    /// the strictest for pods to be refused by, and none for what only talks about them.
    #[must_use]
    pub fn of_labels(labels: &BTreeMap<String, String>) -> (Self, Vec<LabelError>) {
        let mut reader = Reader {
            labels,
            errors: Vec::new(),
        };
        let enforced = reader.level("pod-security.kubernetes.io/enforce");
        let enforce = Standard {
            level: enforced.or(Level::Restricted),
            version: reader
                .version("pod-security.kubernetes.io/enforce-version")
                .or_default(),
        };
        let audit = Standard {
            level: reader.level("pod-security.kubernetes.io/audit").or_default(),
            version: reader.version("pod-security.kubernetes.io/audit-version").or_default(),
        };
        let warned = reader.level("pod-security.kubernetes.io/warn");
        let warned_version = reader.version("pod-security.kubernetes.io/warn-version");
        let mut warn = Standard {
            level: warned.or_default(),
            version: warned_version.or_default(),
        };
        // Whoever is refused pods wants to hear of it from the Deployment already. A wrong level is no wish of anybody's.
        let follows = warned == Label::Absent && matches!(enforced, Label::Says(level) if level > warn.level);
        if follows {
            warn.level = enforce.level;
        }
        if follows && warned_version == Label::Absent {
            warn.version = enforce.version;
        }
        (Self { enforce, audit, warn }, reader.errors)
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        self.enforce.level == Level::Privileged && self.says_nothing()
    }

    /// Whether nobody would hear of a violation that is not refused.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        self.audit.level == Level::Privileged && self.warn.level == Level::Privileged
    }
}

/// What a label says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label<T> {
    Absent,
    Wrong,
    Says(T),
}

impl<T: Copy + Default> Label<T> {
    fn or(self, of_wrong: T) -> T {
        match self {
            Self::Absent => T::default(),
            Self::Wrong => of_wrong,
            Self::Says(value) => value,
        }
    }

    fn or_default(self) -> T {
        self.or(T::default())
    }
}

/// Reads labels and keeps account of those that are wrong.
struct Reader<'l> {
    labels: &'l BTreeMap<String, String>,
    errors: Vec<LabelError>,
}

impl Reader<'_> {
    fn level(&mut self, label: &'static str) -> Label<Level> {
        self.read(label, Level::parse, "must be one of privileged, baseline, restricted")
    }

    fn version(&mut self, label: &'static str) -> Label<Version> {
        self.read(label, Version::parse, "must be \"latest\" or \"v1.x\"")
    }

    fn read<T>(&mut self, label: &'static str, parse: fn(&str) -> Option<T>, problem: &'static str) -> Label<T> {
        let Some(value) = self.labels.get(label) else {
            return Label::Absent;
        };
        if let Some(parsed) = parse(value) {
            return Label::Says(parsed);
        }
        self.errors.push(LabelError {
            label,
            value: value.clone(),
            problem,
        });
        Label::Wrong
    }
}
