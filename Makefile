# `make help` lists what there is. Everything works on the local cluster, or with KUBECONFIG set, on that one.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= dev
# The Tekton Pipelines release of the local cluster: empty is the one all is measured with. TEKTON_LTS is of the oldest
# long-term-support release that is still supported: its latest patch of which the module proxy has all dependencies.
TEKTON_VERSION ?=
TEKTON_LTS     ?= 1.9.2
GOLANGCI_LINT_VERSION := v2.15.0
GOTESTSUM_VERSION     := v1.13.0

# Built tools and the cluster's binaries outlive the tree: they take long to build and depend on pinned versions only.
export INDELIBLE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/indelible
TOOLS := $(INDELIBLE_CACHE)/bin
LINT  := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOTESTSUM := $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION)
LOCAL := $(TOOLS)/cluster

# With KUBECONFIG the cluster is the user's: it is never started or stopped, and its nodes pull images from
# IMAGE_REPO. Without, it is the local one of test/cluster, into which images are loaded.
LOCAL_KUBECONFIG := /var/lib/indelible-cluster/kubeconfig
ifneq ($(filter-out $(LOCAL_KUBECONFIG),$(KUBECONFIG)),)
EXISTING   := yes
KUBECTL    ?= kubectl
E2E_IMAGE  ?= busybox
IMAGE_REPO ?= $(error with KUBECONFIG set, IMAGE_REPO must name a registry path that you can push to and the nodes can pull from, e.g. IMAGE_REPO=registry.example/team)
PREFIX      = $(IMAGE_REPO)/
else
KUBECONFIG := $(LOCAL_KUBECONFIG)
KUBECTL    := $(LOCAL) kubectl
E2E_IMAGE  ?= busybox:local
PREFIX     :=
endif
export KUBECONFIG KUBECTL E2E_IMAGE

# The user name of Tekton's controller where it is not that of Tekton's own manifests: goes everywhere by one key of the ConfigMap.
# Before anything is applied it is compared with what runs in the cluster; PREFLIGHT=skip does not.
CONTROLLER ?=
PREFLIGHT  ?=
# What make install installs: config/default, or config/overlays/api, which serves the archive from a Deployment of its own.
OVERLAY    ?= config/default

# Stamping asks git, which refuses where root builds somebody else's checkout, as in many CI containers. The same flags
# everywhere, so that binaries, demo and tests share what is compiled.
export GOFLAGS := $(GOFLAGS) -buildvcs=false -trimpath
export CGO_ENABLED := 0

GOBUILD  := go build -ldflags "-s -w -X main.version=$(VERSION)"
# What was tested is kept under the target's name, for `make failures`.
RESULTS  := $(CURDIR)/dist/tests
GOTEST    = mkdir -p $(RESULTS) && $(GOTESTSUM) --jsonfile $(RESULTS)/$@.json --hide-summary=skipped --format $(1) -- -timeout $(if $(INDELIBLE_LONG),180m,75m)
comma     := ,
pushes    = $(foreach i,$(IMAGES),$(LOCAL) push $(i) $(PREFIX)$(basename $(notdir $(i))):$(VERSION) &&) true
IMAGES   := dist/indelible-webhook.tar dist/indelible-publisher.tar dist/indelible-archiver.tar dist/indelible-api.tar
SOURCES  := $(shell find cmd pkg certs -name '*.go' -not -name '*_test.go' 2>/dev/null) go.mod go.sum

##@ Two commands

.PHONY: demo
demo: cluster-up install ## Start a cluster, install Indelible, pass large results, try to forge one, read a deleted run back (cold 12 to 40 min, warm 1 min)
	go run ./test/demo

# The parts and their budgets in minutes (.ci/parts). A cluster on which flows failed stays, to be looked at.
PARTS := test-unit=14 test-modules=6 cluster-up,install=16 +test-e2e=25 +cluster-down=1

# With RUN it is one package's directory, or the end-to-end tests whose names match, on a cluster that stays up.
.PHONY: test
test: ## All tests (cold about 60 min, warm about 35 min on two cores); RUN=pkg/config or RUN=TestReasons for one part
ifeq ($(RUN),)
	@rm -rf $(RESULTS); .ci/parts $(CHECKS) $(PARTS)
