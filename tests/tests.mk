# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The test levels, each a target: unit and prog (cmocka), e2e (pytest), e2e on other kernels (QEMU).
# Included by ../Makefile.

test_libs := $(shell $(PKG_CONFIG) --libs cmocka libbpf json-c 2>/dev/null)
unit_tests := $(patsubst tests/unit/%.c,$(B)/unit_%,$(wildcard tests/unit/*.c))
prog_tests := $(patsubst tests/prog/%.c,$(B)/prog_%,$(wildcard tests/prog/*.c))
benches := $(patsubst tests/bench/%.c,$(B)/bench_%,$(wildcard tests/bench/*.c))
test_library := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c)) $(B)/loader/abilities.o

# Rows leave out what they do not need.
test_warnings := -Wno-missing-field-initializers
# clamp.h has pragmas of clang's; with these checks gcc knows less of numbers; parse.h reads packets where they lie,
# aligned or not.
sanitize := -Wno-unknown-pragmas -Wno-format-truncation -fsanitize=address,undefined -fno-sanitize=alignment \
	-fno-sanitize-recover=all

.PHONY: check-unit check-prog check-e2e check-sanitized check-compilers check-compiler check-vm-guests
.SECONDARY:

$(B)/tests/%.o: warnings += $(test_warnings)

$(B)/sanitized/%.o: %.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(cflags) $(test_warnings) $(sanitize) -DMSSBPF_TESTS='"$(CURDIR)/tests"' \
		-MMD -MP -c $< -o $@

# What of the loader a unit test takes.
$(B)/unit_overhead $(B)/unit_path $(B)/unit_stack: $(addprefix $(B)/sanitized/loader/,overhead.o cli.o printable.o)
$(B)/unit_rules: $(addprefix $(B)/sanitized/loader/,rules.o cli.o printable.o)

$(B)/unit_%: $(B)/sanitized/tests/unit/%.o $(B)/sanitized/tests/lib/packet.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(sanitize) $(LDFLAGS) -o $@ $^ $(test_libs)

# What unit tests take of the loader.
$(B)/unit_probe: $(B)/sanitized/loader/probe_search.o
$(B)/unit_firewall: $(addprefix $(B)/sanitized/loader/,firewall.o firewall_nft.o firewall_iptables.o shell.o)
$(B)/unit_event: $(addprefix $(B)/sanitized/loader/,event.o rules.o counts.o words.o cli.o printable.o)
$(B)/unit_verify: $(B)/sanitized/loader/verify_packets.o
$(B)/unit_event: test_libs += $(shell $(PKG_CONFIG) --libs json-c)

# What prog tests take of the loader.
$(B)/prog_flips: $(B)/loader/maps.o
$(B)/prog_rules $(B)/bench_rules: $(addprefix $(B)/loader/,rules.o rule_sets.o maps.o cli.o printable.o)

$(B)/prog_%: $(B)/tests/prog/%.o $(test_library)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(test_libs)

$(B)/bench_%: $(B)/tests/bench/%.o $(test_library)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(test_libs)

check-unit: $(unit_tests)
	$(Q)for test in $^; do $$test || exit 1; done

check-prog: $(prog_tests) $(benches)
	$(Q)for test in $^; do $$test || exit 1; done

.PHONY: bench bench-all bench-prog bench-rules bench-forward bench-icount bench-scale bench-exporter bench-monitor

bench-prog: $(benches)
	$(Q)for bench in $^; do $$bench || exit 1; done

bench-rules: $(B)/bench_rules
	$(Q)$<

# Debian's python: another one may come first on PATH, without Debian's modules.
python := /usr/bin/python3 -B

# All but bench-scale in one run, and build/bench.md and build/bench.svg for README.
bench:
	$(Q)test "$$(id -u)" = 0 || { echo "make bench: needs root: it makes network namespaces" >&2; exit 1; }
	$(Q)tests/deps build test vm
	$(Q)$(MAKE) --no-print-directory bench-all

bench-all: mssbpf $(benches) $(B)/vm/6.12/initramfs
	$(Q)MSSBPF=$(CURDIR)/$< $(python) tests/bench/bench.py

# As root. BENCH: arguments, e.g. BENCH="--only TCX"; BENCH=--help shows them.
bench-forward: mssbpf
	$(Q)MSSBPF=$(CURDIR)/$< $(python) tests/bench/forward.py $(BENCH)

bench-icount: mssbpf $(B)/vm/6.12/initramfs
	$(Q)MSSBPF=$(CURDIR)/$< $(python) tests/bench/icount.py $(BENCH)

# As root. N and ROUNDS: how many interfaces and rounds, 10000 and 5 by default.
bench-scale: mssbpf
	$(Q)MSSBPF=$(CURDIR)/$< $(python) tests/bench/scale.py $(or $(N),10000) $(or $(ROUNDS),5)

# As root. N and SCRAPES: how many interfaces and scrapes, 1000 and 100000 by default.
bench-exporter: mssbpf
	$(Q)MSSBPF=$(CURDIR)/$< $(python) tests/bench/exporter.py $(or $(N),1000) $(or $(SCRAPES),100000)

# As root. RATE and ROUNDS: how many SYNs a second and rounds, 100000 and 5 by default.
bench-monitor: mssbpf
	$(Q)MSSBPF=$(CURDIR)/$< $(python) tests/bench/monitor.py $(or $(RATE),100000) $(or $(ROUNDS),5)

# How many processes share the tests of e2e: much of what they do is waiting.
E2E_PROCESSES ?= $(shell expr 2 '*' $$(nproc))

check-e2e: mssbpf
	$(Q)if $(python) -c 'import pytest, scapy, xdist' 2>/dev/null; then \
		MSSBPF=$(CURDIR)/$< $(python) -m pytest -q -rfE -p no:cacheprovider -n $(E2E_PROCESSES) --basetemp=$(B)/e2e \
			tests/e2e; \
	else \
		echo "e2e: SKIPPED: python3-pytest, python3-pytest-xdist or python3-scapy is not installed (make deps)"; \
	fi

# Other BPF compilers make programs that load, and do the same.
COMPILERS ?= clang-16 clang-19
check-compilers:
	$(Q)tests/deps build test compilers
	$(Q)for compiler in $(COMPILERS); do \
		$(MAKE) --no-print-directory check-compiler B=$(B)/$$compiler CLANG=$$compiler || exit 1; \
	done

check-compiler: $(addprefix $(B)/prog_,add bytes route rules)
	$(Q)for test in $^; do $$test || exit 1; done

# The program with checks of memory, leaks and undefined behaviour; what it finds ends a test with a text on stderr.
$(B)/mssbpf_sanitized: $(loader_sources:%.c=$(B)/sanitized/%.o)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(sanitize) $(LDFLAGS) -o $@ $^ $(libs)

# Not where strace runs it: leaks cannot be looked for there.
SANITIZED_TESTS ?= tests/e2e/test_encap.py tests/e2e/test_hooks.py tests/e2e/test_state.py tests/e2e/test_rules.py \
	-k 'not killed and not another_build'
check-sanitized: $(B)/mssbpf_sanitized
	$(Q)ASAN_OPTIONS=exitcode=99 MSSBPF=$(CURDIR)/$< $(python) -m pytest -q -rfE -p no:cacheprovider \
		--basetemp=$(B)/e2e $(SANITIZED_TESTS)

# Debian's kernels to boot, which programs of the level prog to run there, and which tests of e2e: arguments of pytest
# (-m vm: also what takes long on old kernels).
KERNELS ?= 6.12 6.1 5.10
# One takes two processors, which a guest has not.
VM_PROGRAMS ?= $(filter-out %_flips,$(prog_tests))
VM_TESTS ?= -m "vm and not vm_long" tests/e2e

# Fetched once; "make clean" removes it, and the next run takes the kernel of the day.
$(B)/vm/%/vmlinuz:
	$(call say,KERNEL,$*)
	$(Q)tests/vm/kernel $* $(@D)

$(B)/vm/%/initramfs: $(B)/vm/%/vmlinuz tests/vm/initramfs tests/vm/init
	$(call say,INITRD,$*)
	$(Q)tests/vm/initramfs $(@D)

check-vm-guests: mssbpf $(VM_PROGRAMS) $(KERNELS:%=$(B)/vm/%/initramfs)
	$(Q)tests/vm/run "$(KERNELS)" "$(VM_PROGRAMS)" $(VM_TESTS)

include tests/fuzz/fuzz.mk
