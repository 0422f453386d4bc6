// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The clamp's core (bpf/clamp.h) on option lists: as rows, at every offset, at random against a second
 * reading of RFC 9293. Not the place for packets: those are parse.c here and ../prog.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "clamp.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	LIMIT = 1360,
	GUARD = 8,
	IP_LENGTH = 20,
};

/* A TCP segment under a pseudo header's addresses, of which only the options matter. */
struct segment {
	uint8_t ip[IP_LENGTH];
	uint8_t tcp[TCP_HEADER_MIN + TCP_OPTIONS_MAX];
};

/* What may stand behind the options without being looked at. */
static const struct packet_bytes tails[] = {
	BYTES(END, END, END, END),
	BYTES(NOP, NOP, NOP, NOP),
	BYTES(MSS(65535)),
	BYTES(0xff, 0xff, 0xff, 0xff),
	BYTES(AO),
};

static const char *result_name(enum mssbpf_result result)
{
	static const char *const names[] = {
		[MSSBPF_AH] = "AH",
		[MSSBPF_NO_MSS] = "NO_MSS",
		[MSSBPF_ALREADY_LOW] = "ALREADY_LOW",
		[MSSBPF_CLAMPED] = "CLAMPED",
		[MSSBPF_TCP_AO] = "TCP_AO",
		[MSSBPF_MALFORMED] = "MALFORMED",
		[MSSBPF_TRUNCATED] = "TRUNCATED",
		[MSSBPF_UNWRITABLE] = "UNWRITABLE",
		[MSSBPF_EXEMPT] = "EXEMPT",
	};

	return (unsigned int)result < ARRAY_SIZE(names) ? names[result] : "?";
}

static void print_bytes(const char *what, const uint8_t *bytes, size_t length)
{
	print_error("%-8s", what);
	for (size_t i = 0; i < length; i++)
		print_error(" %02x", bytes[i]);
	print_error("\n");
}

/* The checksum that a segment with these options has, computed over all of it. */
static uint16_t full_checksum(struct segment *segment, const uint8_t *options, size_t length)
{
	memcpy(segment->tcp + TCP_HEADER_MIN, options, length);
	return packet_tcp_checksum(segment->ip, 4, segment->tcp, TCP_HEADER_MIN + length);
}

/* Updates a checksum as the kernel's bpf_l4_csum_replace() does. */
static uint16_t updated_checksum(uint16_t checksum, uint32_t change)
{
	uint32_t sum = (uint16_t)~checksum + checksum_fold(change);

	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Walks `length` bytes of options and writes the limit where the walk says. */
static enum mssbpf_result options_clamp(uint8_t *options, size_t length, uint16_t limit, struct options_walk *walk)
{
	uint8_t *tcp = options - TCP_HEADER_MIN;
	enum mssbpf_result result = options_walk(tcp, options + length, 0, TCP_HEADER_MIN + length, limit, walk);
	uint32_t lowered = 0, last = 0;

	for (uint32_t i = 0; i < ABOVE_WORDS && result == MSSBPF_CLAMPED && !above_ends(walk, i); i++) {
		uint32_t offset = above_at(walk, i);

		if (offset) {
			tcp[offset] = limit >> 8;
			tcp[offset + 1] = limit & 0xff;
			lowered++;
			last = offset;
		}
	}
	if (lowered) {
		assert_int_equal(above_is_single(walk), lowered == 1);
		assert_int_equal(walk->last, last);
	}
	return result;
}

/*
 * Clamps `before` and fails unless that gives `result` and, if clamped, `after`, with a change that mends
 * the checksum and nothing written elsewhere.
 */
static void check_tail(const char *name, const uint8_t *before, const uint8_t *after, size_t length, uint16_t limit,
		       enum mssbpf_result result, const struct packet_bytes *tail)
{
	static struct segment segment = { .ip = { [12] = 192, 0, 2, 1, 198, 51, 100, 7 },
					  .tcp = { 1, 2, 3, 4, 5, 6, 7 } };
	uint8_t area[GUARD + TCP_OPTIONS_MAX + GUARD], whole[sizeof(area)];
	struct options_walk walk;
	enum mssbpf_result got;

	for (size_t i = 0; i < sizeof(area); i++)
		area[i] = tail->bytes[i % tail->length];
	memcpy(area + GUARD, before, length);
	memcpy(whole, area, sizeof(whole));
	memcpy(whole + GUARD, after, length);

	got = options_clamp(area + GUARD, length, limit, &walk);
	if (got != result) {
		print_bytes("options", before, length);
		fail_msg("%s, limit %u: %s instead of %s", name, limit, result_name(got), result_name(result));
	}
	if (got != MSSBPF_CLAMPED)
		return;
	if (memcmp(area, whole, sizeof(area)) != 0) {
		print_bytes("before", before, length);
		print_bytes("after", area + GUARD, length);
		print_bytes("expected", after, length);
		fail_msg("%s, limit %u: wrong bytes", name, limit);
	}
	segment.tcp[4]++;
	if (updated_checksum(full_checksum(&segment, before, length), walk.change) !=
	    full_checksum(&segment, after, length)) {
		print_bytes("options", before, length);
		fail_msg("%s, limit %u: the change %#x gives a wrong checksum", name, limit, walk.change);
	}
}

static void check(const char *name, const uint8_t *before, const uint8_t *after, size_t length, uint16_t limit,
		  enum mssbpf_result result)
{
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++)
		check_tail(name, before, after, length, limit, result, &tails[i]);
}

