/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Puts a program on a device and takes it off again: by a pinned link, TCX or XDP, or by a clsact filter. Not
 * about limits: those are entries of maps.h.
 *
 * Only what is ours is changed or removed: a link by its pin, a filter by our handle and priority and
 * the name of its program, a qdisc when we created it and nobody's filter is left in it.
 */
#ifndef MSSBPF_ATTACH_H
#define MSSBPF_ATTACH_H

#include "maps.h"
#include "words.h"

#include <linux/bpf.h>

struct device; /* netlink.h */

enum hook {
	HOOK_TCX,
	HOOK_CLSACT,
	HOOK_XDP_NATIVE, /* ingress of devices with an Ethernet header only */
	HOOK_XDP_GENERIC,
	HOOKS,
};

/* Our place among clsact filters: early, so that a verdict of another does not end the chain first. */
enum { FILTER_PRIORITY = 'M' };

/* The side of clsact that is for this direction: TC_H_MIN_EGRESS or TC_H_MIN_INGRESS. */
unsigned int clsact_minor(const struct mssbpf_key *key);

/* Tells whether the kernel has TCX (6.6). */
bool tcx_supported(void);

/* Tells whether a program is attached there by TCX, whoever it is of. */
bool tcx_in_use(const struct mssbpf_key *key);

/* "tcx", "clsact" or "xdp"; "native" or "generic", NULL for TC. */
const char *hook_name(enum hook hook);
const char *hook_mode(enum hook hook);

/*
 * How packets of a device of this ARPHRD type begin. Returns an enum mssbpf_link, or -EOPNOTSUPP.
 */
int link_of_device(unsigned short arphrd);

/*
 * Tells whether packets that arrive on a device of this ARPHRD type begin so on this kernel, too: before
 * Linux 5.14, those of IP tunnels reached TC ingress with the outer headers in front.
 */
bool ingress_is_readable(unsigned short arphrd);

/* Another's XDP program, and in which mode it is there. */
struct xdp_occupant {
	__u32 program_id; /* 0: there is none */
	const char *mode;
	char name[BPF_OBJ_NAME_LEN];
};

/* Finds out which XDP program is on the device. Returns 0 or -errno. */
int xdp_occupant_find(unsigned int ifindex, struct xdp_occupant *occupant);

/*
 * Looks for our program at every hook. Returns 0 with the hook and the program's id, -ENOENT when none
 * of ours is there (but perhaps somebody else's in our place), or another -errno when that could not be found out.
 */
int attachment_query(const struct maps *maps, const struct mssbpf_key *key, enum hook *hook, __u32 *program_id);

/* The program for the device at the hook, as of pins_program(). */
int attachment_program(struct maps *maps, const struct mssbpf_key *key, enum hook hook, const struct device *device);

/*
 * Attaches the device's program at the hook, or puts it there in place of the one that is: no packet
 * passes without one. `current` is where attachment_query() found it, HOOKS if nowhere. Its entry is in the map before.
 * An attachment at another hook goes after. What fails is taken back, as far as something else clamps. Returns 0,
 * -ENODEV when the device is gone, -EEXIST when a filter of somebody else has our handle and priority, -EBUSY when an
 * `ingress` qdisc stands in the place of clsact, either of these when an XDP program is on the device, -ENOEXEC
 * after saying why there is no program, or another -errno; from native XDP that may be the driver's refusal.
 */
int attachment_set(struct maps *maps, const struct mssbpf_key *key, enum hook current, enum hook hook,
		   const struct device *device);

/*
 * Removes the attachment at whatever hook, with it the qdisc when it is ours and unused, then the entry.
 * That there is nothing to remove is no error. Returns 0 or -errno; then the entry is still there.
 */
int attachment_remove(const struct maps *maps, const struct mssbpf_key *key);

/* Whose the device's clsact qdisc is, as its entries say: an enum mssbpf_clsact, or -errno. */
int clsact_owner(const struct maps *maps, unsigned int ifindex);

/*
 * Asks in few calls for the ids of the programs in our place in clsact, 0 where there is none: a hint. Whether one is
 * ours, and on the side that the entry is for, attachment_query() knows: an `ingress` qdisc answers for both sides.
 * Returns 0 or -errno.
 */
int clsact_peek(const struct entry *entries, size_t count, __u32 *ids);

/* Tells whether a folder of pins has no filter, and links, all of which have lost their device. */
bool folder_is_dead(const char *folder);

#endif
