//! The schedule of a CronJob: five fields, a named schedule, or an interval, in a time zone.
//!
//! Source of the rules: the standard parser of robfig/cron. Both of the day fields must fit when one of them is `*`, otherwise either. Times
//! that a change of the clock skips are skipped; times that it repeats come twice.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

/// A schedule that was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// At the minutes that the fields describe.
    Fields(Box<Fields>),
    /// Again and again after this long.
    Every(Duration),
}

/// Which values of each field fit, a bit for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// Whether one of the day fields is `*`.
    any_day: bool,
}

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// How far ahead a fitting time is looked for.
const YEARS: i16 = 5;

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('@') {
            return Self::named(name).ok_or_else(|| format!("unrecognized descriptor: {text}"));
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{text}]", parts.len()));
        };
        let starred = |field: &str| field == "*" || field == "?";
        Ok(Self::Fields(Box::new(Fields {
            minute: field(minute, 0, 59, &[])?,
            hour: field(hour, 0, 23, &[])?,
            day: field(day, 1, 31, &[])?,
            month: field(month, 1, 12, MONTHS)?,
            weekday: weekdays(weekday)?,
            any_day: starred(day) || starred(weekday),
        })))
    }

    fn named(name: &str) -> Option<Self> {
        let fields = match name {
            "yearly" | "annually" => "0 0 1 1 *",
            "monthly" => "0 0 1 * *",
            "weekly" => "0 0 * * 0",
            "daily" | "midnight" => "0 0 * * *",
            "hourly" => "0 * * * *",
            other => {
                let span: SignedDuration = other.strip_prefix("every ")?.trim().parse().ok()?;
                let seconds = u64::try_from(span.as_secs()).ok()?.max(1);
                return Some(Self::Every(Duration::from_secs(seconds)));
            }
        };
        Self::parse(fields).ok()
    }

    /// The first fitting time after `after`; nothing when there is none for years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let fields = match self {
            Self::Every(pause) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                return whole.checked_add(*pause).ok();
            }
            Self::Fields(fields) => fields,
        };
        // The next whole minute.
        let minute = after.as_second().div_euclid(60) + 1;
        let mut at = Timestamp::from_second(minute * 60).ok()?.to_zoned(zone.clone());
        let last = at.year() + YEARS;
        while at.year() <= last {
            at = match fields.step(&at) {
                None => return Some(at.timestamp()),
                Some(later) => later?,
            };
        }
        None
    }
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits & (1 << value) != 0)
}

impl Fields {
    /// `None` when the time fits; otherwise the next one worth looking at (`Some(None)` past the end of time).
    fn step(&self, at: &Zoned) -> Option<Option<Zoned>> {
        if !has(self.month, at.month()) {
            let next = at.date().first_of_month().checked_add(1.month()).ok();
            return Some(next.and_then(|date| start_of(date, at)));
        }
        if !self.fits_day(at.date()) {
            return Some(at.date().tomorrow().ok().and_then(|date| start_of(date, at)));
        }
        if !has(self.hour, at.hour()) {
            let left = 60 - i64::from(at.minute());
            return Some(at.checked_add(SignedDuration::from_mins(left)).ok());
        }
        if !has(self.minute, at.minute()) {
            return Some(at.checked_add(SignedDuration::from_mins(1)).ok());
        }
        None
    }

    fn fits_day(&self, date: Date) -> bool {
        let by_date = has(self.day, date.day());
        let by_weekday = has(self.weekday, date.weekday().to_sunday_zero_offset());
        if self.any_day {
            by_date && by_weekday
        } else {
            by_date || by_weekday
        }
    }
}

/// Midnight, or the first time of a day that begins later.
fn start_of(date: Date, at: &Zoned) -> Option<Zoned> {
    let midnight: DateTime = date.to_datetime(jiff::civil::Time::midnight());
    midnight.to_zoned(at.time_zone().clone()).ok()
}

/// Sunday is 0 and 7.
fn weekdays(text: &str) -> Result<u64, String> {
    let bits = field(text, 0, 7, WEEKDAYS)?;
    Ok((bits | (bits >> 7)) & 0x7f)
}

