//! Custom resources in the eyes of the controllers: collected with their owners, gone with their namespace.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use kube::core::Resource as _;

use crate::cluster::{Cluster, eventually};
use crate::workloads::parse;

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {image: {type: string}}}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_resources_are_collected_and_go_with_their_namespace() {
    let cluster = Cluster::start().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let definition = definitions.create(&PostParams::default(), &parse(DEFINITION)).await;
    definition.expect("the definition is accepted");
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let tabs = parse("apiVersion: v1\nkind: Namespace\nmetadata: {name: tabs}\n");
    let created = namespaces.create(&PostParams::default(), &tabs).await;
    created.expect("the namespace is accepted");
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("stable.example.com", "v1", "CronTab"),
        "crontabs",
    );
    let crontabs: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), "tabs", &resource);
    let make = |name: &str| DynamicObject::new(name, &resource).within("tabs");
    let owner = eventually("the resource is served", || async {
        crontabs.create(&PostParams::default(), &make("owner")).await
    })
    .await;
    let mut owned = make("owned");
    owned.metadata.owner_references = owner.owner_ref(&resource).map(|reference| vec![reference]);
    let made = crontabs.create(&PostParams::default(), &owned).await;
    made.expect("the dependent is accepted");
    let made = crontabs.create(&PostParams::default(), &make("free")).await;
    made.expect("another is accepted");
    crontabs
        .delete("owner", &DeleteParams::default())
        .await
        .expect("the owner is deleted");
    eventually("the dependent is collected", || async {
        let left = crontabs.get_opt("owned").await.expect("objects are read");
        left.map_or(Ok(()), Err)
    })
    .await;
    assert!(crontabs.get_opt("free").await.expect("objects are read").is_some());
    namespaces
        .delete("tabs", &DeleteParams::default())
        .await
        .expect("the namespace is deleted");
    eventually("the namespace is gone with its objects", || async {
        let left = namespaces.get_opt("tabs").await.expect("namespaces are read");
        left.map_or(Ok(()), |left| Err(left.status))
    })
    .await;
    cluster.stop().await;
}
