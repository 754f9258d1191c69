# Nodes are cordoned, drained with respect for budgets, tainted and let in again.
. "$(dirname "$0")/library.sh"

k create deployment web --image=nginx --replicas=3 >/dev/null
k apply -f - >/dev/null <<'YAML'
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: most}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
YAML
k rollout status deployment/web --timeout=60s >/dev/null
node=$(k get pods -l app=web -o 'jsonpath={.items[0].spec.nodeName}')
prints 'cordoned' cordon "$node"
prints 'SchedulingDisabled' get node "$node"
prints "$node" drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout=120s
[ -z "$(k get pods -l app=web --field-selector="spec.nodeName=$node" -o name)" ] || fail "pods are left on $node"
k rollout status deployment/web --timeout=60s >/dev/null
prints 'uncordoned' uncordon "$node"
prints 'tainted' taint node "$node" "$namespace=yes:NoSchedule"
prints 'untainted' taint node "$node" "$namespace-"
prints 'labeled' label node "$node" "$namespace=yes"
prints "$node" get nodes -l "$namespace=yes" -o name
prints "$node" label node "$node" "$namespace-"
prints 'Allocated resources' describe node "$node"
