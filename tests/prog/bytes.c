// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets as bytes, which a program was wrong on when `make fuzz` found them: a row is what that prints, and a name.
 * Rows that can be said in words are in programs.c.
 */
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
#define NOT_COUNTED MSSBPF_RESULTS

enum {
	TC_NEXT = -1,
	XDP_GO_ON = 2,
};

struct row {
	const char *name, *program;
	union mssbpf_order order;
	enum mssbpf_family family;
	enum mssbpf_kind kind;
	enum mssbpf_result result;    /* or NOT_COUNTED */
	const char *packet, *becomes; /* hexadecimal */
};

static const struct row rows[] = {
	{ "IPv4, AH, hop-by-hop: an unknown protocol there",
	  "mssbpf_tc_l3_egress",
	  { .mss4 = 1221, .mss6 = 537, .flags = MSSBPF_ADD_MISSING },
	  .result = NOT_COUNTED,
	  .packet = "45000000000000000033000008000000000000000000000000000000000000000000",
	  .becomes = "45000000000000000033000008000000000000000000000000000000000000000000" },
	{ "MSS added in PPPoE that says to be longer than anything",
	  "mssbpf_xdp",
	  { .mss4 = 256, .mss6 = 255, .flags = MSSBPF_ADD_MISSING },
	  MSSBPF_IPV6,
	  MSSBPF_SYN_ACK,
	  MSSBPF_ADDED,
	  .packet = "00000000000000000000000081000000886411000000ffff005764000000002406000000000000000000000000000000"
		    "000000000000000000000000000000000000000000000000000000000000911200000000000000000000000000000000"
		    "000000000000",
	  .becomes = "00000000000000000000000081000000886411000000ffff005764000000002806000000000000000000000000000000"
		     "000000000000000000000000000000000000000000000000000000000000a1120000ecf80000020400ff000000000000"
		     "00000000000000000000" },
	{ "MSS added where PPPoE has padding: its frame keeps its length",
	  "mssbpf_xdp",
	  { .mss4 = 256, .mss6 = 255, .flags = MSSBPF_ADD_MISSING },
	  MSSBPF_IPV6,
	  MSSBPF_SYN_ACK,
	  MSSBPF_ADDED,
	  .packet = "000000000000000000000000810000008864110000000052005764000000002406000000000000000000000000000000"
		    "000000000000000000000000000000000000000000000000000000000000911200000000000000000000000000000000"
		    "00000000000000000000",
	  .becomes = "000000000000000000000000810000008864110000000052005764000000002806000000000000000000000000000000"
		     "000000000000000000000000000000000000000000000000000000000000a1120000ecf80000020400ff000000000000"
		     "00000000000000000000" },
};

static struct object object;
static const char *unavailable;

static size_t from_hex(const char *text, uint8_t *bytes, size_t size)
{
	size_t length = strlen(text) / 2;

	assert_in_range(length, 1, size);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(sscanf(text + 2 * i, "%2hhx", &bytes[i]), 1);
	return length;
}

static const struct object_program *program_of(const struct row *row)
{
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++)
		if (strcmp(object.program[i].name, row->program) == 0)
			return &object.program[i];
	fail_msg("%s: no such program: %s", row->name, row->program);
	return NULL;
}

static void test_row(void **state)
{
	const struct row *row = *state;
	static struct packet packet, expected;
	struct mssbpf_counters counters, counted = {};
	const struct object_program *program;
	struct object_outcome outcome;
	struct mssbpf_key key;

	object_need(unavailable);
	program = program_of(row);
	key = (struct mssbpf_key){ OBJECT_IFINDEX, program->direction };
	packet.length = from_hex(row->packet, packet.data, sizeof(packet.data));
	expected.length = from_hex(row->becomes, expected.data, sizeof(expected.data));
	if (row->result != NOT_COUNTED)
		counted.packets[row->family][row->kind][row->result] = 1;
	assert_int_equal(object_set_limit(&object, key, row->order), 0);
	assert_int_equal(object_reset_counters(&object, key), 0);
	assert_int_equal(object_run(program, &packet, 0, &outcome), 0);
	assert_int_equal(outcome.returned, program->xdp ? XDP_GO_ON : TC_NEXT);
	assert_int_equal(outcome.length, expected.length);
	assert_memory_equal(outcome.data, expected.data, expected.length);
	assert_int_equal(object_read_counters(&object, key, &counters), 0);
	assert_memory_equal(&counters, &counted, sizeof(counters));
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
	struct CMUnitTest tests[ARRAY_SIZE(rows)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)&rows[i] };
	return cmocka_run_group_tests_name("found by fuzzing", tests, setup, teardown);
}
