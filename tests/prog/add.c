// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * SYNs without an MSS option that get one: every program, whole packets and counters. What happens to SYNs that have
 * one, and all that is the same with and without --add-missing, is in programs.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/object.h"
#include "../lib/packet.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	TEST_SKB_CHECKSUM_COMPLETE = 1 << 2, /* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, Linux 6.16 */
	ADD = MSSBPF_ADD_MISSING,
	ADD_LIMIT = MSSBPF_ADD_MISSING | MSSBPF_ADD_LIMIT,
	LIMIT = 1360, /* usually */
};

struct row {
	const char *name;
	struct packet_spec packet; /* without a version: both; without options: none */
	enum mssbpf_result result;
	uint16_t mss4, mss6; /* that are added; usually 536 and 1220 */
	uint32_t flags;	     /* usually ADD */
	uint16_t limit;	     /* usually LIMIT */
	enum mssbpf_kind kind;
};

#define NOP4 NOP, NOP, NOP, NOP
#define NOP36 NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, NOP4

static const struct row rows[] = {
	{ "no options", {}, MSSBPF_ADDED },
	{ "SYN-ACK", { .flags = SYN | ACK }, MSSBPF_ADDED, .kind = MSSBPF_SYN_ACK },
	{ "the limit", {}, MSSBPF_ADDED, LIMIT, LIMIT, ADD_LIMIT },
	{ "a limit between", {}, MSSBPF_ADDED, 536, 1000, .limit = 1000 },
	{ "a lower limit", {}, MSSBPF_ADDED, 500, 500, .limit = 500 },
	{ "a limit of 1", {}, MSSBPF_ADDED, 1, 1, .limit = 1 },
	{ "a limit of 65495", {}, MSSBPF_ADDED, 65495, 65495, ADD_LIMIT, 65495 },
	{ "not asked for", {}, MSSBPF_NO_MSS, .flags = MSSBPF_ADD_LIMIT },
	{ "dry run", {}, MSSBPF_ADDED, .flags = ADD | MSSBPF_DRY_RUN },
	{ "has one", { .options = BYTES(MSS(500)) }, MSSBPF_ALREADY_LOW },

	{ "4 bytes of options", { .options = BYTES(SACK_PERMITTED, NOP, NOP) }, MSSBPF_ADDED },
	{ "as Linux, but for MSS", { .options = BYTES(SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE) }, MSSBPF_ADDED },
	{ "END first", { .options = BYTES(END, 1, 2, 3) }, MSSBPF_ADDED },
	{ "END, MSS", { .options = BYTES(END, MSS(1460)) }, MSSBPF_ADDED },
	{ "MD5", { .options = BYTES(MD5) }, MSSBPF_ADDED },
	{ "36 bytes of options", { .options = BYTES(NOP36) }, MSSBPF_ADDED },
	{ "no room", { .options = BYTES(NOP36, NOP4) }, MSSBPF_NO_MSS },
	{ "AO", { .options = BYTES(AO) }, MSSBPF_TCP_AO },
	{ "malformed", { .options = BYTES(5, 0) }, MSSBPF_MALFORMED },
	{ "AH", { .extensions = "a" }, MSSBPF_AH },

	{ "payload", { .payload = 1 }, MSSBPF_NO_MSS },
	{ "TFO", { .options = BYTES(TFO), .payload = 1000 }, MSSBPF_NO_MSS },
	{ "payload that is cut off", { .payload = 4, .cut = 4 }, MSSBPF_NO_MSS },
	{ "IP length within the header", { .version = 4, .ip_length = 39 }, MSSBPF_TRUNCATED },
	{ "wrong checksum", { .checksum_error = 0x1234 }, MSSBPF_ADDED },
	{ "1 byte of padding", { .trailing = 1 }, MSSBPF_ADDED },
	{ "3 bytes of padding", { .trailing = 3 }, MSSBPF_ADDED },
	{ "4 bytes of padding", { .trailing = 4 }, MSSBPF_ADDED },
	{ "6 bytes of padding", { .trailing = 6 }, MSSBPF_ADDED },
	{ "padding, options",
	  { .options = BYTES(SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE), .trailing = 5 },
	  MSSBPF_ADDED },

	{ "IPv4 options", { .version = 4, .ip_options = 40 }, MSSBPF_ADDED },
	{ "do not fragment", { .version = 4, .fragment = 0x4000 }, MSSBPF_ADDED },
	{ "IPv4, first fragment", { .version = 4, .fragment = 0x2000 }, MSSBPF_NO_MSS },
	{ "IPv6, first fragment", { .version = 6, .extensions = "f" }, MSSBPF_NO_MSS },
	{ "IPv6, only fragment", { .version = 6, .extensions = "f0" }, MSSBPF_NO_MSS },
	{ "extension headers", { .version = 6, .extensions = "hd" }, MSSBPF_NO_MSS },
	{ "802.1Q", { .vlan = { 0x8100 } }, MSSBPF_ADDED },
	{ "802.1ad, 802.1Q", { .vlan = { 0x88a8, 0x8100 }, .trailing = 2 }, MSSBPF_ADDED },
	{ "PPPoE", { .pppoe = 0x11 }, MSSBPF_ADDED },
	{ "PPPoE, padding", { .pppoe = 0x11, .vlan = { 0x8100 }, .trailing = 4 }, MSSBPF_ADDED },
};