struct row {
	const char *name;
	struct packet_bytes options; /* filled up with END */
	enum mssbpf_result result;
	struct packet_bytes becomes; /* if clamped */
	uint16_t limit;		     /* 0: LIMIT */
};

#define NOP4 NOP, NOP, NOP, NOP
#define NOP16 NOP4, NOP4, NOP4, NOP4
#define NOP36 NOP16, NOP16, NOP4

static const struct row rows[] = {
	/* Where the list ends */
	{ "no options", NO_BYTES, MSSBPF_NO_MSS },
	{ "END alone", BYTES(END), MSSBPF_NO_MSS },
	{ "NOPs", BYTES(NOP4), MSSBPF_NO_MSS },
	{ "40 NOPs", BYTES(NOP36, NOP4), MSSBPF_NO_MSS },
	{ "36 NOPs, MSS", BYTES(NOP36, MSS(1460)), MSSBPF_CLAMPED, BYTES(NOP36, MSS(LIMIT)) },
	{ "MSS, 36 NOPs", BYTES(MSS(1460), NOP36), MSSBPF_CLAMPED, BYTES(MSS(LIMIT), NOP36) },
	{ "END, MSS", BYTES(END, MSS(1460)), MSSBPF_NO_MSS },
	{ "NOP, END, MSS", BYTES(NOP, END, MSS(1460)), MSSBPF_NO_MSS },
	{ "MSS, END, MSS", BYTES(MSS(1460), END, MSS(1460)), MSSBPF_CLAMPED, BYTES(MSS(LIMIT), END, MSS(1460)) },
	{ "MSS, END, garbage", BYTES(MSS(1460), END, 5, 0, 0xff), MSSBPF_CLAMPED, BYTES(MSS(LIMIT), END, 5, 0, 0xff) },
	{ "END, AO", BYTES(MSS(1460), END, AO), MSSBPF_CLAMPED, BYTES(MSS(LIMIT), END, AO) },

	/* Other options before and behind */
	{ "typical", BYTES(MSS(1460), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE), MSSBPF_CLAMPED,
	  BYTES(MSS(LIMIT), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE) },
	{ "no MSS among others", BYTES(SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE), MSSBPF_NO_MSS },
	{ "WScale, MSS", BYTES(WSCALE, MSS(1460)), MSSBPF_CLAMPED, BYTES(WSCALE, MSS(LIMIT)) },
	{ "MD5, MSS", BYTES(MD5, MSS(1460)), MSSBPF_CLAMPED, BYTES(MD5, MSS(LIMIT)) },
	{ "MSS, MD5", BYTES(MSS(1460), MD5), MSSBPF_CLAMPED, BYTES(MSS(LIMIT), MD5) },
	{ "TFO, MSS", BYTES(TFO, MSS(1460)), MSSBPF_CLAMPED, BYTES(TFO, MSS(LIMIT)) },
	{ "bytes like MSS inside an option", BYTES(254, 6, MSS(1460), NOP, NOP), MSSBPF_NO_MSS },
	{ "kinds of two bytes", BYTES(4, 2, 255, 2, 28, 2, 3, 2, MSS(1460)), MSSBPF_CLAMPED,
	  BYTES(4, 2, 255, 2, 28, 2, 3, 2, MSS(LIMIT)) },
	{ "an option of 40 bytes", BYTES(254, 40, NOP36, END, END), MSSBPF_NO_MSS },

	/* TCP-AO */
	{ "AO, MSS", BYTES(AO, MSS(1460)), MSSBPF_TCP_AO },
	{ "MSS, AO", BYTES(MSS(1460), AO), MSSBPF_TCP_AO },
	{ "MSS low, AO", BYTES(MSS(500), AO), MSSBPF_TCP_AO },
	{ "AO, MSS low", BYTES(AO, MSS(500)), MSSBPF_TCP_AO },
	{ "AO alone", BYTES(AO), MSSBPF_TCP_AO },
	{ "MSS, AO, MSS", BYTES(MSS(1460), AO, MSS(1460)), MSSBPF_TCP_AO },
	{ "AO of two bytes", BYTES(MSS(1460), 29, 2), MSSBPF_TCP_AO },
	{ "AO, malformed", BYTES(AO, MSS(1460), 5, 0), MSSBPF_MALFORMED },
	{ "AO too long", BYTES(MSS(1460), 29, 16, 0, 0), MSSBPF_MALFORMED },

	/* Several MSS */
	{ "MSS, MSS", BYTES(MSS(1460), MSS(8960)), MSSBPF_CLAMPED, BYTES(MSS(LIMIT), MSS(LIMIT)) },
	{ "MSS, NOP, MSS", BYTES(MSS(1460), NOP, MSS(8960)), MSSBPF_CLAMPED, BYTES(MSS(LIMIT), NOP, MSS(LIMIT)) },
	{ "NOP, MSS, MSS", BYTES(NOP, MSS(1460), MSS(8960)), MSSBPF_CLAMPED, BYTES(NOP, MSS(LIMIT), MSS(LIMIT)) },
	{ "MSS low, MSS", BYTES(MSS(500), MSS(1460)), MSSBPF_CLAMPED, BYTES(MSS(500), MSS(LIMIT)) },
	{ "MSS, MSS low", BYTES(MSS(1460), MSS(500)), MSSBPF_CLAMPED, BYTES(MSS(LIMIT), MSS(500)) },
	{ "MSS low, MSS low", BYTES(MSS(1360), MSS(500)), MSSBPF_ALREADY_LOW },
	{ "ten MSS",
	  BYTES(MSS(65535), MSS(65534), MSS(65533), MSS(9000), MSS(8960), MSS(1360), MSS(1), MSS(0), MSS(1361),
		MSS(1460)),
	  MSSBPF_CLAMPED,
	  BYTES(MSS(LIMIT), MSS(LIMIT), MSS(LIMIT), MSS(LIMIT), MSS(LIMIT), MSS(1360), MSS(1), MSS(0), MSS(LIMIT),
		MSS(LIMIT)) },
	{ "nine MSS at odd offsets",
	  BYTES(NOP, MSS(65535), MSS(65535), MSS(65535), MSS(65535), MSS(65535), MSS(65535), MSS(65535), MSS(65535),
		MSS(65535)),
	  MSSBPF_CLAMPED, BYTES(NOP, MSS(1), MSS(1), MSS(1), MSS(1), MSS(1), MSS(1), MSS(1), MSS(1), MSS(1)), 1 },

	/* Malformed */
	{ "MSS of length 0", BYTES(2, 0, 5, 0xb4), MSSBPF_MALFORMED },
	{ "MSS of length 1", BYTES(2, 1, 5, 0xb4), MSSBPF_MALFORMED },
	{ "MSS of length 2", BYTES(2, 2, 5, 0xb4), MSSBPF_MALFORMED },
	{ "MSS of length 3", BYTES(2, 3, 5, NOP), MSSBPF_MALFORMED },
	{ "MSS of length 5", BYTES(2, 5, 5, 0xb4, 0, NOP, NOP, NOP), MSSBPF_MALFORMED },
	{ "MSS of length 255", BYTES(2, 255, 5, 0xb4), MSSBPF_MALFORMED },
	{ "MSS, MSS of length 3", BYTES(MSS(1460), 2, 3, 5, NOP), MSSBPF_MALFORMED },
	{ "MSS low, MSS of length 6", BYTES(MSS(500), 2, 6, 5, 0xb4, 0, 0), MSSBPF_MALFORMED },
	{ "MSS, option of length 0", BYTES(MSS(1460), 5, 0), MSSBPF_MALFORMED },
	{ "MSS, option of length 1", BYTES(MSS(1460), 5, 1), MSSBPF_MALFORMED },
	{ "option of length 1, MSS", BYTES(5, 1, NOP, NOP, MSS(1460)), MSSBPF_MALFORMED },
	{ "MSS, option one byte too long", BYTES(MSS(1460), 5, 5, 0, 0), MSSBPF_MALFORMED },
	{ "MSS, option of length 255", BYTES(MSS(1460), 5, 255, 0, 0), MSSBPF_MALFORMED },
	{ "MSS, option without a length", BYTES(MSS(1460), NOP, NOP, NOP, 5), MSSBPF_MALFORMED },
	{ "MSS, MSS without a length", BYTES(MSS(1460), NOP, NOP, NOP, 2), MSSBPF_MALFORMED },
	{ "MSS, MSS without a value", BYTES(MSS(1460), NOP, NOP, 2, 4), MSSBPF_MALFORMED },
	{ "MSS, MSS with half a value", BYTES(MSS(1460), NOP, 2, 4, 5), MSSBPF_MALFORMED },
	{ "39 NOPs, MSS without a length", BYTES(NOP36, NOP, NOP, NOP, 2), MSSBPF_MALFORMED },
	{ "37 NOPs, MSS with half a value", BYTES(NOP36, NOP, 2, 4, 5), MSSBPF_MALFORMED },
	{ "an option of 41 bytes", BYTES(254, 41, NOP36, NOP, NOP), MSSBPF_MALFORMED },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		uint8_t before[TCP_OPTIONS_MAX + 4] = {}, after[TCP_OPTIONS_MAX + 4] = {};
		size_t length = (row->options.length + 3) / 4 * 4;

		assert_true(length <= TCP_OPTIONS_MAX);
		memcpy(before, row->options.bytes, row->options.length);
		if (row->result == MSSBPF_CLAMPED) {
			assert_int_equal(row->options.length, row->becomes.length);
			memcpy(after, row->becomes.bytes, row->becomes.length);
		}
		check(row->name, before, after, length, row->limit ? row->limit : LIMIT, row->result);
	}
}

