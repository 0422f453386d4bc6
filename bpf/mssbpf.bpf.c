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

/* The limit, in a place that forget() takes. */
struct limit {
	__u16 unused;
	__u16 mss;
} __attribute__((aligned(8)));

/*
 * Lowers the MSS of a SYN that was found by parsing. Returns what became of it.
 */
static __always_inline enum mssbpf_result syn_clamp(void *ctx, enum hook hook, const struct mssbpf_key *key,
						    const struct syn *syn, const struct notes *notes,
						    const union mssbpf_order *order)
{
	__u8 options[TCP_OPTIONS_MAX] = {};
	struct limit limit = { .unused = 1 };
	__u32 length = syn->tcp_length - TCP_HEADER_MIN;
	__u32 change = 0;
	enum mssbpf_result result;
	int err = 0;

	if (syn->covered)
		return MSSBPF_AH;
	/* Ahead of the checks of `length`: Linux 6.1's verifier forgets what is checked before a call. */
	limit.mss = syn_limit(ctx, hook, key, syn, notes, order);
	forget(limit);
	if (length < sizeof(__u32)) /* options come in words */
		return MSSBPF_NO_MSS;
	if (length > TCP_OPTIONS_MAX)
		return MSSBPF_TRUNCATED;
	if (hook == HOOK_XDP)
		xdp_options_load(ctx, syn, options);
	else
		err = tc_options_load(ctx, syn, options, length);
	if (err)
		return MSSBPF_TRUNCATED;
	result = options_clamp(options, length, limit.mss, &change);
	if (result != MSSBPF_CLAMPED || order->flags & MSSBPF_DRY_RUN)
		return result;
	err = hook == HOOK_XDP ? xdp_options_store(ctx, syn, notes, options, change)
			       : tc_options_store(ctx, syn, options, length, change);
	return err ? MSSBPF_UNWRITABLE : MSSBPF_CLAMPED;
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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