static struct object object;
static const char *unavailable;

/* What the row's packet becomes: its IP packet grows by four bytes, into the padding if there is some. */
static void build_grown(const struct row *row, const struct packet *packet, enum packet_link link,
			struct packet *expected)
{
	struct packet_spec after = row->packet;
	uint16_t mss = after.version == 6 ? row->mss6 : row->mss4;
	uint8_t options[40] = { MSS(mss) };

	if (after.options.length)
		memcpy(options + 4, after.options.bytes, after.options.length);
	after.options = (struct packet_bytes){ options, after.options.length + 4 };
	after.trailing = 0;
	packet_build(expected, &after, link);
	if (packet->length > expected->length) {
		memcpy(expected->data + expected->length, packet->data + expected->length,
		       packet->length - expected->length);
		expected->length = packet->length;
	}
}

static void check_row_under(const struct row *row, const struct object_program *program, uint32_t flags)
{
	const struct mssbpf_key key = { OBJECT_IFINDEX, program->direction };
	const union mssbpf_order order = { .mss4 = row->limit, .mss6 = row->limit, .flags = row->flags };
	enum mssbpf_family family = row->packet.version == 6 ? MSSBPF_IPV6 : MSSBPF_IPV4;
	static struct packet packet, expected;
	struct mssbpf_counters counters, counted = {};
	struct object_outcome outcome;
	int err;

	packet_build(&packet, &row->packet, program->link);
	expected = packet;
	if (row->result == MSSBPF_ADDED && !(row->flags & MSSBPF_DRY_RUN))
		build_grown(row, &packet, program->link, &expected);
	counted.packets[family][row->kind][row->result] = 1;
	assert_int_equal(object_set_limit(&object, key, order), 0);
	assert_int_equal(object_reset_counters(&object, key), 0);
	err = object_run(program, &packet, flags, &outcome);
	if (err)
		fail_msg("%s, IPv%d, %s: the run failed: %s", row->name, row->packet.version, program->name,
			 strerror(-err));
	for (size_t i = 0; i < expected.length && i < outcome.length; i++)
		if (outcome.data[i] != expected.data[i])
			fail_msg("%s, IPv%d, %s: byte %zu (TCP%+d) is %02x instead of %02x", row->name,
				 row->packet.version, program->name, i, (int)(i - expected.tcp), outcome.data[i],
				 expected.data[i]);
	if (outcome.length != expected.length)
		fail_msg("%s, IPv%d, %s: %zu bytes instead of %zu", row->name, row->packet.version, program->name,
			 outcome.length, expected.length);
	assert_int_equal(object_read_counters(&object, key, &counters), 0);
	if (memcmp(counters.packets, counted.packets, sizeof(counters.packets)) != 0)
		fail_msg("%s, IPv%d, %s: counted as something else", row->name, row->packet.version, program->name);
}