/* Puts something legal of `length` bytes: NOPs, one option, or options of three bytes. */
static void put_before(uint8_t *options, size_t length, int way)
{
	memset(options, NOP, length);
	if (way == 1 && length >= 2) {
		memset(options, 2, length);
		options[0] = 254;
		options[1] = length;
	}
	for (size_t i = 0; way == 2 && i + 3 <= length; i += 3)
		memcpy(options + i, (const uint8_t[]){ WSCALE }, 3);
}

static void put_mss(uint8_t *option, uint16_t mss)
{
	memcpy(option, (const uint8_t[]){ MSS(mss) }, 4);
}

/* One MSS of `mss` at `offset` of options that go on to `length`. */
static void check_at(size_t offset, size_t length, int way, uint16_t mss, uint16_t limit)
{
	uint8_t before[TCP_OPTIONS_MAX], after[TCP_OPTIONS_MAX];
	char name[80];

	snprintf(name, sizeof(name), "MSS %u at %zu of %zu, way %d", mss, offset, length, way);
	put_before(before, offset, way);
	put_mss(before + offset, mss);
	put_before(before + offset + 4, length - offset - 4, way);
	memcpy(after, before, length);
	if (mss > limit)
		put_mss(after + offset, limit);
	check(name, before, after, length, limit, mss > limit ? MSSBPF_CLAMPED : MSSBPF_ALREADY_LOW);
}

