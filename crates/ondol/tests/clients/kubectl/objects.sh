# Objects are made, shown in every form, changed and deleted.
. "$(dirname "$0")/library.sh"

prints 'configmap/settings created' create configmap settings --from-literal=color=blue
prints 'secret/hidden created' create secret generic hidden --from-literal=word=open
prints 'deployment.apps/web created' create deployment web --image=nginx --replicas=2
prints 'service/web exposed' expose deployment web --port=80 --target-port=8080
prints 'job.batch/once created' create job once --image=busybox -- true
prints 'cronjob.batch/often created' create cronjob often --image=busybox --schedule='0 0 1 1 *' -- true
prints 'role.rbac.authorization.k8s.io/reader created' create role reader --verb=get,list --resource=pods
prints 'rolebinding.rbac.authorization.k8s.io/reader created' create rolebinding reader --role=reader --user=somebody
prints 'resourcequota/limit created' create quota limit --hard=configmaps=50
if since 22; then prints 'poddisruptionbudget.policy/half created' create poddisruptionbudget half --selector=app=web --min-available=50%; fi
prints 'ingress.networking.k8s.io/front created' create ingress front --rule='front.test/*=web:80'
prints 'serviceaccount/robot created' create serviceaccount robot
prints 'pod/alone created' run alone --image=busybox --labels=app=alone -- sleep 1000
refused 'already exists' create configmap settings
refused 'configmaps "absent" not found' get configmap absent

k rollout status deployment/web --timeout=60s >/dev/null
k wait --for=condition=Ready pod/alone --timeout=60s >/dev/null
prints 'NODE' get pods -o wide
prints '"kind": "ConfigMap"' get configmap settings -o json
prints 'color: blue' get configmap settings -o yaml
prints 'blue' get configmap settings -o 'jsonpath={.data.color}'
prints 'blue' get configmap settings -o 'go-template={{.data.color}}'
prints 'COLOR' get configmap settings -o 'custom-columns=COLOR:.data.color'
prints 'configmap/settings' get configmaps --field-selector=metadata.name=settings -o name
prints 'pod/alone' get pods --field-selector=status.phase=Running -l app=alone -o name
prints 'service/web' get all
[ "$(k get pods --sort-by=.metadata.name -o name --chunk-size=1 | head -1)" = pod/alone ] || fail 'pods are not sorted by name'
prints 'app=web' get pods --show-labels
prints 'kube-system' get pods --all-namespaces
prints 'Name:' describe deployment web
prints 'Scheduled' describe pod alone
prints 'Endpoints:' describe service web
prints 'cpu' describe nodes

prints 'labeled' label configmap settings tier=front
prints 'settings' get configmaps -l 'tier in (front)' -o name
prints 'labeled' label configmap settings tier=back --overwrite
prints 'annotated' annotate configmap settings note=seen
prints 'patched' patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","imagePullPolicy":"Never"}]}}}}'
prints 'patched' patch deployment web --type=merge -p '{"spec":{"minReadySeconds":1}}'
prints 'patched' patch deployment web --type=json -p '[{"op":"replace","path":"/spec/minReadySeconds","value":0}]'
prints 'image updated' set image deployment/web nginx=nginx:2
prints 'env updated' set env deployment/web COLOR=blue
prints 'resource requirements updated' set resources deployment/web --requests=cpu=1m
prints 'selector updated' set selector service web app=web
prints 'serviceaccount updated' set serviceaccount deployment web robot
prints 'scaled' scale deployment web --replicas=3 --current-replicas=2
refused 'xpected replicas to be 2, was 3' scale deployment web --replicas=4 --current-replicas=2
prints 'autoscaled' autoscale deployment web --min=1 --max=3
k get configmap settings -o yaml | sed 's/blue/green/' >"$work/replaced.yaml"
prints 'replaced' replace -f "$work/replaced.yaml"
prints 'replaced' replace --force -f "$work/replaced.yaml"
EDITOR="sed -i s/green/red/" prints 'edited' edit configmap settings
prints 'red' get configmap settings -o 'jsonpath={.data.color}'
if since 24; then
  prints '{' get deployment web --subresource=status -o 'jsonpath={.status}'
  prints 'replicas' get deployment web --subresource=scale -o yaml
fi

"$kubectl" --namespace "$namespace" get configmaps --watch -o name >"$work/watched" 2>&1 &
watching=$!
for _ in $(seq 600); do grep -q settings "$work/watched" && break; sleep 0.1; done
k create configmap later >/dev/null
for _ in $(seq 600); do grep -q later "$work/watched" && break; sleep 0.1; done
kill "$watching"
grep -q later "$work/watched" || fail 'the watch did not tell of a new object'

prints 'deleted' delete configmap later
prints 'deleted' delete pods -l app=alone --grace-period=1
prints 'deleted' delete deployment web --cascade=foreground
prints 'deleted' delete job,cronjob --all
refused 'not found' delete deployment web
prints '' delete deployment web --ignore-not-found