else ifneq ($(wildcard $(RUN)/.),)
	cd $(RUN) && CGO_ENABLED=1 go test -race $(UNCHECKED) ./...
else
	@$(MAKE) --no-print-directory cluster-up install test-e2e RUN='$(RUN)'
endif

##@ Tests

.PHONY: test-unit
test-unit: compiler postgres $(GOTESTSUM) ## Unit tests under the race detector (cold 15 min, warm 4 min)
	CGO_ENABLED=1; export CGO_ENABLED; $(call GOTEST,standard-quiet) -race $(UNCHECKED) ./...

# SQLite and its C library are translated from C, with no goroutines of their own: under the race detector they took most of the
# index's time, and found nothing that is ours. Their Go driver, which our goroutines call, is checked.
UNCHECKED := $(foreach p,modernc.org/sqlite/lib modernc.org/libc,-gcflags=$(p)=-race=false)

# The race detector is the one thing that needs a C compiler.
.PHONY: compiler
compiler:
	@command -v gcc >/dev/null || { \
	  command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || { echo "tests under the race detector need gcc; install it (Debian: gcc libc6-dev)" >&2; exit 1; }; \
	  echo "installing gcc, which the race detector needs"; \
	  { apt-get install -y -q gcc libc6-dev || { apt-get update -q && apt-get install -y -q gcc libc6-dev; }; } >/dev/null; }

# The index is tested with a real server, which the tests start and stop themselves. RUNLEVEL keeps the package from starting one.
.PHONY: postgres
postgres: ## Install the Postgres server that tests need, if root; INDELIBLE_NO_POSTGRES=1 goes without
	@[ -n "$${INDELIBLE_NO_POSTGRES:-}" ] || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || { echo "no Postgres server is installed (Debian: postgresql): the index is not tested with it" >&2; exit 0; }; \
	  echo "installing postgresql, which tests of the index need"; export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive; \
	  { apt-get install -y -q postgresql || { apt-get update -q && apt-get install -y -q postgresql; }; } >/dev/null; }

.PHONY: test-cluster-tool
test-cluster-tool: $(GOTESTSUM) ## Unit tests of test/cluster, a module of its own
	cd test/cluster; $(call GOTEST,standard-quiet) ./...

# What test-storage does is wait for faults: the processors are for the others meanwhile.
.PHONY: test-modules
test-modules: storage-emulators $(GOTESTSUM) ## The tests that are modules of their own, two at a time: test-storage, test-oracle, test-cluster-tool (warm under 3 min)
	$(MAKE) --no-print-directory -k -j 2 --output-sync=target test-storage test-oracle test-cluster-tool

# Neither the policy nor the publisher that it builds are seen by go's cache of test results.
.PHONY: test-oracle
test-oracle: $(GOTESTSUM) ## Compare with Tekton's and the API server's own code, a module of its own (cold 5 min, warm 70 s)
	cd test/oracle; $(call GOTEST,standard-quiet) -vet all -count 1 ./...

.PHONY: test-peer
test-peer: postgres ## Import from a real Tekton Results, built from its module, and export to it (cold 8 min, warm 1 min)
	mkdir -p "$(TOOLS)"
	go -C test/peer build -o "$(TOOLS)/tekton-results-api" github.com/tektoncd/results/cmd/api
	INDELIBLE_PEER_API="$(TOOLS)/tekton-results-api" go test -count=1 ./pkg/archive/migrate

.PHONY: test-watcher
test-watcher: ## Tekton Results' own watcher, built from its module, against the query API on the cluster at hand (cold 5 min, warm 1 min)
	mkdir -p "$(TOOLS)"
	go -C test/peer build -o "$(TOOLS)/tekton-results-watcher" github.com/tektoncd/results/cmd/watcher
	INDELIBLE_RESULTS_WATCHER="$(TOOLS)/tekton-results-watcher" $(MAKE) --no-print-directory test-e2e RUN='^TestTektonResultsWatcher$$'

# Its tests wait for faults to be noticed, not for a processor: many at a time.
.PHONY: test-storage
test-storage: storage-emulators $(GOTESTSUM) ## The archive's stores against a real S3 server, its faults, and emulators, a module of its own (cold 6 min, warm 75 s)
	cd test/storage; $(call GOTEST,standard-quiet) -count 1 -parallel 16 ./...