static void test_every_offset_and_length(void **state)
{
	static const uint16_t values[] = { 0,	 1,    2,    255,    256,    257,    511,    512,   1359,
					   1360, 1361, 1460, 0x7fff, 0x8000, 0xff00, 0xfeff, 65534, 65535 };

	(void)state;
	for (size_t offset = 0; offset <= TCP_OPTIONS_MAX - 4; offset++)
		for (size_t length = (offset + 7) / 4 * 4; length <= TCP_OPTIONS_MAX; length += 4)
			for (int way = 0; way < 3; way++)
				for (size_t i = 0; i < ARRAY_SIZE(values) * ARRAY_SIZE(values); i++) {
					uint16_t limit = values[i / ARRAY_SIZE(values)];

					if (limit && limit != MSSBPF_MSS_NONE)
						check_at(offset, length, way, values[i % ARRAY_SIZE(values)], limit);
				}
}

static void test_every_mss(void **state)
{
	uint8_t tcp[TCP_HEADER_MIN + TCP_OPTION_MSS_LENGTH] = {};

	(void)state;
	for (uint32_t mss = 0; mss <= UINT16_MAX; mss++) {
		check_at(0, 4, 0, mss, LIMIT);
		check_at(1, 8, 0, mss, LIMIT);
		put_mss(tcp + TCP_HEADER_MIN, mss);
		assert_int_equal(options_recognize(tcp, tcp + sizeof(tcp), 0, sizeof(tcp)), mss);
	}
}

