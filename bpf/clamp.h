/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The clamp's core: walks a SYN's options, finds every MSS above the limit, and says by how much the TCP
 * checksum must change when they are lowered. Plain C over a range of bytes: no helper, no map, no context.
 * Not the place that writes to packets.
 */
#ifndef MSSBPF_CLAMP_H
#define MSSBPF_CLAMP_H

#include "uapi.h"
#include <mssbpf/abi.h>

enum {
	TCP_HEADER_MIN = 20,  /* bytes */
	TCP_OPTIONS_MAX = 40, /* bytes: 15 words of header less the fixed part */

	/* Option kinds: RFC 9293 3.1, RFC 5925 */
	TCP_OPTION_END = 0,
	TCP_OPTION_NOP = 1,
	TCP_OPTION_MSS = 2,
	TCP_OPTION_AO = 29,

	TCP_OPTION_MSS_LENGTH = 4,

	/* What to assume of a SYN without MSS, bytes: RFC 9293 3.7.1. */
	MSS_DEFAULT_IPV4 = 536,
	MSS_DEFAULT_IPV6 = 1220,
};

/* Where the walk along the options stands, and what it found. Places are bytes from the start of the TCP header. */
struct options_walk {
	__u8 unused;
	__u8 next;    /* where the next option starts */
	__u8 result;  /* MSSBPF_TCP_AO, MALFORMED, or else NO_MSS */
	__u8 last;    /* where the value of the last option above the limit stands; see above_is_single() */
	__u32 change; /* see options_walk() */
	__u32 unused_too;
	__u32 announced; /* the last MSS; NO_MSS_YET before */
	__u32 unused_again;
	__u32 above; /* which options are above the limit; see above_at() */
} __attribute__((aligned(8)));

enum {
	NO_MSS_YET = 1 << 16,	      /* no MSS; no zero, see forget(); as 16 bits, 0 */
	NONE_ABOVE = -0x7fffffff - 1, /* the top bit; likewise */

	/* One MSS option at most begins in each word. Three bits tell: there is one above the limit, and in which byte.
	 */
	ABOVE_BITS = 3,
	ABOVE_FLAG = 4,
	ABOVE_FLAGS = 04444444444, /* of all words */
	ABOVE_WORDS = TCP_OPTIONS_MAX / 4,
	ABOVE_SHIFT = TCP_HEADER_MIN / 4 * ABOVE_BITS,
};

/* Words of options as systems send them, as numbers. */
enum {
	NOP_WSCALE = 0x01030300, /* the last byte is the shift */
	NOP_NOP_SACK = 0x01010402,
	NOP_NOP_TIMESTAMPS = 0x0101080a, /* which have eight bytes more */
	SACK_TIMESTAMPS = 0x0402080a,
	SACK_END = 0x04020000,
	MSS_OF_ZERO = 0x02040000,
};

static __always_inline bool is_nop_wscale(__be32 word)
{
	return (word & bpf_htonl(0xffffff00)) == bpf_htonl(NOP_WSCALE);
}

/*
 * Returns the MSS, host order, of options that are known by sight: an MSS and what common systems send behind it.
 * Nothing is malformed there, no TCP-AO, no other MSS. NO_MSS_YET: they have to be followed. Parameters as of
 * options_walk().
 */
