# Rollouts, and waiting for what comes about.
. "$(dirname "$0")/library.sh"

k create deployment web --image=nginx:1 --replicas=2 >/dev/null
prints 'successfully rolled out' rollout status deployment/web --timeout=60s
prints 'condition met' wait --for=condition=Available deployment/web --timeout=60s
k set image deployment/web nginx=nginx:2 >/dev/null
prints 'successfully rolled out' rollout status deployment/web --timeout=60s
prints 'REVISION' rollout history deployment/web
prints 'nginx:1' rollout history deployment/web --revision=1
prints 'rolled back' rollout undo deployment/web
prints 'successfully rolled out' rollout status deployment/web --timeout=60s
prints 'nginx:1' get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image}'
prints 'paused' rollout pause deployment/web
k set image deployment/web nginx=nginx:3 >/dev/null
refused 'paused' rollout restart deployment/web
prints 'resumed' rollout resume deployment/web
prints 'successfully rolled out' rollout status deployment/web --timeout=60s
prints 'restarted' rollout restart deployment/web
prints 'successfully rolled out' rollout status deployment/web --timeout=60s
prints 'nginx:2' rollout undo deployment/web --to-revision=2 --dry-run=client

if since 23; then prints 'condition met' wait --for=jsonpath='{.status.readyReplicas}'=2 deployment/web --timeout=60s; fi
refused 'timed out' wait --for=condition=Absent deployment/web --timeout=1s
k delete deployment web --wait=false >/dev/null
# Older ones find nothing to wait for when it is gone already.
k wait --for=delete deployment/web --timeout=60s >/dev/null || ! since 22
k wait --for=delete pod -l app=web --timeout=60s >/dev/null || ! since 22
