/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loads the BPF object that the loader embeds, fills its maps and runs its programs on packets
 * (BPF_PROG_TEST_RUN). Attaches and pins nothing.
 */
#ifndef TESTS_OBJECT_H
#define TESTS_OBJECT_H

#include "packet.h"

#include <linux/bpf.h>
#include <maps.h>
#include <mssbpf/abi.h>

enum {
	OBJECT_IFINDEX = 1, /* the interface that packets of a test run belong to: loopback */
	OBJECT_PROGRAMS = 5,
	OBJECT_PACKET_MAX = 3 * 1024, /* what a test run takes for sure */
};

struct object_program {
	const char *name;
	bool xdp;
	enum packet_link link;
	enum mssbpf_direction direction;
	int fd;
	unsigned int verified; /* instructions that the verifier looked at */
};

struct object {
	struct mssbpf_bpf *skeleton;
	struct object_program program[OBJECT_PROGRAMS];
	int limits, counters, orders; /* maps */
	const __u64 *slots;	      /* what is in orders */
};

/* Why programs cannot be loaded here, whatever they are; NULL if they can. */
const char *object_unavailable(void);

/* Ends the test as skipped, and says why, unless `unavailable` is NULL. */
void object_need(const char *unavailable);

/* Loads the object; its maps are empty. Returns 0 or -errno, having printed why. */
int object_open(struct object *object);

/* Likewise, with a layout of the caller's instead of the kernel's. */
int object_open_with(struct object *object, const struct mssbpf_route_layout *layout);
void object_close(struct object *object);

/* The object's maps, as the loader has them open. */
struct maps object_maps(const struct object *object);

/* Tells whether the programs can read a device's MTU on this kernel. */
bool object_has_check_mtu(const struct object *object);

/* Sets the order for an entry, or takes it away. All return 0 or -errno. */
int object_set_limit(const struct object *object, struct mssbpf_key key, union mssbpf_order order);
int object_delete_limit(const struct object *object, struct mssbpf_key key);

/* Makes an entry, with zeros on all CPUs; takes it away; sums up the CPUs. */
int object_reset_counters(const struct object *object, struct mssbpf_key key);
int object_delete_counters(const struct object *object, struct mssbpf_key key);
int object_read_counters(const struct object *object, struct mssbpf_key key, struct mssbpf_counters *sum);

/*
 * Runs a program on a packet, once. `flags` are BPF_F_TEST_*, for TC programs only. Gives the packet that comes out in
 * `data` and `length`, and what the program returned. Returns 0 or -errno; -EPROTO when the packet's metadata (mark,
 * priority, cb, interface) came out changed.
 */
struct object_outcome {
	uint8_t data[OBJECT_PACKET_MAX];
	size_t length;
	int returned;
};

int object_run(const struct object_program *program, const struct packet *packet, uint32_t flags,
	       struct object_outcome *outcome);

/* Likewise, with metadata of the caller's. */
int object_run_as(const struct object_program *program, const struct packet *packet, const struct __sk_buff *metadata,
		  uint32_t flags, struct object_outcome *outcome);

#endif