static void test_every_limit(void **state)
{
	(void)state;
	for (uint32_t limit = 1; limit < MSSBPF_MSS_NONE; limit++) {
		check_at(0, 4, 0, 1460, limit);
		check_at(3, 8, 0, 65535, limit);
	}
}

/* Two MSS at every pair of offsets. */
static void test_every_pair(void **state)
{
	uint8_t before[TCP_OPTIONS_MAX], after[TCP_OPTIONS_MAX];

	(void)state;
	for (size_t first = 0; first + 8 <= TCP_OPTIONS_MAX; first++)
		for (size_t second = first + 4; second + 4 <= TCP_OPTIONS_MAX; second++) {
			memset(before, NOP, sizeof(before));
			memset(after, NOP, sizeof(after));
			put_mss(before + first, 1460);
			put_mss(before + second, 8961);
			put_mss(after + first, LIMIT);
			put_mss(after + second, LIMIT);
			check("pair", before, after, sizeof(before), LIMIT, MSSBPF_CLAMPED);
		}
}

/* An option of any kind but END and NOP, of every length, at every offset, before an MSS. */
static void test_every_option_length(void **state)
{
	static const uint8_t kinds[] = { 3, 19, 34, 128, 255 };
	uint8_t options[TCP_OPTIONS_MAX], after[TCP_OPTIONS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds) * TCP_OPTIONS_MAX * 256; i++) {
		size_t offset = i / 256 % TCP_OPTIONS_MAX, length = i % 256;
		size_t end = offset + length;
		bool legal = length >= 2 && end <= TCP_OPTIONS_MAX && offset + 1 < TCP_OPTIONS_MAX;
		bool mss = legal && end + 4 <= TCP_OPTIONS_MAX;

		memset(options, NOP, sizeof(options));
		options[offset] = kinds[i / 256 / TCP_OPTIONS_MAX];
		if (offset + 1 < TCP_OPTIONS_MAX)
			options[offset + 1] = length;
		if (mss)
			put_mss(options + end, 1460);
		memcpy(after, options, sizeof(after));
		if (mss)
			put_mss(after + end, LIMIT);
		check("length", options, after, sizeof(options), LIMIT,
		      !legal ? MSSBPF_MALFORMED
		      : mss  ? MSSBPF_CLAMPED
			     : MSSBPF_NO_MSS);
	}
}

