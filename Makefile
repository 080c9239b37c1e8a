# Everything that is done to this repository by hand or by CI. `make` alone says what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

BIN      := $(CURDIR)/bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s
BENCH    ?= .
BENCH_MARKDOWN ?=
TORTURETIME ?= 10m
TORTURESEED ?= 0
# Flags for `go test`, as in `make test TESTFLAGS=-race`.
TESTFLAGS ?=
.DEFAULT_GOAL := help
.PHONY: help run build image image-files cross release-snapshot docs test test-servers race e2e e2e-clients e2e-console manifests bench bench-quick torture fuzz lint fmt clean FORCE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# dockerd runs as root, and this mirror mostly not: it could not see that it is no proxy.
run: build ## Build the mirror and start it on :5000, with its data in ./data; all of this machine may push
	@MIRROR_AUTH_LOOPBACK_PUSH=$${MIRROR_AUTH_LOOPBACK_PUSH:-true} $(BIN)/mirror serve

build: $(BIN)/mirror ## Build bin/mirror, one static binary

# Rebuilt every time: go knows better than make what is out of date. VCS stamping is off because it fails where the
# checkout belongs to another user; the version says the same.
$(BIN)/mirror: FORCE
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o $@ ./cmd/mirror

# What the image is made of. The authorities are those that the machine trusts; CA_FILE names others.
CA_FILE ?= /etc/ssl/certs/ca-certificates.crt
IMAGE   ?= airmirror
DOCKER  ?= docker

# Builders set TARGETPLATFORM, but for Docker's old one: the binary is where either looks for it.
image: build image-files ## Build the container image IMAGE (airmirror) with DOCKER (docker)
	install -D -m 0755 $(BIN)/mirror $(BIN)/image/linux/$$(go env GOARCH)/mirror
	install -m 0755 $(BIN)/mirror $(BIN)/image/mirror
	$(DOCKER) build --file deploy/Dockerfile --build-arg VERSION=$(VERSION) --tag $(IMAGE) $(BIN)/image

image-files:
	rm -rf $(BIN)/image
	install -d $(BIN)/image/data $(BIN)/image/bundles
	install -m 0644 $(CA_FILE) $(BIN)/image/ca-certificates.crt

# What the mirror is released for. The commands run everywhere; `mirror serve` is tested on Linux.
PLATFORMS := linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

cross: ## Compile the mirror for every platform of a release
	@for platform in $(PLATFORMS); do \
		echo "compile for $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 go build -trimpath -buildvcs=false -o /dev/null ./cmd/mirror; \
	done

release-snapshot: $(BIN)/clients/goreleaser $(BIN)/clients/cyclonedx-gomod ## Build a release into bin/dist without publishing it
	PATH="$(BIN)/clients:$$PATH" goreleaser release --snapshot --clean --timeout 4h $(if $(shell $(DOCKER) buildx version 2>/dev/null),,--skip=docker)

# The tests compare these files with the code; here they write them.
docs: ## Generate what comes from the code: the page of settings, the schemas, help, and man pages and completions in bin
	go test ./cmd/mirror/config -count=1 -run 'TestSettingsPageIsCurrent|TestSchemaIsCurrent' -update
	go test ./cmd/mirror -count=1 -run TestHelp -update
	go test ./api/admin -count=1 -run TestOpenAPIIsCurrent -update
	go test ./cmd/mirror -count=1 -run 'TestManPages|TestCompletionScripts' -docs $(BIN)

# A package may take longer than go test's ten minutes on a machine that is slow or busy.
# A process with the race detector sleeps for a second at its end, and the tests of the commands start a thousand of them.
test: ## Run every test that needs only Go
	GORACE="atexit_sleep_ms=10 $${GORACE-}" go test -timeout 30m $(TESTFLAGS) ./...

test-servers: $(BIN)/clients/versitygw ## Build the S3 server that tests of cache/objects start; without it, they are skipped

race: ## The same with the race detector (needs a C compiler)
	$(MAKE) --no-print-directory test TESTFLAGS="$(TESTFLAGS) -race"

# Clients of today that build within a few minutes, and all of them, as .ci/tools/modules pins them. What Debian has is older.
CLIENTS     := containerd containerd-shim-runc-v2 ctr regctl oras conformance versitygw
ALL_CLIENTS := $(CLIENTS) dockerd buildkitd buildctl buildx helm cosign

e2e: build $(BIN)/crane $(addprefix $(BIN)/clients/,$(CLIENTS)) ## Drive the binary with real clients: docker, containerd, podman, skopeo, crane, regctl, oras, nginx
	MIRROR_BIN=$(BIN)/mirror CRANE_BIN=$(BIN)/crane CLIENTS_BIN=$(BIN)/clients go test -tags e2e -count=1 -v -timeout 30m $(TESTFLAGS) ./cmd/mirror/e2e/...

e2e-clients: build $(BIN)/crane $(addprefix $(BIN)/clients/,$(ALL_CLIENTS)) ## Drive it with the clients of today, also those that are long to build: dockerd, buildkit, cosign
	CLIENTS=all MIRROR_BIN=$(BIN)/mirror CRANE_BIN=$(BIN)/crane CLIENTS_BIN=$(BIN)/clients go test -tags e2e -count=1 -v -timeout 15m -run '^TestToday' $(TESTFLAGS) ./cmd/mirror/e2e/...

