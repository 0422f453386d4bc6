/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The MTU of a SYN's route: of the one that the packet carries (TC egress), else of the one that the kernel's
 * routing tables give it (any hook). Not the place that weighs it against other limits.
 *
 * The two differ. A lookup (bpf_fib_lookup()) counts learned path MTUs and the device's MTU, but the route's own
 * `mtu` only when it is locked or, over IPv4, net.ipv4.ip_forward_use_pmtu is set (net/ipv4/route.c,
 * ip_mtu_from_fib_result(); net/ipv6/route.c, ip6_mtu_from_fib6()); it gets no mark before Linux 6.10, and no
 * address but the ones the packet has now, after NAT or before. A packet on its way out carries the very route
 * that was chosen for it, whatever chose it.
 */
#ifndef MSSBPF_ROUTE_BPF_H
#define MSSBPF_ROUTE_BPF_H

#include "parse.h"
#include <bpf/bpf_helpers.h>

enum {
	SKB_DST_NOREF = 1, /* in sk_buff._skb_refdst, beside the pointer: include/linux/skbuff.h */
	/* DST_FAKE_RTABLE, DST_XFRM_QUEUE (DST_FAKE_RTABLE, once), DST_METADATA: include/net/dst.h */
	DST_NO_ROUTE = 0x10 | 0x40 | 0x80,
	DST_METRICS_FLAGS = 3,		      /* in dst_entry._metrics, beside the pointer: likewise */
	METRIC_MTU = (2 - 1) * sizeof(__u32), /* RTAX_MTU - 1: include/uapi/linux/rtnetlink.h */
	RTABLE_PMTU_MASK = 0x7fffffff,	      /* 31 bits: include/net/route.h */
	IPV6_FLOWINFO = 0x0fffffff,	      /* traffic class and flow label: include/net/ipv6.h */
};

/* Set by the loader from the kernel's BTF. Zero where it has none: then the verifier sees no read. */
const volatile struct mssbpf_route_layout route_layout;

/* Set by the loader: bpf_fib_lookup() takes a mark (Linux 6.10). */
const volatile bool has_fib_mark;

/* Set by the loader: this kernel has bpf_check_mtu() (Linux 5.12). Without, the verifier never sees the call. */
const volatile bool has_check_mtu;

/*
 * The MTU of the device `ifindex` as it is now, in bytes, with 0 that of the one where the packet is; 0 when the kernel
 * does not tell. Whether the packet itself is larger does not matter here.
 */
static __always_inline __u32 device_mtu(void *ctx, __u32 ifindex)
{
	__u32 mtu = 0;

	if (has_check_mtu)
		bpf_check_mtu(ctx, ifindex, &mtu, 0, 0);
	return mtu;
}

/* The smaller of two MTUs, of which 0 is none. */
static __always_inline __u32 mtu_smaller(__u32 one, __u32 other)
{
	return one && (one < other || !other) ? one : other;
}

/* What the kernel's memory holds at `address`; 0 when that cannot be read. */
#define PEEK(type, address)                                                                                            \
	({                                                                                                             \
		type peeked = 0;                                                                                       \
                                                                                                                       \
		bpf_probe_read_kernel(&peeked, sizeof(peeked), (const void *)(long)(address));                         \
		peeked;                                                                                                \
	})

/*
 * The MTU of the route that a packet of IP version 4 or 6 carries, in bytes; 0 when it carries none, or none that can
 * be read. As ipv4_mtu() and ip6_mtu() have it for packets of this machine itself: learned path MTUs count for
 * forwarded ones, too. At run time, what a TC program has for a context is the address of struct sk_buff.
 */
static __noinline __u32 carried_mtu(struct __sk_buff *skb, __u8 version)
{
	__u64 dst, device;
	__u32 mtu;

	if (!route_layout.skb_refdst)
		return 0;
	dst = PEEK(__u64, (void *)skb + route_layout.skb_refdst) & ~(__u64)SKB_DST_NOREF;
	if (!dst || PEEK(__u16, dst + route_layout.dst_flags) & DST_NO_ROUTE)
		return 0;
	if (PEEK(__u16, PEEK(__u64, dst + route_layout.dst_ops) + route_layout.ops_family) !=
	    (version == 4 ? AF_INET : AF_INET6))
		return 0;
	if (version == 4) {
		mtu = PEEK(__u32, dst + route_layout.rtable_pmtu) >> route_layout.pmtu_shift & RTABLE_PMTU_MASK;
		if (mtu && (__s64)(bpf_jiffies64() - PEEK(__u64, dst + route_layout.dst_expires)) < 0)
			return mtu;
	}
	mtu = PEEK(__u32, (PEEK(__u64, dst + route_layout.dst_metrics) & ~(__u64)DST_METRICS_FLAGS) + METRIC_MTU);
	if (mtu)
		return mtu;
	device = PEEK(__u64, dst + route_layout.dst_dev);
	if (version == 6 && route_layout.ipv6_mtu)
		return PEEK(__u32, PEEK(__u64, device + route_layout.device_ipv6) + route_layout.ipv6_mtu);
	return PEEK(__u32, device + route_layout.device_mtu);
}

/*
 * Fills in what a route is looked up by from the headers of a SYN that parse.h found within data..end. The caller adds
 * the mark. Returns false, which does not happen, for the verifier.
 */