static void check_row(const struct row *row, uint32_t flags)
{
	for (uint8_t version = 4; version <= 6; version += 2) {
		struct row whole = *row;

		if (row->packet.version && row->packet.version != version)
			continue;
		whole.packet.version = version;
		whole.packet.options = row->packet.options.bytes ? row->packet.options : (struct packet_bytes)NO_BYTES;
		whole.mss4 = row->mss4 ? row->mss4 : 536;
		whole.mss6 = row->mss6 ? row->mss6 : 1220;
		whole.flags = row->flags ? row->flags : ADD;
		whole.limit = row->limit ? row->limit : LIMIT;
		for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
			const struct object_program *program = &object.program[i];

			if (program->xdp ? flags : row->packet.pppoe)
				continue;
			/* A test run sums up from byte 14 on, also where the IP header begins at 0. */
			if (flags && program->link == PACKET_BARE && row->result == MSSBPF_ADDED)
				continue;
			if (program->link == PACKET_ETHERNET || !row->packet.vlan[0])
				check_row_under(&whole, program, flags);
		}
	}
}

static void test_row(void **state)
{
	object_need(unavailable);
	check_row(*state, 0);
}

/*
 * As from a device that sums up what it receives: the kernel compares the sum afterwards. Not where the packet outgrows
 * its frame: then the kernel gives up the sum, and compares all the same.
 */
static void test_checksum_complete(void **state)
{
	static struct packet packet;
	struct object_outcome outcome;

	(void)state;
	object_need(unavailable);
	packet_build(&packet, &(struct packet_spec){ .version = 4 }, PACKET_ETHERNET);
	if (object_run(&object.program[0], &packet, TEST_SKB_CHECKSUM_COMPLETE, &outcome) == -EINVAL) {
		print_message("SKIPPED: this kernel runs no program on packets with CHECKSUM_COMPLETE (6.16 does)\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].result != MSSBPF_ADDED || rows[i].flags & MSSBPF_DRY_RUN || rows[i].packet.trailing >= 4)
			check_row(&rows[i], TEST_SKB_CHECKSUM_COMPLETE);
}

/* Every checksum there can be before, with options of every length in turn. */
static void test_every_checksum(void **state)
{
	static const uint8_t options[] = { NOP36 };

	(void)state;
	object_need(unavailable);
	for (uint32_t sequence = 0; sequence <= UINT16_MAX; sequence++) {
		const uint16_t mss = sequence < MSSBPF_MSS_NONE - 1 ? sequence | 1 : MSSBPF_MSS_NONE - 1;
		size_t length = sequence % 10 * 4;
		const struct row row = { .name = "every checksum",
					 .packet = { .version = sequence % 3 ? 4 : 6,
						     .sequence = sequence * 7,
						     .options = { options, length },
						     .trailing = sequence % 7 },
					 .result = MSSBPF_ADDED,
					 .mss4 = mss,
					 .mss6 = mss,
					 .limit = mss,
					 .flags = ADD_LIMIT };

		/* XDP leaves one of them in doubt: see partial.c. */
		check_row_under(&row, &object.program[sequence % 4], 0);
	}
}

static int setup(void **state)
{
	(void)state;
	unavailable = object_unavailable();
	return unavailable ? 0 : object_open(&object);
}

static int teardown(void **state)
{
	(void)state;
	object_close(&object);
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(rows) + 2] = {
		cmocka_unit_test(test_checksum_complete),
		cmocka_unit_test(test_every_checksum),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i + 2] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)&rows[i] };
	return cmocka_run_group_tests_name("adding the option", tests, setup, teardown);
}
