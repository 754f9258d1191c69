//! Two clusters whose VPCs have the same addresses, side by side in one region.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::support::{EXAMPLES, Ondol, Said, page_comes, provisions, until};

/// A pod that can call others.
const CALLER: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: caller
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: caller
      image: busybox
      command: [sleep, '3600']
";

/// A cluster and the kubeconfig by which it is reached.
struct Side<'a> {
    ondol: &'a Ondol,
    name: &'static str,
    kubeconfig: PathBuf,
}

impl Side<'_> {
    fn create<'a>(ondol: &'a Ondol, name: &'static str) -> Side<'a> {
        let example = std::fs::read_to_string(format!("{EXAMPLES}/cluster.yaml")).expect("the example is there");
        let file = ondol.home().join(format!("{name}.yaml"));
        std::fs::write(&file, example.replace("name: warm", &format!("name: {name}"))).expect("it can be written");
        let kubeconfig = ondol.home().join(format!("{name}.kubeconfig"));
        let (file, config) = (file.to_string_lossy(), kubeconfig.to_string_lossy());
        ondol
            .run(["create", "cluster", "-f", &file, "--kubeconfig", &config])
            .ok();
        Side {
            ondol,
            name,
            kubeconfig,
        }
    }

    fn kubectl<const N: usize>(&self, arguments: [&str; N]) -> Said {
        let all: Vec<&str> = ["--kubeconfig", self.kubeconfig.to_str().expect("a path of ASCII")]
            .into_iter()
            .chain(arguments)
            .collect();
        self.ondol.kubectl_with(&all)
    }

    async fn runs_the_app(&self, replicas: &str) {
        let caller = self.ondol.home().join("caller.yaml");
        std::fs::write(&caller, CALLER).expect("it can be written");
        self.kubectl([
            "apply",
            "-f",
            &format!("{EXAMPLES}/demo.yaml"),
            "-f",
            &caller.to_string_lossy(),
        ])
        .ok();
        self.kubectl(["scale", "deployment/demo", &format!("--replicas={replicas}")])
            .ok();
        self.kubectl(["rollout", "status", "deployment/demo", "--timeout=120s"])
            .ok();
        self.kubectl(["wait", "pod/caller", "--for=condition=Ready", "--timeout=120s"])
            .ok();
    }

    /// The app's pods, by their addresses.
    fn pods(&self) -> BTreeMap<String, String> {
        let path = "jsonpath={range .items[*]}{.status.podIP} {.metadata.name}{\"\\n\"}{end}";
        let said = self.kubectl(["get", "pods", "-l", "app=demo", "-o", path]).ok();
        let pairs = said.lines().filter_map(|line| line.split_once(' '));
        pairs
            .map(|(address, name)| (address.to_owned(), name.to_owned()))
            .collect()
    }

    async fn page_comes(&self) {
        let name = [
            "get",
            "service",
            "demo",
            "-o",
            "jsonpath={.status.loadBalancer.ingress[0].hostname}",
        ];
        let is_name = |name: &str| name.ends_with(".elb.localhost");
        let host = until("the load balancer's name", || self.kubectl(name), is_name).await;
        page_comes(self.ondol, &host, "It is warm in here").await;
    }

    /// What a pod of this cluster hears from an address.
    fn call(&self, address: &str) -> Said {
        let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} 80");
        self.kubectl(["exec", "caller", "--", "sh", "-c", &ask])
    }
}

#[tokio::test]
async fn clusters_with_the_same_addresses_do_not_see_each_other() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol.load_image("busybox");
    let (east, west) = (Side::create(&ondol, "east"), Side::create(&ondol, "west"));
    east.runs_the_app("6").await;
    west.runs_the_app("10").await;
    east.page_comes().await;
    west.page_comes().await;

    let (here, there) = (east.pods(), west.pods());
    let addresses = |pods: &BTreeMap<String, String>| pods.keys().cloned().collect::<BTreeSet<_>>();
    let shared: BTreeSet<String> = addresses(&here).intersection(&addresses(&there)).cloned().collect();
    let only_there: BTreeSet<String> = addresses(&there).difference(&addresses(&here)).cloned().collect();
    assert!(!shared.is_empty(), "no address is used twice: {here:?} {there:?}");
    assert!(!only_there.is_empty(), "{here:?} {there:?}");
    for address in &shared {
        let (near, far) = (east.call(address).ok(), west.call(address).ok());
        assert!(near.contains(&here[address]), "{address} in {}: {near}", east.name);
        assert!(far.contains(&there[address]), "{address} in {}: {far}", west.name);
    }
    for address in &only_there {
        let said = east.call(address);
        assert!(
            !there.values().any(|name| said.stdout.contains(name)),
            "{address} of {} answers in {}: {}",
            west.name,
            east.name,
            said.stdout
        );
    }
    // Every node and pod of the one is unreachable from the other, and the other goes on when the one is gone.
    ondol.run(["delete", "cluster", "--name", "east", "--wait"]).ok();
    west.page_comes().await;
    for (address, name) in &there {
        let said = west.call(address).ok();
        assert!(said.contains(name), "{address}: {said}");
    }
    ondol.down();
}
