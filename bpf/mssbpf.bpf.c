// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The entry points of the data path: TC ingress and egress, for devices with an Ethernet header and for
 * devices without; XDP. Not the place for parsing (parse.h) or for the clamp itself (clamp.h).
 */
#include "ctx_tc.bpf.h"
#include "ctx_xdp.bpf.h"
#include "events.bpf.h"
#include "maps.bpf.h"
#include "rules.bpf.h"

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
static __noinline enum parse_verdict tc_parse_pulling(struct __sk_buff *skb, enum mssbpf_link link, struct syn *syn)
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

/* Parses any packet. */
static __always_inline enum parse_verdict tc_parse_any(struct __sk_buff *skb, enum mssbpf_link link, struct syn *syn)
{
	enum parse_verdict verdict = tc_parse(skb, link, PARSE_GLANCE, syn);

	return likely(verdict != PARSE_SHORT) ? verdict : tc_parse_pulling(skb, link, syn);
}

static __always_inline const void *packet_data(const void *ctx, enum hook hook)
{
	return hook == HOOK_XDP ? xdp_data(ctx) : tc_data(ctx);
}

static __always_inline const void *packet_end(const void *ctx, enum hook hook)
{
	return hook == HOOK_XDP ? xdp_end(ctx) : tc_end(ctx);
}

/* Copies a constant `length` of the packet's bytes. Returns 0, or another number when they cannot be read. */
static __always_inline int packet_load(void *ctx, enum hook hook, __u32 offset, void *bytes, __u32 length)
{
	return hook == HOOK_XDP ? xdp_load(ctx, offset, bytes, length) : tc_load(ctx, offset, bytes, length);
}

/*
 * The limit that the device's rules have for the SYN's peer, who is its destination on egress, its source on ingress;
 * see rule_mss().
 */
static __always_inline __u32 syn_rule_mss(void *ctx, enum hook hook, const struct mssbpf_key *key,
					  const struct syn *syn, __u32 rules)
{
	struct rule_search search = { .unused = 1, .family = MSSBPF_IPV6 };

	if (syn->version == 4) {
		__be32 word;

		if (packet_load(ctx, hook,
				syn->ip_offset + (key->direction == MSSBPF_EGRESS ? IPV4_DESTINATION : IPV4_SOURCE),
				&word, sizeof(word)))
			return MSSBPF_MSS_OWN;
		search.address.half[0] = (__u64)bpf_ntohl(word) << 32;
		search.family = MSSBPF_IPV4;
	} else {
		struct mssbpf_address *address = &search.address;

		if (packet_load(ctx, hook,
				syn->ip_offset + (key->direction == MSSBPF_EGRESS ? IPV6_DESTINATION : IPV6_SOURCE),
				address, sizeof(*address)))
			return MSSBPF_MSS_OWN;
		address->half[0] = bpf_be64_to_cpu(address->half[0]);
		address->half[1] = bpf_be64_to_cpu(address->half[1]);
	}
	forget(search);
	return rule_mss(rules - 1, &search);
}

/*
 * The largest MSS for this SYN, MSSBPF_MSS_NONE without limit: that of a rule, else the order's own, or what the MTU of
 * the device and perhaps of the route leave now.
 */
static __always_inline __u16 syn_limit(void *ctx, enum hook hook, const struct mssbpf_key *key, const struct syn *syn,
				       const struct notes *notes, const union mssbpf_order *order)
{
	__u32 mtu = 0;

	if (unlikely(order->rules)) {
		__u32 mss = syn_rule_mss(ctx, hook, key, syn, order->rules);

		if (mss != MSSBPF_MSS_OWN)
			return mss;
	}
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
	__u8 result;  /* enum mssbpf_result */
	__u16 limit;  /* bytes */
	__u16 before; /* MSS announced, bytes; 0: none was read */
	__u16 after;  /* as it goes on, or would without MSSBPF_DRY_RUN */
} __attribute__((aligned(8)));

/*
 * Lowers the MSS of a SYN that was found by parsing, or adds one. Returns what became of it; *outcome has the values.
 */
static __always_inline enum mssbpf_result syn_clamp(void *ctx, enum hook hook, const struct mssbpf_key *key,
						    const struct syn *syn, const struct notes *notes,
						    const union mssbpf_order *order, struct outcome *outcome)
{
	enum xdp_checksum kind = XDP_CHECKSUM_UNKNOWN;
	enum mssbpf_result result;
	struct options_walk walk;

	if (syn->cover == NEXTHDR_AUTH)
		return MSSBPF_AH;
	outcome->limit = syn_limit(ctx, hook, key, syn, notes, order);
	forget(*outcome);
	result = options_walk(packet_data(ctx, hook), packet_end(ctx, hook), syn->tcp_offset & HEADERS_LENGTH_MASK,
			      syn->tcp_length, outcome->limit, &walk);
	if (result != MSSBPF_MALFORMED)
		outcome->before = walk.announced;
	if (result == MSSBPF_NO_MSS && order->flags & MSSBPF_ADD_MISSING && syn_may_grow(ctx, hook, syn, notes)) {
		result = MSSBPF_ADDED;
		outcome->after =
			order->flags & MSSBPF_ADD_LIMIT ? outcome->limit : mss_of_none(outcome->limit, syn->version);
	}
	if ((result != MSSBPF_CLAMPED && result != MSSBPF_ADDED) || order->flags & MSSBPF_DRY_RUN)
		return result;

	if (hook == HOOK_XDP) {
		outcome->result = result;
		forget(*outcome);
		result = outcome->result;
		kind = xdp_checksum(ctx, syn, notes);
		if (kind == XDP_CHECKSUM_UNKNOWN)
			return MSSBPF_UNWRITABLE;
	}
	if (result == MSSBPF_ADDED) {
		int err = hook == HOOK_XDP ? xdp_option_add(ctx, syn, notes, kind, outcome->after)
					   : tc_option_add(ctx, syn, outcome->after);

		return err ? MSSBPF_NO_MSS : MSSBPF_ADDED;
	}
	if (hook == HOOK_XDP)
		xdp_options_lower(ctx, syn, kind, &walk, outcome->limit);
	else if (tc_options_lower(ctx, syn, &walk, outcome->limit))
		return MSSBPF_UNWRITABLE;
	return MSSBPF_CLAMPED;
}

