/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The search for a path's MTU: which size to try next, and when silence means size. It knows no socket:
 * how a probe is sent is a callback (probe.c's), so that tests can simulate paths.
 *
 * Sizes are those of IP packets, in bytes, IP header included.
 */
#ifndef MSSBPF_PROBE_SEARCH_H
#define MSSBPF_PROBE_SEARCH_H

#include <netinet/in.h>
#include <stdint.h>

/* What becomes of a probe. */
enum probe_kind {
	PROBE_SILENT,	    /* nothing came back in time */
	PROBE_ANSWERED,	    /* the host answered */
	PROBE_TOO_BIG,	    /* a hop says that it is too big: ICMP type 3 code 4, ICMPv6 type 2 */
	PROBE_TOO_BIG_HERE, /* larger than the outgoing interface's MTU: it was not sent */
	PROBE_REFUSED,	    /* a hop, the host or this host's kernel says something else */
};

struct probe_event {
	enum probe_kind kind;
	unsigned int size;	     /* what it is about: the probe just sent, or an earlier one when it comes late */
	unsigned int age;	     /* how many probes were sent since that one; 0: it is the one just sent */
	unsigned int mtu;	     /* PROBE_TOO_BIG*: what fits, as it is said; 0: not said (before RFC 1191) */
	unsigned int rtt_us;	     /* PROBE_ANSWERED: microseconds */
	const char *says;	     /* PROBE_REFUSED: what, in words */
	char from[INET6_ADDRSTRLEN]; /* PROBE_TOO_BIG, PROBE_REFUSED: who says so; "": this host's kernel */
};

/* How one size fared. */
struct probe_step {
	unsigned int size;
	struct probe_event event;	/* what settled it */
	unsigned int probes;		/* sent of this size */
	unsigned int control_size;	/* the largest size known to pass, sent in between */
	unsigned int controls;		/* sent of that size, */
	unsigned int controls_answered; /* and answered */
};

struct probe_path {
	/* Sends one probe and waits for the first event, SILENT when none comes in time. */
	void (*attempt)(void *context, unsigned int size, struct probe_event *event);
	/* Told of every size that is settled, as it happens. May be NULL. */
	void (*progress)(void *context, const struct probe_step *step);
	void *context;
};

enum probe_end {
	PROBE_FOUND,
	PROBE_NEVER_ANSWERED,  /* not even the minimum */
	PROBE_MINIMUM_TOO_BIG, /* as a hop or the outgoing interface says: step.event */
	PROBE_END_REFUSED,     /* somebody says what is not about size: step.event */
	PROBE_PATH_CHANGED,    /* what was answered is too big now: step.event */
	PROBE_LOSS_TOO_HEAVY,  /* too much is lost to tell anything: step */
};

enum probe_limit {
	PROBE_LIMIT_MAXIMUM,	/* the maximum itself was answered */
	PROBE_LIMIT_INTERFACE,	/* the outgoing interface's MTU */
	PROBE_LIMIT_HOP,	/* a hop that says so: hop */
	PROBE_LIMIT_BLACK_HOLE, /* larger packets vanish */
};

struct probe_result {
	enum probe_end end;
	unsigned int mtu;	/* the largest size that was answered; 0: none */
	enum probe_limit limit; /* PROBE_FOUND */
	struct probe_event hop; /* PROBE_LIMIT_HOP: who, and which MTU it says */
	struct probe_step step; /* the last one; where it ended if nothing was found */
};

/*
 * Finds the largest size, min..max, that the host at the path's end answers; min <= max. The seed is for the
 * order in which probes are sent. The host is asked at least once; see probe_search.c for what bounds the
 * number of probes and the probability that loss is taken for size.
 */
void probe_search(const struct probe_path *path, unsigned int min, unsigned int max, uint32_t seed,
		  struct probe_result *result);

#endif
