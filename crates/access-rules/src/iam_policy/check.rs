//! Which documents IAM takes as policies of identities, and the sentence by which it refuses another.
//!
//! IAM looks at everything in one order, so a document with several faults is refused for the first of them: its form, its version, what
//! IAM's older parser cannot read, statement ids, actions, resources. Sources: "Grammar of the IAM JSON policy language" of the IAM User
//! Guide, and the refusals of IAM that moto's tests hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::document::{MalformedPolicy, OneOrMany};
use super::{condition, resource};

/// A document of which only the form is known.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Draft {
    version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: Parts,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Parts {
    Many(Vec<Part>),
    One(Box<Part>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Part {
    sid: Option<String>,
    effect: String,
    principal: Option<IgnoredAny>,
    not_principal: Option<IgnoredAny>,
    action: Option<Texts>,
    not_action: Option<Texts>,
    resource: Option<Texts>,
    not_resource: Option<Texts>,
    condition: Option<BTreeMap<String, BTreeMap<String, OneOrMany>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<Option<String>>),
}

impl Texts {
    fn all(&self) -> Vec<&str> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts.iter().flatten().map(String::as_str).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Many(texts) if texts.is_empty())
    }
}

fn refuse<T>(sentence: impl Into<String>) -> Result<T, MalformedPolicy> {
    Err(MalformedPolicy::Statement(sentence.into()))
}

const SYNTAX: &str = "Syntax errors in policy.";
const LEGACY: &str = "The policy failed legacy parsing";

impl Draft {
    /// Reads a document's form.
    ///
    /// # Errors
    /// When it has not the form of a policy.
    pub(super) fn read(text: &str) -> Result<Self, MalformedPolicy> {
        let draft: Self = serde_json::from_str(text)?;
        let is_known = |version: &String| matches!(version.as_str(), "2012-10-17" | "2008-10-17");
        let is_well_formed = draft.version.as_ref().is_none_or(is_known)
            && !draft.parts().is_empty()
            && draft.parts().iter().all(Part::is_well_formed);
        if is_well_formed { Ok(draft) } else { refuse(SYNTAX) }
    }

    fn parts(&self) -> &[Part] {
        match &self.statement {
            Parts::Many(parts) => parts,
            Parts::One(part) => std::slice::from_ref(part),
        }
    }

    /// Managed policies have the newer version.
    pub(super) fn require_version(&self) -> Result<(), MalformedPolicy> {
        match self.version.as_deref() {
            Some("2012-10-17") => Ok(()),
            _ => refuse("Policy document must be version 2012-10-17 or greater."),
        }
    }

    /// What is asked of an identity's policy after form and version.
    pub(super) fn require_identity(&self) -> Result<(), MalformedPolicy> {
        let parts = self.parts();
        if !parts.iter().all(Part::is_legible) {
            return refuse(LEGACY);
        }
        let fault = resource_fault(parts)?;
        self.require_unique_ids()?;
        if !parts.iter().all(Part::has_actions) {
            return refuse("Policy statement must contain actions.");
        }
        if let Some(fault) = fault {
            return refuse(fault);
        }
        for action in parts.iter().flat_map(Part::actions) {
            check_action(action)?;
        }
        if parts
            .iter()
            .any(|part| part.principal.is_some() || part.not_principal.is_some())
        {
            return refuse("Policy document should not specify a principal.");
        }
        if !parts.iter().all(Part::has_resources) {
            return refuse("Policy statement must contain resources.");
        }
        Ok(())
    }

    fn require_unique_ids(&self) -> Result<(), MalformedPolicy> {
        let mut seen = BTreeSet::new();
        let ids = self.parts().iter().filter_map(|part| part.sid.as_deref());
        for id in ids.filter(|id| !id.is_empty()) {
            if !seen.insert(id) {
                return refuse("Statement IDs (SID) in a single policy must be unique.");
            }
        }
        Ok(())
    }
}

impl Part {
    fn is_well_formed(&self) -> bool {
        let known = |(operator, keys): (&String, &BTreeMap<String, OneOrMany>)| {
            keys.is_empty() || condition::is_known(operator)
        };
        let is_effect = ["allow", "deny"].contains(&self.effect.to_ascii_lowercase().as_str());
        is_effect
            && (self.action.is_none() || self.not_action.is_none())
            && (self.resource.is_none() || self.not_resource.is_none())
            && self.condition.iter().flatten().all(known)
    }

