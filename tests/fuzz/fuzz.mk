# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Fuzzing: the loaded programs against the reference, then each libFuzzer target (target_*.c) beginning with its corpus.
# Included by ../tests.mk.

fuzz := tests/fuzz
fuzz_targets := $(patsubst $(fuzz)/target_%.c,%,$(wildcard $(fuzz)/target_*.c))

# How long the comparison runs, and how long all targets together; or how many packets go through each program.
SECONDS ?= 60
COUNT ?=
SEED ?= $(shell date +%s)

# An empty format is no error to gcc.
fuzz_warnings := -Wno-format-zero-length
fuzz_sanitize := -fsanitize=address,undefined -fno-sanitize=alignment -fno-sanitize-recover=all
fuzz_sources := $(filter-out loader/main.c,$(wildcard loader/*.c))
fuzz_objects := $(fuzz_sources:%.c=$(B)/fuzzed/%.o)

.PHONY: fuzz-programs fuzz-targets

$(B)/fuzzed/%.o: %.c $(B)/mssbpf.skel.h
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(cflags) $(test_warnings) $(fuzz_warnings) $(fuzz_sanitize) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

$(B)/fuzzed/loader.a: $(fuzz_objects)
	$(Q)rm -f $@
	$(Q)$(AR) rc $@ $^

$(B)/fuzz_differential: $(addprefix $(B)/$(fuzz)/,differential.o generator.o reference.o) \
		$(addprefix $(B)/loader/,cli.o printable.o maps.o rule_sets.o rules.o) $(test_library)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(test_libs)

# What stands in for the kernel comes ahead of the loader.
$(B)/fuzz_%: $(B)/fuzzed/$(fuzz)/target_%.o $(addprefix $(B)/fuzzed/$(fuzz)/,reference.o kernel.o) $(B)/fuzzed/loader.a
	$(call say,LINK,$@)
	$(Q)$(CLANG) $(CFLAGS) $(fuzz_sanitize) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(libs)

fuzz-programs: $(B)/fuzz_differential
	$(Q)$< $(if $(COUNT),-n $(COUNT),-t $(SECONDS)) -s $(SEED)

# What a target finds out goes to build/; what is worth keeping is added to its corpus by hand.
fuzz-targets: $(fuzz_targets:%=$(B)/fuzz_%)
	$(Q)$(fuzz)/targets $(B) $(SECONDS) $(SEED) $(fuzz_targets)
