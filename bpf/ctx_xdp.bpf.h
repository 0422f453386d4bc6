/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the clamp needs of an XDP context (struct xdp_md): parse, read options, write them back. Not a place for
 * decisions, but for the one that TC leaves to the kernel: whether a checksum is complete.
 *
 * Packets are read and written where they lie, which works on every kernel. Of a frame in several buffers
 * (BPF_F_XDP_HAS_FRAGS) that is the first; headers that do not end in it count as truncated.
 */
#ifndef MSSBPF_CTX_XDP_BPF_H
#define MSSBPF_CTX_XDP_BPF_H

#include "route.bpf.h"

static __always_inline const void *xdp_data(const struct xdp_md *xdp)
{
	return (const void *)(long)xdp->data;
}

static __always_inline const void *xdp_end(const struct xdp_md *xdp)
{
	return (const void *)(long)xdp->data_end;
}

/*
 * Finds the bytes from `offset` on. Returns whether they all lie in the first buffer. Starts from the context each
 * time: then no pointer is left for the verifier to tell states apart by.
 */
static __always_inline bool xdp_bytes(const struct xdp_md *xdp, __u32 offset, __u32 length, void **bytes)
{
	void *end = (void *)(long)*(const volatile __u32 *)&xdp->data_end;
	void *start = (void *)(long)*(const volatile __u32 *)&xdp->data;

	start += offset & HEADERS_LENGTH_MASK;
	/* Keeps the compiler from checking one pointer and using another. */
	asm volatile("" : "+r"(start));
	*bytes = start;
	return start + length <= end;
}

/* Copies `length` bytes of the packet from `offset` on. Returns 0, or -1 when they do not lie in the first buffer. */
static __always_inline int xdp_load(const struct xdp_md *xdp, __u32 offset, void *bytes, __u32 length)
{
	void *start;

	if (!xdp_bytes(xdp, offset, length, &start))
		return -1;
	__builtin_memcpy(bytes, start, length);
	return 0;
}

/* As tc_is_marked(): here the mark stands in the metadata before the packet. */
static __always_inline bool xdp_is_marked(const struct xdp_md *xdp, __u64 mark)
{
	const __u64 *metadata = (const void *)(long)xdp->data_meta;

	return (const void *)(metadata + 1) <= xdp_data(xdp) && *metadata == mark;
}

static __always_inline enum parse_verdict xdp_parse(const struct xdp_md *xdp, enum parse_depth depth, struct syn *syn,
						    struct notes *notes)
{
	return parse_ethernet(xdp_data(xdp), xdp_end(xdp), depth, syn, notes);
}

/*
 * As tc_route_mtu(), by lookup: here a packet carries no route yet, nor a mark. What is in PPPoE is not routed by the
 * device that it came by: 0.
 */
static __noinline __u32 xdp_route_mtu(struct xdp_md *xdp, const struct syn *syn, const struct notes *notes,
				      const struct mssbpf_key *key, __u32 flags)
{
	__u32 leaves_by = key->direction == MSSBPF_EGRESS ? key->ifindex : 0, mtu;
	struct bpf_fib_lookup flow;

	if (notes->packet_end != UNBOUNDED)
		return 0;
	if (!flow_read(xdp_data(xdp), xdp_end(xdp), syn, &flow))
		return 0;
	mtu = route_mtu(xdp, &flow, xdp->ingress_ifindex, leaves_by);
	if (flags & MSSBPF_BOTH_WAYS)
		mtu = mtu_smaller(mtu, route_mtu_back(xdp, &flow, xdp->ingress_ifindex, leaves_by));
	return mtu;
}

/*
 * Copies the SYN's options, and what follows them in the packet; what is behind its end becomes NOPs. (Not zero bytes:
 * those are known to the verifier, and would keep the ways apart that led to them.)
 */
