# One command each, on a fresh machine too: `make` lists them.
#
# What is missing is installed or named by .ci/toolchain and .ci/postgres. The database of `demo` and
# `test` is private to the command and gone afterwards; a DATABASE_URL of yours is never used.

.DEFAULT_GOAL := help
.PHONY: help demo test check fmt sqlx clean toolchain

# rustup's folder, where a fresh shell has not picked it up yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# Queries are checked against .sqlx/, so that compiling needs no database.
export SQLX_OFFLINE := true

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 14

demo: toolchain ## a CRM, a simulated WeChat, outboxd and its page; Ctrl-C ends it; ONCE=1: the scripted run with faults, then exit
	@cargo build --locked --bin outboxd --example demo
	@.ci/postgres cargo run --quiet --locked --example demo -- $(if $(ONCE),--once) $(if $(SEED),--seed $(SEED))

test: export OUTBOXD_TEST_CLUSTER := fast
test: toolchain ## every test, on a private PostgreSQL
	@.ci/postgres .ci/canary cargo test --workspace --locked --no-fail-fast

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