# GCS's emulator is a Go module. Azure's is of Node.js: without npm its test is left out, and says so.
AZURITE_VERSION := 3.35.0
AZURITE := $(INDELIBLE_CACHE)/azurite
.PHONY: storage-emulators
storage-emulators: ## Install the Azure emulator into the cache folder, if there is npm (190 MB, once)
	@grep -qs '"version": "$(AZURITE_VERSION)"' $(AZURITE)/node_modules/azurite/package.json || { \
	  command -v npm >/dev/null || { echo "no npm: the store of Azure is not tested"; exit 0; }; \
	  echo "installing the Azure emulator"; mkdir -p $(AZURITE); \
	  npm install --silent --no-audit --no-fund --prefix $(AZURITE) azurite@$(AZURITE_VERSION) >/dev/null || echo "the Azure emulator cannot be had: the store of Azure is not tested"; }

.PHONY: failures
failures: $(GOTESTSUM) ## What failed in the last run of tests, with all it said, and the names once more at the end
	@cd $(RESULTS) 2>/dev/null || { echo "no tests were run here yet"; exit 0; }; \
	$(GOTESTSUM) --raw-command --format dots --hide-summary=skipped -- cat *.json || true; \
	echo; sed -n '/"Action":"fail"/s/.*"Package":"\([^"]*\)"\(,"Test":"\([^"]*\)"\)\?.*/FAILED  \1 \3/p' *.json

# A test that is skipped tells nothing. Those that may be are in .ci/skips, with the reason.
.PHONY: skipped
skipped: ## The tests that the last run skipped; fails if one is not in .ci/skips
	@cd $(RESULTS) 2>/dev/null || { echo "no tests were run here yet"; exit 0; }; \
	sed -n '/"Action":"skip"/s/.*"Package":"\([^"]*\)","Test":"\([^"]*\)".*/\1 \2/p' *.json | sort -u | \
	{ failed=0; while read -r package test; do \
	    if grep -q "^$${test%%/*}\( \|$$\)" ../../.ci/skips; then echo "skipped, as it may be: $$package $$test"; \
	    else echo "SKIPPED  $$package $$test" >&2; failed=1; fi; \
	  done; exit $$failed; }

FUZZTIME ?= 30s
.PHONY: fuzz
fuzz: ## Every fuzz target in turn, FUZZTIME (30s) each
	@for dir in $$(grep -rl '^func Fuzz' --include='*_test.go' pkg test/oracle | xargs -n 1 dirname | sort -u); do \
	  for target in $$(go -C $$dir test -list '^Fuzz' . | grep '^Fuzz'); do \
	    echo "$$dir $$target"; \
	    go -C $$dir test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .; \
	  done; \
	done

.PHONY: mutate-guard
mutate-guard: ## Take away each rule of the guard, and of the policy on the cluster at hand; name the test that fails
	go run ./test/mutate $(if $(ONLY),-only '$(ONLY)') guard
	go run ./test/mutate $(if $(ONLY),-only '$(ONLY)') policy

# With INDELIBLE_LONG the end-to-end tests take their long form, whose figures are in docs/measurements.md.
.PHONY: test-long
test-long: export INDELIBLE_LONG := yes
test-long: test ## All tests in their long form, and the local cluster's own life: interrupted starts, a clean end (about an hour more on two cores)
	$(if $(EXISTING),@echo "no local cluster to test",go -C test/cluster test -tags cluster -run TestLifecycle -count 1 -timeout 45m -v .)

.PHONY: test-e2e
test-e2e: $(GOTESTSUM) ## Flows on the cluster at hand; Indelible must be installed
	$(call GOTEST,standard-verbose) -tags e2e -count 1 -parallel 4 $(if $(RUN),-run '$(RUN)') ./test/e2e

.PHONY: test-lts
test-lts: cluster-down ## The flows on the oldest supported Tekton instead; TEKTON_LTS=… chooses another (cold 5 min more)
	$(MAKE) cluster-up install test-e2e TEKTON_VERSION=$(TEKTON_LTS)
	$(MAKE) cluster-down

.PHONY: bench
bench: ## Cost of the guard a request
	go test -run '^$$' -bench . -benchmem ./pkg/...

