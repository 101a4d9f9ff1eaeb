# The front door: what is needed, built, tested and checked, each by one word.
#
#   make deps     install the Debian packages that are missing (as root)
#   make build    build everything, optimised
#   make test     deps, build and run all tests; the last line counts them
#   make lint     check the formatting of all Swift sources
#   make clean    remove what was built
#
# Variables: JOBS (compiler processes), SCRATCH (where is built), SWIFT (the toolchain's driver),
# and ASHLAR_SEED in the environment repeats the randomised tests of an earlier run.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
# Targets share one build folder and one package database: never two at a time.
.NOTPARALLEL:

JOBS ?= 2
SCRATCH ?= .build
SWIFT ?= $(firstword $(shell command -v swift 2>/dev/null) /opt/swift/usr/bin/swift)

DEBIAN_PACKAGES := libfuse3-dev fuse3 libzstd-dev libssl-dev librocksdb-dev libxxhash-dev \
	pkg-config acl attr rsync g++

.PHONY: deps build test test-scripts lint clean

deps:
	@packaging/install-packages $(DEBIAN_PACKAGES)

build: deps
	$(SWIFT) build -c release -j $(JOBS) --scratch-path $(SCRATCH)

test: deps test-scripts
	$(SWIFT) build --build-tests -j $(JOBS) --scratch-path $(SCRATCH)
	@packaging/run-tests $(SWIFT) $(SCRATCH)

# What counts the tests is itself tested, with logs made up for the purpose.
test-scripts:
	@packaging/run-tests-check

lint:
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests

clean:
	$(SWIFT) package --scratch-path $(SCRATCH) clean
