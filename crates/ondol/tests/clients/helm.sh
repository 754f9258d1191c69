# Helm installs, upgrades, tests, rolls back and uninstalls a chart with a definition and hooks. HELM and KUBECTL name the programs.
set -euo pipefail
chart=$(dirname "$0")/chart
helm=${HELM:-helm}
kubectl=${KUBECTL:-kubectl}
version=$("$helm" version --template '{{.Version}}')
namespace=helm-$(printf %s "$version" | tr -dc 'a-z0-9\n' | cut -c1-20)

fail() {
  printf 'helm %s: %s\n' "$version" "$1" >&2
  exit 1
}
h() { "$helm" --namespace "$namespace" "$@"; }
k() { "$kubectl" --namespace "$namespace" "$@"; }
prints() {
  local wanted=$1 said
  shift
  said=$(h "$@" 2>&1) || fail "helm $* failed: $said"
  [[ $said == *"$wanted"* ]] || fail "helm $* should print '$wanted': $said"
}
is() { [ "$2" = "$3" ] || fail "$1 should be '$3': '$2'"; }
trap '"$kubectl" delete namespace "$namespace" --wait=false >/dev/null 2>&1 || true' EXIT

prints 'shop says hello.' install shop "$chart" --create-namespace --wait --timeout=120s
is 'ready replicas' "$(k get deployment shop -o 'jsonpath={.status.readyReplicas}')" 2
is 'the shelf' "$(k get shelf shop -o 'jsonpath={.spec.label}')" hello
is 'hooks left' "$(k get jobs -o name)" ''
prints 'deployed' list
prints 'STATUS: deployed' status shop
prints 'replicas: 2' get manifest shop
if h install shop "$chart" >/dev/null 2>&1; then fail 'a name is used twice'; fi

prints 'shop says bye.' upgrade shop "$chart" --set greeting=bye,replicas=3 --wait --timeout=120s
is 'ready replicas' "$(k get deployment shop -o 'jsonpath={.status.readyReplicas}')" 3
is 'what a lookup found' "$(k get configmap shop -o 'jsonpath={.data.before}')" hello
prints 'Phase:          Succeeded' test shop --timeout=120s

# What a person changed beside Helm and the chart did not stays.
k label deployment shop seen=yes >/dev/null
atomic=--atomic
"$helm" upgrade --help | grep -q rollback-on-failure && atomic=--rollback-on-failure
if h upgrade shop "$chart" --set memory=900Gi "$atomic" --wait --timeout=8s >/dev/null 2>&1; then fail 'an upgrade that cannot be succeeded'; fi
is 'the greeting after the failure' "$(k get shelf shop -o 'jsonpath={.spec.label}')" bye
is 'the label of a person' "$(k get deployment shop -o 'jsonpath={.metadata.labels.seen}')" yes
prints 'Rollback' history shop
prints 'success' rollback shop 1 --wait --timeout=120s
is 'replicas' "$(k get deployment shop -o 'jsonpath={.spec.replicas}')" 2
is 'the shelf' "$(k get shelf shop -o 'jsonpath={.spec.label}')" hello

prints 'uninstalled' uninstall shop --wait --timeout=120s
is 'what is left' "$(k get deployments,services,shelves,jobs,poddisruptionbudgets -o name)" ''
is 'the definition stays' "$("$kubectl" get crd shelves.chart.ondol.test -o 'jsonpath={.status.acceptedNames.kind}')" Shelf
