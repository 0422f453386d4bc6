/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The clamp's core: walks a SYN's options, lowers every MSS above the limit, and says by how much
 * the TCP checksum must change. Plain C on a copy of the options: no helper, no map, no context, no
 * packet. Not the place that writes to packets.
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

/* Where the walk stands. */
struct options_walk {
	__u8 unused;
	__u8 next;    /* where the next option starts, from the start of the TCP header */
	__u8 result;  /* enum mssbpf_result so far */
	__u32 change; /* see options_clamp() */
} __attribute__((aligned(8)));

/*
 * Lowers the MSS in one SYN's options.
 *
 * `option` holds `length` bytes of options (a multiple of 4, at most TCP_OPTIONS_MAX; the rest of the
 * array is readable and ignored), `limit` the largest MSS let through, host order, at least 1.
 *
 * The walk is RFC 9293's: END stops it, NOP is one byte, any other kind has a length of at least 2
 * and ends within `length`; MSS has length 4. It looks at every fixed offset in turn and asks whether
 * an option starts there, so that the verifier sees only constant offsets.
 *
 * Returns MSSBPF_CLAMPED, ALREADY_LOW, NO_MSS, TCP_AO or MALFORMED. Only after MSSBPF_CLAMPED are
 * the bytes in `option` to be used; they then differ from the old ones in the values of MSS options
 * and nowhere else, and *change is what to add to the sum that the TCP checksum covers: 16-bit ones'
 * complement in network order as RFC 1624 counts it (~old + new), not folded. An option at an odd
 * offset straddles two words: its bytes count swapped, which is what a shift by 8 does in ones'
 * complement.
 */
static __always_inline enum mssbpf_result options_clamp(__u8 option[TCP_OPTIONS_MAX], __u32 length, __u16 limit,
							__u32 *change)
{
	/* In ones' complement, 0xffff is a zero too. */
	struct options_walk walk = { .next = TCP_HEADER_MIN, .result = MSSBPF_NO_MSS, .change = 0xffff };

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < TCP_OPTIONS_MAX; i++) {
		__u32 option_length;
		__u16 mss;

		forget(walk);
		if (i % 4 == 0 && i >= length)
			break;
		if (walk.next != TCP_HEADER_MIN + i)
			continue;
		if (option[i] == TCP_OPTION_END)
			break;
		if (option[i] == TCP_OPTION_NOP) {
			walk.next = TCP_HEADER_MIN + i + 1;
			continue;
		}
		option_length = i + 1 < TCP_OPTIONS_MAX ? option[i + 1] : 0;
		if (option_length < 2 || i + option_length > length)
			return MSSBPF_MALFORMED;
		walk.next = TCP_HEADER_MIN + i + option_length;
		if (option[i] == TCP_OPTION_AO)
			walk.result = MSSBPF_TCP_AO;
		if (option[i] != TCP_OPTION_MSS)
			continue;
		if (option_length != TCP_OPTION_MSS_LENGTH || i + TCP_OPTION_MSS_LENGTH > TCP_OPTIONS_MAX)
			return MSSBPF_MALFORMED;

		mss = option[i + 2] << 8 | option[i + 3];
		if (mss <= limit) {
			if (walk.result < MSSBPF_ALREADY_LOW)
				walk.result = MSSBPF_ALREADY_LOW;
			continue;
		}
		if (walk.result < MSSBPF_CLAMPED)
			walk.result = MSSBPF_CLAMPED;
		option[i + 2] = limit >> 8;
		option[i + 3] = limit & 0xff;
		mss = ~mss;
		walk.change += ((__u32)mss + limit) << (i % 2 * 8);
	}

	*change = walk.change;
	return walk.result;
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
 * What changes in a segment that gets an MSS option in front of its other options, as a sum (see options_clamp()): the
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
