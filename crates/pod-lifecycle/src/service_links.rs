//! The variables by which a container finds the services of its namespace (`enableServiceLinks`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;

/// The namespace and name of the service that every pod sees.
const MASTER: (&str, &str) = ("default", "kubernetes");

/// Variables for a pod in `namespace`. Without links only the API server's service is there.
pub fn variables(services: &[Service], namespace: &str, links: bool) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let home = service.metadata.namespace.as_deref().unwrap_or_default();
        let is_master = (home, name) == MASTER;
        if (links && home == namespace) || (is_master && !chosen.contains_key(name)) {
            chosen.insert(name, service);
        }
    }
    let mut variables = BTreeMap::new();
    for (name, service) in chosen {
        add(&mut variables, name, service);
    }
    variables
}

fn add(variables: &mut BTreeMap<String, String>, name: &str, service: &Service) {
    let spec = service.spec.clone().unwrap_or_default();
    let Some(ip) = spec.cluster_ip.filter(|ip| !ip.is_empty() && ip != "None") else {
        return;
    };
    let host = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.clone()
    };
    let prefix = variable_name(name);
    let ports = spec.ports.unwrap_or_default();
    let Some(first) = ports.first() else { return };
    variables.insert(format!("{prefix}_SERVICE_HOST"), ip.clone());
    variables.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
    for (index, port) in ports.iter().enumerate() {
        if let Some(port_name) = port.name.as_deref().filter(|port_name| !port_name.is_empty()) {
            variables.insert(
                format!("{prefix}_SERVICE_PORT_{}", variable_name(port_name)),
                port.port.to_string(),
            );
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        if index == 0 {
            variables.insert(format!("{prefix}_PORT"), url.clone());
        }
        let of_port = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        variables.insert(format!("{of_port}_PROTO"), protocol.to_lowercase());
        variables.insert(format!("{of_port}_PORT"), port.port.to_string());
        variables.insert(format!("{of_port}_ADDR"), ip.clone());
        variables.insert(of_port, url);
    }
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_the_namespace_and_the_api_server() {
        let services: Vec<Service> = serde_json::from_str(
            r#"[{"metadata":{"name":"kubernetes","namespace":"default"},"spec":{"clusterIP":"10.100.0.1","ports":[{"name":"https","port":443}]}},
                {"metadata":{"name":"web-app","namespace":"n"},"spec":{"clusterIP":"10.100.0.9","ports":[{"port":80,"protocol":"TCP"}]}},
                {"metadata":{"name":"headless","namespace":"n"},"spec":{"clusterIP":"None","ports":[{"port":80}]}},
                {"metadata":{"name":"other","namespace":"m"},"spec":{"clusterIP":"10.100.0.8","ports":[{"port":80}]}}]"#,
        )
        .unwrap();
        let text = |links| {
            let found = variables(&services, "n", links);
            found
                .iter()
                .map(|(name, value)| format!("{name}={value}\n"))
                .collect::<String>()
        };
        insta::assert_snapshot!(text(true), @r"
        KUBERNETES_PORT=tcp://10.100.0.1:443
        KUBERNETES_PORT_443_TCP=tcp://10.100.0.1:443
        KUBERNETES_PORT_443_TCP_ADDR=10.100.0.1
        KUBERNETES_PORT_443_TCP_PORT=443
        KUBERNETES_PORT_443_TCP_PROTO=tcp
        KUBERNETES_SERVICE_HOST=10.100.0.1
        KUBERNETES_SERVICE_PORT=443
        KUBERNETES_SERVICE_PORT_HTTPS=443
        WEB_APP_PORT=tcp://10.100.0.9:80
        WEB_APP_PORT_80_TCP=tcp://10.100.0.9:80
        WEB_APP_PORT_80_TCP_ADDR=10.100.0.9
        WEB_APP_PORT_80_TCP_PORT=80
        WEB_APP_PORT_80_TCP_PROTO=tcp
        WEB_APP_SERVICE_HOST=10.100.0.9
        WEB_APP_SERVICE_PORT=80
        ");
        assert!(!text(false).contains("WEB_APP"));
    }
}
