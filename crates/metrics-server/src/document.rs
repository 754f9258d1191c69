//! The objects, lists, tables and discovery documents of `metrics.k8s.io/v1beta1`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroup, APIGroupList, APIResource, APIResourceList, GroupVersionForDiscovery, ObjectMeta, Time,
};
use kube_types::quantity::{self, Amount, Format};
use serde::Serialize;

use crate::usage::{Measured, Usage};

pub(crate) const GROUP: &str = "metrics.k8s.io";
pub(crate) const VERSION: &str = "v1beta1";
const GROUP_VERSION: &str = "metrics.k8s.io/v1beta1";

/// CPU and memory as quantities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Resources {
    cpu: String,
    memory: String,
}

impl Resources {
    fn of(usage: &Usage) -> Self {
        let cpu = quantity::parse(&format!("{}n", usage.cpu_nanocores));
        let memory = i64::try_from(usage.memory_bytes).unwrap_or(i64::MAX);
        Self {
            // A number with a suffix is a quantity.
            cpu: cpu.map_or_else(|_| "0".to_owned(), |amount| amount.to_string()),
            memory: Amount::from_value(memory, Format::BinarySi).to_string(),
        }
    }
}

/// A `NodeMetrics` or `PodMetrics`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<&'static str>,
    metadata: ObjectMeta,
    timestamp: String,
    window: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<Vec<Container>>,
    /// What a row shows.
    #[serde(skip)]
    total: Resources,
}

#[derive(Clone, Debug, Serialize)]
struct Container {
    name: String,
    usage: Resources,
}

/// Whose metrics they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Nodes,
    Pods,
}

impl Of {
    pub fn plural(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Nodes => "NodeMetrics",
            Self::Pods => "PodMetrics",
        }
    }

    fn list_kind(self) -> &'static str {
        match self {
            Self::Nodes => "NodeMetricsList",
            Self::Pods => "PodMetricsList",
        }
    }
}

impl Metrics {
    pub fn of_node(of: &ObjectMeta, measured: &Measured<Usage>, now: Timestamp) -> Self {
        let usage = Resources::of(&measured.usage);
        Self {
            usage: Some(usage.clone()),
            ..Self::new(of, measured, usage, now)
        }
    }

    pub fn of_pod(of: &ObjectMeta, measured: &Measured<BTreeMap<String, Usage>>, now: Timestamp) -> Self {
        let mut sum = Usage {
            cpu_nanocores: 0,
            memory_bytes: 0,
        };
        let mut containers = Vec::new();
        for (name, usage) in &measured.usage {
            sum.cpu_nanocores += usage.cpu_nanocores;
            sum.memory_bytes += usage.memory_bytes;
            containers.push(Container {
                name: name.clone(),
                usage: Resources::of(usage),
            });
        }
        Self {
            containers: Some(containers),
            ..Self::new(of, measured, Resources::of(&sum), now)
        }
    }

    fn new<T>(of: &ObjectMeta, measured: &Measured<T>, total: Resources, now: Timestamp) -> Self {
        let metadata = ObjectMeta {
            name: of.name.clone(),
            namespace: of.namespace.clone(),
            labels: of.labels.clone(),
            creation_timestamp: Some(Time(now)),
            ..ObjectMeta::default()
        };
        Self {
            kind: None,
            api_version: None,
            metadata,
            timestamp: measured.until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            window: go_duration(measured.window),
            usage: None,
            containers: None,
            total,
        }
    }

