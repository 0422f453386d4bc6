// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The search for a path's MTU (loader/probe_search.c) on simulated paths: every MTU, hops that speak, lie or
 * keep silent, loss of all kinds. Not the place for sockets: those are ../e2e's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "probe_search.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	HOPS_MAX = 4,
	ANY = 65535,	 /* a hop that lets pass everything */
	QUEUE_MAX = 64,	 /* events that come late */
	ATTEMPTS = 4000, /* more than any search may take */
};

/* What a hop does with a packet that is larger than its MTU. */
enum manner {
	DROPS, /* and does not say so */
	SAYS,
	REFUSES, /* says what is not about size */
	ITS_OWN, /* the outgoing interface */
};

struct hop {
	unsigned int mtu;
	enum manner manner;
	unsigned int says; /* the MTU it names, usually its own; SET | 0 means zero */
};

struct path {
	struct hop hops[HOPS_MAX];
	unsigned int hop_count;
	unsigned int back;	   /* MTU of the way back, where larger answers vanish; 0: any */
	unsigned int loss;	   /* percent of the round trips */
	unsigned int calm;	   /* so many attempts go by before the loss begins */
	unsigned int message_loss; /* percent of the hops' messages */
	unsigned int every;	   /* of so many packets one is lost, always the same one; 0: none */
	unsigned int outage;	   /* from this attempt on, 60 attempts long, all is lost; 0: none */
	unsigned int delay;	   /* how many attempts later an event comes */
	unsigned int shrinks;	   /* from this attempt on the first hop's MTU is 1000; 0: never */
	unsigned int dies;	   /* from this attempt on all is lost; 0: never */
	uint32_t seed;

	unsigned int attempts; /* until now */
	struct probe_event queue[QUEUE_MAX];
};

static bool happens(struct path *path, unsigned int percent)
{
	return percent && packet_random(&path->seed) % 100 < percent;
}

static void path_shrink(struct path *path)
{
	if (path->shrinks && path->attempts == path->shrinks)
		path->hops[0] = (struct hop){ .mtu = 1000, .manner = SAYS };
}

/* What the first hop that minds does. Returns false when none does. */
static bool hops_mind(struct path *path, unsigned int size, struct probe_event *event)
{
	for (unsigned int i = 0; i < path->hop_count; i++) {
		const struct hop *hop = &path->hops[i];

		if (size <= hop->mtu)
			continue;
		snprintf(event->from, sizeof(event->from), "192.0.2.%u", i + 1);
		event->mtu = hop->says ? hop->says & ~SET : hop->mtu;
		event->says = "no";
		if (hop->manner == ITS_OWN)
			event->kind = PROBE_TOO_BIG_HERE;
		else if (hop->manner == DROPS || happens(path, path->message_loss))
			event->kind = PROBE_SILENT;
		else
			event->kind = hop->manner == SAYS ? PROBE_TOO_BIG : PROBE_REFUSED;
		return true;
	}
	return false;
}

static void attempt(void *context, unsigned int size, struct probe_event *event)
{
	struct path *path = context;
	struct probe_event now = { .size = size, .age = path->delay };
	unsigned int number = path->attempts;

	assert_true(path->attempts++ < ATTEMPTS);
	path_shrink(path);
	if (!hops_mind(path, size, &now)) {
		bool lost = (number >= path->calm && happens(path, path->loss)) || (path->back && size > path->back) ||
			    (path->every && number % path->every == 0) ||
			    (path->outage && number >= path->outage && number < path->outage + 60) ||
			    (path->dies && number >= path->dies);

		now.kind = lost ? PROBE_SILENT : PROBE_ANSWERED;
	}
	path->queue[number % QUEUE_MAX] = now;
	*event = (struct probe_event){ .size = size };
	if (number >= path->delay)
		*event = path->queue[(number - path->delay) % QUEUE_MAX];
}

static void progress(void *context, const struct probe_step *step)
{
	(void)context;
	assert_true(step->size > 0 && step->probes > 0);
}

static unsigned int attempts; /* that the last search took */

static struct probe_result search(struct path path, unsigned int min, unsigned int max)
{
	struct probe_path probe = { .attempt = attempt, .progress = progress, .context = &path };
	struct probe_result result;

	if (!path.hop_count)
		path.hop_count = 1;
	if (!path.hops[0].mtu)
		path.hops[0].mtu = ANY;
	path.seed = path.seed ?: 1;
	probe_search(&probe, min, max, packet_random(&path.seed), &result);
	attempts = path.attempts;
	return result;
}

