/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What mssbpf promises to do with a packet, written from the RFCs and the manual alone, to judge the loaded programs
 * by. Shares no line with the data path: only the names of what is counted (mssbpf/abi.h). Not fast code to learn from.
 */
#ifndef TESTS_REFERENCE_H
#define TESTS_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mssbpf/abi.h>

enum {
	REFERENCE_PACKET_MAX = 4 * 1024,
	REFERENCE_CHECKSUMS = 2,
};

/* A limit for the peers in a prefix. */
struct reference_rule {
	enum mssbpf_family family;
	uint8_t address[16]; /* as in a header; what is behind the prefix does not count */
	uint8_t length;	     /* bits */
	uint16_t mss;	     /* bytes, or MSSBPF_MSS_NONE */
};

/* Where the packet is seen. */
struct reference_hook {
	bool xdp;
	bool ethernet; /* else it begins with the IP header, and its EtherType is `protocol` */
	uint16_t protocol;
	bool egress;
	unsigned int mtu;		    /* of the device, bytes */
	const struct reference_rule *rules; /* of the device, in any order */
	size_t rule_count;
};

struct reference_answer {
	bool counted; /* under the three that follow */
	enum mssbpf_family family;
	enum mssbpf_kind kind;
	enum mssbpf_result result;
	uint16_t announced; /* the last MSS in a list that is well-formed and not behind AH; 0: none */
	/* The packet afterwards. */
	size_t length;
	uint8_t data[REFERENCE_PACKET_MAX];
	/* Where checksums were written that are zero: 0x0000 and 0xffff mean the same there. 0: none. */
	size_t zero_checksums[REFERENCE_CHECKSUMS];
};

/* Tells what becomes of a packet of at most REFERENCE_PACKET_MAX - 4 bytes. Any bytes will do. */
void reference_clamp(const struct reference_hook *hook, const union mssbpf_order *order, const uint8_t *packet,
		     size_t length, struct reference_answer *answer);

/* Counts it. */
void reference_count(const struct reference_answer *answer, struct mssbpf_counters *counters);

/* Tells whether what came out of a program is what the answer says. */
bool reference_agrees(const struct reference_answer *answer, const uint8_t *data, size_t length);

/* The one's complement sum of bytes as big-endian words, 0 to 65534 (RFC 1071). */
uint16_t reference_sum(const uint8_t *bytes, size_t length);

#endif