static __always_inline void xdp_options_load(const struct xdp_md *xdp, const struct syn *syn,
					     __u8 options[TCP_OPTIONS_MAX])
{
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < TCP_OPTIONS_MAX; i += sizeof(__u32)) {
		__u32 word = 0x01010101 * TCP_OPTION_NOP;
		void *bytes;

		if (xdp_bytes(xdp, syn->tcp_offset + TCP_HEADER_MIN + i, sizeof(word), &bytes))
			word = *(const __u32 *)bytes;
		*(__u32 *)(options + i) = word;
		forget(*options);
	}
}

enum {
	/* In which steps a segment is summed up, a page at most. */
	SUM_STEP = 64,
	SUM_STEPS_MAX = 4096 / SUM_STEP,
};

/* Where a sum over bytes of the packet stands. */
struct sum_walk {
	__u32 unused;
	__u32 sum; /* ones' complement, of words in the packet's byte order */
	__u32 unused_too;
	__u32 offset;
	__u32 unused_again;
	__u32 end; /* of the segment */
} __attribute__((aligned(8)));

/* Adds `length` bytes, a constant multiple of four. Returns whether they are in the first buffer. */
static __always_inline bool sum_add(const struct xdp_md *xdp, struct sum_walk *walk, __u32 length)
{
	void *bytes;

	if (!xdp_bytes(xdp, walk->offset, length, &bytes))
		return false;
	walk->sum = bpf_csum_diff(NULL, 0, bytes, length, walk->sum);
	walk->offset += length;
	return true;
}

/* Adds all bytes up to the end. Returns false when they are too many, or not all in the first buffer. */
static __always_inline bool sum_add_rest(const struct xdp_md *xdp, struct sum_walk *walk)
{
	void *byte;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SUM_STEPS_MAX; i++) {
		forget(*walk);
		if (walk->end - walk->offset < SUM_STEP)
			break;
		if (!sum_add(xdp, walk, SUM_STEP))
			return false;
	}
	walk->sum = checksum_fold(walk->sum);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SUM_STEP; i++) {
		forget(*walk);
		if (walk->offset >= walk->end)
			return true;
		if (!xdp_bytes(xdp, walk->offset, 1, &byte))
			return false;
		walk->sum += bpf_htons(i % 2 ? *(const __u8 *)byte : *(const __u8 *)byte << 8);
		walk->offset++;
	}
	return false;
}

enum {
	/* Of the routing header, RFC 8200 4.4 */
	ROUTING_TYPE = 2,
	ROUTING_LEFT = 3,
	ROUTING_ADDRESS = 8,  /* the final destination, of these types: */
	ROUTING_MOBILE = 2,   /* RFC 6275 6.4 */
	ROUTING_SEGMENTS = 4, /* RFC 8754 2 */
	ROUTING_RPL = 3,      /* RFC 6554 3, which may shorten it */
};

enum xdp_checksum {
	XDP_CHECKSUM_COMPLETE,
	XDP_CHECKSUM_PARTIAL, /* the field holds the pseudo header's sum; the rest is added later */
	XDP_CHECKSUM_UNKNOWN,
};

/*
 * Sums up the pseudo header (RFC 9293 3.1), with the final destination (RFC 8200 8.1). Returns
 * XDP_CHECKSUM_PARTIAL when that is known; else what to take the segment's checksum for.
 */
