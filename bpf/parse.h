/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the TCP header of a SYN in a packet. Plain C over a range of bytes: no helper, no map, no
 * context. Not a judge of what the SYN announces: that is clamp.h.
 */
#ifndef MSSBPF_PARSE_H
#define MSSBPF_PARSE_H

#include "clamp.h"

enum parse_verdict {
	PARSE_OTHER,	 /* no SYN: nothing to do, nothing to count */
	PARSE_SYN,	 /* a SYN, its TCP header lies whole within the bytes and the IP packet */
	PARSE_MALFORMED, /* a header breaks its rules */
	PARSE_TRUNCATED, /* the IP packet ends before its TCP header does */
	PARSE_SHORT,	 /* the bytes end before the headers do; at a glance: or more than a glance is needed */
};

/* How far to look: the fast path leaves IPv4 options and extension headers to the slow one. */
enum parse_depth {
	PARSE_GLANCE,
	PARSE_WHOLE,
};

/* What the parser found; valid as far as its verdict goes. Offsets and lengths in bytes. */
struct syn {
	__u8 unused;
	__u8 version;	  /* of IP: 4 or 6; 0 until known */
	__u8 flags;	  /* of TCP; 0 until read */
	__u8 cover;	  /* NEXTHDR_AUTH before TCP, which it covers; else NEXTHDR_NONE. No zero, see forget() */
	__u16 tcp_offset; /* of the TCP header from the first byte of the packet */
	__u16 tcp_length; /* of the TCP header with options, 20..60 */
	__u16 unused_too;
	__u16 ip_offset; /* of the IP header from the first byte of the packet */
	__u32 ip_end;	 /* where the IP header says that the packet ends */
} __attribute__((aligned(8)));

/*
 * What XDP wants to know beside. A parser that is given none, as on TC, looks for none of it, nor into PPPoE: that
 * is known when it is compiled, and costs TC nothing.
 */
struct notes {
	__u8 unused;
	__u8 unused_either;
	__u16 routing_offset; /* of the last routing header; NO_HEADER without */
	__u16 fragment;	      /* NEXTHDR_FRAGMENT: the packet is one; else NEXTHDR_NONE */
	__u32 unused_too;
	__u32 packet_end; /* where PPPoE says that the packet ends; UNBOUNDED without */
} __attribute__((aligned(8)));

enum {
	VLAN_TAGS_MAX = 2,
	/*
	 * Headers between IPv6 and TCP that are followed. RFC 8200 4.1 wants each kind at most once and
	 * destination options twice: six with AH and ESP. A longer chain is malformed here.
	 */
	EXTENSION_HEADERS_MAX = 8,
	/* Longer than all headers together: Ethernet, two tags, IPv6, eight times 2048 bytes, TCP. */
	HEADERS_LENGTH_MASK = 0x7fff,
	NO_HEADER = 0xffff,	/* in the place of an offset */
	UNBOUNDED = 0x7fffffff, /* in the place of a packet's end */

	/* Protocol and next-header numbers, named as in include/net/ipv6.h. */
	NEXTHDR_HOP = 0,
	NEXTHDR_TCP = 6,
	NEXTHDR_ROUTING = 43,
	NEXTHDR_FRAGMENT = 44,
	NEXTHDR_AUTH = 51,
	NEXTHDR_NONE = 59,
	NEXTHDR_DEST = 60,

	IP_FRAGMENT_OFFSET = 0x1fff, /* of iphdr.frag_off, RFC 791 3.1 */
	IP_MORE_FRAGMENTS = 0x2000,
	IPV4_FRAGMENT_PROTOCOL = IP_FRAGMENT_OFFSET << 16 | 0xff, /* of the word at IPV4_FRAGMENT: TTL stands between */
	IPV6_FRAGMENT_OFFSET = 0xfff8, /* of the fragment header's second word, RFC 8200 4.5 */

	/* Byte offsets in IP headers, RFC 791 3.1, RFC 8200 3. */
	IPV4_LENGTH = 2,
	IPV4_FRAGMENT = 6,
	IPV4_CHECKSUM = 10,
	IPV4_SOURCE = 12,
	IPV4_DESTINATION = 16,
	IPV6_LENGTH = 4,
	IPV6_SOURCE = 8,
	IPV6_DESTINATION = 24,

	/* The TCP header, RFC 9293 3.1: byte offsets of its fields. */
	TCP_DATA_OFFSET = 12, /* header length in 32-bit words, upper four bits */
	TCP_FLAGS = 13,
	TCP_CHECKSUM = 16,

