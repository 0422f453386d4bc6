/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a device puts around its packets, and where it sends them then: as the kernel tells, for each kind
 * of tunnel. Not what fits: that is detect.h's.
 */
#ifndef MSSBPF_WAYS_H
#define MSSBPF_WAYS_H

#include "netlink.h"
#include "overhead.h"
#include "route.h"

enum way_kind {
	WAY_ROUTED,  /* to flow.remote, as the route says */
	WAY_DEVICE,  /* by the device flow.oif, without a route lookup */
	WAY_ROAMING, /* to a peer whose address is not known yet */
};

/* One way that packets leave a device by. */
struct way {
	enum way_kind kind;
	struct flow flow;
	char layers[STACK_TEXT_SIZE]; /* from the outer IP header inwards: "ipv4/gre:key" */
};

struct ways {
	struct way *list; /* the caller frees it */
	size_t count;
	bool open; /* there are others, which the kernel decides on packet by packet */
};

/* Adds a way. Returns 0 or -ENOMEM. */
int ways_add(struct ways *ways, const struct way *way);

/*
 * Lists the ways of a device; none when packets leave by the device itself. Returns 0, or -errno after saying what is
 * wrong.
 */
int ways_get(const struct device *device, struct ways *ways);

/*
 * The kinds that tell over an interface of their own: each returns as ways_get() does, and says what is
 * wrong. l2tp_ways() finds none for a device that is not L2TP's; wireguard_user_ways() none for a TUN
 * device without a WireGuard program behind it.
 */
int wireguard_ways(const struct device *device, struct ways *ways);
int wireguard_user_ways(const struct device *device, struct ways *ways);
int l2tp_ways(const struct device *device, struct ways *ways);

/* Lists the ways in what a WireGuard program answers, which is taken apart by that. Returns 0 or -errno. */
int wireguard_text_ways(char *text, struct ways *ways);

/* What tells the states of one IPsec tunnel from others. */
struct xfrm_filter {
	unsigned int if_id;    /* 0: those without */
	unsigned int mark;     /* that the packets carry */
	unsigned int oif;      /* of the lookup of their route; 0: any */
	struct address local;  /* family 0: any */
	struct address remote; /* family 0: any */
};

/* Lists the ways of the outgoing states in tunnel mode that match. Returns 0 or -errno, and says what is wrong. */
int xfrm_tunnel_ways(const struct device *device, const struct xfrm_filter *filter, struct ways *ways);

/*
 * Finds the outgoing state in transport mode that a flow goes through, and puts its layers ("esp:aes-gcm-16")
 * into `layers`, "" for none. Returns 0 or -errno.
 */
int xfrm_transport_layers(const struct flow *flow, char layers[STACK_TEXT_SIZE]);

#endif