    /// Whether IAM's older parser can read effect and dates.
    fn is_legible(&self) -> bool {
        let dates = self.condition.iter().flatten();
        let dates = dates.filter(|(operator, _)| condition::is_of_dates(operator));
        let mut dates = dates.flat_map(|(_, keys)| keys.values()).flat_map(OneOrMany::texts);
        matches!(self.effect.as_str(), "Allow" | "Deny") && dates.all(|date| is_date(&date))
    }

    fn has_actions(&self) -> bool {
        let given = self.action.as_ref().or(self.not_action.as_ref());
        given.is_some_and(|actions| !actions.is_empty())
    }

    fn has_resources(&self) -> bool {
        let given = self.resource.as_ref().or(self.not_resource.as_ref());
        given.is_some_and(|resources| !resources.is_empty())
    }

    fn actions(&self) -> Vec<&str> {
        let given = self.action.iter().chain(&self.not_action);
        given.flat_map(Texts::all).collect()
    }

    fn resources(&self) -> Vec<&str> {
        let given = self.resource.iter().chain(&self.not_resource);
        let mut all: Vec<&str> = given.flat_map(Texts::all).collect();
        all.sort_unstable();
        all
    }
}

/// What is wrong with the first faulty resource; resources before it must be legible to IAM's older parser.
fn resource_fault(parts: &[Part]) -> Result<Option<String>, MalformedPolicy> {
    for part in parts {
        if let Some(fault) = part.resources().into_iter().find_map(resource::fault) {
            return Ok(Some(fault));
        }
        if !part.resources().into_iter().all(resource::is_legible) {
            return refuse(LEGACY);
        }
    }
    Ok(None)
}

fn check_action(action: &str) -> Result<(), MalformedPolicy> {
    let Some((vendor, rest)) = action.split_once(':') else {
        return match action {
            "*" => Ok(()),
            _ => refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        };
    };
    if rest.contains(':') {
        return refuse("Actions/Condition can contain only one colon.");
    }
    let is_vendor = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
    if vendor == "*" || vendor.chars().all(is_vendor) {
        Ok(())
    } else {
        refuse(format!("Vendor {vendor} is not valid"))
    }
}

/// Whether a text is a date of ISO 8601, of which the end may be missing, or seconds since 1970.
fn is_date(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    if !text.contains(['t', '-']) {
        return text.parse::<i64>().is_ok_and(|seconds| seconds >= 0);
    }
    let (day, time) = text.split_once('t').unwrap_or((&text, ""));
    let (sign, day) = day.strip_prefix('-').map_or((1, day), |day| (-1, day));
    let mut parts = day.split('-');
    let year = parts.next().and_then(|year| year.parse::<i64>().ok());
    let is_year = year.is_some_and(|year| (-292_275_054..=292_278_993).contains(&(sign * year)));
    let is_month = parts.next().is_none_or(|month| is_within(month, 1, 12));
    let is_day = parts.next().is_none_or(|day| is_within(day, 1, 31));
    is_year && is_month && is_day && parts.next().is_none() && (time.is_empty() || is_time(time))
}

fn is_within(text: &str, least: u32, most: u32) -> bool {
    text.parse::<u32>().is_ok_and(|number| (least..=most).contains(&number))
}

fn is_time(text: &str) -> bool {
    let (clock, zone) = match text.find(['z', '+', '-']) {
        Some(place) => text.split_at(place),
        None => (text, ""),
    };
    let mut parts = clock.splitn(3, ':');
    let hours = parts.next().is_some_and(|hours| is_within(hours, 0, 23));
    let minutes = parts.next().is_none_or(|minutes| is_within(minutes, 0, 59));
    let seconds = parts.next().is_none_or(|seconds| {
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
        is_within(whole, 0, 59) && is_within(fraction, 0, 999_999_999)
    });
    hours && minutes && seconds && is_zone(zone)
}

fn is_zone(zone: &str) -> bool {
    let Some(offset) = zone.strip_prefix(['+', '-']) else {
        return matches!(zone, "" | "z");
    };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    let two = |text: &str, most: u32| text.len() == 2 && is_within(text, 0, most);
    two(hours, 23) && two(minutes, 59)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_may_lack_their_end() {
        for (text, good) in [
            ("2016", true),
            ("2016-12", true),
            ("2016-12-13t2:00:00.593194+10:59", true),
            ("2016-12-13T02:00:00Z", true),
            ("-2016-01-01", true),
            ("9223372036854775808", false),
            ("234-13", false),
            ("2016-12-13t2:00:00.1999999999+10:59", false),
            ("2016-12-13t2:00:00+1", false),
            ("soon-ish", false),
        ] {
            assert_eq!(is_date(text), good, "{text}");
        }
    }
}
