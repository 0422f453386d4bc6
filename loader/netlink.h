/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel knows about network devices and their TC filters, over rtnetlink. It asks only;
 * changes are attach.c's.
 */
#ifndef MSSBPF_NETLINK_H
#define MSSBPF_NETLINK_H

#include <linux/if.h>
#include <stdbool.h>
#include <stddef.h>

struct device {
	unsigned int ifindex;
	unsigned int mtu;      /* bytes */
	unsigned short arphrd; /* ARPHRD_*, linux/if_arp.h */
	bool outer_header;     /* GRE without a fixed remote: packets begin with the outer header */
	bool redirected;       /* ifb: packets begin as on the device that they come from */
	char name[IFNAMSIZ];
};

/* All devices of the network namespace, by ascending ifindex. */
struct devices {
	struct device *list;
	size_t count;
};

/* Looks a device up by name or alternative name. Returns 0, -ENODEV, or another -errno. */
int device_get(const char *name, struct device *device);

/* Lists all devices; devices_free() releases them. Returns 0 or -errno. */
int devices_get(struct devices *devices);
void devices_free(struct devices *devices);

/* The device with this ifindex, or NULL. */
const struct device *devices_find(const struct devices *devices, unsigned int ifindex);

enum clsact_kind {
	CLSACT_NONE,
	CLSACT_QDISC,
	CLSACT_INGRESS, /* an `ingress` qdisc stands in its place: it has one side only */
};

/* What stands at the place of the device's clsact qdisc. Returns an enum clsact_kind or -errno. */
int clsact_find(unsigned int ifindex);

/* One side of a clsact qdisc, seen from a place (priority and handle) in it. */
struct clsact_side {
	bool taken;	      /* a filter is in the place */
	bool ours;	      /* and its program's name begins as ours do */
	bool others;	      /* there are filters outside the place */
	unsigned int program; /* id of the one in the place */
};

/*
 * Looks at one side of the device's clsact qdisc (TC_H_MIN_INGRESS or TC_H_MIN_EGRESS); without a qdisc
 * it is empty. Returns 0, -ENODEV or another -errno.
 */
int clsact_look(unsigned int ifindex, unsigned int minor, unsigned short priority, unsigned int handle,
		const char *name_prefix, struct clsact_side *side);

#endif
