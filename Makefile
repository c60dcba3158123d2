# Segue. `make` lists the targets; README.md says what they are for.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE := $(or $(SEGUE_CACHE),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME)/segue,$(HOME)/.cache/segue))
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
CONSUL_VERSION := 1.22.0
STATICCHECK_VERSION := 0.8.2
CONSUL := $(CACHE)/bin/consul-$(CONSUL_VERSION)
STATICCHECK := $(CACHE)/bin/staticcheck-$(STATICCHECK_VERSION)
SEAWEEDFS := $(CACHE)/bin/weed-4.48
REGISTRY := $(CACHE)/bin/registry-3.1.2
FAKE_GCS := $(CACHE)/bin/fake-gcs-server-1.56.1
AZURITE := $(CACHE)/azurite-3.35.0
PROMETHEUS := $(CACHE)/prometheus-2.42.0
FUZZTIME ?= 60s
SOAK_RESULTS ?= bench/results
DEVICE ?= cuda:0

export CONSUL_BINARY := $(CONSUL)
export SEAWEEDFS_BINARY := $(SEAWEEDFS)
export REGISTRY_BINARY := $(REGISTRY)
export FAKE_GCS_BINARY := $(FAKE_GCS)
export AZURITE_DIR := $(AZURITE)
export PROMETHEUS_DIR := $(PROMETHEUS)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Serve the example models and show one prediction; Ctrl-C ends
	@deploy/scripts/run.sh

.PHONY: demo
demo: build consul ## A real Consul agent and a gateway that follows it; Ctrl-C ends both
	@deploy/scripts/demo.sh

.PHONY: build
build: onnxruntime ## Build bin/segue and bin/seguectl
	@go build -ldflags '$(LDFLAGS)' -o bin/segue ./cmd/segue
	@CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o bin/seguectl ./cmd/seguectl

# The library lies beside the programs, so that bin/ can be taken elsewhere.
.PHONY: onnxruntime
onnxruntime:
	@lib=$$(deploy/scripts/onnxruntime.sh) && mkdir -p bin && \
	if ! cmp -s "$$lib" "bin/$$(basename "$$lib")"; then rm -f bin/libonnxruntime.so* && cp "$$lib" "bin/$$(basename "$$lib")"; fi

.PHONY: test
test: build check parts ## Run everything: Go tests with real parts, Python pipelines, real clients
	@echo '== Go' && go test -timeout 20m $$(go list ./... | grep -v '/cmd/segue$$')
	@echo '== Go, the gateway as a process' && go test -timeout 20m ./cmd/segue
	@echo '== Go, race detector' && $(MAKE) race
	@echo '== public clients' && $(MAKE) -C deploy/clients check test
	@echo '== pipelines of the example models' && $(MAKE) -C deploy/pipelines test
	@echo '== drift of real data' && $(MAKE) drift
	@echo '== drift, by SciPy and Evidently' && $(MAKE) -C deploy/oracles test

.PHONY: race
race: parts ## Run the Go tests of all packages that have goroutines under the race detector
	@go test -race -timeout 20m ./runtime/... ./loader/... ./gateway/... ./configs/... ./bench/...

# Its requests are made by the pipelines' environment, of scores that may not be
# passed on: so it is no part of go test ./... .
.PHONY: drift
drift: build ## Real music and wines through a gateway: no alarm while they are as before, one when they drift
	@data=$$($(MAKE) -s -C deploy/pipelines drift | tail -1) && \
	SEGUE_DRIFT_DATA="$$data" go test -tags realdata -count=1 -timeout 15m -v -run OnRealData ./cmd/segue

.PHONY: check
check: $(STATICCHECK) ## gofmt, vet, staticcheck, import table, schema and documents fresh
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	@go vet ./...
	@$(STATICCHECK) ./...
	@go test -run 'Layers|Fresh|GoldenFiles|GoldenList|TheRouterSay' ./cmd/segue ./cmd/seguectl ./configs ./gateway ./loader/artifact

.PHONY: fuzz
fuzz: onnxruntime ## Fuzz every parser for FUZZTIME each
	@deploy/scripts/fuzz.sh '$(FUZZTIME)'

.PHONY: soak
soak: build parts ## Full counts of the promises that make test holds at reduced counts; keeps the result
	@mkdir -p $(SOAK_RESULTS)
	@SEGUE_SOAK=1 go test -count=1 -timeout 60m -v -run 'Swaps|FloatsEqualStrconv' ./cmd/segue ./runtime/ort ./gateway/oip 2>&1 | tee $(SOAK_RESULTS)/soak.txt
	@SEGUE_SOAK=1 go test -count=1 -timeout 60m -v ./gateway/rollout 2>&1 | grep -v '^=== ' | tee $(SOAK_RESULTS)/rollouts.txt
	@SEGUE_SOAK=1 go test -count=1 -timeout 60m -p 1 -v -run 'ToAFleet|FleetDecides|BadCanary|Identical|TellsABad|TellABad' ./gateway ./cmd/segue 2>&1 | grep -v '^=== ' | tee $(SOAK_RESULTS)/fleets.txt
	@SEGUE_SOAK=1 go test -count=1 -timeout 60m -p 1 -v -run 'Killed' ./loader/cache ./cmd/segue 2>&1 | grep -v '^=== ' | tee $(SOAK_RESULTS)/crashes.txt
	@SEGUE_SOAK=1 DRIFT_PLOT=$(abspath $(SOAK_RESULTS))/drift-delays.svg go test -count=1 -timeout 60m -v -run 'CleanWindows|FirstWindow|Thumb' ./drift 2>&1 | grep -v '^=== ' | tee $(SOAK_RESULTS)/drift-alarms.txt

