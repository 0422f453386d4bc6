/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets to try the programs with, well-formed and hostile: the same for the same seed. Judges none of them.
 */
#ifndef TESTS_GENERATOR_H
#define TESTS_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mssbpf/abi.h>

enum {
	GENERATOR_PACKET_MAX = 2900, /* what a test run takes, with room to grow */
};

struct generated {
	size_t length;
	uint8_t data[2 * GENERATOR_PACKET_MAX];
};

/* A number that looks random for each pair of numbers. */
uint64_t generator_mix(uint64_t a, uint64_t b);

/* Limits and flags. */
union mssbpf_order generate_order(uint64_t seed);

/*
 * A packet that begins with an Ethernet header, or with the IP header; then its EtherType stands in bytes 12 and 13,
 * where BPF_PROG_TEST_RUN looks for it. Values of MSS options are close to the order's limits, or anything.
 */
void generate_packet(uint64_t seed, bool ethernet, const union mssbpf_order *order, struct generated *packet);

#endif
