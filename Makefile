# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make            the program, ./mssbpf
# make check      every test this machine can run (as root: it sets up what it needs)
# make check-vm   prog and e2e tests that depend on the kernel, on Debian's 5.10, 6.1, 6.12 in QEMU (as root: likewise)
# make fuzz       the loaded programs against a reference, and parsers under libFuzzer (as root; SECONDS= or COUNT=, SEED=)
# make bench      what a packet costs, beside nftables and iptables (as root: likewise)
# make demo       a tunnel that hangs, and how it stops to (as root: likewise)
# make deps       install the Debian packages that building and testing take
# make lint       static checks
# make install    DESTDIR= PREFIX=/usr/local
# make vmlinux    regenerate vmlinux/vmlinux.h from the running kernel
# make clean
#
# V=1 shows the commands; CLANG=clang-19 picks a BPF compiler, CC=... the native one.

PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR ?= $(PREFIX)/lib/systemd/system
DATADIR ?= $(PREFIX)/share/mssbpf

VERSION := 0.1.0
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool /sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
B := build

warnings := -Wall -Wextra -Werror
includes := -Iinclude -Ibpf -Iloader -I$(B)
packages := libbpf libmnl json-c libmicrohttpd zlib
cflags = -std=gnu11 $(warnings) $(includes) -D_GNU_SOURCE -DMSSBPF_VERSION='"$(VERSION)"' \
	$(shell $(PKG_CONFIG) --cflags $(packages)) $(CFLAGS)
libs = $(shell $(PKG_CONFIG) --libs $(packages))
bpf_cflags := -g -O2 -std=gnu11 -mcpu=v3 -target bpf $(warnings) -Ivmlinux -Iinclude

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(Q),@printf '  %-8s%s\n' $(1) $(2))

loader_sources := $(wildcard loader/*.c)
loader_objects := $(loader_sources:%.c=$(B)/%.o)

all: mssbpf
.DELETE_ON_ERROR:
.PHONY: all deps lint install uninstall vmlinux clean check check-vm fuzz demo

mssbpf: $(loader_objects)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)

$(B)/mssbpf.bpf.o: bpf/mssbpf.bpf.c
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(bpf_cflags) -MMD -MP -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(B)/mssbpf.skel.h: $(B)/mssbpf.bpf.o
	$(call say,SKELETON,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name mssbpf_bpf > $@

$(B)/%.o: %.c $(B)/mssbpf.skel.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -MMD -MP -c $< -o $@

include tests/tests.mk

deps:
	$(Q)tests/deps build test

check:
	$(Q)test "$$(id -u)" = 0 || { echo "make check: needs root: it loads BPF programs and makes namespaces" >&2; exit 1; }
	$(Q)tests/deps build test
	$(Q)$(MAKE) --no-print-directory all check-unit check-prog check-e2e

check-vm:
	$(Q)test "$$(id -u)" = 0 || { echo "make check-vm: needs root: the guests read this machine's files" >&2; exit 1; }
	$(Q)tests/deps build test vm
	$(Q)$(MAKE) --no-print-directory check-vm-guests

fuzz:
	$(Q)test "$$(id -u)" = 0 || { echo "make fuzz: needs root: it loads BPF programs" >&2; exit 1; }
	$(Q)tests/deps build test fuzz
	$(Q)$(MAKE) --no-print-directory fuzz-programs fuzz-targets

lint:
	$(Q)tests/deps build lint
	$(Q)$(MAKE) --no-print-directory $(B)/mssbpf.skel.h
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --suppress=arithOperationsOnVoidPointer \
		--suppress='*:$(B)/*' '-DSEC(name)=' '-DLIBBPF_OPTS(type,name,...)=struct type name' \
		-Iinclude -Ibpf -Iloader -I$(B) bpf loader tests
	$(Q)shellcheck -x $$(git grep -lE '^#!/bin/(ba|busybox )?sh') loader/mssbpf.bash
	$(Q)mandoc -T lint -W warning loader/mssbpf.8

install: all
	install -Dm755 mssbpf $(DESTDIR)$(SBINDIR)/mssbpf
	install -Dm644 loader/mssbpf.8 $(DESTDIR)$(MANDIR)/man8/mssbpf.8
	install -Dm644 loader/mssbpf.bash $(DESTDIR)$(COMPLETIONDIR)/mssbpf
	install -Dm644 loader/mssbpf-exporter.service $(DESTDIR)$(UNITDIR)/mssbpf-exporter.service
	sed -i 's,/usr/local/sbin,$(SBINDIR),' $(DESTDIR)$(UNITDIR)/mssbpf-exporter.service
	install -Dm644 loader/grafana-dashboard.json $(DESTDIR)$(DATADIR)/grafana-dashboard.json

uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/mssbpf $(DESTDIR)$(MANDIR)/man8/mssbpf.8 $(DESTDIR)$(COMPLETIONDIR)/mssbpf \
		$(DESTDIR)$(UNITDIR)/mssbpf-exporter.service $(DESTDIR)$(DATADIR)/grafana-dashboard.json

vmlinux:
	$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c | vmlinux/trim > vmlinux/vmlinux.h.new
	mv vmlinux/vmlinux.h.new vmlinux/vmlinux.h

demo:
	$(Q)test "$$(id -u)" = 0 || { echo "make demo: needs root: it makes network namespaces" >&2; exit 1; }
	$(Q)tests/deps build demo
	$(Q)$(MAKE) --no-print-directory all
	$(Q)demo/demo.sh

clean:
	rm -rf $(B) mssbpf

-include $(shell find $(B) -name '*.d' 2>/dev/null)
