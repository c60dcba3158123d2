#!/usr/bin/env bash
# Serves the quickstart models, shows one prediction, and stays up until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/../.."

source=${SEGUE_CONFIG:-file:configs/examples/quickstart}
port=${API_PORT:-8000}
url=http://127.0.0.1:$port
request=configs/examples/quickstart/requests/mozart.json

python3 - "$url" "$request" <<'PY' &
import json, sys, time, urllib.error, urllib.request

url, path = sys.argv[1], sys.argv[2]
deadline = time.monotonic() + 60
while True:
    try:
        urllib.request.urlopen(url + "/v2/health/ready", timeout=2).close()
        break
    except (OSError, urllib.error.URLError):
        if time.monotonic() > deadline:
            sys.exit("The gateway did not become ready within 60 s; see its log above.")
        time.sleep(0.05)
with open(path, "rb") as f:
    body = f.read()
roll = json.loads(body)["inputs"][0]
infer = url + "/v2/models/mozart/infer"
request = urllib.request.Request(infer, body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=10) as answer:
    version = answer.headers["Segue-Model-Version"]
    outputs = {o["name"]: o["data"] for o in json.load(answer)["outputs"]}
with open(f"configs/examples/quickstart/models/mozart/{version}/manifest.json", encoding="utf-8") as f:
    labels = json.load(f)["labels"]["probabilities"]
notes = sum(1 for x in roll["data"] if x == 2)
ranked = sorted(zip(outputs["probabilities"], labels), reverse=True)
print(f"""
  Question  Who wrote this? {path}: a piano roll {roll['shape']} with {notes} notes
  Answer    {', '.join(f'{label} {p:.1%}' for p, label in ranked[:3])} (version {version})
  Yourself  curl -i {infer} -d @{path}

  Segue serves on {url}; metrics on http://127.0.0.1:8002/metrics, status on http://127.0.0.1:8003/status.
  Edit configs/examples/quickstart/mozart.yaml and see it change. Ctrl-C ends.
""", flush=True)
PY
client=$!

# The gateway gets a process group of its own, in a terminal the foreground one:
# so a signal reaches it once, and make ends with its exit code.
set -m
code=0
if [ -t 0 ]; then
	bin/segue serve --config "$source" --shutdown-delay 0s || code=$?
else
	bin/segue serve --config "$source" --shutdown-delay 0s &
	gateway=$!
	trap 'kill -TERM "$gateway" 2>/dev/null' INT TERM
	wait "$gateway" || code=$?
	# A signal ends the wait early; the second one sees the gateway's own code.
	if kill -0 "$gateway" 2>/dev/null; then
		code=0
		wait "$gateway" || code=$?
	fi
fi
kill "$client" 2>/dev/null || true
exit "$code"