static void assert_found(const struct probe_result *result, unsigned int mtu, enum probe_limit limit)
{
	assert_int_equal(result->end, PROBE_FOUND);
	assert_int_equal(result->mtu, mtu);
	assert_int_equal(result->limit, limit);
}

/* Every MTU in every manner, in ranges that begin or end at it, too. */
static void test_every_mtu(void **state)
{
	static const enum manner manners[] = { DROPS, SAYS, ITS_OWN };
	static const enum probe_limit limits[] = { PROBE_LIMIT_BLACK_HOLE, PROBE_LIMIT_HOP, PROBE_LIMIT_INTERFACE };

	(void)state;
	for (unsigned int mtu = 68; mtu <= 9001; mtu++) {
		for (size_t i = 0; i < ARRAY_SIZE(manners); i++) {
			struct path path = { .hops = { { mtu, manners[i], 0 } }, .hop_count = 1 };
			struct probe_result result = search(path, 68, 9001);

			assert_found(&result, mtu, mtu == 9001 ? PROBE_LIMIT_MAXIMUM : limits[i]);
			result = search(path, mtu, mtu + 1);
			assert_found(&result, mtu, limits[i]);
			result = search(path, mtu, mtu);
			assert_found(&result, mtu, PROBE_LIMIT_MAXIMUM);
		}
	}
}

static void test_hop_is_named(void **state)
{
	struct path path = { .hops = { { 1480, SAYS, 0 }, { 1418, SAYS, 0 } }, .hop_count = 2 };
	struct probe_result result = search(path, 576, 1500);

	(void)state;
	assert_found(&result, 1418, PROBE_LIMIT_HOP);
	assert_string_equal(result.hop.from, "192.0.2.2");
	assert_int_equal(result.hop.mtu, 1418);
	assert_int_equal(result.step.size, 1419);
	assert_int_equal(attempts, 5); /* 576, 1500, 1480, 1418, 1419 */
}

static const struct {
	const char *name;
	struct path path;
	unsigned int mtu;
	enum probe_limit limit;
	unsigned int hop_mtu; /* that the limiting hop names */
} rows[] = {
	{ "zero", { { { 1418, SAYS, SET | 0 } }, 1 }, 1418, PROBE_LIMIT_HOP, 0 },
	{ "what was sent, or more", { { { 1418, SAYS, 1500 } }, 1 }, 1418, PROBE_LIMIT_HOP, 1500 },
	{ "one more", { { { 1418, SAYS, 1419 } }, 1 }, 1418, PROBE_LIMIT_HOP, 1419 },
	{ "more than any", { { { 1418, SAYS, 2000000000 } }, 1 }, 1418, PROBE_LIMIT_HOP, 2000000000 },
	{ "between", { { { 1418, SAYS, 1460 } }, 1 }, 1418, PROBE_LIMIT_HOP, 1460 },
	{ "one less", { { { 1418, SAYS, 1417 } }, 1 }, 1418, PROBE_LIMIT_HOP, 1417 },
	{ "less", { { { 1418, SAYS, 1400 } }, 1 }, 1418, PROBE_LIMIT_HOP, 1400 },
	{ "the minimum", { { { 1418, SAYS, 576 } }, 1 }, 1418, PROBE_LIMIT_HOP, 576 },
	{ "below the minimum", { { { 1418, SAYS, 68 } }, 1 }, 1418, PROBE_LIMIT_HOP, 68 },
	{ "one", { { { 1418, SAYS, 1 } }, 1 }, 1418, PROBE_LIMIT_HOP, 1 },
	{ "three in sequence",
	  { { { 1480, SAYS, 0 }, { 1460, SAYS, 0 }, { 1280, SAYS, 0 } }, 3 },
	  1280,
	  PROBE_LIMIT_HOP,
	  1280 },
	{ "one speaks, then a black hole",
	  { { { 1480, SAYS, 0 }, { 1418, DROPS, 0 } }, 2 },
	  1418,
	  PROBE_LIMIT_BLACK_HOLE,
	  0 },
	{ "a liar, then a black hole",
	  { { { 1480, SAYS, SET | 0 }, { 1418, DROPS, 0 } }, 2 },
	  1418,
	  PROBE_LIMIT_BLACK_HOLE,
	  0 },
	{ "a black hole, then one that speaks",
	  { { { 1480, DROPS, 0 }, { 1418, SAYS, 0 } }, 2 },
	  1418,
	  PROBE_LIMIT_HOP,
	  1418 },
	{ "the interface, then a black hole",
	  { { { 1492, ITS_OWN, 0 }, { 1418, DROPS, 0 } }, 2 },
	  1418,
	  PROBE_LIMIT_BLACK_HOLE,
	  0 },
	{ "the interface, then nobody",
	  { { { 1492, ITS_OWN, 0 }, { ANY, DROPS, 0 } }, 2 },
	  1492,
	  PROBE_LIMIT_INTERFACE,
	  0 },
	{ "the interface, which names less", { { { 1418, ITS_OWN, 500 } }, 1 }, 1418, PROBE_LIMIT_INTERFACE, 0 },
	{ "the way back", { .back = 1418 }, 1418, PROBE_LIMIT_BLACK_HOLE, 0 },
	{ "a hop, and the way back", { { { 1480, SAYS, 0 } }, 1, .back = 1418 }, 1418, PROBE_LIMIT_BLACK_HOLE, 0 },
	{ "the way back, and a hop", { { { 1418, SAYS, 0 } }, 1, .back = 1480 }, 1418, PROBE_LIMIT_HOP, 1418 },
};

