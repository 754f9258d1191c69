# Who may do what, tokens, and what the server says of itself.
. "$(dirname "$0")/library.sh"

prints 'yes' auth can-i create pods
refused 'no' auth can-i create pods --as=nobody-in-particular
prints 'selfsubjectreviews' auth can-i --list
prints 'Resources' auth can-i --list --as=nobody-in-particular
k create serviceaccount robot >/dev/null
k create rolebinding robot --clusterrole=view --serviceaccount="$namespace:robot" >/dev/null
prints 'yes' auth can-i list pods --as="system:serviceaccount:$namespace:robot"
prints 'reconciled' auth reconcile -f <(k get rolebinding robot -o yaml)
if since 24; then
  token=$(k create token robot --duration=10m)
  [ "$(printf '%s' "$token" | tr -cd . | wc -c)" = 2 ] || fail "no token: $token"
  prints 'yes' auth can-i list pods --token="$token"
fi
if since 28; then prints 'Username' auth whoami; fi

prints 'deployments' api-resources --api-group=apps
prints 'VERBS' api-resources -o wide --verbs=list,get
prints 'pods' api-resources --namespaced=true --sort-by=name
prints 'apps/v1' api-versions
prints 'is running at' cluster-info
prints 'Server Version' version
prints 'ok' get --raw /readyz
prints 'etcd' get --raw '/readyz?verbose'
prints 'kind' get --raw "/api/v1/namespaces/$namespace"
k run event --image=busybox -- sleep 1000 >/dev/null
k wait --for=condition=Ready pod/event --timeout=60s >/dev/null
prints 'Scheduled' get events
prints 'Scheduled' get events --field-selector=involvedObject.name=event --sort-by=.lastTimestamp
if since 26; then prints 'Scheduled' events --for pod/event; fi
if since 25; then
  k debug event --image=busybox --attach=false -- true >/dev/null 2>&1
  prints 'busybox' get pod event -o 'jsonpath={.spec.ephemeralContainers[*].image}'
fi

# A request to be signed, made once with openssl for somebody.
request=LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlITk1IVUNBUUF3RXpFUk1BOEdBMVVFQXd3SWMyOXRaV0p2Wkhrd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxaGtqTwpQUU1CQndOQ0FBUkFxQjVmWG0xRHFyQzNoYWJxRjYzeVZ6MWtEcVk3a1d1RDVQNG9pSEpSdVFhMlIxYVRLaDlRClUrUEgrblh0K3BnYUNzcXJSS1E4Yno2T2E1cUlVZTB5b0FBd0NnWUlLb1pJemowRUF3SURTQUF3UlFJZ0tNZVMKWUtETkxmR2ljVW04SHJCZmFtNTIrSUdkNXJpdkN2M2pEVmFVeDF3Q0lRRDVDQzZDcHhWR0xIa1VSUlZQY3BBRApkWDArNUphL3ZzUlRtdm0yeWsvSHRBPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==
for decision in approve deny; do
  k apply -f - >/dev/null <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $namespace-$decision}
spec: {request: $request, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth]}
YAML
  prints "$namespace-$decision" certificate "$decision" "$namespace-$decision"
done
prints 'Approved' get csr "$namespace-approve"
prints 'Denied' get csr "$namespace-deny"
prints 'deleted' delete csr "$namespace-approve" "$namespace-deny"
