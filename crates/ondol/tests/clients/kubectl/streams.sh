# Commands, logs, files and ports of a pod that really runs: POD is one of busybox in `default` that serves HTTP at port 80.
. "$(dirname "$0")/library.sh"
k() { "$kubectl" --namespace default "$@"; }

[ "$(k exec "$POD" -- echo out)" = out ] || fail 'exec prints nothing'
[ "$(echo typed | k exec -i "$POD" -- cat)" = typed ] || fail 'exec reads nothing'
k exec "$POD" -- sh -c 'exit 7' 2>/dev/null && fail 'an exit code is lost' || [ $? = 7 ] || fail 'another exit code'
prints '20' logs "$POD" --tail=1 --timestamps
# Whoever follows ends when nobody reads any more.
lines=$( (k logs -f "$POD" --tail=1 || true) | head -3 | wc -l)
[ "$lines" = 3 ] || fail "the log was not followed: $lines lines"
shown=$( (timeout 60 "$kubectl" --namespace default attach "$POD" 2>/dev/null || true) | head -1)
[ -n "$shown" ] || fail 'attach shows nothing'

head -c 300000 /dev/urandom >"$work/file"
k cp "$work/file" "$POD:/tmp/file-$minor"
k cp "$POD:/tmp/file-$minor" "$work/back" >/dev/null
cmp "$work/file" "$work/back" || fail 'a copied file came back different'

"$kubectl" --namespace default port-forward "pod/$POD" :80 >"$work/forward" 2>&1 &
forwarding=$!
for _ in $(seq 600); do grep -q Forwarding "$work/forward" && break; sleep 0.1; done
port=$(sed -n 's/.*127.0.0.1:\([0-9]*\) .*/\1/p' "$work/forward" | head -1)
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET / HTTP/1.0\r\n\r\n' >&3
head -1 <&3 | grep -q 200 || fail 'the forwarded port does not answer'
kill "$forwarding"
prints '' get --raw "/api/v1/namespaces/default/pods/$POD:80/proxy/"
