# Every target installs what it lacks first (scripts/setup.sh), and is what CI runs.

CARGO ?= cargo
# make run CONFIG=/etc/forebay/forebay.toml; without it the demo that is built in.
CONFIG ?=
# nextest profile: default stops at the first failure, ci runs everything.
PROFILE ?= default
# make test TESTS='test(/^cache_/)': nextest's filter language.
TESTS ?= all()
SOAK_SECONDS ?= 600
# make bench BENCH='--only TLS --rounds 5': see `peers --help`. BENCH='--write --readme' for a result to be published.
BENCH ?=
# Rounds of kill -9 under load in make soak.
CRASH_ROUNDS ?= 200

.DEFAULT_GOAL := help
.PHONY: help run test check fmt clippy deny doc build instructions bench-instructions bench bench-all bench-growth soak conformance

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and start Forebay: http://127.0.0.1:8080, a demo without CONFIG=file
	@scripts/setup.sh build
	$(CARGO) run --release -- run $(if $(CONFIG),--config $(CONFIG))

test: setup-test check build ## Everything CI runs: check, then all tests, real WordPress included
	$(CARGO) nextest run --workspace --profile $(PROFILE) -E '$(TESTS)'
	$(if $(filter-out all(),$(TESTS)),,node scripts/conformance.mjs)
	$(if $(filter-out all(),$(TESTS)),,$(COUNT))

# A test that starts itself under valgrind: proxy/src/front/instructions.rs.
COUNT = $(CARGO) test --quiet --profile micro -p forebay --bin forebay front::instructions::counts_are_those_recorded \
	-- --ignored --exact --nocapture

instructions: ## Instructions a hit takes, in parts: more than recorded is an error. Part of make test
	@scripts/setup.sh build instructions
	$(COUNT)

bench-instructions: ## The same, recorded: writes benches/instructions.json
	@scripts/setup.sh build instructions
	UPDATE_INSTRUCTIONS=1 $(COUNT)

conformance: ## The public HTTP cache test suite: a table, and fewer passed than recorded is an error
	@scripts/setup.sh build conformance
	$(CARGO) build
	node scripts/conformance.mjs

check: setup-test fmt clippy deny doc ## Formatting, lints, licences and sources, documentation

bench: ## CPU time a request, beside nginx, Varnish and HAProxy: some 8 minutes once built
	@scripts/setup.sh build bench
	$(CARGO) build --release -p forebay -p forebay-benches
	$(CARGO) run --release -p forebay-benches --bin peers -- $(BENCH)

bench-all: ## The same with Squid, Traffic Server and h2o, every work on every server: some 20 minutes
	@scripts/setup.sh build bench-all
	$(CARGO) build --release -p forebay -p forebay-benches
	$(CARGO) run --release -p forebay-benches --bin peers -- --all $(BENCH)

bench-growth: ## CPU time a hit with many stored responses, connections, sites: some 3 minutes once built
	@scripts/setup.sh build bench
	$(CARGO) build --release -p forebay -p forebay-benches
	$(CARGO) run --release -p forebay-benches --bin growth -- $(BENCH)

soak: setup-test ## Mixed load for SOAK_SECONDS, CRASH_ROUNDS of kill -9, a fill of 10 GiB; memory and descriptors must stay flat
	$(CARGO) build --release
	FOREBAY_BIN=target/release/forebay FOREBAY_SOAK_SECONDS=$(SOAK_SECONDS) FOREBAY_CRASH_ROUNDS=$(CRASH_ROUNDS) \
		$(CARGO) nextest run --profile soak -p forebay-tests --run-ignored only -E 'test(/^soak_|::soak_/)' --no-capture

.PHONY: setup-test
setup-test:
	@scripts/setup.sh build test conformance instructions

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# Advisories need a database from the network: see deny.toml.
deny:
	$(CARGO) deny --log-level error check bans licenses sources

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --quiet

build:
	$(CARGO) build --workspace
