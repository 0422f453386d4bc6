// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Limits that change while SYNs pass: the loader's own way to change them against the loaded programs on another
 * processor. Not about commands, nor about what is right for one limit: that is programs.c's.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <maps.h>

#include <bpf/libbpf.h>

#include "../lib/object.h"
#include "../lib/packet.h"

#include "mssbpf.skel.h"

enum {
	OFFERED = 1460,
	CHANGES = 100000, /* for each program and pair of orders; FLIPS=N: another number */
	OTHERS = 2,	  /* entries of other interfaces that change, too */
};

/* Two orders that take turns, and what SYNs may leave with: over IPv4 and IPv6, under the one and the other. */
struct turns {
	const char *name;
	union mssbpf_order orders[2];
	uint16_t left[2][2];
};

static struct turns turns[] = {
	{ "two limits",
	  { { .mss4 = 1360, .mss6 = 1340 }, { .mss4 = 1260, .mss6 = 1240 } },
	  { { 1360, 1260 }, { 1340, 1240 } } },
	/* The limits of the one with the flags of the other would let 1360 or 1340 leave. */
	{ "dry run and not",
	  { { .mss4 = 1360, .mss6 = 1340, .flags = MSSBPF_DRY_RUN }, { .mss4 = 1260, .mss6 = 1240 } },
	  { { OFFERED, 1260 }, { OFFERED, 1240 } } },
};

static struct object object;
static const char *unavailable;
static struct maps maps;
static unsigned long changes = CHANGES;
static const struct turns *current;
static const struct object_program *program;
static atomic_bool done;
static atomic_int failure;

/* Changes the limits again and again, as the command does, and those of other interfaces in between. */
static void *change(void *unused)
{
	(void)unused;
	for (unsigned long i = 0; i < changes && !failure; i++) {
		for (uint32_t other = 0; other <= OTHERS && !failure; other++) {
			const struct mssbpf_key key = { OBJECT_IFINDEX + other, program->direction };
			struct mssbpf_limit limit = { .order = current->orders[i % 2] };

			if (other)
				limit.order = (union mssbpf_order){ .mss4 = 1000 + other, .mss6 = 1000 + other };
			failure = maps_entry_set(&maps, &key, &limit);
		}
	}
	done = true;
	return NULL;
}

/* Runs the program on a SYN. Tells which of the two orders it obeyed. */
static unsigned int pass(const struct packet *packet, const uint16_t left[2])
{
	static struct object_outcome outcome;
	const uint8_t *value = outcome.data + packet->tcp + 23;
	uint16_t mss;

	assert_int_equal(object_run(program, packet, 0, &outcome), 0);
	assert_int_equal(outcome.length, packet->length);
	mss = value[0] << 8 | value[1];
	if (mss != left[0] && mss != left[1])
		fail_msg("%s, %s: a SYN left with MSS %u", program->name, current->name, mss);
	return mss == left[1];
}

/* Passes SYNs of both families by turns until the limits change no more. Returns how many. */
static unsigned long pass_all(void)
{
	static const uint8_t options[] = { NOP, MSS(OFFERED), NOP, NOP, NOP };
	static struct packet packets[2];
	unsigned long passed[2] = {};

	for (size_t i = 0; i < 2; i++)
		packet_build(&packets[i],
			     &(struct packet_spec){ .version = i ? 6 : 4, .options = { options, sizeof(options) } },
			     program->link);
	while (!done)
		for (size_t i = 0; i < 2; i++)
			passed[pass(&packets[i], current->left[i])]++;
	print_message("%-22s %s: %lu changes; %lu SYNs obeyed the one, %lu the other\n", program->name, current->name,
		      changes, passed[0], passed[1]);
	return passed[0] + passed[1];
}

static void check_program(void)
{
	const struct mssbpf_key key = { OBJECT_IFINDEX, program->direction };
	struct mssbpf_counters counters;
	unsigned long passed;
	pthread_t thread;

	assert_int_equal(maps_entry_remove(&maps, &key), 0);
	assert_int_equal(maps_entry_set(&maps, &key, &(struct mssbpf_limit){ .order = current->orders[1] }), 0);
	done = false;
	assert_int_equal(pthread_create(&thread, NULL, change, NULL), 0);
	passed = pass_all();
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(failure, 0);
	assert_int_equal(object_read_counters(&object, key, &counters), 0);
	assert_int_equal(counters.packets[MSSBPF_IPV4][MSSBPF_SYN][MSSBPF_CLAMPED] +
				 counters.packets[MSSBPF_IPV6][MSSBPF_SYN][MSSBPF_CLAMPED],
			 passed);
}

static void test_turns(void **state)
{
	object_need(unavailable);
	current = *state;
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		program = &object.program[i];
		if (program->direction == MSSBPF_EGRESS || program->xdp)
			check_program();
	}
}

static int setup(void **state)
{
	const char *given = getenv("FLIPS");

	(void)state;
	if (given)
		changes = strtoul(given, NULL, 10);
	unavailable = object_unavailable();
	if (unavailable)
		return 0;
	if (object_open(&object))
		return -1;
	maps = object_maps(&object);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	object_close(&object);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ turns[0].name, test_turns, NULL, NULL, &turns[0] },
		{ turns[1].name, test_turns, NULL, NULL, &turns[1] },
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
