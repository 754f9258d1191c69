//! The components of a control plane as clients of its API server, and where EKS shows what they count.

use access_rules::User;
use kube_api::KubeApi;
use kube_client::{Counted, in_process, in_process_counted};
use prometheus_client::registry::Registry;

const NAMESPACE: &str = "default";

/// A client that is `name`, without a socket.
pub(super) fn client(api: &KubeApi, name: &str, groups: &[&str]) -> kube::Client {
    in_process(api.in_process(user(name, groups)), NAMESPACE)
}

/// As [`client`], and its requests are counted.
pub(super) fn counted_client(api: &KubeApi, name: &str, groups: &[&str]) -> Counted {
    in_process_counted(api.in_process(user(name, groups)), NAMESPACE)
}

fn user(name: &str, groups: &[&str]) -> User {
    User::authenticated(name, groups.iter().copied())
}

/// Shows what the scheduler, the controllers and the clients of both count.
pub(super) fn show_metrics(
    api: &KubeApi,
    (scheduler, scheduler_client): (&scheduler::Scheduler, &kube_client::Metrics),
    (controllers, controllers_client): (&controller_manager::ControllerManager, &kube_client::Metrics),
) {
    let mut of_controllers = Registry::default();
    controllers.metrics.register(&mut of_controllers);
    controllers_client.register(&mut of_controllers);
    api.show_metrics("kcm", of_controllers);
    let mut of_scheduler = Registry::default();
    scheduler.metrics.register(&mut of_scheduler);
    scheduler_client.register(&mut of_scheduler);
    api.show_metrics("ksh", of_scheduler);
}