/* RFC 9293 3.1 read once more, the way a receiver would: lowers in place. */
static enum mssbpf_result reference_clamp(uint8_t *options, size_t length, uint16_t limit)
{
	bool ao = false, low = false, lowered = false;
	size_t at = 0;

	while (at < length && options[at] != END) {
		uint8_t *option = options + at;
		size_t left = length - at;

		if (option[0] == NOP) {
			at++;
			continue;
		}
		if (left < 2 || option[1] < 2 || option[1] > left || (option[0] == 2 && option[1] != 4))
			return MSSBPF_MALFORMED;
		if (option[0] == 2 && option[2] * 256 + option[3] > limit) {
			lowered = true;
			put_mss(option, limit);
		} else if (option[0] == 2) {
			low = true;
		}
		ao = ao || option[0] == 29;
		at += option[1];
	}
	return ao ? MSSBPF_TCP_AO : lowered ? MSSBPF_CLAMPED : low ? MSSBPF_ALREADY_LOW : MSSBPF_NO_MSS;
}

/* A list of mostly legal options, at random. */
static size_t random_options(uint8_t *options, uint32_t *seed)
{
	size_t length = packet_random(seed) % 11 * 4;

	for (size_t i = 0; i < length; i++)
		options[i] = packet_random(seed) >> 8;
	for (size_t i = 0; i < length;) {
		uint32_t dice = packet_random(seed) >> 4;

		if (dice % 16 < 5) {
			options[i++] = NOP;
		} else if (dice % 16 < 11 && i + 4 <= length) {
			options[i] = 2;
			options[i + 1] = dice / 16 % 64 ? 4 : dice / 1024 % 7;
			i += 4;
		} else if (dice % 16 < 15 && i + 2 <= length) {
			options[i] = dice / 16 % 32 ? dice / 512 : 29;
			options[i + 1] = 2 + dice / 512 % (dice / 16 % 64 ? length - i - 1 : 40);
			i += options[i + 1] < 2 ? 2 : options[i + 1];
		} else {
			i += dice / 16 % 16 ? 1 : 0;
			if (i < length)
				options[i] = END;
			i += 3;
		}
	}
	return length;
}

static void test_random_lists(void **state)
{
	unsigned int seen[MSSBPF_RESULTS] = {};
	uint32_t seed = 0x9e3779b9;

	(void)state;
	for (int i = 0; i < 1000 * 1000; i++) {
		uint8_t before[TCP_OPTIONS_MAX], after[TCP_OPTIONS_MAX];
		size_t length = random_options(before, &seed);
		uint16_t limit = packet_random(&seed) % (MSSBPF_MSS_NONE - 1) + 1;
		enum mssbpf_result result;

		memcpy(after, before, sizeof(after));
		result = reference_clamp(after, length, limit);
		seen[result]++;
		check_tail("random", before, after, length, limit, result, &tails[i % ARRAY_SIZE(tails)]);
	}
	/* The generator is worth nothing if it does not reach all of them. */
	assert_true(seen[MSSBPF_NO_MSS] > 10000);
	assert_true(seen[MSSBPF_ALREADY_LOW] > 10000);
	assert_true(seen[MSSBPF_CLAMPED] > 10000);
	assert_true(seen[MSSBPF_TCP_AO] > 10000);
	assert_true(seen[MSSBPF_MALFORMED] > 10000);
}

/*
 * The lists that are known by sight, and what each becomes with any of its bytes changed to any other. Where that is a
 * value, they are known still, elsewhere no more: options_walk() comes to the same by following them.
 */
