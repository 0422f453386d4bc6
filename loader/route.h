/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which way the kernel would send a packet: one route lookup, over rtnetlink. Not a routing table.
 */
#ifndef MSSBPF_ROUTE_H
#define MSSBPF_ROUTE_H

#include <netinet/in.h>
#include <stdbool.h>

/* An IPv4 or IPv6 address, in network byte order; family 0: none. */
struct address {
	int family; /* AF_INET, AF_INET6 */
	union {
		struct in_addr v4;
		struct in6_addr v6;
		unsigned char bytes[16];
	};
};

enum { ADDRESS_TEXT_SIZE = INET6_ADDRSTRLEN };

/* Takes 4 or 16 bytes, network order. All zero, or another length, is no address. */
struct address address_of(const void *bytes, size_t length);
bool address_is_multicast(const struct address *address);
const char *address_text(const struct address *address, char text[ADDRESS_TEXT_SIZE]);

/* What a lookup may depend on; what is 0 does not count. */
struct flow {
	struct address remote, local;
	unsigned int mark;
	unsigned int oif;	/* ifindex */
	unsigned char protocol; /* IPPROTO_* */
	unsigned short sport, dport;
};

struct route {
	unsigned int oif; /* ifindex of the device that the packet leaves by */
	unsigned int mtu; /* the route's own or a learned path MTU, bytes; 0: none */
	bool local;	  /* to this host itself */
};

/* Looks up the route of a flow. Returns 0, -ENETUNREACH (or similar) when there is none, or another -errno. */
int route_get(const struct flow *flow, struct route *route);

#endif