# axe-core is a script of 650 KB under the MPL, which only these tests use. npm verifies nothing that is pinned here by itself.
AXE        := axe-core-4.14.1
AXE_SHA512 := 1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
$(BIN)/$(AXE).js:
	mkdir -p $(BIN)
	cd $(BIN) && npm pack --silent axe-core@$(AXE:axe-core-%=%) && echo "$(AXE_SHA512)  $(AXE).tgz" | sha512sum --check --quiet
	tar -xOf $(BIN)/$(AXE).tgz package/axe.min.js > $@.part && mv $@.part $@

# The tests are compiled before: in a network namespace without a route nothing can be downloaded.
e2e-console: build $(BIN)/$(AXE).js ## Drive the web console with Chromium, and check its pages with axe
	go vet -C cmd/mirror/e2econsole ./...
	go test -C cmd/mirror/e2econsole -c -o $(BIN)/e2econsole.test .
	MIRROR_BIN=$(BIN)/mirror AXE_SCRIPT=$(BIN)/$(AXE).js SCREENSHOTS=$(BIN)/console-screenshots \
	unshare --net --map-root-user sh -ec 'ip link set lo up && exec "$$@"' sh $(BIN)/e2econsole.test -test.v -test.timeout 30m $(TESTFLAGS)

manifests: build ## Check what deploy/ ships with the code of Helm, Kubernetes, Compose, Prometheus and GoReleaser
	go vet -C deploy/test ./...
	MIRROR_BIN=$(BIN)/mirror go test -C deploy/test -count=1 $(TESTFLAGS) ./... # what it reads is not seen as changed
	go test -C deploy/test/release -count=1 $(TESTFLAGS) ./...

bench: build $(BIN)/registry ## Measure the hot paths; BENCH=regexp chooses some, BENCH_MARKDOWN=page replaces the table of a page
	MIRROR_BIN=$(BIN)/mirror REGISTRY_BIN=$(BIN)/registry BENCH_MARKDOWN=$(abspath $(BENCH_MARKDOWN)) \
	go test -tags bench -run '^$$' -bench '$(BENCH)' -timeout 60m $(TESTFLAGS) ./cmd/mirror/bench/...

bench-quick: ## The same within five minutes: fewer rounds, a smaller store
	@BENCH_QUICK=1 $(MAKE) --no-print-directory bench

# All that it mounts and starts ends with it, by its namespaces.
torture: build ## Cut the power of a disk below the mirror, and kill it, for TORTURETIME (10m); needs root
	@isolate="unshare --mount --pid --fork --kill-child --mount-proc"; \
	$$isolate true || { echo "make torture mounts file systems: run it as root, on a machine, in a virtual machine or in a container with --privileged"; exit 1; }; \
	MIRROR_BIN=$(BIN)/mirror $$isolate go test -tags torture -count=1 -v -timeout 0 $(TESTFLAGS) ./cmd/mirror/torture -torture.time=$(TORTURETIME) -torture.seed=$(TORTURESEED)

fuzz: ## Fuzz every target in turn, each for FUZZTIME (30s, or a count such as 10000x)
	@grep -rlE --include='*_test.go' '^func Fuzz[A-Z]' . | sort | while read -r file; do \
		grep -oE '^func Fuzz[A-Za-z0-9_]+' "$$file" | while read -r _ target; do \
			echo "fuzz $$target in $$(dirname "$$file") for $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
		done; \
	done

lint: $(BIN)/clients/golangci-lint ## Check the format, the linters of .golangci.yml, and the words of .ci/words
	@failed=; unformatted=$$(gofmt -l .); \
	[ -z "$$unformatted" ] || { echo "not formatted, run make fmt:" $$unformatted; failed=1; }; \
	go vet ./... || failed=1; \
	$(BIN)/clients/golangci-lint run ./... || failed=1; \
	.ci/tools/words || failed=1; \
	[ -z "$$failed" ]

# Without the database there is no answer, and that is said: a network that is cut off can build and test all the same.
VULNDB ?= https://vuln.go.dev
vulncheck: $(BIN)/govulncheck ## Look for known vulnerabilities in what is called, if the database can be reached
	@if curl -fsS -o /dev/null --max-time 20 $(VULNDB)/index/db.json; \
	then $(BIN)/govulncheck -db $(VULNDB) ./... ; \
	else echo "not checked for known vulnerabilities: $(VULNDB) cannot be reached"; fi

fmt: ## Format all Go files
	gofmt -w .

clean: ## Remove what was built; ./data stays
	rm -rf $(BIN)

# Tools are pinned in a module of their own, so that the product's go.mod lists only what the product is made of.
$(BIN)/crane:       TOOL := github.com/google/go-containerregistry/cmd/crane
$(BIN)/registry:    TOOL := github.com/distribution/distribution/v3/cmd/registry
$(BIN)/govulncheck: TOOL := golang.org/x/vuln/cmd/govulncheck
$(BIN)/crane $(BIN)/registry $(BIN)/govulncheck: .ci/tools/go.mod .ci/tools/go.sum
	go build -C .ci/tools -buildvcs=false -o $@ $(TOOL)
	@touch $@

$(BIN)/clients/%: .ci/tools/modules .ci/tools/build
	.ci/tools/build $* $@
	@touch $@
