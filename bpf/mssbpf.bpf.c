// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The entry points of the data path: TC ingress and egress, for devices with an Ethernet header and for
 * devices without; XDP. Not the place for parsing (parse.h) or for the clamp itself (clamp.h).
 */
#include "ctx_tc.bpf.h"
#include "ctx_xdp.bpf.h"
#include "maps.bpf.h"

/* Where a packet is seen: a constant wherever it is given. */
enum hook {
	HOOK_TC,
	HOOK_XDP,
};

enum {
	/* Bytes made linear when the headers are not: what common headers take, then what any chain may. */
	PULL_COMMON = 256,
	PULL_ALL = 20 * 1024,
};

/*
 * Parses a packet whose headers may lie outside the skb's linear part: they are pulled in. A packet that
 * ends too early itself, or that the kernel has no memory to pull, remains PARSE_SHORT.
 */
static __always_inline enum parse_verdict tc_parse_pulling(struct __sk_buff *skb, enum mssbpf_link link,
							   struct syn *syn)
{
	enum parse_verdict verdict = PARSE_OTHER;

#pragma clang loop unroll(disable)
	for (int i = 0; i < 3; i++) {
		__u32 length = i == 0 ? PULL_COMMON : PULL_ALL;

		verdict = tc_parse(skb, link, PARSE_WHOLE, syn);
		if (verdict != PARSE_SHORT)
			break;
		if (length > skb->len)
			length = skb->len;
		if (length > tc_end(skb) - tc_data(skb) && bpf_skb_pull_data(skb, length))
			break;
	}
	return verdict;
}

/* The largest MSS for this SYN: the order's own, or what the MTU of the device and perhaps of the route leave now. */
static __always_inline __u16 syn_limit(void *ctx, enum hook hook, const struct mssbpf_key *key, const struct syn *syn,
				       const struct notes *notes, const union mssbpf_order *order)
{
	__u32 mtu = 0;

	if (order->flags & (syn->version == 4 ? MSSBPF_LIVE_IPV4 : MSSBPF_LIVE_IPV6)) {
		mtu = device_mtu(ctx, key->ifindex);
		if (order->flags & MSSBPF_ROUTE)
			mtu = mtu_smaller(mtu, hook == HOOK_XDP ? xdp_route_mtu(ctx, syn, notes, key, order->flags)
								: tc_route_mtu(ctx, syn, key->direction, order->flags));
	}
	if (mtu)
		return mss_of_mtu(mtu, syn->version);
	return syn->version == 4 ? order->mss4 : order->mss6;
}

/*
 * Tells whether a SYN without MSS may get one: it has room for it, nothing behind, is no fragment, and has no extension
 * headers before.
 */
static __always_inline bool syn_may_grow(void *ctx, enum hook hook, const struct syn *syn, const struct notes *notes)
{
	if (syn->tcp_length > TCP_HEADER_MIN + TCP_OPTIONS_MAX - TCP_OPTION_MSS_LENGTH ||
	    syn->ip_end != (__u32)syn->tcp_offset + syn->tcp_length)
		return false;
	if (syn->version == 6)
		return syn->tcp_offset == syn->ip_offset + sizeof(struct ipv6hdr);
	return hook == HOOK_XDP ? notes->fragment != NEXTHDR_FRAGMENT : !tc_is_fragment(ctx, syn);
}

/* What becomes of a SYN, as forget() wants it. */
struct outcome {
	__u8 unused;
	__u8 result; /* enum mssbpf_result */
	__u16 limit; /* bytes */
} __attribute__((aligned(8)));

/*
 * Lowers the MSS of a SYN that was found by parsing, or adds one. Returns what became of it.
 */
