// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Running packets through a program, and comparing what comes out with what has to. Prints nothing.
 */
#include "verify.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RULES_AT_MOST = 1000,	/* of a set, evenly spread */
	MSS_DEFAULT_IPV4 = 536, /* what a SYN without MSS announces, RFC 9293 3.7.1 */
	MSS_DEFAULT_IPV6 = 1220,
};

/* The limit that holds for a packet. */
struct expectation {
	__u16 limit; /* bytes, or MSSBPF_MSS_NONE */
	bool upper;  /* the route may make it lower */
};

static const char *const family_text[MSSBPF_FAMILIES] = { [MSSBPF_IPV4] = "IPv4", [MSSBPF_IPV6] = "IPv6" };

/* The rule for an address: that of the longest prefix. By looking at every one, which the programs do not. */
static const struct rule *rule_of(const struct verify_target *target, enum mssbpf_family family, const __u8 address[16])
{
	const struct rule *best = NULL;

	for (size_t i = 0; i < target->rules->count; i++) {
		const struct rule *rule = &target->rules->list[i];

		if (prefix_holds(rule, family, address) && (!best || rule->length > best->length))
			best = rule;
	}
	return best;
}

static struct expectation limit_of(const struct verify_target *target, const struct verify_path *path)
{
	const union mssbpf_order *order = &target->order;
	const struct rule *rule = rule_of(target, path->family,
					  target->key.direction == MSSBPF_EGRESS ? path->destination : path->source);
	bool ipv6 = path->family == MSSBPF_IPV6;

	if (rule)
		return (struct expectation){ rule->mss, false };
	return (struct expectation){ ipv6 ? order->mss6 : order->mss4,
				     order->flags & MSSBPF_ROUTE &&
					     order->flags & (ipv6 ? MSSBPF_LIVE_IPV6 : MSSBPF_LIVE_IPV4) };
}

/* Runs one packet. Returns 0 or -errno. */
static int packet_run(const struct verify_target *target, const struct verify_packet *sent,
		      struct verify_packet *came_out, int *verdict)
{
	const size_t ahead = target->xdp ? sizeof(target->mark) : 0;
	__u8 in[sizeof(target->mark) + VERIFY_PACKET_MAX], out[2 * sizeof(in)];
	const struct __sk_buff skb = { .ifindex = target->key.ifindex,
				       .cb = { (__u32)target->mark, target->mark >> 32 } };
	const struct xdp_md xdp = { .data = ahead,
				    .data_end = ahead + sent->length,
				    .ingress_ifindex = target->key.ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in, .data_size_in = ahead + sent->length, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = target->xdp ? (const void *)&xdp : &skb,
		    .ctx_size_in = target->xdp ? sizeof(xdp) : sizeof(skb), .repeat = 1);
	int err;

	memcpy(in, &target->mark, ahead);
	memcpy(in + ahead, sent->data, sent->length);
	err = bpf_prog_test_run_opts(target->program, &run);
	if (err)
		return err;
	*verdict = run.retval;
	came_out->length = run.data_size_out < ahead ? 0 : run.data_size_out - ahead;
	if (came_out->length > VERIFY_PACKET_MAX)
		came_out->length = VERIFY_PACKET_MAX;
	memcpy(came_out->data, out + ahead, came_out->length);
	return 0;
}

static unsigned int mss_at(const struct verify_packet *packet, size_t at)
{
	return at && at + 2 <= packet->length ? packet->data[at] << 8 | packet->data[at + 1] : 0;
}

/* Writes what is wrong with what came out, whose MSS stands at `mss`. Returns false when nothing is. */
static bool packet_differs(const struct verify_target *target, const struct verify_path *path, size_t mss,
			   const struct verify_packet *expected, const struct verify_packet *came_out, int verdict,
			   char *problem, size_t size)
{
	const int go_on = target->xdp ? XDP_PASS : TC_ACT_UNSPEC;
	size_t at = 0;

	while (at < expected->length && at < came_out->length && expected->data[at] == came_out->data[at])
		at++;
	if (verdict != go_on)
		snprintf(problem, size, "the program returns %d instead of %d: it does not let the packet go on",
			 verdict, go_on);
	else if (expected->length != came_out->length)
		snprintf(problem, size, "%zu bytes came out instead of %zu", came_out->length, expected->length);
	else if (mss_at(came_out, mss) != mss_at(expected, mss))
		snprintf(problem, size, "MSS %u instead of %u", mss_at(came_out, mss), mss_at(expected, mss));
	else if (at < expected->length)
		snprintf(problem, size, "byte %zu, %s: %02x instead of %02x", at, verify_packet_part(path, at),
			 came_out->data[at], expected->data[at]);
	else
		return false;
	return true;
}

/* No MTU leaves less. */
static __u16 mss_least(const struct verify_path *path)
{
	return MSSBPF_MTU_MIN - (path->family == MSSBPF_IPV6 ? MSSBPF_IPV6_HEADERS : MSSBPF_IPV4_HEADERS);
}

/* The MSS that came out, where the limit is only known to be no higher than this; else the limit itself. */
static __u16 mss_found(const struct verify_path *path, const struct verify_case *row, bool added,
		       const struct verify_packet *came_out, __u16 highest)
{
	unsigned int mss = mss_at(came_out, verify_packet_mss(path, row, added));

	return mss >= mss_least(path) && mss <= highest ? mss : highest;
}

