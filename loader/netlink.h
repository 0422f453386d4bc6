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

/*
 * Tells whether the device has a qdisc at the place of clsact (which may be an `ingress` one). Returns 0
 * or 1.
 */
int clsact_exists(unsigned int ifindex);

/*
 * Tells whether the device's clsact qdisc holds any filter, in either direction. Returns 0, 1 or
 * -errno.
 */
int clsact_in_use(unsigned int ifindex);

#endif