static void test_known_lists(void **state)
{
	const struct {
		struct packet_bytes options;
		unsigned int values; /* bytes of MSS, shift and timestamps */
	} lists[] = {
		{ BYTES(MSS(1460)), 2 },
		{ BYTES(MSS(1460), NOP, WSCALE, NOP, NOP, SACK_PERMITTED), 2 + 1 },
		{ BYTES(MSS(1460), NOP, NOP, SACK_PERMITTED, NOP, WSCALE), 2 + 1 },
		{ BYTES(MSS(1460), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE), 2 + 8 + 1 },
		{ BYTES(MSS(1460), NOP, WSCALE, SACK_PERMITTED, TIMESTAMPS), 2 + 1 + 8 },
		{ BYTES(MSS(1460), NOP, WSCALE, NOP, NOP, TIMESTAMPS, SACK_PERMITTED, END, END), 2 + 1 + 8 },
	};
	unsigned int seen[MSSBPF_RESULTS] = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		size_t length = lists[i].options.length, known = 0;

		for (size_t at = 0; at < length; at++)
			for (int value = 0; value <= UINT8_MAX; value++) {
				uint8_t tcp[TCP_HEADER_MIN + TCP_OPTIONS_MAX], after[TCP_OPTIONS_MAX];
				uint8_t *before = tcp + TCP_HEADER_MIN;
				enum mssbpf_result result;

				memcpy(before, lists[i].options.bytes, length);
				before[at] = value;
				memcpy(after, before, length);
				result = reference_clamp(after, length, LIMIT);
				seen[result]++;
				check("known", before, after, length, LIMIT, result);
				known += options_recognize(tcp, before + length, 0, TCP_HEADER_MIN + length) !=
					 NO_MSS_YET;
			}
		assert_int_equal(known, lists[i].values * 256 + length - lists[i].values);
	}
	assert_true(seen[MSSBPF_CLAMPED] > 10000);
	assert_true(seen[MSSBPF_MALFORMED] > 1000);
}

/* Every checksum that a segment can have before, and what both zeros of ones' complement do to it. */
static void test_every_checksum(void **state)
{
	(void)state;
	for (size_t offset = 0; offset < 2; offset++)
		for (uint32_t sequence = 0; sequence <= UINT16_MAX; sequence++) {
			struct packet_spec spec = { .version = 4, .sequence = sequence };
			struct packet before, after;
			uint8_t segment[60] = { [20] = NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP };
			uint8_t *options = segment + TCP_HEADER_MIN;
			struct options_walk walk;
			uint16_t checksum;

			put_mss(options + offset, 1460);
			spec.options = (struct packet_bytes){ options, 8 };
			packet_build(&before, &spec, PACKET_BARE);
			checksum = packet_tcp_checksum(before.data, 4, before.data + before.tcp, 28);
			assert_int_equal(options_clamp(options, 8, LIMIT, &walk), MSSBPF_CLAMPED);
			packet_build(&after, &spec, PACKET_BARE);
			assert_int_equal(updated_checksum(checksum, walk.change),
					 packet_tcp_checksum(after.data, 4, after.data + after.tcp, 28));
			if (checksum == 0)
				assert_int_equal(updated_checksum(0xffff, walk.change),
						 updated_checksum(0, walk.change));
		}
}