static __always_inline enum xdp_checksum sum_pseudo_header(const struct xdp_md *xdp, const struct syn *syn,
							   const struct notes *notes, struct sum_walk *walk)
{
	__u32 destination = syn->ip_offset + 24;
	const __u8 *routing;
	void *bytes;

	walk->sum = bpf_htons(NEXTHDR_TCP) + bpf_htons(walk->end - syn->tcp_offset);
	if (syn->version == 4) {
		walk->offset = syn->ip_offset + 12;
		return sum_add(xdp, walk, 8) ? XDP_CHECKSUM_PARTIAL : XDP_CHECKSUM_UNKNOWN;
	}
	if (notes->routing_offset != NO_HEADER) {
		if (!xdp_bytes(xdp, notes->routing_offset, ROUTING_ADDRESS, &bytes))
			return XDP_CHECKSUM_UNKNOWN;
		routing = bytes;
		if (routing[ROUTING_LEFT] && routing[ROUTING_TYPE] == ROUTING_RPL)
			return XDP_CHECKSUM_UNKNOWN;
		if (routing[ROUTING_LEFT] && routing[ROUTING_TYPE] != ROUTING_MOBILE &&
		    routing[ROUTING_TYPE] != ROUTING_SEGMENTS)
			return XDP_CHECKSUM_COMPLETE;
		if (routing[ROUTING_LEFT])
			destination = notes->routing_offset + ROUTING_ADDRESS;
	}
	walk->offset = syn->ip_offset + 8;
	if (!sum_add(xdp, walk, 16))
		return XDP_CHECKSUM_UNKNOWN;
	walk->offset = destination;
	return sum_add(xdp, walk, 16) ? XDP_CHECKSUM_PARTIAL : XDP_CHECKSUM_UNKNOWN;
}

/*
 * Tells whether the segment's checksum is complete. On a packet that the local stack sent, and that came here by veth
 * or past another virtual device, it is not (CHECKSUM_PARTIAL in the kernel's skb, which a program cannot see): the
 * field holds the sum of the pseudo header, not complemented (tcp_v4_send_check()), and the device it leaves by adds
 * the rest. There a change of options must leave it as it is.
 *
 * So: a field that differs from that sum is complete. One that equals it is incomplete, or one in 65,535 of the
 * complete ones; that shows in the sum over the whole segment, which has to be zero (0xffff) in a segment that is
 * complete and right. One in 65,535 incomplete ones has that sum, too. Which of both it is, no byte of the packet
 * tells: it is left alone, as whatever is in doubt. A retransmission, with another timestamp, is in doubt no more.
 *
 * A fragment is complete: the kernel finishes checksums before it makes fragments (ip_do_fragment(), ip6_fragment()).
 * With routing headers left to travel, the pseudo header has the final destination, as far as it can be known: those
 * that Linux itself sends are of types 2, 3 and 4. The source routes of IPv4's options are not followed; Linux drops
 * what has them (accept_source_route).
 */
static __always_inline enum xdp_checksum xdp_checksum(const struct xdp_md *xdp, const struct syn *syn,
						      const struct notes *notes)
{
	struct sum_walk walk = { .sum = 0xffff, .offset = 0xffff, .end = syn->ip_end };
	enum xdp_checksum kind;
	void *field;

	if (notes->fragment == NEXTHDR_FRAGMENT)
		return XDP_CHECKSUM_COMPLETE;
	forget(walk);
	kind = sum_pseudo_header(xdp, syn, notes, &walk);
	if (kind != XDP_CHECKSUM_PARTIAL)
		return kind;
	if (!xdp_bytes(xdp, syn->tcp_offset + TCP_CHECKSUM, sizeof(__be16), &field))
		return XDP_CHECKSUM_UNKNOWN;
	if (likely(checksum_fold(walk.sum) != *(const __be16 *)field))
		return XDP_CHECKSUM_COMPLETE;
	walk.offset = syn->tcp_offset;
	if (!sum_add_rest(xdp, &walk))
		return XDP_CHECKSUM_UNKNOWN;
	return checksum_fold(walk.sum) == 0xffff ? XDP_CHECKSUM_UNKNOWN : XDP_CHECKSUM_PARTIAL;
}

/* Adds to a 16-bit field of the packet; to one that holds the complement of a sum, as to that sum. */
static __always_inline void xdp_field_add(const struct xdp_md *xdp, __u32 offset, __u32 change, bool complement)
{
	void *bytes;
	__u16 field;

	if (!xdp_bytes(xdp, offset, sizeof(field), &bytes))
		return;
	field = bpf_ntohs(*(const __be16 *)bytes);
	field = complement ? ~checksum_fold(change + (__u16)~field) : checksum_fold(change + field);
	*(__be16 *)bytes = bpf_htons(field);
}