/* Tells who listens what became of a packet. Addresses and ports that cannot be read are zeros. */
static __always_inline int packet_tell(void *ctx, enum hook hook, const struct mssbpf_key *key, const struct syn *syn,
				       const struct outcome *outcome)
{
	struct mssbpf_event event = {
		.ifindex = key->ifindex,
		.direction = key->direction,
		.family = syn_family(syn),
		.kind = syn_kind(syn),
		.result = outcome->result,
		.before = outcome->before,
		.after = outcome->result == MSSBPF_ADDED ? outcome->after : outcome->before,
	};

	if (event.result == MSSBPF_CLAMPED && event.after > outcome->limit)
		event.after = outcome->limit;
	if (syn->version == 4) {
		packet_load(ctx, hook, syn->ip_offset + IPV4_SOURCE, event.source, 4);
		packet_load(ctx, hook, syn->ip_offset + IPV4_DESTINATION, event.destination, 4);
	} else {
		packet_load(ctx, hook, syn->ip_offset + IPV6_SOURCE, event.source, 16);
		packet_load(ctx, hook, syn->ip_offset + IPV6_DESTINATION, event.destination, 16);
	}
	if (event.kind != MSSBPF_UNREADABLE) {
		packet_load(ctx, hook, syn->tcp_offset, &event.source_port, 2);
		packet_load(ctx, hook, syn->tcp_offset + 2, &event.destination_port, 2);
	}
	return event_send(&event);
}

static __noinline int tc_tell(struct __sk_buff *skb, const struct mssbpf_key *key, const struct syn *syn,
			      const struct outcome *outcome)
{
	return packet_tell(skb, HOOK_TC, key, syn, outcome);
}

static __noinline int xdp_tell(struct xdp_md *xdp, const struct mssbpf_key *key, const struct syn *syn,
			       const struct outcome *outcome)
{
	return packet_tell(xdp, HOOK_XDP, key, syn, outcome);
}

/* Does with a packet what it needs, now that it is parsed, and counts it. */
static __always_inline void packet_handle(void *ctx, enum hook hook, const struct mssbpf_key *key,
					  enum parse_verdict verdict, struct syn *syn, struct notes *notes)
{
	struct mssbpf_counters *counter = bpf_map_lookup_elem(&counters, key);
	struct outcome outcome = { .unused = 1 };
	union mssbpf_order order;
	const __u64 *word;
	__u32 slot;

	if (!counter)
		return;
	slot = counter->slot;
	word = bpf_map_lookup_elem(&orders, &slot);
	if (!word)
		return;
	order.word = *(const volatile __u64 *)word;
	if (!order.word)
		return;
	forget(*syn);
	if (notes)
		forget(*notes);

	if (verdict == PARSE_SYN)
		outcome.result = syn_clamp(ctx, hook, key, syn, notes, &order, &outcome);
	else
		outcome.result = verdict == PARSE_MALFORMED ? MSSBPF_MALFORMED : MSSBPF_TRUNCATED;
	forget_again();
	if (unlikely(watch.verify) &&
	    (hook == HOOK_XDP ? xdp_is_marked(ctx, watch.verify) : tc_is_marked(ctx, watch.verify)))
		return;
	count(counter, syn, outcome.result, outcome.before);
	if (unlikely(watch.until) && syn->version != 0) {
		if (hook == HOOK_XDP)
			xdp_tell(ctx, key, syn, &outcome);
		else
			tc_tell(ctx, key, syn, &outcome);
	}
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

	verdict = tc_parse_any(skb, link, &syn);
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
 * Changes an entry of `limits` and its order, both or neither; never attached, but run by the loader on a struct
 * mssbpf_change. Returns 0, or 1 when there is no such entry. The order is one store of eight bytes.
 */
SEC("tc")
int mssbpf_change(struct __sk_buff *skb)
{
	enum { RECORD = offsetof(struct mssbpf_limit, mtu) }; /* behind the order and its slot */
	struct mssbpf_limit *limit;
	union mssbpf_order order;
	struct mssbpf_key key;
	__u64 *word;
	__u32 slot;

	if (bpf_skb_load_bytes(skb, offsetof(struct mssbpf_change, key), &key, sizeof(key)) ||
	    bpf_skb_load_bytes(skb, offsetof(struct mssbpf_change, limit.order), &order, sizeof(order)))
		return 1;
	limit = bpf_map_lookup_elem(&limits, &key);
	if (!limit)
		return 1;
	slot = limit->slot;
	word = bpf_map_lookup_elem(&orders, &slot);
	if (!word || bpf_skb_load_bytes(skb, offsetof(struct mssbpf_change, limit) + RECORD, (void *)limit + RECORD,
					sizeof(*limit) - RECORD))
		return 1;
	limit->order.word = order.word;
	*(volatile __u64 *)word = order.word;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