/* Hops that name what is not so, several hops, and a way back of its own: with loss and without. */
static void test_rows(void **state)
{
	static const unsigned int losses[] = { 0, 30, 50 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t loss = 0; loss < ARRAY_SIZE(losses); loss++) {
			for (uint32_t seed = 1; seed <= 20; seed++) {
				struct path path = rows[i].path;
				struct probe_result result;

				path.loss = losses[loss];
				path.seed = seed * 7919;
				result = search(path, 576, 1500);
				if (result.mtu != rows[i].mtu || result.limit != rows[i].limit)
					print_error("%s, loss %u %%, seed %u\n", rows[i].name, losses[loss], seed);
				assert_found(&result, rows[i].mtu, rows[i].limit);
				if (result.limit == PROBE_LIMIT_HOP)
					assert_int_equal(result.hop.mtu, rows[i].hop_mtu);
			}
		}
	}
}

/* A hop that seldom speaks (ICMP errors are limited in rate) is still found to be one. */
static void test_messages_are_lost(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 2000; seed++) {
		struct path path = {
			.hops = { { 1418, SAYS, 0 } }, .hop_count = 1, .message_loss = 80, .seed = seed * 7919
		};
		struct probe_result result = search(path, 576, 1500);

		assert_found(&result, 1418, PROBE_LIMIT_HOP);
		assert_int_equal(result.hop.mtu, 1418);
	}
}

/*
 * Random MTUs and ranges behind silent and speaking hops, at several rates of loss: the result is right or there
 * is none, and there is one almost always up to 50 %.
 */
static void test_loss(void **state)
{
	static const struct {
		unsigned int loss, none_max; /* percent; searches of 4,000 that may end without a result */
	} rates[] = { { 1, 0 }, { 10, 0 }, { 30, 0 }, { 50, 4 }, { 70, 150 }, { 90, 4000 }, { 97, 4000 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		unsigned int none = 0, wrong = 0;
		uint32_t seed = 0x2545f491;

		for (int round = 0; round < 4000; round++) {
			unsigned int mtu = 576 + packet_random(&seed) % 925;
			bool says = round % 4 == 0;
			struct path path = { .hops = { { mtu, says ? SAYS : DROPS, 0 } },
					     .hop_count = 1,
					     .loss = rates[i].loss,
					     .seed = packet_random(&seed) };
			struct probe_result result = search(path, 576, 1500);

			none += result.end != PROBE_FOUND;
			wrong += result.end == PROBE_FOUND && result.mtu != mtu;
			if (result.end != PROBE_FOUND)
				assert_true(result.end == PROBE_NEVER_ANSWERED || result.end == PROBE_LOSS_TOO_HEAVY);
		}
		print_message("loss %2u %%: %u of 4000 without a result, %u wrong\n", rates[i].loss, none, wrong);
		assert_int_equal(wrong, 0);
		assert_true(none <= rates[i].none_max);
	}
}

/* Answers to the minimum that come when another size is in question prove nothing about that. */
static void test_late_answers_to_the_minimum(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 4000; seed++) {
		struct path path = { .loss = 50, .calm = 12, .delay = 11, .seed = seed * 7919 };
		struct probe_result result = search(path, 576, 1500);

		assert_found(&result, 1500, PROBE_LIMIT_MAXIMUM);
	}
}

