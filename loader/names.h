/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The names of the interfaces of this network namespace, followed as they come and are renamed. One that is gone
 * keeps its name: there may be news of it still. Not what else is known of a device: that is netlink.h.
 */
#ifndef MSSBPF_NAMES_H
#define MSSBPF_NAMES_H

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <stddef.h>

struct name {
	unsigned int ifindex;
	char text[IFNAMSIZ];
};

struct names {
	struct mnl_socket *socket; /* readable when names_update() has something to do */
	struct name *list;	   /* by ascending ifindex */
	size_t count;
};

/* Reads all names; names_close() releases them, also after a failure. Returns 0 or -errno. */
int names_open(struct names *names);
void names_close(struct names *names);

/* Catches up with the kernel. Returns 0 or -errno. */
int names_update(struct names *names);

/* The name, or NULL. */
const char *names_find(const struct names *names, unsigned int ifindex);

#endif
