#!/usr/bin/env bash
# A real Consul agent, its keys, and a gateway that follows them, until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/../.."

consul=${CONSUL_BINARY:?run make demo}
export SEGUE_CONFIG=consul:segue/demo
state=$(mktemp -d)
trap 'kill "${agent:-}" 2>/dev/null || true; wait; rm -rf "$state"' EXIT

ln -sf "$consul" bin/consul
"$consul" agent -dev -bind=127.0.0.1 -client=127.0.0.1 -dns-port=-1 -grpc-port=-1 -grpc-tls-port=-1 \
	-serf-wan-port=-1 -disable-host-node-id -log-level=warn -data-dir="$state" >"$state/consul.log" 2>&1 &
agent=$!
until "$consul" operator raft list-peers >/dev/null 2>&1; do
	kill -0 "$agent" 2>/dev/null || { cat "$state/consul.log" >&2; exit 1; }
	sleep 0.1
done

# A key has no folder from which paths count, so they are written in full.
sed "s|file:models/|file:$PWD/configs/examples/quickstart/models/|" configs/examples/quickstart/mozart.yaml >bin/mozart.yaml

bin/seguectl init >/dev/null
bin/seguectl put bin/mozart.yaml --yes --reason "make demo"
cat <<TEXT

  Consul's UI    http://127.0.0.1:8500/ui/dc1/kv/segue/demo/models/
  In a second terminal:
    export SEGUE_CONFIG=consul:segue/demo
    bin/seguectl weights mozart 1=50 2=50 --wait 30s
    bin/consul kv put segue/demo/models/mozart @bin/mozart.yaml
    bin/seguectl status mozart

TEXT
bin/segue serve --state-dir "$state/segue" --shutdown-delay 0s