/*
 * Writes the limit (bytes, host order) wherever the walk says, and mends the checksum if it is complete.
 */
static __always_inline void xdp_options_lower(const struct xdp_md *xdp, const struct syn *syn, enum xdp_checksum kind,
					      const struct options_walk *walk, __u16 limit)
{
	void *bytes;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ABOVE_WORDS; i++) {
		__u32 offset;

		forget(*walk);
		if (above_ends(walk, i))
			break;
		offset = above_at(walk, i);
		if (!offset || !xdp_bytes(xdp, syn->tcp_offset + offset, sizeof(limit), &bytes))
			continue;
		((__u8 *)bytes)[0] = limit >> 8;
		((__u8 *)bytes)[1] = limit & 0xff;
	}
	if (kind == XDP_CHECKSUM_COMPLETE)
		xdp_field_add(xdp, syn->tcp_offset + TCP_CHECKSUM, walk->change, true);
}

/*
 * As tc_option_add(), with the options of syn->tcp_length. The frame grows before anything is written, and what is
 * written afterwards lies in it.
 */
static __always_inline int xdp_option_add(struct xdp_md *xdp, const struct syn *syn, const struct notes *notes,
					  enum xdp_checksum kind, __u16 mss)
{
	const __u32 grown = TCP_OPTION_MSS_LENGTH;
	__u32 length = xdp_end(xdp) - xdp_data(xdp);
	__u8 options[TCP_OPTIONS_MAX];
	void *bytes;

	__builtin_memset(options, TCP_OPTION_NOP, sizeof(options));
	xdp_options_load(xdp, syn, options);
	if (syn->ip_end + grown > length && bpf_xdp_adjust_tail(xdp, syn->ip_end + grown - length))
		return -1;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < TCP_OPTIONS_MAX - TCP_OPTION_MSS_LENGTH; i += sizeof(__u32)) {
		forget(*syn);
		if (i >= (__u32)syn->tcp_length - TCP_HEADER_MIN)
			break;
		if (!xdp_bytes(xdp, syn->tcp_offset + TCP_HEADER_MIN + grown + i, sizeof(__u32), &bytes))
			return -1;
		*(__u32 *)bytes = *(const __u32 *)(options + i);
	}
	forget(*syn);
	if (!xdp_bytes(xdp, syn->tcp_offset + TCP_HEADER_MIN, grown, &bytes))
		return -1;
	*(__be32 *)bytes = bpf_htonl((__u32)(TCP_OPTION_MSS << 8 | TCP_OPTION_MSS_LENGTH) << 16 | mss);
	xdp_field_add(xdp, syn->tcp_offset + TCP_DATA_OFFSET, 1 << 12, false);
	/* The pseudo header's length grows, too; to an incomplete checksum, that is all of the change. */
	xdp_field_add(xdp, syn->tcp_offset + TCP_CHECKSUM,
		      grown + (kind == XDP_CHECKSUM_COMPLETE ? added_change(mss) : 0), kind == XDP_CHECKSUM_COMPLETE);
	if (syn->version == 4)
		xdp_field_add(xdp, syn->ip_offset + IPV4_CHECKSUM, grown, true);
	xdp_field_add(xdp, syn->ip_offset + (syn->version == 4 ? IPV4_LENGTH : IPV6_LENGTH), grown, false);
	/* What follows the IP packet in a PPPoE frame is padding, too; without one, the packet ends before UNBOUNDED.
	 */
	if (syn->ip_end + grown > notes->packet_end)
		xdp_field_add(xdp, syn->ip_offset - sizeof(struct pppoe_header) + PPPOE_LENGTH,
			      syn->ip_end + grown - notes->packet_end, false);
	return 0;
}

#endif
