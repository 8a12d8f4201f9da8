# `make help` lists the targets. Go is all they need: Postgres is found, or
# fetched, by internal/pgtest.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  = -X main.version=$(VERSION)

# Room for the slowest package on two cores, and an end to what hangs.
TEST_TIMEOUT ?= 15m
MAJORS       ?= 13 14 15 16 17 18
SEEDS        ?= 20000
FUZZTIME     ?= 30s
DEMO_SECONDS ?=

# The packages that speak with Postgres, for every major version.
POSTGRES_PACKAGES = $(wildcard ./cdc ./cmd/pgcio ./internal/pgtest)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the binary, ./bin/pgcio
	$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/pgcio ./cmd/pgcio

.PHONY: demo
demo: build ## show the main job on this machine; Ctrl-C or DEMO_SECONDS=30 ends it
	DEMO_SECONDS=$(DEMO_SECONDS) ./bin/pgcio demo

.PHONY: test
test: ## run all tests, in about 7 minutes on two cores
	$(GO) test -timeout $(TEST_TIMEOUT) ./...

.PHONY: test-race
test-race: ## run all tests with the race detector
	$(GO) test -race -timeout 60m ./...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: test-long
test-long: ## run the tests of crashes and shutdowns in their full size
	PGCIO_TEST_LONG=1 $(GO) test -count=1 -timeout 60m -v -run 'Killed|DatabaseStops|Connections|Outage|LargeValues' ./cmd/pgcio

.PHONY: test-majors
test-majors: ## run the tests against Postgres on every major version: MAJORS="13 18"
	@for major in $(MAJORS); do \
		echo "== Postgres $$major"; \
		PGCIO_TEST_POSTGRES=$$major $(GO) test -count=1 -timeout $(TEST_TIMEOUT) $(POSTGRES_PACKAGES) || exit 1; \
	done

.PHONY: test-simulation
test-simulation: ## run random schedules of the whole program in virtual time: SEEDS=20000
	PGCIO_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 0 -run '^TestSimulation$$' -v ./cmd/pgcio

.PHONY: test-mutations
test-mutations: ## break each law in turn and see that the simulation notices
	$(GO) test -count=1 -tags mutations -run '^TestMutations$$' -v -timeout 60m ./cmd/pgcio

.PHONY: test-contract
test-contract: ## check the requests against Customer.io's own description: OPENAPI=path
	@test -n "$(OPENAPI)" || { echo "usage: make test-contract OPENAPI=path/to/openapi.json"; exit 2; }
	PGCIO_OPENAPI=$(abspath $(OPENAPI)) $(GO) test -count=1 -run '^TestContract$$' -v ./internal/customerio

.PHONY: test-clients
test-clients: ## check the simulator with Customer.io's own Node client (needs npm)
	$(GO) test -count=1 -tags clients -run '^TestNodeClient$$' -v ./internal/simulator/...

.PHONY: fuzz
fuzz: ## run every fuzz target for a while: FUZZTIME=30s
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' "$$file"); do \
			echo "== $$(dirname "$$file") $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; \
	done

.PHONY: bench
bench: ## measure against pg_recvlogical, COPY and the permitted rate
	$(GO) test -count=1 -tags bench -run '^TestBench' -v -timeout 60m ./cmd/pgcio

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