/* Limiters that let pass every second or third packet, outages, and answers that come late. */
static void test_loss_with_a_pattern(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 500; seed++) {
		unsigned int mtu = 600 + seed;
		struct path path = { .hops = { { mtu, DROPS, 0 } }, .hop_count = 1, .seed = seed * 7919 };
		struct probe_result result;

		for (path.every = 2; path.every <= 5; path.every++) {
			result = search(path, 576, 1500);
			assert_found(&result, mtu, PROBE_LIMIT_BLACK_HOLE);
		}
		path.every = 0;
		path.outage = 1 + seed % 100;
		result = search(path, 576, 1500);
		assert_true(result.end == PROBE_FOUND ? result.mtu == mtu
						      : result.end == PROBE_LOSS_TOO_HEAVY || path.outage < 12);
		path.outage = 0;
		for (path.delay = 1; path.delay <= 4; path.delay++) {
			result = search(path, 576, 1500);
			assert_found(&result, mtu, PROBE_LIMIT_BLACK_HOLE);
			path.loss = 20; /* answers to the last tries come after the search gave up */
			path.hops[0].manner = SAYS;
			result = search(path, 576, 1500);
			assert_found(&result, mtu, PROBE_LIMIT_HOP);
			path.loss = 0;
			path.hops[0].manner = DROPS;
		}
	}
}

/* Searches that must end without a result, and say why. */
static void test_ends(void **state)
{
	static const struct {
		struct path path;
		enum probe_end end;
		unsigned int mtu;
	} ends[] = {
		{ { { { 500, DROPS, 0 } }, 1 }, PROBE_NEVER_ANSWERED, 0 },
		{ { .loss = 100 }, PROBE_NEVER_ANSWERED, 0 },
		{ { { { 500, SAYS, 0 } }, 1 }, PROBE_MINIMUM_TOO_BIG, 0 },
		{ { { { 500, SAYS, SET | 0 } }, 1 }, PROBE_MINIMUM_TOO_BIG, 0 },
		{ { { { 500, ITS_OWN, 0 } }, 1 }, PROBE_MINIMUM_TOO_BIG, 0 },
		{ { { { 500, REFUSES, 0 } }, 1 }, PROBE_END_REFUSED, 0 },
		{ { { { 500, REFUSES, 0 } }, 1, .message_loss = 80 }, PROBE_END_REFUSED, 0 },
		{ { { { 1400, REFUSES, 0 } }, 1 }, PROBE_END_REFUSED, 576 },
		{ { { { 1400, REFUSES, 0 } }, 1, .message_loss = 90, .loss = 30 }, PROBE_END_REFUSED, 576 },
		{ { { { 1400, DROPS, 0 } }, 1, .dies = 3 }, PROBE_LOSS_TOO_HEAVY, 576 },
		{ { { { 1400, SAYS, 0 } }, 1, .shrinks = 4 }, PROBE_PATH_CHANGED, 1400 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct probe_result result = search(ends[i].path, 576, 1500);

		if (result.end != ends[i].end)
			print_error("row %zu: %u\n", i, result.end);
		assert_int_equal(result.end, ends[i].end);
		assert_int_equal(result.mtu, ends[i].mtu);
		assert_true(result.step.size > 0 && result.step.probes > 0);
	}
}

/* A path that changes while it is probed: no result, or one that was true before or after. Never a hang. */
static void test_path_that_shrinks(void **state)
{
	(void)state;
	for (unsigned int when = 1; when < 120; when++) {
		for (int says = 0; says < 2; says++) {
			struct path path = { .hops = { { 1400, says ? SAYS : DROPS, 0 } },
					     .hop_count = 1,
					     .shrinks = when };
			struct probe_result result = search(path, 576, 1500);

			assert_true(result.end == PROBE_PATH_CHANGED || result.end == PROBE_LOSS_TOO_HEAVY ||
				    result.end == PROBE_FOUND);
			if (result.end == PROBE_FOUND)
				assert_true(result.mtu == 1400 || result.mtu == 1000);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_mtu),
		cmocka_unit_test(test_hop_is_named),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_messages_are_lost),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_late_answers_to_the_minimum),
		cmocka_unit_test(test_loss_with_a_pattern),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_path_that_shrinks),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