.PHONY: bench
bench: build parts ## Measure what needs no other servers (some 14 minutes; leave the machine alone)
	@go run ./bench --out bench/results --overwrite $(BENCHFLAGS)

.PHONY: bench-peers
bench-peers: build ## Install other servers into the cache and measure beside them (some 8 minutes)
	@deploy/scripts/venv.sh bench/peers/*/ >/dev/null
	@go run ./bench --peers --out bench/results --overwrite $(BENCHFLAGS)

# On a machine with a CUDA device. The library for CUDA is fetched unless
# ONNXRUNTIME_LIB names one; the result has the device's name.
.PHONY: device
device: ## Engine conformance and benchmark on DEVICE (cuda:0); keeps the result
	@name=$$(nvidia-smi --query-gpu=name --format=csv,noheader --id='$(or $(subst cuda,,$(subst :,,$(DEVICE))),0)' 2>/dev/null) || \
	{ echo 'there is no device $(DEVICE) here: nvidia-smi is missing, or does not know it' >&2; exit 1; }; \
	mkdir -p bench/results; \
	if [ -z "$${ONNXRUNTIME_LIB:-}" ]; then settings=$$(deploy/scripts/onnxruntime-cuda.sh); eval "$$settings"; fi; \
	{ echo "device $(DEVICE): $$name"; echo "library $$(basename "$$ONNXRUNTIME_LIB")"; uname -sr; go version; \
	SEGUE_DEVICE='$(DEVICE)' go test -v -run 'Conformance$$' -bench 'Run$$' -count=4 ./runtime/ort; } \
	2>&1 | tee "bench/results/device-$$(tr -c 'a-zA-Z0-9\n' - <<<"$$name").txt"

.PHONY: train
train: ## Train the example models again and release them into configs/examples/quickstart
	@$(MAKE) -C deploy/pipelines train

# The real parts that tests use: built or fetched once into the cache.
.PHONY: parts
parts: consul stores python-parts $(PROMETHEUS)

# MLflow and DVC (400 MB, a minute, once).
.PHONY: python-parts
python-parts:
	@deploy/scripts/venv.sh deploy/parts/*/ >/dev/null

.PHONY: consul
consul: $(CONSUL) ## Build the Consul agent of the tests into the cache (minutes, once)

$(CONSUL):
	@echo 'Building Consul $(CONSUL_VERSION) for the tests: 4 to 8 minutes, once …'
	@mkdir -p $(@D) && cd deploy/tools/consul && go build -o $@.tmp github.com/hashicorp/consul && mv $@.tmp $@

.PHONY: stores
stores: $(SEAWEEDFS) $(REGISTRY) $(FAKE_GCS) $(AZURITE) ## Put the artifact stores of the tests into the cache (a minute or two, once)

$(PROMETHEUS):
	@deploy/scripts/prometheus.sh $@

$(SEAWEEDFS):
	@deploy/scripts/seaweedfs.sh $@

$(REGISTRY):
	@echo 'Building the OCI registry of the tests, once …'
	@mkdir -p $(@D) && cd deploy/tools/registry && go build -o $@.tmp github.com/distribution/distribution/v3/cmd/registry && mv $@.tmp $@

$(FAKE_GCS):
	@echo 'Building the emulator of Google Cloud Storage, once …'
	@mkdir -p $(@D) && cd deploy/tools/gcs && go build -o $@.tmp github.com/fsouza/fake-gcs-server && mv $@.tmp $@

$(AZURITE):
	@command -v npm >/dev/null || { echo 'npm is missing, which fetches Azurite (Debian, Ubuntu: apt install npm)' >&2; exit 1; }
	@echo 'Fetching Azurite (186 MB unpacked), once …'
	@rm -rf $@.tmp && mkdir -p $@.tmp && cp deploy/tools/azurite/package*.json $@.tmp && \
	npm ci --prefix $@.tmp --omit=dev --ignore-scripts --no-audit --no-fund --silent && mv $@.tmp $@

$(STATICCHECK):
	@echo 'Building staticcheck $(STATICCHECK_VERSION), once …'
	@mkdir -p $(@D) && cd deploy/tools/staticcheck && go build -o $@.tmp honnef.co/go/tools/cmd/staticcheck && mv $@.tmp $@

.PHONY: clean
clean: ## Remove what was built here (the cache stays)
	@rm -rf bin
