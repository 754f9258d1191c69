//! Questions and answers, as the DNS specification of Kubernetes words them.
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::vpc::{VpcNames, instance_name};
use super::*;

fn service(text: &str) -> Service {
    serde_json::from_str(text).unwrap()
}

fn slice(text: &str) -> EndpointSlice {
    serde_json::from_str(text).unwrap()
}

fn names() -> ClusterNames {
    let services = [
        service(
            r#"{"metadata":{"namespace":"default","name":"web"},"spec":{"clusterIP":"10.100.0.50",
            "ports":[{"name":"http","port":80},{"name":"metrics","port":9090,"protocol":"UDP"}]}}"#,
        ),
        service(
            r#"{"metadata":{"namespace":"default","name":"db"},"spec":{"clusterIP":"None",
            "ports":[{"name":"pg","port":5432}]}}"#,
        ),
        service(
            r#"{"metadata":{"namespace":"default","name":"out"},"spec":{"type":"ExternalName","externalName":"Example.com."}}"#,
        ),
    ];
    let slices = [
        slice(
            r#"{"metadata":{"namespace":"default","labels":{"kubernetes.io/service-name":"db"}},"addressType":"IPv4",
            "ports":[{"name":"pg","port":5432,"protocol":"TCP"}],"endpoints":[
            {"addresses":["10.0.0.11"],"hostname":"db-0"},{"addresses":["10.0.0.12"]},
            {"addresses":["10.0.0.13"],"hostname":"db-2","conditions":{"ready":false}}]}"#,
        ),
        slice(
            r#"{"metadata":{"namespace":"default","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
            "ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":["10.0.0.21"]}]}"#,
        ),
    ];
    ClusterNames::build(
        CLUSTER_DOMAIN,
        &services,
        &SliceIndex::new(&slices),
        ["default".to_owned(), "empty".to_owned()],
    )
}

fn shown(answer: &Answer) -> String {
    let show = |records: &[Record]| {
        let each = records.iter().map(|record| match &record.data {
            RecordData::Address(address) => format!("{} A {address}", record.name),
            RecordData::Service { weight, port, target } => format!("{} SRV 0 {weight} {port} {target}", record.name),
            RecordData::Pointer(target) => format!("PTR {target}"),
            RecordData::Text(text) => format!("TXT {text}"),
            RecordData::Alias(target) => format!("CNAME {target}"),
        });
        each.collect::<Vec<_>>().join("; ")
    };
    match answer {
        Answer::Records { answers, additional } if additional.is_empty() => show(answers),
        Answer::Records { answers, additional } => format!("{} + {}", show(answers), show(additional)),
        other => format!("{other:?}"),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn questions_of_a_cluster() {
    use RecordKind::{A, Aaaa, Any, Other, Ptr, Srv, Txt};
    let names = names();
    let w = "web.default.svc.cluster.local";
    let d = "db.default.svc.cluster.local";
    let rows = [
        (w, A, format!("{w} A 10.100.0.50")),
        ("WEB.default.svc.Cluster.Local.", A, format!("{w} A 10.100.0.50")),
        (w, Aaaa, "NoData".into()),
        (w, Other, "NoData".into()),
        (
            "_http._tcp.web.default.svc.cluster.local",
            Srv,
            format!("_http._tcp.{w} SRV 0 100 80 {w} + {w} A 10.100.0.50"),
        ),
        (
            "_metrics._udp.web.default.svc.cluster.local",
            Srv,
            format!("_metrics._udp.{w} SRV 0 100 9090 {w} + {w} A 10.100.0.50"),
        ),
        ("_metrics._tcp.web.default.svc.cluster.local", Srv, "NoSuchName".into()),
        ("_tcp.web.default.svc.cluster.local", A, "NoData".into()),
        (
            w,
            Srv,
            format!("{w} SRV 0 100 80 {w}; {w} SRV 0 100 9090 {w} + {w} A 10.100.0.50"),
        ),
        (d, A, format!("{d} A 10.0.0.11; {d} A 10.0.0.12")),
        ("db-0.db.default.svc.cluster.local", A, format!("db-0.{d} A 10.0.0.11")),
        (
            "10-0-0-12.db.default.svc.cluster.local",
            A,
            format!("10-0-0-12.{d} A 10.0.0.12"),
        ),
        ("db-2.db.default.svc.cluster.local", A, "NoSuchName".into()),
        (
            "_pg._tcp.db.default.svc.cluster.local",
            Srv,
            format!(
                "_pg._tcp.{d} SRV 0 50 5432 10-0-0-12.{d}; _pg._tcp.{d} SRV 0 50 5432 db-0.{d} \
                 + 10-0-0-12.{d} A 10.0.0.12; db-0.{d} A 10.0.0.11"
            ),
        ),
        ("out.default.svc.cluster.local", A, "CNAME example.com".into()),
        ("out.default.svc.cluster.local", Any, "CNAME example.com".into()),
        ("none.default.svc.cluster.local", A, "NoSuchName".into()),
        ("web.other.svc.cluster.local", A, "NoSuchName".into()),
        ("empty.svc.cluster.local", A, "NoData".into()),
        ("svc.cluster.local", A, "NoData".into()),
        ("cluster.local", A, "NoData".into()),
        (
            "10-0-0-7.default.pod.cluster.local",
            A,
            "10-0-0-7.default.pod.cluster.local A 10.0.0.7".into(),
        ),
        ("10-0-0-7.default.pod.cluster.local", Aaaa, "NoData".into()),
        ("10-0-0-7.nowhere.pod.cluster.local", A, "NoSuchName".into()),
        ("10-0-0-700.default.pod.cluster.local", A, "NoSuchName".into()),
        ("50.0.100.10.in-addr.arpa", Ptr, format!("PTR {w}")),
        ("11.0.0.10.in-addr.arpa", Ptr, format!("PTR db-0.{d}")),
        ("21.0.0.10.in-addr.arpa", Ptr, format!("PTR 10-0-0-21.{w}")),
        ("1.1.1.1.in-addr.arpa", Ptr, "NotHere".into()),
        ("dns-version.cluster.local", Txt, "TXT 1.1.0".into()),
        ("example.com", A, "NotHere".into()),
        ("notcluster.local", A, "NotHere".into()),
    ];
    for (name, kind, expected) in rows {
        assert_eq!(shown(&names.answer(name, kind)), expected, "{name} {kind:?}");
    }
}

#[test]
fn questions_of_a_vpc() {
    use RecordKind::{A, Aaaa, Ptr};
    let vpc = VpcNames {
        region: "ap-northeast-2".into(),
        cidrs: vec!["10.0.0.0/16".parse().unwrap()],
    };
    let name = "ip-10-0-1-5.ap-northeast-2.compute.internal";
    assert_eq!(
        instance_name("10.0.1.5".parse().unwrap(), "us-east-1"),
        "ip-10-0-1-5.ec2.internal"
    );
    let rows = [
        (name, A, format!("{name} A 10.0.1.5")),
        (name, Aaaa, "NoData".into()),
        ("ip-10-9-1-5.ap-northeast-2.compute.internal", A, "NoSuchName".into()),
        ("ip-10-0-1-5.us-west-2.compute.internal", A, "NotHere".into()),
        ("5.1.0.10.in-addr.arpa", Ptr, format!("PTR {name}")),
        ("8.8.8.8.in-addr.arpa", Ptr, "NotHere".into()),
        ("example.com", A, "NotHere".into()),
    ];
    for (name, kind, expected) in rows {
        assert_eq!(shown(&vpc.answer(name, kind)), expected, "{name} {kind:?}");
    }
}