    /// The same, as an answer of its own.
    pub fn alone(self, of: Of) -> Self {
        Self {
            kind: Some(of.kind()),
            api_version: Some(GROUP_VERSION),
            ..self
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    items: Vec<Metrics>,
}

#[derive(Serialize)]
struct Empty {}

pub(crate) fn list(of: Of, items: Vec<Metrics>) -> List {
    List {
        kind: of.list_kind(),
        api_version: GROUP_VERSION,
        metadata: Empty {},
        items,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    column_definitions: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    of: &'static str,
    format: &'static str,
    description: &'static str,
    priority: i32,
}

#[derive(Serialize)]
struct Row {
    cells: [String; 4],
    object: Partial,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partial {
    kind: &'static str,
    api_version: &'static str,
    metadata: ObjectMeta,
}

/// The columns of the metrics-server of the Kubernetes project.
pub(crate) fn table(items: Vec<Metrics>) -> Table {
    let column = |name, format, description| Column {
        name,
        of: "string",
        format,
        description,
        priority: 0,
    };
    let rows = items.into_iter().map(|one| Row {
        cells: [
            one.metadata.name.clone().unwrap_or_default(),
            one.total.cpu,
            one.total.memory,
            one.window,
        ],
        object: Partial {
            kind: "PartialObjectMetadata",
            api_version: "meta.k8s.io/v1",
            metadata: one.metadata,
        },
    });
    Table {
        kind: "Table",
        api_version: "meta.k8s.io/v1",
        metadata: Empty {},
        column_definitions: vec![
            column("Name", "name", "Name of the resource"),
            column("cpu", "quantity", ""),
            column("memory", "quantity", ""),
            column("Window", "duration", ""),
        ],
        rows: rows.collect(),
    }
}

/// What `/apis/metrics.k8s.io/v1beta1` says.
pub(crate) fn resources() -> APIResourceList {
    let resource = |of: Of| APIResource {
        name: of.plural().to_owned(),
        namespaced: of == Of::Pods,
        kind: of.kind().to_owned(),
        verbs: vec!["get".to_owned(), "list".to_owned()],
        ..APIResource::default()
    };
    APIResourceList {
        group_version: GROUP_VERSION.to_owned(),
        resources: vec![resource(Of::Nodes), resource(Of::Pods)],
    }
}

/// What `/apis/metrics.k8s.io` says.
pub(crate) fn group() -> APIGroup {
    let version = GroupVersionForDiscovery {
        group_version: GROUP_VERSION.to_owned(),
        version: VERSION.to_owned(),
    };
    APIGroup {
        name: GROUP.to_owned(),
        preferred_version: Some(version.clone()),
        versions: vec![version],
        server_address_by_client_cidrs: None,
    }
}

/// What `/apis` says.
pub(crate) fn groups() -> APIGroupList {
    APIGroupList { groups: vec![group()] }
}

/// As Go writes durations: `15.002s`, `1m30s`.
fn go_duration(length: Duration) -> String {
    let (minutes, seconds) = (length.as_secs() / 60, length.as_secs() % 60);
    let milliseconds = length.subsec_millis();
    let mut text = if minutes > 0 {
        format!("{minutes}m{seconds}")
    } else {
        seconds.to_string()
    };
    if milliseconds > 0 {
        text.push_str(format!(".{milliseconds:03}").trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_written_as_quantities_in_their_shortest_form() {
        let of = |cpu_nanocores, memory_bytes| {
            let written = Resources::of(&Usage {
                cpu_nanocores,
                memory_bytes,
            });
            (written.cpu, written.memory)
        };
        assert_eq!(of(156_340_123, 14_487_552), ("156340123n".into(), "14148Ki".into()));
        assert_eq!(of(5_000_000, 1001), ("5m".into(), "1001".into()));
        assert_eq!(of(0, 0), ("0".into(), "0".into()));
    }

    #[test]
    fn windows_are_written_as_go_does() {
        assert_eq!(go_duration(Duration::from_millis(15_020)), "15.02s");
        assert_eq!(go_duration(Duration::from_secs(90)), "1m30s");
    }

    #[test]
    fn a_pod_is_listed_with_its_containers_and_summed_in_its_row() {
        let usage = Usage {
            cpu_nanocores: 1_000_000,
            memory_bytes: 1024,
        };
        let measured = Measured {
            until: Timestamp::from_second(1_700_000_000).unwrap(),
            window: Duration::from_secs(15),
            usage: BTreeMap::from([("a".to_owned(), usage), ("b".to_owned(), usage)]),
        };
        let of = ObjectMeta {
            name: Some("p".to_owned()),
            namespace: Some("n".to_owned()),
            ..ObjectMeta::default()
        };
        let made = Metrics::of_pod(&of, &measured, measured.until);
        let alone = serde_json::to_string(&made.clone().alone(Of::Pods)).unwrap();
        assert_eq!(
            alone,
            "{\"kind\":\"PodMetrics\",\"apiVersion\":\"metrics.k8s.io/v1beta1\",\"metadata\":{\"creationTimestamp\":\
             \"2023-11-14T22:13:20Z\",\"name\":\"p\",\"namespace\":\"n\"},\"timestamp\":\"2023-11-14T22:13:20Z\",\
             \"window\":\"15s\",\"containers\":[{\"name\":\"a\",\"usage\":{\"cpu\":\"1m\",\"memory\":\"1Ki\"}},\
             {\"name\":\"b\",\"usage\":{\"cpu\":\"1m\",\"memory\":\"1Ki\"}}]}"
        );
        assert_eq!(table(vec![made]).rows[0].cells, ["p", "2m", "2Ki", "15s"]);
    }
}
