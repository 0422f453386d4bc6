/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets to try the programs with, well-formed and hostile: the same for the same seed. Judges none of them.
 */
#ifndef TESTS_GENERATOR_H
#define TESTS_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference.h"

enum {
	GENERATOR_PACKET_MAX = 2900, /* what a test run takes, with room to grow */
	GENERATOR_RULES_MAX = 12,
};

struct generated {
	size_t length;
	uint8_t data[2 * GENERATOR_PACKET_MAX];
};

/* A number that looks random for each pair of numbers. */
uint64_t generator_mix(uint64_t a, uint64_t b);

/* Rules of a device, each prefix once; perhaps none. */
struct generated_rules {
	struct reference_rule list[GENERATOR_RULES_MAX];
	size_t count;
};

void generate_rules(uint64_t seed, struct generated_rules *rules);

/* Limits and flags. */
union mssbpf_order generate_order(uint64_t seed);

/*
 * A packet that begins with an Ethernet header, or with the IP header; then its EtherType stands in bytes 12 and 13,
 * where BPF_PROG_TEST_RUN looks for it. Values of MSS options are close to the limits, or anything; so are addresses to
 * the rules.
 */
void generate_packet(uint64_t seed, bool ethernet, const union mssbpf_order *order, const struct generated_rules *rules,
		     struct generated *packet);

#endif
