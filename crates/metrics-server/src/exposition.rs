//! Reads what a node says under `/metrics/resource`, in Prometheus' text format.

use std::collections::BTreeMap;

/// What a node said at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scrape {
    pub node: Counters,
    /// By namespace and name, then by container.
    pub pods: BTreeMap<(String, String), BTreeMap<String, Counters>>,
}

/// CPU used since the beginning and memory used now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counters {
    /// Seconds of one core; `None` when nothing was said.
    pub cpu_seconds: Option<f64>,
    /// Working set in bytes.
    pub memory_bytes: Option<u64>,
    /// When it started, in seconds since 1970, where it was said.
    pub started: Option<f64>,
}

/// Reads the families that are needed; others and broken lines are passed over.
pub(crate) fn read(text: &str) -> Scrape {
    let mut scrape = Scrape::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(sample) = Sample::read(line) else { continue };
        let Some(counters) = counters(&mut scrape, &sample) else {
            continue;
        };
        match sample.name {
            "node_cpu_usage_seconds_total" | "container_cpu_usage_seconds_total" => {
                counters.cpu_seconds = Some(sample.value);
            }
            "node_memory_working_set_bytes" | "container_memory_working_set_bytes" => {
                // Bytes are whole and below what a float holds exactly.
                counters.memory_bytes = Some(sample.value.max(0.0) as u64);
            }
            "container_start_time_seconds" => counters.started = Some(sample.value),
            _ => {}
        }
    }
    scrape
}

/// Where a sample's value belongs.
fn counters<'s>(scrape: &'s mut Scrape, sample: &Sample<'_>) -> Option<&'s mut Counters> {
    if sample.name.starts_with("node_") {
        return Some(&mut scrape.node);
    }
    if !sample.name.starts_with("container_") {
        return None;
    }
    let label = |name: &str| {
        sample
            .labels
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone())
    };
    let pod = (label("namespace")?, label("pod")?);
    let container = label("container")?;
    Some(scrape.pods.entry(pod).or_default().entry(container).or_default())
}

/// One line: `name{label="value"} number [milliseconds]`.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, labels, rest) = match line.split_once('{') {
            Some((name, after)) => {
                let (labels, rest) = labels(after)?;
                (name, labels, rest)
            }
            None => {
                let (name, rest) = line.split_once(' ')?;
                (name, Vec::new(), rest)
            }
        };
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Self {
            name: name.trim(),
            labels,
            value,
        })
    }
}

/// The labels up to the closing brace, and what follows it.
fn labels(text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((found, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => match letters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        found.push((name.trim_start_matches(',').trim(), value));
        rest = after[end + 1..].trim_start_matches(',').trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_containers_are_read_and_others_passed_over() {
        let text = r#"# HELP node_cpu_usage_seconds_total x
node_cpu_usage_seconds_total 12.5
node_memory_working_set_bytes 1048576 1700000000000
container_cpu_usage_seconds_total{container="a",namespace="n",pod="p"} 1.25
container_memory_working_set_bytes{container="a", pod="p", namespace="n",} 2.048e+03
container_start_time_seconds{container="a",namespace="n",pod="p"} 100
pod_cpu_usage_seconds_total{namespace="n",pod="p"} 9
container_cpu_usage_seconds_total{container="b\"\\",namespace="n",pod="p"} 2
container_cpu_usage_seconds_total{broken
resource_scrape_error 0
"#;
        let scrape = read(text);
        assert_eq!(
            (scrape.node.cpu_seconds, scrape.node.memory_bytes),
            (Some(12.5), Some(1 << 20))
        );
        let containers = &scrape.pods[&("n".to_owned(), "p".to_owned())];
        let a = Counters {
            cpu_seconds: Some(1.25),
            memory_bytes: Some(2048),
            started: Some(100.0),
        };
        assert_eq!(containers["a"], a);
        assert_eq!(containers["b\"\\"].cpu_seconds, Some(2.0));
    }
}
