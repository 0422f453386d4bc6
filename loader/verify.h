/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Proves a program that is loaded, with the maps that it has, by running it on packets of our own. Nothing is sent. Not
 * the packets: those are verify_packets.h's.
 */
#ifndef MSSBPF_VERIFY_H
#define MSSBPF_VERIFY_H

#include "rules.h"
#include "verify_packets.h"

/* What is to be proved. */
struct verify_target {
	int program; /* fd */
	bool xdp;
	bool ethernet; /* its packets have an Ethernet header */
	struct mssbpf_key key;
	union mssbpf_order order; /* with limits that follow the device's MTU as they are now */
	const struct rules *rules;
	__u64 mark; /* of the packets: they are not counted, see struct mssbpf_watch */
};

struct verify_failure {
	char packet[96];
	char problem[96];
	struct verify_packet sent, came_out;
};

struct verification {
	size_t packets;
	size_t rules;	       /* how many there are */
	size_t rules_verified; /* of them */
	struct verify_failure *failures;
	size_t failure_count;
};

/*
 * Runs all packets. Returns 0, also when some came out wrong, or -errno when they could not be run: -EINVAL at XDP
 * before Linux 5.15. The caller frees failures.
 */
int verify_target_run(const struct verify_target *target, struct verification *result);

#endif
