# The front door: what is needed, built, tested and checked, each by one word.
#
#   make deps     install the Debian packages that are missing (as root)
#   make build    build everything, optimised
#   make test     deps, build and run all tests; the last line counts them
#   make demo     deps, build, and show a store at work: made, mounted, filled, checked, browsed
#   make lint     check the formatting of all Swift sources
#   make install  deps, build, and install programs, helper links, manual pages and completions
#   make uninstall  remove what `make install` with the same variables has installed
#   make crash    kill the daemon under load, ROUNDS times (1000): docs/RELIABILITY.md
#   make powercut  cut the power of ext4 and xfs below a store, ROUNDS times each (200)
#   make cuts     a power cut behind every system call and every change of the backend, replayed
#   make faults   every system call of a volume fails, in every way; every byte of a store flips
#   make million  scans of a million files (FILES) in memory of a fixed size; ten minutes
#   make fuzz     decoders of the disk format, whole stores, and files of snapshots under libFuzzer,
#                 SECONDS (60) each
#   make soak     a mount under fio, stress-ng, dbench, git, a C build, SQLite and PostgreSQL at once,
#                 for MINUTES (30); as root
#   make bench    measure beside other filesystems and backup tools (as root): docs/PERFORMANCE.md
#   make bench-scale  a store of CHUNKS chunks (10000000) and FILES files (1000000) in one directory,
#                 beside one of a hundredth (as root)
#   make bench-index  an index of ENTRIES chunks (100000000) as it grows, without packs
#   make bench-instructions  instructions of each stage under callgrind, beside a baseline
#   make clean    remove what was built
#
# Installing: PREFIX (/usr/local) for all but the links that mount(8), umount(8) and fsck(8) look for
# in HELPERS (/sbin) alone; DESTDIR is put before both, for packages.
#
# Variables: JOBS (compiler processes), SCRATCH (where is built), SWIFT (the toolchain's driver),
# ROUNDS (of crash tests), SECONDS (of fuzzing), MINUTES (of soaking); ASHLAR_SEED in the environment
# repeats the randomised tests of an earlier run. BENCH has options for `make bench` (BENCH=--quick;
# BENCH=--help tells all); PEERS=install installs the Debian packages of those it compares with.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
# Targets share one build folder and one package database: never two at a time.
.NOTPARALLEL:

JOBS ?= 2
SCRATCH ?= .build
SWIFT ?= $(firstword $(shell command -v swift 2>/dev/null) /opt/swift/usr/bin/swift)

DEBIAN_PACKAGES := libfuse3-dev fuse3 liburing-dev libzstd-dev libssl-dev librocksdb-dev \
	libxxhash-dev pkg-config acl attr rsync g++ xfsprogs eatmydata

PREFIX ?= /usr/local
HELPERS ?= /sbin
DESTDIR ?=
# Where the built programs are.
BIN ?= $(SCRATCH)/release
# The toolchain's libraries are linked in: an installed program needs no toolchain.
RELEASE_FLAGS ?= --static-swift-stdlib

PROGRAMS := ashlar fsck.ashlar
# Other names of ashlar, by which it is called from mount(8), umount(8), mkfs(8).
ALIASES := mkfs.ashlar mount.ashlar umount.ashlar mount.fuse.ashlar umount.fuse.ashlar
MANUALS := $(wildcard packaging/man/*.[18])

bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man
helperdir = $(DESTDIR)$(HELPERS)
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

.PHONY: deps build build-tests build-fuzzers demo test test-scripts crash powercut cuts faults million fuzz \
	soak lint clean bench build-bench bench-scale bench-index bench-test bench-instructions bench-baseline build-stages \
	install install-files uninstall

deps:
	@packaging/install-packages $(DEBIAN_PACKAGES)

build: deps
	$(SWIFT) build -c release $(RELEASE_FLAGS) -j $(JOBS) --scratch-path $(SCRATCH)

demo: build
	@packaging/demo $(BIN)

install: build install-files

# What a package does after its own build. The programs write their completions themselves.
install-files:
	install -d $(bindir) $(helperdir) $(mandir)/man1 $(mandir)/man8 $(bashdir) $(zshdir) $(fishdir)
	for program in $(PROGRAMS); do \
	    install -m 755 $(BIN)/$$program $(bindir)/$$program; \
	    strip $(bindir)/$$program; \
	    $(BIN)/$$program --generate-completion-script bash > $(bashdir)/$$program; \
	    $(BIN)/$$program --generate-completion-script zsh > $(zshdir)/_$$program; \
	    $(BIN)/$$program --generate-completion-script fish > $(fishdir)/$$program.fish; \
	done
	for name in $(ALIASES); do ln -sfn $(PREFIX)/bin/ashlar $(helperdir)/$$name; done
	ln -sfn $(PREFIX)/bin/fsck.ashlar $(helperdir)/fsck.ashlar
	for page in $(MANUALS); do \
	    install -m 644 $$page $(mandir)/man$${page##*.}/$${page##*/}; \
	done