static __always_inline __u32 options_recognize(const void *data, const void *end, __u32 offset, __u32 length)
{
	const __be32 *words;
	bool known = false;
	__u32 mss;

	conceal(offset);
	words = data + offset + TCP_HEADER_MIN;
	if (unlikely((const void *)(words + 1) > end))
		return NO_MSS_YET;
	mss = bpf_ntohl(words[0]) ^ MSS_OF_ZERO;
	if (unlikely(mss > 0xffff))
		return NO_MSS_YET;
	switch ((length - TCP_HEADER_MIN) / sizeof(*words)) {
	case 1:
		known = true;
		break;
	case 3: /* Windows; Linux without timestamps */
		known = (const void *)(words + 3) <= end &&
			((is_nop_wscale(words[1]) && words[2] == bpf_htonl(NOP_NOP_SACK)) ||
			 (words[1] == bpf_htonl(NOP_NOP_SACK) && is_nop_wscale(words[2])));
		break;
	case 5: /* Linux; FreeBSD */
		known = (const void *)(words + 5) <= end &&
			((words[1] == bpf_htonl(SACK_TIMESTAMPS) && is_nop_wscale(words[4])) ||
			 (is_nop_wscale(words[1]) && words[2] == bpf_htonl(SACK_TIMESTAMPS)));
		break;
	case 6: /* macOS */
		known = (const void *)(words + 6) <= end && is_nop_wscale(words[1]) &&
			words[2] == bpf_htonl(NOP_NOP_TIMESTAMPS) && words[5] == bpf_htonl(SACK_END);
		break;
	}
	return likely(known) ? mss : NO_MSS_YET;
}

/* Notes the MSS, host order, of an option that begins at `place`, bytes from the start of the TCP header. */
static __always_inline void walk_note(struct options_walk *walk, __u32 place, __u32 mss, __u16 limit)
{
	walk->announced = mss;
	if (mss <= limit)
		return;
	walk->last = place + 2;
	walk->above |= (ABOVE_FLAG | place % 4) << (place / 4 * ABOVE_BITS - ABOVE_SHIFT);
	walk->change += ((mss ^ 0xffff) + limit) << (place % 2 * 8);
}

/* Follows the options, one by one, and leaves in *walk what it finds. Parameters as of options_walk(). */
static __always_inline void options_follow(const void *data, const void *end, __u32 offset, __u32 length, __u16 limit,
					   struct options_walk *walk)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < TCP_OPTIONS_MAX; i++) {
		__u32 next = walk->next, kind, size;
		const __u8 *option = data + offset + next;

		if (next >= length)
			break;
		if (unlikely((const void *)(option + 2) > end)) { /* then it is the last byte of header and packet */
			if ((const void *)(option + 1) <= end && option[0] != TCP_OPTION_END &&
			    option[0] != TCP_OPTION_NOP)
				walk->result = MSSBPF_MALFORMED;
			break;
		}
		kind = option[0];
		size = option[1];
		if (kind == TCP_OPTION_END)
			break;
		if (kind == TCP_OPTION_NOP) {
			walk->next = next + 1;
			forget_again();
			continue;
		}
		walk->next = next + size;
		if (size < 2 || next + size > length) {
			walk->result = MSSBPF_MALFORMED;
			break;
		}
		if (kind == TCP_OPTION_AO)
			walk->result = MSSBPF_TCP_AO;
		forget_again();
		if (kind != TCP_OPTION_MSS)
			continue;
		if (size != TCP_OPTION_MSS_LENGTH || (const void *)(option + TCP_OPTION_MSS_LENGTH) > end) {
			walk->result = MSSBPF_MALFORMED;
			break;
		}
		walk_note(walk, next, option[2] << 8 | option[3], limit);
	}
}

/*
 * Walks the options of one SYN, whose TCP header of `length` bytes stands at data + offset, all of it before `end`.
 * `limit` is the largest MSS let through, host order, at least 1, or MSSBPF_MSS_NONE.
 *
 * The walk is RFC 9293's: END stops it, NOP is one byte, any other kind has a length of at least 2 and ends within
 * `length`; MSS has length 4.
 *
 * Returns MSSBPF_CLAMPED, ALREADY_LOW, NO_MSS, TCP_AO, EXEMPT (without limit, in the place of the first three) or
 * MALFORMED. But for the last, walk->announced is the last MSS in the list, host order, 0 without. After
 * MSSBPF_CLAMPED, walk->above says where to write the limit, and walk->change is what to add to the sum that the TCP
 * checksum covers: 16-bit ones' complement in network order as RFC 1624 counts it (~old + new), not folded. An option
 * at an odd offset straddles two words: its bytes count swapped, which is what a shift by 8 does in ones' complement.
 */