static __always_inline enum mssbpf_result syn_clamp(void *ctx, enum hook hook, const struct mssbpf_key *key,
						    const struct syn *syn, const struct notes *notes,
						    const union mssbpf_order *order)
{
	__u8 options[TCP_OPTIONS_MAX];
	__u32 length = syn->tcp_length - TCP_HEADER_MIN;
	enum xdp_checksum kind = XDP_CHECKSUM_UNKNOWN;
	enum mssbpf_result result = MSSBPF_NO_MSS;
	struct outcome outcome = { .unused = 1 };
	__u32 change = 0;

	if (syn->covered)
		return MSSBPF_AH;
	/* Ahead of the checks of `length`: Linux 6.1's verifier forgets what is checked before a call. */
	outcome.limit = syn_limit(ctx, hook, key, syn, notes, order);
	forget(outcome);
	if (length > TCP_OPTIONS_MAX)
		return MSSBPF_TRUNCATED;
	/* Not zeros, which the verifier would tell from what is loaded. */
	__builtin_memset(options, TCP_OPTION_NOP, sizeof(options));
	forget(options);
	if (hook == HOOK_XDP || length >= sizeof(__u32)) { /* options come in words */
		if (hook == HOOK_XDP)
			xdp_options_load(ctx, syn, options);
		else if (tc_options_load(ctx, syn, options, length))
			return MSSBPF_TRUNCATED;
		result = options_clamp(options, length, outcome.limit, &change);
	}
	if (result == MSSBPF_NO_MSS && order->flags & MSSBPF_ADD_MISSING && syn_may_grow(ctx, hook, syn, notes))
		result = MSSBPF_ADDED;
	if ((result != MSSBPF_CLAMPED && result != MSSBPF_ADDED) || order->flags & MSSBPF_DRY_RUN)
		return result;

	if (hook == HOOK_XDP) {
		outcome.result = result;
		forget(outcome);
		result = outcome.result;
		kind = xdp_checksum(ctx, syn, notes);
		if (kind == XDP_CHECKSUM_UNKNOWN)
			return MSSBPF_UNWRITABLE;
	}
	if (result == MSSBPF_ADDED) {
		__u16 mss = order->flags & MSSBPF_ADD_LIMIT ? outcome.limit : mss_of_none(outcome.limit, syn->version);
		int err = hook == HOOK_XDP ? xdp_option_add(ctx, syn, notes, kind, options, mss)
					   : tc_option_add(ctx, syn, options, mss);

		return err ? MSSBPF_NO_MSS : MSSBPF_ADDED;
	}
	if (hook == HOOK_XDP)
		xdp_options_store(ctx, syn, kind, options, change);
	else if (tc_options_store(ctx, syn, options, length, change))
		return MSSBPF_UNWRITABLE;
	return MSSBPF_CLAMPED;
}

/* Does with a packet what it needs, now that it is parsed, and counts it. */
static __always_inline void packet_handle(void *ctx, enum hook hook, const struct mssbpf_key *key,
					  enum parse_verdict verdict, struct syn *syn, struct notes *notes)
{
	const struct mssbpf_limit *limit = bpf_map_lookup_elem(&limits, key);
	enum mssbpf_result result;
	union mssbpf_order order;

	if (!limit)
		return;
	forget(*syn);
	if (notes)
		forget(*notes);
	order.word = *(const volatile __u64 *)&limit->order.word;

	if (verdict == PARSE_SYN)
		result = syn_clamp(ctx, hook, key, syn, notes, &order);
	else
		result = verdict == PARSE_MALFORMED ? MSSBPF_MALFORMED : MSSBPF_TRUNCATED;
	count(key, syn, result);
}

/*
 * The slow path: everything but packets that are seen at a glance to be no SYN. A function of its own
 * so that the fast path needs no callee-saved register.
 */
static __noinline int tc_slow(struct __sk_buff *skb, enum mssbpf_link link, enum mssbpf_direction direction)
{
	struct mssbpf_key key = { .ifindex = skb->ifindex, .direction = direction };
	enum parse_verdict verdict;
	struct syn syn;

	verdict = tc_parse_pulling(skb, link, &syn);
	if (verdict != PARSE_OTHER)
		packet_handle(skb, HOOK_TC, &key, verdict, &syn, NULL);
	return TC_ACT_UNSPEC;
}

