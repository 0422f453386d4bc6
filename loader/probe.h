/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Probing a path with ICMP echo: sockets, and one exchange at a time. Not the search (probe_search.c), and
 * nothing is printed but errors.
 *
 * Sizes are those of IP packets, in bytes, IP header included.
 */
#ifndef MSSBPF_PROBE_H
#define MSSBPF_PROBE_H

#include "netlink.h"
#include "probe_search.h"

#include <stdint.h>
#include <sys/socket.h>

/* What to probe, and from where. */
struct probe_target {
	struct sockaddr_storage address;
	struct sockaddr_storage source; /* AF_UNSPEC: the kernel's choice */
	char interface[IFNAMSIZ];	/* "": by the routing table */
	unsigned int timeout_ms;	/* how long to wait for an answer at most */
};

struct probe;

/* What was sent and came back until now, in packets. */
struct probe_counts {
	unsigned int sent;
	unsigned int lost; /* neither an answer nor a message came back */
};

/*
 * Opens a socket: a ping socket where net.ipv4.ping_group_range permits it, else a raw one, which takes
 * CAP_NET_RAW. Returns 0, or -errno after saying why. probe_close() releases *probe.
 */
int probe_open(const struct probe_target *target, struct probe **probe);
void probe_close(struct probe *probe);

/*
 * Finds the device by which packets to the target leave. Returns 0 or -errno: -ENETUNREACH and -EHOSTUNREACH
 * where there is no route.
 */
int probe_device(const struct probe_target *target, struct device *device);

/*
 * Sends one echo request of this size, with DF set over IPv4, and waits for the first event: an answer or a
 * message, to this or an earlier request, or silence: what struct probe_path's attempt() is to do. Until the first
 * answer it waits for half of the timeout; later for as long as the slowest answer so far suggests, the timeout at
 * most. An answer that comes later is told by the next call.
 */
void probe_attempt(struct probe *probe, unsigned int size, struct probe_event *event);

struct probe_counts probe_counts(const struct probe *probe);

/* A random number, drawn by probe_open(). */
uint32_t probe_seed(const struct probe *probe);

#endif