/* The MSS that a SYN without one gets; 0: none. */
static __u16 mss_added(const struct verify_target *target, const struct verify_path *path,
		       const struct verify_case *row, __u16 limit)
{
	__u16 assumed = path->family == MSSBPF_IPV6 ? MSS_DEFAULT_IPV6 : MSS_DEFAULT_IPV4;

	if (row->demand != VERIFY_ADD || limit == MSSBPF_MSS_NONE || !(target->order.flags & MSSBPF_ADD_MISSING))
		return 0;
	return target->order.flags & MSSBPF_ADD_LIMIT || limit < assumed ? limit : assumed;
}

static int failure_add(struct verification *result, const struct verify_failure *failure)
{
	struct verify_failure *grown = reallocarray(result->failures, result->failure_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	result->failures = grown;
	grown[result->failure_count++] = *failure;
	return 0;
}

/* Runs one case; `beside` is said behind its name when it fails. Returns 0 or -errno. */
static int case_run(const struct verify_target *target, const struct verify_path *path, const struct verify_case *row,
		    const char *beside, struct verification *result)
{
	const struct expectation expectation = limit_of(target, path);
	const bool none = expectation.limit == MSSBPF_MSS_NONE, dry_run = target->order.flags & MSSBPF_DRY_RUN;
	struct verify_values before = { .above = none ? expectation.limit : expectation.limit + 1,
					.low = expectation.upper ? mss_least(path) : expectation.limit };
	struct verify_values after;
	struct verify_packet expected;
	struct verify_failure failure = {};
	int err, verdict;

	failure.sent = verify_packet_build(path, row, &before);
	err = packet_run(target, &failure.sent, &failure.came_out, &verdict);
	if (err)
		return err;
	result->packets++;

	after = before;
	if (!dry_run) {
		after.added = mss_added(target, path, row, expectation.limit);
		if (row->demand == VERIFY_LOWER)
			after.above = expectation.limit;
		if (expectation.upper && after.added)
			after.added = mss_found(path, row, true, &failure.came_out, after.added);
		else if (expectation.upper && row->demand == VERIFY_LOWER)
			after.above = mss_found(path, row, false, &failure.came_out, expectation.limit);
	}
	expected = verify_packet_build(path, row, &after);
	if (!packet_differs(target, path, verify_packet_mss(path, row, after.added), &expected, &failure.came_out,
			    verdict, failure.problem, sizeof(failure.problem)))
		return 0;
	snprintf(failure.packet, sizeof(failure.packet), "%s %s%s", family_text[path->family], row->name, beside);
	return failure_add(result, &failure);
}

/*
 * Addresses of the packets. Where they have no Ethernet header, BPF_PROG_TEST_RUN takes the EtherType from bytes 12 and
 * 13 all the same (net/bpf/test_run.c): those are part of the source address.
 */
static struct verify_path path_make(const struct verify_target *target, enum mssbpf_family family)
{
	static const struct {
		__u8 source[16], destination[16];
	} addresses[MSSBPF_FAMILIES] = {
		[MSSBPF_IPV4] = { { 8, 0, 2, 1 }, { 192, 0, 2, 2 } },
		[MSSBPF_IPV6] = { { 0x20, 0x01, 0x0d, 0xb8, 0x86, 0xdd, [15] = 1 },
				  { 0x20, 0x01, 0x0d, 0xb8, [15] = 2 } },
	};
	struct verify_path path = { .ethernet = target->ethernet, .family = family };

	memcpy(path.source, addresses[family].source, sizeof(path.source));
	memcpy(path.destination, addresses[family].destination, sizeof(path.destination));
	return path;
}

/* Makes the first address of a prefix the packet's peer. Returns false when no packet of ours can have it. */
static bool path_set_peer(const struct verify_target *target, const struct rule *rule, struct verify_path *path)
{
	__u8 *peer = target->key.direction == MSSBPF_EGRESS ? path->destination : path->source;
	__u8 first[16];

	prefix_address(rule, first);
	if (peer == path->source && !path->ethernet) {
		size_t at = path->family == MSSBPF_IPV6 ? 4 : 0;

		memcpy(first + at, path->source + at, 2);
	}
	memcpy(peer, first, sizeof(first));
	return prefix_holds(rule, path->family, peer);
}

static int rules_run(const struct verify_target *target, struct verification *result)
{
	size_t step = target->rules->count / RULES_AT_MOST + 1;
	int err = 0;

	result->rules = target->rules->count;
	for (size_t i = 0; i < target->rules->count && !err; i += step) {
		const struct rule *rule = &target->rules->list[i];
		struct verify_path path = path_make(target, rule->family);
		char text[RULE_TEXT_SIZE], beside[RULE_TEXT_SIZE + 16];

		if (!path_set_peer(target, rule, &path))
			continue;
		prefix_format(rule, text);
		snprintf(beside, sizeof(beside), ", rule %s", text);
		err = case_run(target, &path, verify_case_simple, beside, result);
		result->rules_verified++;
	}
	return err;
}

int verify_target_run(const struct verify_target *target, struct verification *result)
{
	int err = 0;

	*result = (struct verification){};
	for (enum mssbpf_family family = 0; family < MSSBPF_FAMILIES; family++) {
		const struct verify_path path = path_make(target, family);

		for (size_t i = 0; i < verify_case_count && !err; i++)
			err = case_run(target, &path, &verify_cases[i], "", result);
	}
	return err ?: rules_run(target, result);
}