uninstall:
	for program in $(PROGRAMS); do \
	    rm -f $(bindir)/$$program $(bashdir)/$$program $(zshdir)/_$$program \
	        $(fishdir)/$$program.fish; \
	done
	for name in $(ALIASES) fsck.ashlar; do rm -f $(helperdir)/$$name; done
	for page in $(MANUALS); do rm -f $(mandir)/man$${page##*.}/$${page##*/}; done

build-tests: deps
	$(SWIFT) build --build-tests -j $(JOBS) --scratch-path $(SCRATCH)

test: build-tests test-scripts
	@packaging/run-tests $(SWIFT) $(SCRATCH)

# Some suites alone, for as long as it takes.
SUITE = $(SWIFT) test --skip-build --scratch-path $(SCRATCH) --filter

crash: build-tests
	ASHLAR_ROUNDS=$(or $(ROUNDS),1000) $(SUITE) '^DurabilityTests\.KillTests/'

powercut: build-tests
	ASHLAR_ROUNDS=$(or $(ROUNDS),200) $(SUITE) '^DurabilityTests\.PowerCutTests/'

cuts: build-tests
	ASHLAR_LONG=1 $(SUITE) \
	    '^(VolumeTests|PipelineTests|PacksTests)\.(CrashTests|SystemCallCutTests)/'

faults: build-tests
	ASHLAR_LONG=1 $(SUITE) \
	    '^(VolumeTests\.(SystemCallFaultTests|DamageTests)|PipelineTests\.FaultTests)/'

# Scans of a million files: no more memory than those of 2,000, but for caches of a fixed size.
million: build-tests
	ASHLAR_LONG=1 ASHLAR_FILES=$(or $(FILES),1000000) $(SUITE) '^EndToEndTests\.DirectoryMemoryTests/'

# Every decoder, whole stores, and files of snapshots and differences, under libFuzzer and
# AddressSanitizer, one after the other; what is found worth keeping stays in $(SCRATCH)-fuzz/corpus.
# (gold cannot link the sanitizers' runtime.)
FUZZ = $(SCRATCH)-fuzz
# Swift's own report of a crash does not go with AddressSanitizer.
fuzz: export SWIFT_BACKTRACE = enable=no
# Edits have 8 bytes each: inputs of stores and files are long from the start.
FUZZ_EDITS = -max_len=129 -len_control=0 -timeout=60 -rss_limit_mb=4096
FUZZ_FLAGS = -max_total_time=$(or $(SECONDS),60) -artifact_prefix=$(FUZZ)/

fuzz: build-fuzzers
	mkdir -p $(FUZZ)/corpus/decoders $(FUZZ)/corpus/stores $(FUZZ)/corpus/streams
	$(FUZZ)/release/decoder-fuzzer $(FUZZ_FLAGS) -max_len=4096 \
	    $(FUZZ)/corpus/decoders Tests/FuzzTests/Corpus/Decoders
	$(FUZZ)/release/store-fuzzer $(FUZZ_FLAGS) $(FUZZ_EDITS) \
	    $(FUZZ)/corpus/stores Tests/FuzzTests/Corpus/Stores
	$(FUZZ)/release/stream-fuzzer $(FUZZ_FLAGS) $(FUZZ_EDITS) \
	    $(FUZZ)/corpus/streams Tests/FuzzTests/Corpus/Streams

build-fuzzers: deps
	for product in decoder-fuzzer store-fuzzer stream-fuzzer; do \
	    ASHLAR_FUZZ=1 $(SWIFT) build -c release -j $(JOBS) --scratch-path $(FUZZ) \
	        --product $$product -Xswiftc -sanitize=fuzzer,address -Xswiftc -parse-as-library \
	        -Xswiftc -use-ld=lld; \
	done

# Tools that cannot be installed are named, and what needs them is counted as skipped.
SOAK_PACKAGES := fio stress-ng dbench git gcc make dpkg-dev sqlite3 postgresql

soak: build
	-@packaging/install-packages $(SOAK_PACKAGES)
	@packaging/soak $(BIN) $(or $(MINUTES),30)

# Others to compare with. RUNLEVEL=1 keeps packages from starting services.
PEER_PACKAGES := e2fsprogs btrfs-progs gocryptfs zfs-fuse borgbackup restic casync debootstrap git

bench: build build-bench
	$(if $(filter install,$(PEERS)),RUNLEVEL=1 packaging/install-packages $(PEER_PACKAGES))
	$(SCRATCH)-benchmarks/release/ashlar-benchmarks --programs $(BIN) --sources Benchmarks \
	    --output Benchmarks/results $(BENCH)

bench-scale: build build-bench
	$(SCRATCH)-benchmarks/release/ashlar-benchmarks scale --programs $(BIN) \
	    --chunks $(or $(CHUNKS),10000000) --files $(or $(FILES),1000000) $(BENCH)

bench-index: build-stages
	$(SCRATCH)-stages/release/stage-benchmarks --grow /var/tmp/ashlar-index \
	    $(or $(ENTRIES),100000000)

build-bench: deps
	$(SWIFT) build -c release -j $(JOBS) --package-path Benchmarks \
	    --scratch-path $(SCRATCH)-benchmarks

# The statistics, tables and reports; no measurement.
bench-test:
	$(SWIFT) test --package-path Benchmarks --scratch-path $(SCRATCH)-benchmarks -j $(JOBS)

# The gate of .ci/run: docs/PERFORMANCE.md says what it can tell.
STAGES = $(SCRATCH)-stages/release/stage-benchmarks Benchmarks/instructions.txt

bench-instructions: build-stages
	@packaging/install-packages valgrind binutils
	packaging/check-instructions $(STAGES)

# Takes what is counted now for the baseline: look at the difference before it is committed.
bench-baseline: build-stages
	@packaging/install-packages valgrind binutils
	packaging/check-instructions --update $(STAGES)

build-stages: deps
	ASHLAR_STAGES=1 $(SWIFT) build -c release -j $(JOBS) --scratch-path $(SCRATCH)-stages \
	    --product stage-benchmarks

# What counts the tests is itself tested, with logs made up for the purpose.
test-scripts:
	@packaging/run-tests-check

lint:
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests fsck examples \
	    Benchmarks

clean:
	$(SWIFT) package --scratch-path $(SCRATCH) clean
