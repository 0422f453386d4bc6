/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Questions to the kernel over netlink, and what it knows about network devices and their TC filters.
 * It asks only; changes are attach.c's.
 */
#ifndef MSSBPF_NETLINK_H
#define MSSBPF_NETLINK_H

#include <netinet/in.h> /* ahead of linux/: see linux/libc-compat.h */

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Sends one request on a bus (NETLINK_ROUTE, ...) and calls each() for every message of the answer, which
 * may not ask itself: there is one buffer. Returns 0 or -errno.
 */
int netlink_ask(int bus, struct nlmsghdr *request, mnl_cb_t each, void *context);

/*
 * Sends requests that stand one behind the other, each of which is answered by one message without being asked
 * for an ACK, and calls each() for the answers that are no errors. Returns 0 or -errno.
 */
typedef void (*netlink_each)(size_t index, const struct nlmsghdr *answer, void *context);
int netlink_ask_all(int bus, struct nlmsghdr *requests, size_t count, netlink_each each, void *context);

/* Puts the attributes below a nest, or behind a message's header of `skip` bytes, into a list by type. */
void attributes_of_nest(const struct nlattr *nest, const struct nlattr **list, size_t size);
void attributes_of_message(const struct nlmsghdr *message, size_t skip, const struct nlattr **list, size_t size);

/* The header of `size` bytes that a message begins with, or NULL when it is shorter. */
const void *message_header(const struct nlmsghdr *message, size_t size);

/*
 * What an attribute holds: a number of 1, 2 or 4 bytes as it stands; a text; `size` bytes. 0, "" or NULL when it is
 * not there (NULL) or holds no such thing.
 */
unsigned int attribute_number(const struct nlattr *attribute);
const char *attribute_text(const struct nlattr *attribute);
const void *attribute_bytes(const struct nlattr *attribute, size_t size);

enum { KIND_SIZE = 16 }; /* of a device's kind, with the NUL */

struct device {
	unsigned int ifindex;
	unsigned int mtu;      /* bytes */
	unsigned short arphrd; /* ARPHRD_*, linux/if_arp.h */
	bool outer_header;     /* GRE without a fixed remote: packets begin with the outer header */
	bool redirected;       /* ifb: packets begin as on the device that they come from */
	bool link_elsewhere;   /* what it stands on is in another network namespace */
	unsigned int link;     /* ifindex of what it stands on, 0: nothing, or itself */
	char kind[KIND_SIZE];  /* "vxlan" and so on, "" for those without rtnl_link_ops */
	char name[IFNAMSIZ];
};

/* All devices of the network namespace, by ascending ifindex. */
struct devices {
	struct device *list;
	size_t count;
};

/* Reads a device from a message of its kind (RTM_NEWLINK, RTM_DELLINK). Returns false when it has no name. */
bool device_read(const struct nlmsghdr *message, struct device *device);

/* Looks a device up by name or alternative name. Returns 0, -ENODEV, or another -errno. */
int device_get(const char *name, struct device *device);

/*
 * Reads what makes a device of its kind: calls each() with the nest IFLA_INFO_DATA, if it has one. Returns
 * what each() returned (0 or -errno), or -errno.
 */
int device_data_get(unsigned int ifindex, int (*each)(const struct nlattr *data, void *context), void *context);

/* Lists all devices; devices_free() releases them. Returns 0 or -errno. */
int devices_get(struct devices *devices);
void devices_free(struct devices *devices);

/* The device with this ifindex, or NULL. */
const struct device *devices_find(const struct devices *devices, unsigned int ifindex);

/* What a device has counted. */
struct device_packets {
	unsigned long long received, sent;
};

/* Reads that. Returns 0, -ENODEV or another -errno. */
int device_packets_get(unsigned int ifindex, struct device_packets *packets);

/* Ids of the XDP programs on a device, 0 for none. The kernel runs one of them. */
struct xdp_programs {
	unsigned int native, generic, offloaded;
};

/* Looks which XDP programs are on a device. Returns 0, -ENODEV or another -errno. */
int xdp_look(unsigned int ifindex, struct xdp_programs *programs);

enum clsact_kind {
	CLSACT_NONE,
	CLSACT_QDISC,
	CLSACT_INGRESS, /* an `ingress` qdisc stands in its place: it has one side only */
};

/* What stands at the place of the device's clsact qdisc. Returns an enum clsact_kind or -errno. */
int clsact_find(unsigned int ifindex);

/*
 * Calls each() for the filters of one side of the device's clsact qdisc (TC_H_MIN_INGRESS or TC_H_MIN_EGRESS), in the
 * order they run. Returns 0 or -errno; -EINTR: they changed meanwhile, ask again.
 */
int clsact_dump(unsigned int ifindex, unsigned int minor, mnl_cb_t each, void *context);

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

/* A side of a device's clsact qdisc, and what is found there. */
struct clsact_place {
	unsigned int ifindex;
	unsigned int minor;   /* TC_H_MIN_INGRESS or TC_H_MIN_EGRESS */
	unsigned int program; /* id, 0: there is no BPF filter in the place, or that could not be found out */
};

/*
 * Asks for the filters with this priority and handle, of many sides in a few calls. An `ingress` qdisc answers for the
 * egress side, too. Returns 0 or -errno.
 */
int clsact_programs(struct clsact_place *places, size_t count, unsigned short priority, unsigned int handle);

#endif
