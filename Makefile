# The commands of this repository; CI runs the same ones (.ci/run).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Cargo and the rig use all cores by themselves, and the order of goals on the command line counts.
.NOTPARALLEL:

PROVIDER := target/debug/terraform-provider-runnel
# Recorded in Cargo.lock; nothing here changes it.
CARGO := cargo
LOCKED := --locked

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: prerequisites
prerequisites:
	@missing=0; need() { command -v "$$1" >/dev/null || { echo "make: $$1 is missing: $$2" >&2; missing=1; }; }; \
	need cargo 'Rust 1.95 or later, from https://rustup.rs'; \
	need cc 'a C compiler: apt-get install build-essential'; \
	need pkg-config 'pkg-config: apt-get install pkg-config'; \
	if command -v pkg-config >/dev/null && ! pkg-config --exists openssl; then \
	  echo 'make: OpenSSL 3 for C is missing: apt-get install libssl-dev' >&2; missing=1; fi; \
	need java 'a JDK 17 or later: apt-get install openjdk-17-jdk-headless'; \
	need mvn 'Maven: apt-get install maven'; \
	need terraform 'Terraform 1.11 or later, from https://developer.hashicorp.com/terraform/install'; \
	need curl 'curl: apt-get install curl'; \
	exit $$missing

.PHONY: build
build: prerequisites ## build daemon and provider
	$(CARGO) build $(LOCKED) --workspace

.PHONY: fetch
fetch: prerequisites ## download the real parts into the cache; as root also installs MariaDB and PostgreSQL
	@tests/rig/fetch >/dev/null

.PHONY: mirror
mirror: build ## put the provider where terraform finds it (target/terraform.rc)
	@tests/rig/mirror $(PROVIDER) target

.PHONY: lint
lint: prerequisites ## formatting, clippy, licences and sources of dependencies, scripts, HCL
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check licenses bans sources
	terraform fmt -check -diff -recursive examples
	@if command -v shellcheck >/dev/null; then tests/rig/check-scripts; \
	else echo 'make: shellcheck is missing; scripts are not checked (CI does)'; fi

.PHONY: unit
unit: prerequisites ## tests beside the code
	$(CARGO) test $(LOCKED) --workspace --exclude e2e

.PHONY: e2e
e2e: fetch mirror ## tests from outside: terraform, daemon, Kafka, databases
	$(CARGO) test $(LOCKED) --package e2e

.PHONY: checker-mutants
checker-mutants: ## does the checker find every fault that is put before it?
	@$(CARGO) build $(LOCKED) --quiet --package checker
	@target/debug/checker mutants

# What decides a run of chaos: how many rounds, which ones.
N ?= 20
SEED ?= 1
CHAOS := $(CARGO) test $(LOCKED) --package e2e --test chaos --

.PHONY: chaos
chaos: fetch ## faults at random under load: N=20 SEED=1; REPORT=1 puts the figures into docs/
	$(CHAOS) rounds $(N) $(SEED) $(if $(REPORT),report)

.PHONY: chaos-promises
chaos-promises: fetch ## EXACTLY_ONCE and AT_LEAST_ONCE side by side, workers killed in turn: N, SEED, REPORT
	$(CHAOS) promises $(N) $(SEED) $(if $(REPORT),report)

.PHONY: chaos-steps
chaos-steps: fetch ## the daemon dies between each two steps of create, change and delete; ONLY='grant revoke' at these
	$(CHAOS) steps $(ONLY)

.PHONY: docs
docs: build ## write docs/ anew from the provider's schema
	$(PROVIDER) docs docs

.PHONY: docs-check
docs-check: build ## are the pages in docs/ those of the schema?
	@new=$$(mktemp -d); trap 'rm -rf "$$new"' EXIT; cp -R docs/. "$$new"; $(PROVIDER) docs "$$new"; \
	diff -ru docs "$$new" || { echo 'make: docs/ is out of date; run: make docs' >&2; exit 1; }

.PHONY: test
test: lint unit e2e docs-check ## everything that CI checks

.PHONY: demo
demo: mirror ## the walk-through on real parts; everything goes on running
	@tests/rig/fetch runtimes plugins mariadb >/dev/null
	@examples/seed/demo up

.PHONY: demo-down
demo-down: ## stop the demo and remove what it wrote
	@examples/seed/demo down

.PHONY: bench
bench: fetch ## figures of a release build
	$(CARGO) bench $(LOCKED) --package runnel-planner --bench pass
	RUNNEL_PROFILE=release $(CARGO) bench $(LOCKED) --package e2e --bench whole

.PHONY: bench-jvm
bench-jvm: fetch mirror ## figures of the two kinds of JVM: start, throughput, CPU, memory
	$(CARGO) test $(LOCKED) --package e2e --bench jvm

.PHONY: clean
clean: ## remove what was built; the cache of downloads stays
	@if [[ -d .demo ]]; then echo 'make: the demo may be running; run first: make demo-down' >&2; exit 1; fi
	$(CARGO) clean
