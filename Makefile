# One command each, on a fresh machine too: `make` lists them.
#
# What is missing is installed or named by .ci/toolchain, .ci/postgres, .ci/node and .ci/desk. The database of `demo`,
# `bench`, `chaos` and `test` is private to the command and gone afterwards; a DATABASE_URL of yours is never used.

.DEFAULT_GOAL := help
.PHONY: help demo bench chaos test check fmt sqlx clean toolchain

# rustup's folder, where a fresh shell has not picked it up yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# Queries are checked against .sqlx/, so that compiling needs no database.
export SQLX_OFFLINE := true

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 14

demo: toolchain ## a CRM, a simulated WeChat, outboxd and its page; Ctrl-C ends it; ONCE=1: the scripted run with faults, then exit; FUNCTION=node: with the real cloud function
	@$(if $(filter node,$(FUNCTION)),.ci/node ready)
	@cargo build --locked --bin outboxd --example demo
	@.ci/postgres cargo run --quiet --locked --example demo -- $(if $(ONCE),--once) $(if $(SEED),--seed $(SEED)) $(if $(FUNCTION),--function $(FUNCTION))

bench: toolchain ## drain, slow and latency on a durable PostgreSQL of their own, two minutes after building
	@.ci/postgres true
	@cargo build --release --locked --example bench
	@for workload in 'drain -n 100000' slow 'latency --seconds 10'; do \
	    cargo run --quiet --release --locked --example bench -- $$workload || exit; done
	@echo 'More workloads, and what the figures mean: examples/bench/README.md'

chaos: export OUTBOXD_TEST_CLUSTER := fast
chaos: toolchain ## 100,000 notifications while everything breaks: nobody told twice, nothing lost? ROWS, DAEMONS, SEED; RECEIPTS=off: how many would be told twice; FUNCTION=node
	@$(if $(filter node,$(FUNCTION)),.ci/node ready)
	@cargo build --release --locked --bin outboxd --example chaos
	@.ci/postgres cargo run --quiet --release --locked --example chaos -- $(if $(ROWS),--rows $(ROWS)) $(if $(DAEMONS),--daemons $(DAEMONS)) $(if $(RECEIPTS),--receipts $(RECEIPTS)) $(if $(FUNCTION),--function $(FUNCTION)) $(if $(SEED),--seed $(SEED))

test: export OUTBOXD_TEST_CLUSTER := fast
test: export OUTBOXD_TEST_NODE := required
test: export OUTBOXD_TEST_CHROMIUM := required
test: toolchain ## every test: on a private PostgreSQL, the cloud function's on Node, the desk's in Chromium
	@.ci/node ready
	@.ci/desk ready
	@.ci/postgres .ci/canary cargo test --workspace --locked --no-fail-fast
	@.ci/node
	@.ci/desk

check: toolchain ## the everyday loop: format, lints, tests without a database
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@cargo test --workspace --lib --bins --locked

fmt: ## format the code
	@cargo fmt --all

sqlx: export OUTBOXD_TEST_CLUSTER := fast
sqlx: toolchain ## refresh .sqlx/ after a change to a query or a migration
	@.ci/postgres .ci/sqlx

clean: ## remove what was built, and the PostgreSQL unpacked here if there is one
	rm -rf target .local

toolchain:
	@.ci/toolchain