static __always_inline enum mssbpf_result options_walk(const void *data, const void *end, __u32 offset, __u32 length,
						       __u16 limit, struct options_walk *walk)
{
	__u32 mss;

	/* One by one, and nothing unused: eight bytes at once are no secret to the verifier; forget() is below. */
	walk->next = TCP_HEADER_MIN;
	walk->result = MSSBPF_NO_MSS;
	walk->last = TCP_HEADER_MIN; /* nowhere */
	walk->change = 0xffff;	     /* a zero, in ones' complement */
	walk->announced = NO_MSS_YET;
	walk->above = NONE_ABOVE;
	mss = options_recognize(data, end, offset, length);
	if (likely(mss != NO_MSS_YET)) {
		walk_note(walk, TCP_HEADER_MIN, mss, limit);
		return limit == MSSBPF_MSS_NONE ? MSSBPF_EXEMPT : mss > limit ? MSSBPF_CLAMPED : MSSBPF_ALREADY_LOW;
	}
	forget(*walk);
	options_follow(data, end, offset, length, limit, walk);
	return walk->result != MSSBPF_NO_MSS	      ? walk->result
	       : limit == MSSBPF_MSS_NONE	      ? MSSBPF_EXEMPT
	       : walk->above != (__u32)NONE_ABOVE     ? MSSBPF_CLAMPED
	       : walk->announced != (__u32)NO_MSS_YET ? MSSBPF_ALREADY_LOW
						      : MSSBPF_NO_MSS;
}

/* Tells whether of the options above the limit, if there are any, walk->last is the only one. */
static __always_inline bool above_is_single(const struct options_walk *walk)
{
	__u32 flags = walk->above & ABOVE_FLAGS;

	return !(flags & (flags - 1));
}

/*
 * Where an MSS above the limit stands that begins in the word `index` of the options (0..ABOVE_WORDS - 1): the offset
 * of its value, two bytes in network order, from the start of the TCP header; 0 when there is none.
 */
static __always_inline __u32 above_at(const struct options_walk *walk, __u32 index)
{
	__u32 bits = walk->above >> index * ABOVE_BITS;

	return bits & ABOVE_FLAG ? TCP_HEADER_MIN + index * 4 + bits % 4 + 2 : 0;
}

/* Tells whether there is none in the word `index` or behind. */
static __always_inline bool above_ends(const struct options_walk *walk, __u32 index)
{
	return !((walk->above & ~NONE_ABOVE) >> index * ABOVE_BITS);
}

/*
 * The largest MSS that an MTU (bytes) leaves a segment of IP version 4 or 6: RFC 9293 3.7.1. An MTU out of
 * its range counts as the nearest in it.
 */
static __always_inline __u16 mss_of_mtu(__u32 mtu, __u8 version)
{
	if (mtu < MSSBPF_MTU_MIN)
		mtu = MSSBPF_MTU_MIN;
	if (mtu > MSSBPF_MTU_MAX)
		mtu = MSSBPF_MTU_MAX;
	return mtu - (version == 4 ? MSSBPF_IPV4_HEADERS : MSSBPF_IPV6_HEADERS);
}

/* The MSS for a SYN of IP version 4 or 6 that has none: what to assume then, but not above the limit. */
static __always_inline __u16 mss_of_none(__u16 limit, __u8 version)
{
	__u16 mss = version == 4 ? MSS_DEFAULT_IPV4 : MSS_DEFAULT_IPV6;

	return limit < mss ? limit : mss;
}

/*
 * What changes in a segment that gets an MSS option in front of its other options, as a sum (see options_walk()): the
 * option, and the header's length, whose upper four bits count words. The others move by two words, which is no change.
 */
static __always_inline __u32 added_change(__u16 mss)
{
	return (TCP_OPTION_MSS << 8 | TCP_OPTION_MSS_LENGTH) + mss + (1 << 12);
}

/* Folds a ones' complement sum to 16 bits (RFC 1071). */
static __always_inline __u16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

#endif
