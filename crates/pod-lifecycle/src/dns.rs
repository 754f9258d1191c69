//! Names: hostname, /etc/hosts and resolv.conf of a pod.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use crate::spec;

/// A resolver configuration, as resolv.conf holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    /// At most three are used.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// `ndots:5` and the like.
    pub options: Vec<String>,
}

const MOST_SERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;

impl Resolver {
    /// Reads a resolv.conf; unknown lines are skipped, the last `search` counts.
    pub fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let rest = |words: std::str::SplitWhitespace<'_>| words.map(str::to_owned).collect::<Vec<_>>();
            match words.next() {
                Some("nameserver") => resolver.servers.extend(words.next().map(str::to_owned)),
                Some("search") => resolver.searches = rest(words),
                Some("options") => resolver.options = rest(words),
                _ => {}
            }
        }
        resolver
    }
}

/// The resolver of a pod by its dnsPolicy and dnsConfig.
pub fn resolver(pod: &Pod, cluster_dns: &[IpAddr], cluster_domain: &str, host: &Resolver) -> Resolver {
    let Some(pod_spec) = &pod.spec else { return host.clone() };
    let cluster = match pod_spec.dns_policy.as_deref() {
        Some("ClusterFirstWithHostNet") => true,
        Some("ClusterFirst") | None => !spec::host_network(pod_spec),
        Some(_) => false,
    };
    let mut resolver = if cluster && !cluster_dns.is_empty() {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let mut searches = vec![
            format!("{namespace}.svc.{cluster_domain}"),
            format!("svc.{cluster_domain}"),
            cluster_domain.to_owned(),
        ];
        merge(&mut searches, host.searches.iter().cloned());
        Resolver {
            servers: cluster_dns.iter().map(ToString::to_string).collect(),
            searches,
            options: vec!["ndots:5".to_owned()],
        }
    } else if pod_spec.dns_policy.as_deref() == Some("None") {
        Resolver::default()
    } else {
        host.clone()
    };
    if let Some(config) = &pod_spec.dns_config {
        merge(&mut resolver.servers, config.nameservers.iter().flatten().cloned());
        merge(&mut resolver.searches, config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            let of_name = |text: &String| text.split(':').next() == Some(name.as_str());
            resolver.options.retain(|text| !of_name(text));
            resolver.options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name.clone(),
            });
        }
    }
    resolver.servers.truncate(MOST_SERVERS);
    resolver.searches.truncate(MOST_SEARCHES);
    resolver
}

fn merge(list: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// Hostname and domain of a pod. The domain is empty without `subdomain`.
pub fn hostname_and_domain(pod: &Pod, cluster_domain: &str) -> (String, String) {
    let pod_spec = pod.spec.clone().unwrap_or_default();
    if let Some(name) = pod_spec.hostname_override {
        return (name, String::new());
    }
    let name = pod.metadata.name.clone().unwrap_or_default();
    let hostname = pod_spec
        .hostname
        .filter(|hostname| !hostname.is_empty())
        .unwrap_or(name);
    // A pod's name may be longer than a kernel hostname.
    let hostname: String = hostname.chars().take(63).collect();
    let hostname = hostname.trim_end_matches(['-', '.']).to_owned();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let domain = pod_spec.subdomain.filter(|subdomain| !subdomain.is_empty());
    (
        hostname,
        domain
            .map(|domain| format!("{domain}.{namespace}.svc.{cluster_domain}"))
            .unwrap_or_default(),
    )
}

/// The kernel hostname: with `setHostnameAsFQDN` the whole name.
pub fn kernel_hostname(pod: &Pod, cluster_domain: &str) -> String {
    let (hostname, domain) = hostname_and_domain(pod, cluster_domain);
    let whole = pod
        .spec
        .as_ref()
        .is_some_and(|pod_spec| pod_spec.set_hostname_as_fqdn == Some(true));
    if whole && !domain.is_empty() {
        format!("{hostname}.{domain}")
    } else {
        hostname
    }
}

/// /etc/hosts of a pod. `host_file` is the machine's own, for pods on the host network.
pub fn hosts_file(pod: &Pod, pod_ips: &[String], cluster_domain: &str, host_file: &str) -> String {
    let pod_spec = pod.spec.clone().unwrap_or_default();
    let mut text = if spec::host_network(&pod_spec) {
        format!("# Kubernetes-managed hosts file (host network).\n{host_file}")
    } else {
        own_hosts(pod, pod_ips, cluster_domain)
    };
    append_aliases(&mut text, &pod_spec);
    text
}

fn own_hosts(pod: &Pod, pod_ips: &[String], cluster_domain: &str) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let (hostname, domain) = hostname_and_domain(pod, cluster_domain);
    for ip in pod_ips {
        if domain.is_empty() {
            text.push_str(&format!("{ip}\t{hostname}\n"));
        } else {
            text.push_str(&format!("{ip}\t{hostname}.{domain}\t{hostname}\n"));
        }
    }
    text
}

fn append_aliases(text: &mut String, pod_spec: &PodSpec) {
    let aliases = pod_spec.host_aliases.as_deref().unwrap_or_default();
    if aliases.is_empty() {
        return;
    }
    text.push_str("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names = alias.hostnames.clone().unwrap_or_default().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &str) -> Pod {
        let json = format!(r#"{{"metadata":{{"name":"web-0","namespace":"shop"}},"spec":{spec}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn check(spec: &str, expected: &str) {
        let host = Resolver::parse("nameserver 10.0.0.2\nsearch compute.internal\noptions timeout:2 attempts:5\n");
        let dns = ["172.20.0.10".parse().unwrap()];
        let found = resolver(&pod(spec), &dns, "cluster.local", &host);
        let text = format!(
            "{} / {} / {}",
            found.servers.join(" "),
            found.searches.join(" "),
            found.options.join(" ")
        );
        assert_eq!(text, expected, "{spec}");
    }

    #[test]
    fn policies() {
        let cluster = "172.20.0.10 / shop.svc.cluster.local svc.cluster.local cluster.local compute.internal / ndots:5";
        let host = "10.0.0.2 / compute.internal / timeout:2 attempts:5";
        check(r#"{"containers":[]}"#, cluster);
        check(r#"{"containers":[],"hostNetwork":true}"#, host);
        check(
            r#"{"containers":[],"hostNetwork":true,"dnsPolicy":"ClusterFirstWithHostNet"}"#,
            cluster,
        );
        check(r#"{"containers":[],"dnsPolicy":"Default"}"#, host);
        check(
            r#"{"containers":[],"dnsPolicy":"None","dnsConfig":{"nameservers":["1.1.1.1"],"searches":["a.b"],"options":[{"name":"ndots","value":"2"},{"name":"edns0"}]}}"#,
            "1.1.1.1 / a.b / ndots:2 edns0",
        );
        check(
            r#"{"containers":[],"dnsConfig":{"options":[{"name":"ndots","value":"1"}]}}"#,
            &cluster.replace("ndots:5", "ndots:1"),
        );
    }

    #[test]
    fn hosts_of_a_pod_with_a_subdomain_and_aliases() {
        let pod = pod(r#"{"containers":[],"subdomain":"web","hostAliases":[{"ip":"1.2.3.4","hostnames":["a","b"]}]}"#);
        let text = hosts_file(&pod, &["10.0.1.5".to_owned()], "cluster.local", "");
        assert!(
            text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "10.0.1.5\tweb-0.web.shop.svc.cluster.local\tweb-0\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"
            ),
            "{text}"
        );
    }
}