# A directory in memory flushes nothing: STORE_DIRECTORY chooses one on a disk.
.PHONY: bench-storage
bench-storage: ## Runs a second that a directory and an S3 server on this machine take
	go -C test/storage test -run '^$$' -bench . -benchtime 2s .

.PHONY: bench-archive
bench-archive: ## The archive's numbers, with their targets, on the cluster at hand; Indelible must be installed; ONLY=latency,backlog,… (45 min)
	go run ./test/bench $(if $(ONLY),-only '$(ONLY)')

.PHONY: bench-overhead
bench-overhead: ## What a TaskRun with a small result takes with Indelible and without, by turns, on the cluster at hand (15 min)
	go run ./test/bench -only overhead

.PHONY: bench-query
bench-query: ## What lists and summaries take as an index grows to RUNS runs, SQLite and Postgres; needs no cluster (40 min)
	go run ./test/bench -only query -runs $(or $(RUNS),1000000)

##@ Install

.PHONY: install
install: images dist/install/kustomization.yaml ## Install into the cluster at hand, by the manifests a user would apply; CONTROLLER=… where Tekton's controller has another name
	$(if $(filter skip,$(PREFLIGHT)),@echo "the cluster is not looked at first",$(KUBECTL) kustomize dist/install | bin/webhook preflight --kubeconfig=$(KUBECONFIG))
	$(if $(EXISTING),$(call pushes),$(LOCAL) load $(IMAGES))
	$(KUBECTL) apply -k dist/install
	$(KUBECTL) rollout status deployment/indelible-webhook -n indelible-system --timeout=180s
	$(KUBECTL) rollout status deployment/indelible-archiver -n indelible-system --timeout=180s

# In this order nothing is left that nobody takes away: no new finalizers, nobody who adds missing ones, then those there are;
# and once more at the end, because an API server may go on for a moment by the webhook configuration it knew.
# The archive itself stays, where it is the volume, and its namespace with it. ARCHIVE=delete deletes it as well.
.PHONY: uninstall
uninstall: bin/archiver ## Remove it, but for the archive: no finalizer stays on any run, no door stands open
	$(KUBECTL) delete --ignore-not-found mutatingwebhookconfiguration/indelible-protect
	$(KUBECTL) delete --ignore-not-found --cascade=foreground -n indelible-system deployment/indelible-archiver
	bin/archiver release --all --kubeconfig=$(KUBECONFIG)
	$(KUBECTL) delete --ignore-not-found -k config/rbac
	$(KUBECTL) delete --ignore-not-found -k config/default -l 'indelible.dev/uninstall!=keep'
	$(KUBECTL) delete --ignore-not-found -n indelible-system secret/indelible-webhook-certs lease/indelible-archiver
	bin/archiver release --all --kubeconfig=$(KUBECONFIG)
	@claim="$$($(KUBECTL) get -n indelible-system persistentvolumeclaim/indelible-archive --ignore-not-found -o name)"; \
	if [ -z "$$claim" ] || [ "$(ARCHIVE)" = delete ]; then $(KUBECTL) delete --ignore-not-found namespace/indelible-system; \
	else echo "the archive is left in $$claim of namespace indelible-system; make uninstall ARCHIVE=delete deletes both"; fi

.PHONY: cluster-up
cluster-up: $(if $(EXISTING),,$(LOCAL)) ## Start the local cluster with Tekton (cold 12 to 30 min, warm 1 min)
	$(if $(EXISTING),@echo "using the cluster of $(KUBECONFIG)",$(LOCAL) up $(if $(TEKTON_VERSION),--tekton-version $(TEKTON_VERSION)))

.PHONY: cluster-down
cluster-down: $(if $(EXISTING),,$(LOCAL)) ## Stop it; nothing is left but the build cache
	$(if $(EXISTING),@echo "leaving the cluster of $(KUBECONFIG) alone",$(LOCAL) down --purge && $(LOCAL) check-clean)

.PHONY: cluster-report
cluster-report: ## What an on-call admin would look at first
	-$(KUBECTL) get nodes,pods -A -o wide
	-$(KUBECTL) get events -n indelible-system --sort-by=.lastTimestamp
	-$(KUBECTL) logs -n indelible-system -l 'app.kubernetes.io/name in (indelible-webhook, indelible-archiver, indelible-api)' --prefix --tail=50

