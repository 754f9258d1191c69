//! What `discover` promises, as tests.

use kube_types::dynamic::Object;

use super::*;

fn typed<K: k8s_openapi::Resource + serde::de::DeserializeOwned>(text: &str) -> K {
    serde_json::from_str::<Object>(text).unwrap().to_typed().unwrap()
}

fn service(kind: &str, extra: &str) -> Service {
    typed(&format!(
        r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"web","namespace":"default","uid":"6f1d3c1e-0000-4000-8000-000000000001"}},
           "spec":{{"type":"{kind}"{extra},"ports":[{{"name":"http","port":80,"targetPort":8080}},{{"name":"dns","port":53,"protocol":"UDP"}}]}}}}"#
    ))
}

fn slice() -> EndpointSlice {
    typed(
        r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
            "metadata":{"name":"web-1","namespace":"default","labels":{"kubernetes.io/service-name":"web"}},
            "endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true}},{"addresses":["10.0.0.2"],"conditions":{"ready":false}}],
            "ports":[{"name":"http","port":8080,"protocol":"TCP"}]}"#,
    )
}

fn seen(service: Service) -> Seen {
    let mut seen = Seen::default();
    assert!(
        seen.desired("r").is_none(),
        "nothing is known before the lists are whole"
    );
    seen.services.take(Event::Init);
    seen.services.take(Event::InitApply(service));
    seen.services.take(Event::InitDone);
    seen.slices.take(Event::InitDone);
    seen.slices.take(Event::Apply(slice()));
    seen
}

#[test]
fn a_balancer_follows_from_its_service_and_the_ready_endpoints_of_its_tcp_ports() {
    let mut seen = seen(service("LoadBalancer", ""));
    let desired = seen.desired("ap-northeast-2").unwrap();
    let (key, one) = desired.first_key_value().unwrap();
    assert_eq!(
        (key.to_string().as_str(), one.service.as_str()),
        ("default/web", "default/web")
    );
    assert!(
        one.host_name.ends_with(".ap-northeast-2.elb.localhost"),
        "{}",
        one.host_name
    );
    assert_eq!(
        one.ports,
        BTreeMap::from([(80, vec!["10.0.0.1:8080".parse().unwrap()])])
    );
    seen.slices.take(Event::Delete(slice()));
    assert_eq!(
        seen.desired("r").unwrap().into_values().next().unwrap().ports,
        BTreeMap::from([(80, vec![])])
    );
}

#[test]
fn other_types_and_other_classes_get_none() {
    for other in [
        service("ClusterIP", ""),
        service("LoadBalancer", r#","loadBalancerClass":"service.k8s.aws/nlb""#),
    ] {
        assert_eq!(seen(other).desired("r").unwrap(), BTreeMap::new());
    }
}
