//! The two text forms of metrics: OpenMetrics, and the older one that is sent to whoever does not ask for it.

use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    Open,
    /// The form of Prometheus 0.0.4.
    Plain,
}

impl Format {
    /// What a client asks for by the values of its `Accept` headers.
    pub fn accepted<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let mut accepted = accept.into_iter().flat_map(|value| value.split(','));
        if accepted.any(|one| one.trim().starts_with("application/openmetrics-text")) {
            Self::Open
        } else {
            Self::Plain
        }
    }

    /// As a header says it.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes the metrics of `registry`, and after them others that are in the older form already.
///
/// # Errors
/// When a metric cannot be written.
pub fn write(registry: &Registry, plain: &str, format: Format) -> Result<String, fmt::Error> {
    let mut open = String::new();
    text::encode(&mut open, registry)?;
    Ok(finish(&open, plain, format))
}

/// Puts metrics in OpenMetrics and others in the older form together.
fn finish(open: &str, plain: &str, format: Format) -> String {
    let mut text = String::with_capacity(open.len() + plain.len());
    match format {
        Format::Plain => {
            plainly(open, &mut text);
            text.push_str(plain);
        }
        Format::Open => {
            text.push_str(open.strip_suffix("# EOF\n").unwrap_or(open));
            for line in plain.lines() {
                // Here a counter's name does not have the suffix of its value.
                let line = if line.starts_with('#') {
                    line.replacen("_total ", " ", 1)
                } else {
                    line.to_owned()
                };
                text.push_str(&line);
                text.push('\n');
            }
            text.push_str("# EOF\n");
        }
    }
    text
}

/// In the older form a counter is described by the name that its value has, and there are no units and no end.
fn plainly(open: &str, text: &mut String) {
    let lines: Vec<&str> = open.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => {}
            (Some("#"), Some(word @ ("HELP" | "TYPE")), Some(name), rest) => {
                let own = format!("# TYPE {name} counter");
                let near = &lines[index.saturating_sub(2)..(index + 3).min(lines.len())];
                let suffix = if near.contains(&own.as_str()) { "_total" } else { "" };
                text.push_str(&format!("# {word} {name}{suffix} {}\n", rest.unwrap_or_default()));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str =
        "# HELP a_b Bees.\n# TYPE a_b counter\na_b_total{c=\"d\"} 1\n# HELP g Gee.\n# TYPE g gauge\ng 2\n# EOF\n";
    const PLAIN: &str = "# HELP p_total Pee.\n# TYPE p_total counter\np_total 3\n";

    #[test]
    fn counters_are_described_as_each_form_wants_it() {
        let plain = "# HELP a_b_total Bees.\n# TYPE a_b_total counter\na_b_total{c=\"d\"} 1\n# HELP g Gee.\n# TYPE g gauge\ng 2\n";
        assert_eq!(finish(OPEN, PLAIN, Format::Plain), format!("{plain}{PLAIN}"));
        let open = OPEN.strip_suffix("# EOF\n").unwrap();
        assert_eq!(
            finish(OPEN, PLAIN, Format::Open),
            format!("{open}# HELP p Pee.\n# TYPE p counter\np_total 3\n# EOF\n")
        );
    }
}