/* What is told of the MSS in the list, with a limit and without. */
static void test_announced(void **state)
{
	const struct {
		const char *name;
		struct packet_bytes options;
		enum mssbpf_result result, unlimited;
		uint16_t announced;
	} lists[] = {
		{ "one", BYTES(MSS(1460)), MSSBPF_CLAMPED, MSSBPF_EXEMPT, 1460 },
		{ "low", BYTES(MSS(536)), MSSBPF_ALREADY_LOW, MSSBPF_EXEMPT, 536 },
		{ "two: the last", BYTES(MSS(1460), MSS(536)), MSSBPF_CLAMPED, MSSBPF_EXEMPT, 536 },
		{ "low, then not", BYTES(MSS(536), MSS(65535)), MSSBPF_CLAMPED, MSSBPF_EXEMPT, 65535 },
		{ "odd", BYTES(NOP, MSS(1460), NOP, NOP, NOP), MSSBPF_CLAMPED, MSSBPF_EXEMPT, 1460 },
		{ "behind END", BYTES(END, MSS(1460), NOP, NOP, NOP), MSSBPF_NO_MSS, MSSBPF_EXEMPT, 0 },
		{ "none", BYTES(NOP, WSCALE), MSSBPF_NO_MSS, MSSBPF_EXEMPT, 0 },
		{ "signed", BYTES(MSS(1460), AO), MSSBPF_TCP_AO, MSSBPF_TCP_AO, 1460 },
		{ "0", BYTES(MSS(0)), MSSBPF_ALREADY_LOW, MSSBPF_EXEMPT, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (int limited = 0; limited < 2; limited++) {
			uint8_t segment[TCP_HEADER_MIN + TCP_OPTIONS_MAX] = {}, before[sizeof(segment)];
			struct options_walk walk;
			enum mssbpf_result result;

			memcpy(segment + TCP_HEADER_MIN, lists[i].options.bytes, lists[i].options.length);
			memcpy(before, segment, sizeof(before));
			result = options_clamp(segment + TCP_HEADER_MIN, lists[i].options.length,
					       limited ? LIMIT : MSSBPF_MSS_NONE, &walk);
			if (result != (limited ? lists[i].result : lists[i].unlimited) ||
			    (uint16_t)walk.announced != lists[i].announced)
				fail_msg("%s: %s, MSS %u", lists[i].name, result_name(result), walk.announced);
			if (!limited)
				assert_memory_equal(segment, before, sizeof(segment));
		}
	}
}

static void test_fold(void **state)
{
	uint32_t seed = 0x2545f491;

	(void)state;
	assert_int_equal(checksum_fold(0), 0);
	assert_int_equal(checksum_fold(0xffff), 0xffff);
	assert_int_equal(checksum_fold(0x10000), 1);
	assert_int_equal(checksum_fold(0x1fffe), 0xffff);
	assert_int_equal(checksum_fold(0x1ffff), 1);
	assert_int_equal(checksum_fold(0xffff0000), 0xffff);
	assert_int_equal(checksum_fold(0xffff0001), 1);
	assert_int_equal(checksum_fold(0xffffffff), 0xffff);
	for (int i = 0; i < 1000 * 1000; i++) {
		uint32_t sum = packet_random(&seed);

		assert_int_equal(checksum_fold(sum), (sum - 1) % 65535 + 1);
	}
}

/* What is published, the ends of the range, and one byte more for one byte more in between. */
static void test_mss_of_mtu(void **state)
{
	(void)state;
	assert_int_equal(mss_of_mtu(1500, 4), 1460);
	assert_int_equal(mss_of_mtu(1500, 6), 1440);
	assert_int_equal(mss_of_mtu(1420, 4), 1380);
	assert_int_equal(mss_of_mtu(1420, 6), 1360);
	assert_int_equal(mss_of_mtu(0, 4), 536);
	assert_int_equal(mss_of_mtu(0, 6), 516);
	assert_int_equal(mss_of_mtu(UINT32_MAX, 4), 65495);
	assert_int_equal(mss_of_mtu(UINT32_MAX, 6), 65475);
	for (uint32_t mtu = 1; mtu < 70000; mtu++) {
		bool inside = mtu > 576 && mtu <= 65535;

		assert_int_equal(mss_of_mtu(mtu, 4) - mss_of_mtu(mtu - 1, 4), inside);
		assert_int_equal(mss_of_mtu(mtu, 6) - mss_of_mtu(mtu - 1, 6), inside);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	       cmocka_unit_test(test_every_offset_and_length),
		cmocka_unit_test(test_every_mss),      cmocka_unit_test(test_every_limit),
		cmocka_unit_test(test_every_pair),     cmocka_unit_test(test_every_option_length),
		cmocka_unit_test(test_random_lists),   cmocka_unit_test(test_known_lists),
		cmocka_unit_test(test_every_checksum), cmocka_unit_test(test_announced),
		cmocka_unit_test(test_fold),	       cmocka_unit_test(test_mss_of_mtu),
	};

	return cmocka_run_group_tests_name("clamp", tests, NULL, NULL);
}