	/* What a glance takes: headers without options, up to TCP's flags; a packet that is shorter is left to a whole
	   look. */
	GLANCE_IPV4 = 20 + TCP_FLAGS + 1,
	GLANCE_IPV6 = 40 + TCP_FLAGS + 1,

	TCP_FLAG_SYN = 0x02,
	TCP_FLAG_RST = 0x04,
	TCP_FLAG_ACK = 0x10,

	/* Protocols that PPP carries, RFC 1661 2, RFC 1332, RFC 5072. */
	PPP_IPV4 = 0x0021,
	PPP_IPV6 = 0x0057,
	PPPOE_VERSION_TYPE = 0x11,
	PPPOE_LENGTH = 4, /* byte offset */
};

struct vlan_tag {
	__be16 control;
	__be16 protocol; /* of what follows */
};

/*
 * PPPoE session stage, RFC 2516 4, and PPP's protocol behind it. RFC 2516 7 advises against compressing that to one
 * byte: such packets are not read.
 */
struct pppoe_header {
	__u8 version_type;
	__u8 code; /* 0: session data */
	__be16 session;
	__be16 length; /* of what follows, the protocol included */
	__be16 protocol;
};

/* What all extension headers begin with (RFC 8200 4, RFC 4302 2), the fragment header's own field behind. */
struct extension_header {
	__u8 next;
	__u8 length; /* hop-by-hop, routing, destination options: 8-byte units less one; AH: 4-byte less two */
	__be16 fragment;
	__u32 rest;
};

/* The kinds of RFC 8200 4 and RFC 4302 behind which TCP stands readable: of IPv6's, only the last is known to IPv4. */
static __always_inline bool is_extension(__u8 version, __u8 next)
{
	if (version == 4)
		return next == NEXTHDR_AUTH;
	return next == NEXTHDR_HOP || next == NEXTHDR_ROUTING || next == NEXTHDR_FRAGMENT || next == NEXTHDR_AUTH ||
	       next == NEXTHDR_DEST;
}

/*
 * Reads the TCP header at syn->tcp_offset. On PARSE_SYN, data + tcp_offset + tcp_length <= end. Where the IP
 * packet ends is asked only of what has the SYN bit: flags that lie in the padding behind a packet or
 * fragment of fewer than 14 TCP bytes are taken as they are, for the count; such a packet is truncated.
 */
static __always_inline enum parse_verdict parse_tcp(const void *data, const void *end, struct syn *syn)
{
	const __u8 *tcp = data + syn->tcp_offset;

	if (unlikely((const void *)(tcp + TCP_FLAGS + 1) > end))
		return PARSE_SHORT;
	if (likely((tcp[TCP_FLAGS] & (TCP_FLAG_SYN | TCP_FLAG_RST)) != TCP_FLAG_SYN))
		return PARSE_OTHER;
	syn->flags = tcp[TCP_FLAGS];
	syn->tcp_length = tcp[TCP_DATA_OFFSET] >> 4 << 2;
	if (syn->tcp_length < TCP_HEADER_MIN)
		return PARSE_MALFORMED;
	if ((__u32)syn->tcp_offset + syn->tcp_length > syn->ip_end)
		return PARSE_TRUNCATED;
	if ((const void *)(tcp + syn->tcp_length) > end)
		return PARSE_SHORT;
	return PARSE_SYN;
}

/* Where the walk along a chain of headers stands. */
struct extensions_walk {
	__u8 unused;
	__u8 next;  /* type of the header at offset */
	__u8 cover; /* NEXTHDR_AUTH once such a header was passed */
	__u16 offset;
} __attribute__((aligned(8)));

/*
 * Follows the extension headers from the one of type *next at syn->tcp_offset. Returns PARSE_SYN when
 * that leads to TCP.
 */
static __always_inline enum parse_verdict parse_extensions(const void *data, const void *end, __u8 next,
							   struct syn *syn, struct notes *notes)
{
	struct extensions_walk walk = { .next = next, .cover = NEXTHDR_NONE, .offset = syn->tcp_offset };

