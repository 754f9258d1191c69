# What the scripts of this directory share. KUBECTL names the program; each script has a namespace of its own.
set -euo pipefail

kubectl=${KUBECTL:-kubectl}
minor=$("$kubectl" version --client -o json | sed -n 's/.*"minor": "\([0-9]*\).*/\1/p' | head -1)
work=$(mktemp -d)
namespace=kubectl-$minor-$(basename "$0" .sh)

fail() {
  printf 'kubectl 1.%s, %s: %s\n' "$minor" "$(basename "$0")" "$1" >&2
  exit 1
}

k() { "$kubectl" --namespace "$namespace" "$@"; }

# prints WANTED ARGUMENT...: kubectl succeeds, and its output contains the text.
prints() {
  local wanted=$1 said
  shift
  said=$(k "$@" 2>&1) || fail "kubectl $* failed: $said"
  [[ $said == *"$wanted"* ]] || fail "kubectl $* should print '$wanted': $said"
}

# refused WANTED ARGUMENT...: kubectl fails, and its output contains the text.
refused() {
  local wanted=$1 said
  shift
  if said=$(k "$@" 2>&1); then fail "kubectl $* should be refused: $said"; fi
  [[ $said == *"$wanted"* ]] || fail "kubectl $* should be refused with '$wanted': $said"
}

# since MINOR: whether this kubectl is of that minor version or a later one.
since() { [ "$minor" -ge "$1" ]; }

# manifest NAME: standard input as a file; prints its path.
manifest() { cat >"$work/$1"; printf '%s\n' "$work/$1"; }

finish() {
  local code=$?
  jobs -p | xargs -r kill 2>/dev/null || true
  "$kubectl" delete namespace "$namespace" --wait=false >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
"$kubectl" create namespace "$namespace" >/dev/null
