/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Address prefixes, 192.0.2.0/24 or 2001:db8::/32, as a command line has them. Not a routing table.
 */
#ifndef MSSBPF_PREFIX_H
#define MSSBPF_PREFIX_H

#include <mssbpf/abi.h>
#include <stdbool.h>

struct prefix {
	enum mssbpf_family family;
	unsigned int length;	   /* bits */
	unsigned char address[16]; /* network order; IPv4: the first four; what is behind `length` counts for nothing */
};

/* Reads ADDRESS or ADDRESS/LENGTH; without a length it is one address. Returns 0 or -EINVAL. */
int prefix_parse(const char *text, struct prefix *prefix);

/* Tells whether an address, laid out as in the prefix, lies in it. */
bool prefix_holds(const struct prefix *prefix, enum mssbpf_family family, const unsigned char *address);

#endif
