/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What of netfilter is in use in this network namespace: rule sets, and flows that conntrack knows. Not what rules
 * mean: that is firewall.h's.
 */
#ifndef MSSBPF_NETFILTER_H
#define MSSBPF_NETFILTER_H

#include "firewall.h"

/* A rule set that is there and could not be read. */
struct unread {
	const char *what;    /* "nftables" */
	const char *program; /* that shows it: "nft" */
	int err; /* -ENOENT: it is not installed, -EINVAL: what it prints is not understood; see program_run() */
};

enum { UNREAD_MAX = 5 };

/*
 * Reads all rule sets that are in use, by the programs that show them; nothing is run, nor loaded, for those that are
 * not. Lists what could not be read.
 */
void netfilter_read(struct firewall *firewall, struct unread unread[UNREAD_MAX], size_t *unread_count);

/* Tells whether conntrack knows flows of UDP to port 443: QUIC. Where it is not in use, it knows none. */
bool netfilter_sees_quic(void);

#endif