/// Reads a field: a list of `*`, values and ranges, each with an optional step.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Result<u64, String> {
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step, &[], 0)?)),
            None => (part, None),
        };
        let (first, last) = match range {
            "*" | "?" => (least, most.min(if most == 7 { 6 } else { most })),
            _ => match range.split_once('-') {
                Some((first, last)) => (number(first, names, least)?, number(last, names, least)?),
                None => {
                    let only = number(range, names, least)?;
                    // A value with a step goes on to the end.
                    (only, if step.is_some() { most } else { only })
                }
            },
        };
        if first < least {
            return Err(format!("beginning of range ({first}) below minimum ({least}): {part}"));
        }
        if last > most {
            return Err(format!("end of range ({last}) above maximum ({most}): {part}"));
        }
        if first > last {
            return Err(format!(
                "beginning of range ({first}) beyond end of range ({last}): {part}"
            ));
        }
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        bits |= (first..=last)
            .step_by(usize::try_from(step).unwrap_or(1))
            .fold(0_u64, |bits, value| bits | (1 << value));
    }
    Ok(bits)
}

fn number(text: &str, names: &[&str], least: u32) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    if let Some(index) = names.iter().position(|name| *name == lower) {
        return Ok(u32::try_from(index).unwrap_or(0) + least);
    }
    text.parse()
        .map_err(|error| format!("failed to parse int from {text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &str, zone: &str, after: &str, expected: &[&str]) {
        let schedule = Schedule::parse(schedule).unwrap();
        let zone = if zone == "UTC" {
            TimeZone::UTC
        } else {
            TimeZone::posix(zone).unwrap()
        };
        let mut at: Timestamp = after.parse().unwrap();
        for expected in expected {
            at = schedule.next(at, &zone).unwrap();
            assert_eq!(at.to_string(), *expected, "{schedule:?}");
        }
    }

    #[test]
    fn times_follow_the_fields() {
        let start = "2026-01-01T00:00:30Z"; // A Thursday.
        check(
            "*/15 * * * *",
            "UTC",
            start,
            &["2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"],
        );
        check(
            "5 4 * * sun",
            "UTC",
            start,
            &["2026-01-04T04:05:00Z", "2026-01-11T04:05:00Z"],
        );
        check("0 0 29 2 *", "UTC", start, &["2028-02-29T00:00:00Z"]);
        check(
            "0 12 13 * 5",
            "UTC",
            start,
            &["2026-01-02T12:00:00Z", "2026-01-09T12:00:00Z", "2026-01-13T12:00:00Z"],
        );
        check(
            "0 0 1-7 * mon",
            "UTC",
            "2026-01-08T00:00:00Z",
            &["2026-01-12T00:00:00Z"],
        );
        check(
            "30 8-10/2 1 jan,jul 7",
            "UTC",
            "2026-06-30T00:00:00Z",
            &["2026-07-01T08:30:00Z", "2026-07-01T10:30:00Z"],
        );
        check("@monthly", "UTC", start, &["2026-02-01T00:00:00Z"]);
        check("@every 1h30m", "UTC", start, &["2026-01-01T01:30:30Z"]);
    }

    #[test]
    fn the_clock_changes_with_the_zone() {
        let zone = "EST5EDT,M3.2.0,M11.1.0";
        check("0 9 * * *", zone, "2026-03-07T15:00:00Z", &["2026-03-08T13:00:00Z"]);
        // 02:30 does not exist on the eighth of March, and 01:30 comes twice on the first of November.
        check("30 2 * * *", zone, "2026-03-07T08:00:00Z", &["2026-03-09T06:30:00Z"]);
        check(
            "30 1 * * *",
            zone,
            "2026-11-01T04:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"],
        );
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let said = |text: &str| Schedule::parse(text).unwrap_err();
        assert_eq!(said("* * *"), "expected exactly 5 fields, found 3: [* * *]");
        assert_eq!(said("61 * * * *"), "end of range (61) above maximum (59): 61");
        assert_eq!(
            said("5-1 * * * *"),
            "beginning of range (5) beyond end of range (1): 5-1"
        );
        assert_eq!(said("@sometimes"), "unrecognized descriptor: @sometimes");
        assert!(
            Schedule::parse("0 0 31 2 *")
                .unwrap()
                .next("2026-01-01T00:00:00Z".parse().unwrap(), &TimeZone::UTC)
                .is_none()
        );
    }
}