	forget(walk);
#pragma clang loop unroll(disable)
	for (int i = 0; i < EXTENSION_HEADERS_MAX && walk.next != NEXTHDR_TCP; i++) {
		__u32 offset = walk.offset & HEADERS_LENGTH_MASK;
		const struct extension_header *header = data + offset;

		next = walk.next;
		if (!is_extension(syn->version, next))
			return PARSE_OTHER;
		if ((const void *)(header + 1) > end)
			return PARSE_SHORT;
		walk.next = header->next;
		if (next == NEXTHDR_FRAGMENT) {
			if (header->fragment & bpf_htons(IPV6_FRAGMENT_OFFSET))
				return PARSE_OTHER;
			walk.offset = offset + 8;
			if (notes)
				notes->fragment = NEXTHDR_FRAGMENT;
		} else if (next == NEXTHDR_AUTH) {
			walk.cover = NEXTHDR_AUTH;
			walk.offset = offset + ((header->length + 2) << 2);
		} else {
			walk.offset = offset + ((header->length + 1) << 3);
			if (notes && next == NEXTHDR_ROUTING)
				notes->routing_offset = offset;
		}
		forget(walk);
		if (notes)
			forget(*notes);
	}
	if (walk.next != NEXTHDR_TCP)
		return is_extension(syn->version, walk.next) ? PARSE_MALFORMED : PARSE_OTHER;
	syn->cover = walk.cover;
	syn->tcp_offset = walk.offset & HEADERS_LENGTH_MASK;
	return PARSE_SYN;
}

/* As parse_ip(). */
static __always_inline enum parse_verdict parse_family(const void *data, const void *end, __u32 offset, __be16 protocol,
						       enum parse_depth depth, struct syn *syn, struct notes *notes)
{
	const void *ip = data + offset;
	__u8 next;

	*syn = (struct syn){ .unused = 1, .cover = NEXTHDR_NONE, .unused_too = 1, .ip_offset = offset };
	if (notes) {
		notes->routing_offset = NO_HEADER;
		notes->fragment = NEXTHDR_NONE;
	}
	if (protocol == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip4 = ip;
		const __u8 *version_ihl = ip;
		__be32 word;

		syn->version = 4;
		if (unlikely(ip + (depth == PARSE_GLANCE ? GLANCE_IPV4 : sizeof(*ip4)) > end))
			return PARSE_SHORT;
		if (depth == PARSE_GLANCE && unlikely(*version_ihl != 0x45))
			return PARSE_SHORT;
		if (unlikely(*version_ihl < 0x45 || *version_ihl > 0x4f))
			return PARSE_MALFORMED;
		word = *(const __be32 *)(ip + IPV4_FRAGMENT) & bpf_htonl(IPV4_FRAGMENT_PROTOCOL);
		if (likely(word == bpf_htonl(NEXTHDR_TCP)))
			next = NEXTHDR_TCP;
		else if (word != bpf_htonl(NEXTHDR_AUTH))
			return PARSE_OTHER;
		else if (depth == PARSE_GLANCE)
			return PARSE_SHORT;
		else
			next = NEXTHDR_AUTH;
		syn->tcp_offset = offset + ((*version_ihl & 0xf) << 2);
		syn->ip_end = offset + bpf_ntohs(ip4->tot_len);
		if (notes && ip4->frag_off & bpf_htons(IP_MORE_FRAGMENTS))
			notes->fragment = NEXTHDR_FRAGMENT;
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip6 = ip;
		const __u8 *version = ip;

		syn->version = 6;
		if (unlikely(ip + (depth == PARSE_GLANCE ? GLANCE_IPV6 : sizeof(*ip6)) > end))
			return PARSE_SHORT;
		if (unlikely(*version >> 4 != 6))
			return PARSE_MALFORMED;
		next = ip6->nexthdr;
		if (depth == PARSE_GLANCE && next != NEXTHDR_TCP)
			return is_extension(syn->version, next) ? PARSE_SHORT : PARSE_OTHER;
		if (next != NEXTHDR_TCP && !is_extension(syn->version, next))
			return PARSE_OTHER;
		syn->tcp_offset = offset + sizeof(*ip6);
		syn->ip_end = syn->tcp_offset + bpf_ntohs(ip6->payload_len);
	} else {
		return PARSE_OTHER;
	}

	if (depth != PARSE_GLANCE && next != NEXTHDR_TCP) {
		enum parse_verdict verdict = parse_extensions(data, end, next, syn, notes);

		if (verdict != PARSE_SYN)
			return verdict;
	}
	return parse_tcp(data, end, syn);
}

/*
 * Parses the IP packet of EtherType `protocol` (network order) at `offset` from data. At a glance each family is looked
 * at for itself: then all offsets are constants.
 */