static __always_inline int tc(struct __sk_buff *skb, enum mssbpf_link link, enum mssbpf_direction direction)
{
	struct syn syn;

	if (likely(tc_parse(skb, link, PARSE_GLANCE, &syn) == PARSE_OTHER))
		return TC_ACT_UNSPEC;
	return tc_slow(skb, link, direction);
}

SEC("tc")
int mssbpf_tc_eth_egress(struct __sk_buff *skb)
{
	return tc(skb, MSSBPF_LINK_ETHERNET, MSSBPF_EGRESS);
}

SEC("tc")
int mssbpf_tc_eth_ingress(struct __sk_buff *skb)
{
	return tc(skb, MSSBPF_LINK_ETHERNET, MSSBPF_INGRESS);
}

SEC("tc")
int mssbpf_tc_l3_egress(struct __sk_buff *skb)
{
	return tc(skb, MSSBPF_LINK_NONE, MSSBPF_EGRESS);
}

SEC("tc")
int mssbpf_tc_l3_ingress(struct __sk_buff *skb)
{
	return tc(skb, MSSBPF_LINK_NONE, MSSBPF_INGRESS);
}

/* As tc_slow(). */
static __noinline int xdp_slow(struct xdp_md *xdp, __u32 ifindex, enum mssbpf_direction direction)
{
	struct mssbpf_key key = { .ifindex = ifindex, .direction = direction };
	enum parse_verdict verdict;
	struct notes notes;
	struct syn syn;

	verdict = xdp_parse(xdp, PARSE_WHOLE, &syn, &notes);
	if (verdict != PARSE_OTHER)
		packet_handle(xdp, HOOK_XDP, &key, verdict, &syn, &notes);
	return XDP_PASS;
}

static __always_inline bool xdp_is_other(const struct xdp_md *xdp)
{
	struct notes notes;
	struct syn syn;

	return likely(xdp_parse(xdp, PARSE_GLANCE, &syn, &notes) == PARSE_OTHER);
}

SEC("xdp")
int mssbpf_xdp(struct xdp_md *xdp)
{
	return xdp_is_other(xdp) ? XDP_PASS : xdp_slow(xdp, xdp->ingress_ifindex, MSSBPF_INGRESS);
}

/* For routers that forward in XDP: to be run by the entries of their devmap, see mssbpf(8). */
SEC("xdp/devmap")
int mssbpf_xdp_egress(struct xdp_md *xdp)
{
	return xdp_is_other(xdp) ? XDP_PASS : xdp_slow(xdp, xdp->egress_ifindex, MSSBPF_EGRESS);
}

/*
 * Changes an entry of `limits` in its place; never attached, but run by the loader on a struct mssbpf_change. Returns
 * 0, or 1 when there is no such entry. An update by bpf(2) puts a new entry in the place of the old one, and since
 * Linux 6.1 the old one's memory goes to the next new entry at once: a program that has just found it there would obey
 * the order of another interface.
 */
SEC("tc")
int mssbpf_change(struct __sk_buff *skb)
{
	enum { RECORD = offsetof(struct mssbpf_limit, mtu) }; /* behind the order */
	struct mssbpf_limit *limit;
	union mssbpf_order order;
	struct mssbpf_key key;

	if (bpf_skb_load_bytes(skb, offsetof(struct mssbpf_change, key), &key, sizeof(key)) ||
	    bpf_skb_load_bytes(skb, offsetof(struct mssbpf_change, limit.order), &order, sizeof(order)))
		return 1;
	limit = bpf_map_lookup_elem(&limits, &key);
	if (!limit || bpf_skb_load_bytes(skb, offsetof(struct mssbpf_change, limit) + RECORD, (void *)limit + RECORD,
					 sizeof(*limit) - RECORD))
		return 1;
	*(volatile __u64 *)&limit->order.word = order.word;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
