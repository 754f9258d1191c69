# Applying from the client's side and the server's, with differences, pruning and documentation.
. "$(dirname "$0")/library.sh"

first=$(manifest first.yaml <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {set: one}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "nginx:1"}, {name: side, image: "side:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {set: one}}
data: {color: blue}
YAML
)
sed 's/nginx:1/nginx:2/' "$first" >"$work/second.yaml"
sed '/^---/,$d' "$first" >"$work/without-map.yaml"

prints 'deployment.apps/web created (dry run)' apply -f "$first" --dry-run=client
prints 'deployment.apps/web created (server dry run)' apply -f "$first" --dry-run=server
refused 'not found' get deployment web
prints 'configmap/settings created' apply -f "$first"
prints 'deployment.apps/web unchanged' apply -f "$first"
if k diff -f "$work/second.yaml" >"$work/diff"; then fail 'a difference exits with 1'; fi
grep -q '^+.*image: nginx:2' "$work/diff" && grep -q '^-.*image: nginx:1' "$work/diff" || fail "$(cat "$work/diff")"
k diff -f "$first" || fail 'there is no difference'
prints 'deployment.apps/web configured' apply -f "$work/second.yaml"
prints 'nginx:2 side:1' get deployment web -o 'jsonpath={.spec.template.spec.containers[*].image}'
prints 'image: nginx:2' apply view-last-applied deployment web
# Before 1.26 it asks for versions that are gone from 1.25 on, unless it is told what to prune.
list=(--prune-allowlist=core/v1/ConfigMap)
since 26 || list=(--prune-whitelist=core/v1/ConfigMap)
since 30 && list=()
prints 'configmap/settings pruned' apply -f "$work/without-map.yaml" --prune -l set=one "${list[@]}"
refused 'not found' get configmap settings
refused 'replicass' apply -f <(sed 's/replicas: 1/replicass: 1/' "$first")
refused 'Invalid' apply -f <(sed 's/app: web}}$/app: other}}/' "$first")

served=$(manifest served.yaml <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: served}
spec:
  replicas: 1
  selector: {matchLabels: {app: served}}
  template:
    metadata: {labels: {app: served}}
    spec: {containers: [{name: main, image: "nginx:1"}]}
YAML
)
prints 'deployment.apps/served serverside-applied' apply --server-side -f "$served"
k scale deployment served --replicas=2 >/dev/null
sed 's/replicas: 1/replicas: 3/' "$served" >"$work/three.yaml"
prints 'serverside-applied' apply --server-side --field-manager=mine --force-conflicts -f "$work/three.yaml"
sed 's/replicas: 1/replicas: 4/' "$served" >"$work/four.yaml"
refused 'conflict with "mine"' apply --server-side -f "$work/four.yaml"
prints '3' get deployment served -o 'jsonpath={.spec.replicas}'
# From client-side to server-side apply and on.
prints 'serverside-applied' apply --server-side -f "$work/second.yaml" --force-conflicts

definition=$(manifest definition.yaml <<YAML
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boxes.$namespace.ondol.test}
spec:
  group: $namespace.ondol.test
  scope: Namespaced
  names: {plural: boxes, singular: box, kind: Box, shortNames: [bx], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        description: A box for things.
        properties:
          spec:
            type: object
            required: [size]
            properties: {size: {type: integer, description: How much fits in.}, color: {type: string}}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
YAML
)
box=$(manifest box.yaml <<YAML
apiVersion: $namespace.ondol.test/v1
kind: Box
metadata: {name: small}
spec: {size: 1}
YAML
)
k apply -f "$definition" >/dev/null
k wait --for=condition=Established "crd/boxes.$namespace.ondol.test" --timeout=60s >/dev/null
prints 'small created' apply -f "$box"
prints 'small unchanged' apply -f "$box"
prints 'SIZE' get boxes
prints 'box.' get all
sed 's/size: 1/size: 1, shape: round/' "$box" >"$work/wrong.yaml"
for _ in $(seq 100); do refused_once=$(k apply -f "$work/wrong.yaml" 2>&1) && break; [[ $refused_once == *shape* ]] && break; sleep 0.1; done
[[ $refused_once == *shape* ]] || fail "an unknown field is told of: $refused_once"
prints 'How much fits in.' explain box.spec.size
prints 'color' explain boxes.spec --recursive
prints 'DeploymentSpec' explain deployment.spec
prints 'topologySpreadConstraints' explain deployment --recursive
prints 'Number of desired pods' explain deployment.spec.replicas
prints 'deleted' delete -f "$box" -f "$definition"
