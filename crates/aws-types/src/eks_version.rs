//! The Kubernetes versions that EKS offers, with the dates of AWS's release calendar.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// One minor version on EKS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EksVersion {
    /// For example `1.33`.
    pub minor: &'static str,
    /// The Kubernetes patch release.
    pub patch: &'static str,
    /// The newest platform version, for example `eks.20`.
    pub platform: &'static str,
    /// When EKS released it, when standard and when extended support end, as `yyyy-mm-dd`; not known for the newest.
    dates: Option<[&'static str; 3]>,
}

/// The dates of a version's life, midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// EKS's release.
    pub released: Timestamp,
    /// End of standard support.
    pub standard_support_ends: Timestamp,
    /// End of extended support.
    pub extended_support_ends: Timestamp,
}

impl EksVersion {
    /// The dates of its life, where AWS has published them and this table holds them.
    pub fn lifecycle(&self) -> Option<Lifecycle> {
        let [released, standard, extended] = self.dates?.map(midnight);
        Some(Lifecycle {
            released,
            standard_support_ends: standard,
            extended_support_ends: extended,
        })
    }

    /// What `/version` reports: the patch release with EKS's suffix.
    pub fn git_version(&self) -> String {
        format!("{}-eks-ondol", self.patch)
    }

    /// The version's number in its order, for skew rules: 33 for `1.33`.
    pub fn minor_number(&self) -> u32 {
        self.minor
            .strip_prefix("1.")
            .and_then(|minor| minor.parse().ok())
            .expect("every row is `1.` and a number (tested)")
    }
}

/// The version of that name (`1.33`), if EKS offers it here.
pub fn find(minor: &str) -> Option<&'static EksVersion> {
    VERSIONS.iter().find(|version| version.minor == minor)
}

/// What `CreateCluster` without a version gives.
pub fn default_version() -> &'static EksVersion {
    find(DEFAULT).expect("the default is in the table (tested)")
}

const DEFAULT: &str = "1.35";

fn midnight(date: &str) -> Timestamp {
    let date: Date = date.parse().expect("dates in the table are dates (tested)");
    date.to_zoned(TimeZone::UTC)
        .expect("midnight exists in UTC")
        .timestamp()
}

const fn version(
    minor: &'static str,
    patch: &'static str,
    platform: &'static str,
    dates: Option<[&'static str; 3]>,
) -> EksVersion {
    EksVersion {
        minor,
        patch,
        platform,
        dates,
    }
}

/// Oldest first.
pub const VERSIONS: &[EksVersion] = &[
    version(
        "1.28",
        "1.28.15",
        "eks.64",
        Some(["2023-09-26", "2024-11-26", "2025-11-26"]),
    ),
    version(
        "1.29",
        "1.29.15",
        "eks.61",
        Some(["2024-01-23", "2025-03-23", "2026-03-23"]),
    ),
    version(
        "1.30",
        "1.30.14",
        "eks.58",
        Some(["2024-05-23", "2025-07-23", "2026-07-23"]),
    ),
    version(
        "1.31",
        "1.31.14",
        "eks.50",
        Some(["2024-09-26", "2025-11-26", "2026-11-26"]),
    ),
    version(
        "1.32",
        "1.32.9",
        "eks.34",
        Some(["2025-01-23", "2026-03-23", "2027-03-23"]),
    ),
    version(
        "1.33",
        "1.33.5",
        "eks.27",
        Some(["2025-05-29", "2026-07-29", "2027-07-29"]),
    ),
    version(
        "1.34",
        "1.34.2",
        "eks.13",
        Some(["2025-10-02", "2026-12-02", "2027-12-02"]),
    ),
    version(
        "1.35",
        "1.35.0",
        "eks.3",
        Some(["2026-01-27", "2027-03-27", "2028-03-27"]),
    ),
    version("1.36", "1.36.0", "eks.1", None),
];

#[cfg(test)]
mod tests;
