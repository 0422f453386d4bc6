/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packets that verify sends through a program, and those that have to come out. Shares no code with the data path:
 * what is wrong there must not be wrong here in the same way. Not a place that runs anything: verify.h.
 */
#ifndef MSSBPF_VERIFY_PACKETS_H
#define MSSBPF_VERIFY_PACKETS_H

#include <mssbpf/abi.h>
#include <stdbool.h>
#include <stddef.h>

enum { VERIFY_PACKET_MAX = 128 }; /* bytes */

struct verify_packet {
	size_t length;
	__u8 data[VERIFY_PACKET_MAX];
};

/* Where a packet goes, and whether it has an Ethernet header. */
struct verify_path {
	bool ethernet;
	enum mssbpf_family family;
	__u8 source[16]; /* network order; IPv4: the first four */
	__u8 destination[16];
};

/* What is asked of the clamp. */
enum verify_demand {
	VERIFY_LOWER, /* what is above the limit, and nothing else */
	VERIFY_LEAVE, /* as it is */
	VERIFY_ADD,   /* an option where the entry says so, else as it is */
};

struct verify_case {
	const char *name;
	__u8 flags;	     /* of TCP */
	const char *options; /* a letter each, see verify_packets.c */
	enum verify_demand demand;
};

extern const struct verify_case verify_cases[];
extern const size_t verify_case_count;

/* The simplest of them, for whoever has many addresses to try. */
extern const struct verify_case *const verify_case_simple;

/* The values of MSS options: `above` where one is above the limit, `low` where one is not. */
struct verify_values {
	__u16 above;
	__u16 low;
	__u16 added; /* 0: no option is added */
};

/* Builds the packet of a case, with checksums. An option that is added comes first. */
struct verify_packet verify_packet_build(const struct verify_path *path, const struct verify_case *row,
					 const struct verify_values *values);

/* Where in the packet the value stands that is added, or the first one above the limit; 0 when there is none. */
size_t verify_packet_mss(const struct verify_path *path, const struct verify_case *row, bool added);

/* What a byte of the packet belongs to. */
const char *verify_packet_part(const struct verify_path *path, size_t offset);

#endif