static __always_inline bool flow_read(const void *data, const void *end, const struct syn *syn,
				      struct bpf_fib_lookup *flow)
{
	const void *ip = data + (syn->ip_offset & HEADERS_LENGTH_MASK);
	const __be16 *ports = data + (syn->tcp_offset & HEADERS_LENGTH_MASK);

	__builtin_memset(flow, 0, sizeof(*flow)); /* unions whole */
	flow->l4_protocol = NEXTHDR_TCP;
	if ((const void *)(ports + 2) > end)
		return false;
	flow->sport = ports[0];
	flow->dport = ports[1];
	if (syn->version == 4) {
		const struct iphdr *ip4 = ip;

		if ((const void *)(ip4 + 1) > end)
			return false;
		/* The rest of the addresses is not looked at: so that the verifier sees one state for both versions. */
		for (int i = 0; i < 4; i++) {
			flow->ipv6_src[i] = ip4->saddr;
			flow->ipv6_dst[i] = ip4->daddr;
		}
		flow->family = AF_INET;
		flow->flowinfo = *(const __be32 *)ip4;
		flow->tos = ip4->tos;
	} else {
		const struct ipv6hdr *ip6 = ip;

		if ((const void *)(ip6 + 1) > end)
			return false;
		flow->family = AF_INET6;
		flow->flowinfo = *(const __be32 *)ip6 & bpf_htonl(IPV6_FLOWINFO);
		__builtin_memcpy(flow->ipv6_src, &ip6->saddr, sizeof(flow->ipv6_src));
		__builtin_memcpy(flow->ipv6_dst, &ip6->daddr, sizeof(flow->ipv6_dst));
	}
	return true;
}

/* Makes it the flow of what answers. */
static __always_inline void flow_turn(struct bpf_fib_lookup *flow)
{
	__be16 port = flow->sport;

	flow->sport = flow->dport;
	flow->dport = port;
	for (int i = 0; i < 4; i++) {
		__u32 word = flow->ipv6_src[i]; /* IPv4's is the first */

		flow->ipv6_src[i] = flow->ipv6_dst[i];
		flow->ipv6_dst[i] = word;
	}
}

/* The device that the flow would leave by if it came by `ifindex`: an ifindex, or 0 when that is not known. */
static __noinline __u32 lookup_device(void *ctx, const struct bpf_fib_lookup *flow, __u32 ifindex)
{
	struct bpf_fib_lookup query = *flow;
	long result;

	query.ifindex = ifindex;
	query.tot_len = 1;
	result = bpf_fib_lookup(ctx, &query, sizeof(query), has_fib_mark ? BPF_FIB_LOOKUP_MARK : 0);
	if (result != BPF_FIB_LKUP_RET_SUCCESS && result != BPF_FIB_LKUP_RET_NO_NEIGH)
		return 0;
	return query.ifindex;
}

/*
 * The MTU of the route that the kernel would choose for the flow if it came by the device `ifindex`; with
 * BPF_FIB_LOOKUP_OUTPUT in `flags`, if this machine sent it out of that. In bytes; 0 when nothing is forwarded there:
 * no route, a blackhole, an address of this machine, forwarding is off. A length above every MTU makes the helper tell
 * it (Linux 5.12), and before it asks for neighbours. An MTU of 65535, as good as none, is 0 as well. Never above the
 * MTU of the device that the route leaves by, which a locked one may be; with BPF_FIB_LOOKUP_OUTPUT, the caller knows
 * the device.
 */
static __noinline __u32 lookup_mtu(void *ctx, const struct bpf_fib_lookup *flow, __u32 ifindex, __u32 flags)
{
	struct bpf_fib_lookup query = *flow;

	query.ifindex = ifindex;
	query.tot_len = 0xffff;
	if (has_fib_mark)
		flags |= BPF_FIB_LOOKUP_MARK;
	if (bpf_fib_lookup(ctx, &query, sizeof(query), flags) != BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return 0;
	if (flags & BPF_FIB_LOOKUP_OUTPUT)
		return query.mtu_result;
	return mtu_smaller(query.mtu_result, device_mtu(ctx, lookup_device(ctx, flow, ifindex)));
}

/*
 * The MTU of the route towards a SYN's destination by lookup, in bytes; 0 when none is known. `came_by` is the device
 * it came by, 0 when this machine made it; `leaves_by` the one it leaves by, 0 when that is not decided yet.
 */
static __always_inline __u32 route_mtu(void *ctx, const struct bpf_fib_lookup *flow, __u32 came_by, __u32 leaves_by)
{
	return lookup_mtu(ctx, flow, came_by ?: leaves_by, came_by ? 0 : BPF_FIB_LOOKUP_OUTPUT);
}

/*
 * Likewise, of the route that the answer will take: a packet of the same mark that comes by the device that the SYN
 * leaves by. Turns the flow.
 */
static __always_inline __u32 route_mtu_back(void *ctx, struct bpf_fib_lookup *flow, __u32 came_by, __u32 leaves_by)
{
	if (!leaves_by)
		leaves_by = lookup_device(ctx, flow, came_by);
	if (!leaves_by)
		return 0;
	flow_turn(flow);
	return lookup_mtu(ctx, flow, leaves_by, 0);
}

#endif