static __always_inline enum parse_verdict parse_ip(const void *data, const void *end, __u32 offset, __be16 protocol,
						   enum parse_depth depth, struct syn *syn, struct notes *notes)
{
	if (depth == PARSE_WHOLE)
		return parse_family(data, end, offset, protocol, depth, syn, notes);
	if (likely(protocol == bpf_htons(ETH_P_IP)))
		return parse_family(data, end, offset, bpf_htons(ETH_P_IP), depth, syn, notes);
	if (likely(protocol == bpf_htons(ETH_P_IPV6)))
		return parse_family(data, end, offset, bpf_htons(ETH_P_IPV6), depth, syn, notes);
	return PARSE_OTHER;
}

/* Where the walk over an Ethernet header stands. */
struct ethernet_walk {
	__u16 unused;
	__u16 offset;
	__be16 protocol; /* of what stands there */
} __attribute__((aligned(8)));

/*
 * Goes on from a PPPoE header to what it carries. Returns PARSE_SYN when there is one, with an EtherType as
 * if it stood in Ethernet.
 */
static __always_inline enum parse_verdict parse_pppoe(const void *data, const void *end, struct ethernet_walk *walk,
						      struct notes *notes)
{
	const struct pppoe_header *pppoe = data + walk->offset;

	if ((const void *)(pppoe + 1) > end)
		return PARSE_SHORT;
	if (pppoe->version_type != PPPOE_VERSION_TYPE || pppoe->code != 0)
		return PARSE_OTHER;
	if (pppoe->protocol == bpf_htons(PPP_IPV4))
		walk->protocol = bpf_htons(ETH_P_IP);
	else if (pppoe->protocol == bpf_htons(PPP_IPV6))
		walk->protocol = bpf_htons(ETH_P_IPV6);
	else
		return PARSE_OTHER;
	walk->offset += sizeof(*pppoe);
	notes->packet_end = walk->offset - sizeof(pppoe->protocol) + bpf_ntohs(pppoe->length);
	return PARSE_SYN;
}

/*
 * Parses an Ethernet frame with up to two VLAN tags (IEEE 802.1Q, 802.1ad), outermost first; on XDP also a
 * PPPoE session's, in which the IP packet has to end.
 */
static __always_inline enum parse_verdict parse_ethernet(const void *data, const void *end, enum parse_depth depth,
							 struct syn *syn, struct notes *notes)
{
	const struct ethhdr *ethernet = data;
	struct ethernet_walk walk = { .offset = sizeof(*ethernet) };
	enum parse_verdict verdict;

	if (depth == PARSE_WHOLE)
		*syn = (struct syn){};
	if (notes)
		notes->packet_end = UNBOUNDED;
	if ((const void *)(ethernet + 1) + (depth == PARSE_GLANCE ? GLANCE_IPV4 : 0) > end)
		return PARSE_SHORT;
	walk.protocol = ethernet->h_proto;
	/* Most have no tag. */
	if (depth == PARSE_GLANCE && likely(walk.protocol == bpf_htons(ETH_P_IP)))
		return parse_ip(data, end, sizeof(*ethernet), bpf_htons(ETH_P_IP), depth, syn, notes);
	if (depth == PARSE_GLANCE && likely(walk.protocol == bpf_htons(ETH_P_IPV6)))
		return parse_ip(data, end, sizeof(*ethernet), bpf_htons(ETH_P_IPV6), depth, syn, notes);
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		const struct vlan_tag *tag;

		if (depth == PARSE_WHOLE)
			forget(walk);
		walk.offset &= HEADERS_LENGTH_MASK;
		if (likely(walk.protocol == bpf_htons(ETH_P_IP) || walk.protocol == bpf_htons(ETH_P_IPV6)))
			break;
		if (notes && walk.protocol == bpf_htons(ETH_P_PPP_SES))
			break;
		if (walk.protocol != bpf_htons(ETH_P_8021Q) && walk.protocol != bpf_htons(ETH_P_8021AD))
			return PARSE_OTHER;
		tag = data + walk.offset;
		if ((const void *)(tag + 1) > end)
			return PARSE_SHORT;
		walk.protocol = tag->protocol;
		walk.offset += sizeof(*tag);
	}
	if (notes && unlikely(walk.protocol == bpf_htons(ETH_P_PPP_SES))) {
		verdict = parse_pppoe(data, end, &walk, notes);
		if (verdict != PARSE_SYN)
			return verdict;
	}
	if (notes) {
		if (depth == PARSE_WHOLE) {
			forget(walk);
			forget(*notes);
		}
		walk.offset &= HEADERS_LENGTH_MASK;
	}
	verdict = parse_ip(data, end, walk.offset, walk.protocol, depth, syn, notes);
	if (notes && verdict == PARSE_SYN && syn->ip_end > notes->packet_end)
		return PARSE_TRUNCATED;
	return verdict;
}

#endif