##@ Build

.PHONY: build
build: bin/webhook bin/publisher bin/archiver bin/api ## Build the binaries into bin/

bin/webhook bin/publisher bin/archiver bin/api: bin/%: $(SOURCES) dist/version
	$(GOBUILD) -o $@ ./cmd/$*

# Changes when VERSION does, and with it what is built and how it is tagged.
.PHONY: force
dist/version: force
	@mkdir -p dist
	@[ "$$(cat $@ 2>/dev/null)" = "$(VERSION)" ] || echo "$(VERSION)" > $@

.PHONY: images
images: $(IMAGES) ## Assemble image archives into dist/

dist/indelible-%.tar: bin/% | $(LOCAL)
	$(LOCAL) images --binary $< --as /$* --tag indelible-$*:$(VERSION) --output $@

.PHONY: push
push: $(IMAGES) ## Push the images to IMAGE_REPO
	$(call pushes)

# What `kubectl apply -k config/default` installs, with this build's images. A tag may be used again, as dev is: the
# annotations make that webhook and archiver are rolled out all the same.
.PHONY: dist/install/kustomization.yaml
dist/install/kustomization.yaml: dist/indelible-webhook.tar dist/indelible-archiver.tar
	@mkdir -p dist/install
	@sed 's|image: indelible-publisher:dev|image: $(PREFIX)indelible-publisher:$(VERSION)|' config/base/config.yaml > dist/install/config.yaml
	@printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1beta1' 'kind: Kustomization' 'sortOptions: {order: fifo}' \
	  'resources: [../../$(OVERLAY)]' \
	  'images: [{name: indelible-webhook, newName: $(PREFIX)indelible-webhook, newTag: $(VERSION)}, {name: indelible-archiver, newName: $(PREFIX)indelible-archiver, newTag: $(VERSION)}, {name: indelible-api, newName: $(PREFIX)indelible-api, newTag: $(VERSION)}]' \
	  'configMapGenerator: [{name: indelible-config, namespace: indelible-system, behavior: merge, files: [config.yaml]$(if $(CONTROLLER),$(comma) literals: ["controller=$(CONTROLLER)"])}]' \
	  'generatorOptions: {disableNameSuffixHash: true}' \
	  'transformers: [../../config/transformers/controller]' \
	  'patches:' $(foreach d,webhook archiver,'- patch: |' '    {apiVersion: apps/v1, kind: Deployment, metadata: {name: indelible-$(d), namespace: indelible-system},' \
	  "    spec: {template: {metadata: {annotations: {indelible.dev/build: $$(sha256sum < dist/indelible-$(d).tar | cut -c1-16)}}}}}") > $@

# The tool is shared by all checkouts of a machine, so that a date says nothing: go knows whether it is this one's.
.PHONY: $(LOCAL)
$(LOCAL):
	go -C test/cluster build -o $@ .

##@ Checks

.PHONY: verify
verify: lint ## Everything a reviewer would ask for: format, linter (vet is one of it), module files
	.ci/lines
	test -z "$$(gofmt -l cmd pkg certs test)" || { gofmt -l cmd pkg certs test; echo "run: make fmt"; exit 1; }
	go mod tidy -diff
	go -C test/cluster mod tidy -diff
	go -C test/oracle mod tidy -diff
	go -C test/peer mod tidy -diff
	go -C test/storage mod tidy -diff

.PHONY: lint
lint: $(LINT) ## The linter, at its pinned version
	$(LINT) run
	cd test/cluster && $(LINT) run --config ../../.golangci.yml --build-tags cluster ./...
	cd test/storage && $(LINT) run --config ../../.golangci.yml ./...

$(LINT):
	@echo "building golangci-lint $(GOLANGCI_LINT_VERSION) (about 4 minutes, once)"
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(GOTESTSUM):
	GOBIN=$(TOOLS) go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	mv $(TOOLS)/gotestsum $@

.PHONY: fmt
fmt: ## Format
	gofmt -w cmd pkg certs test

.PHONY: clean
clean: ## Remove bin/ and dist/; the caches stay
	rm -rf bin dist

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' Makefile
