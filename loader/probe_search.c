// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The search for a path's MTU. Not the sockets: those are probe.c's.
 *
 * When does silence mean size? A probe of the size in question and a control, of the largest size known to
 * pass, are sent in pairs, in random order. Suppose the size does pass and replies are only lost. Then either
 * of a pair is as likely to be the one that is answered, however loss is spread in time. The search takes the
 * size for too large only after CONTROLS_ENOUGH controls were answered and no probe ever was: at loss p of the
 * round trip that has the probability (p / (1 + p)) ^ 15, which is 3e-10 for p = 30 %, 7e-8 for 50 % and
 * 2 ^ -15 = 3e-5 at the very worst, p near 100 %. A search asks about 16 sizes by halving 68 to 65535, and about
 * two more for every hop that speaks; so less than 1e-3 is left at any loss, 2e-6 at 50 %. The order is random
 * because rate limits that let pass every other packet would otherwise always hit the same of a pair.
 * That the minimum is answered at all is missed with 0.5 ^ 12 = 2.4e-4 at 50 % loss (and said as what it is).
 *
 * What hops say is a hint where to look, not a bound: the sizes next to it are tried as well. There are hops
 * that say MTU 0 (before RFC 1191), more than they let pass, or less (IPsec gateways that round).
 */
#include "probe_search.h"

#include <stdbool.h>

enum {
	MINIMUM_TRIES = 12,
	CONTROLS_ENOUGH = 15,
	PROBES_MAX = 100,     /* of one size */
	CONTROLS_SILENT = 30, /* none of so many answered: the path is down */
	WORDS_ENOUGH = 3,     /* messages that are not about size, and end the search */
};

struct search {
	const struct probe_path *path;
	struct probe_result *result;
	unsigned int low;	   /* the largest size that was answered */
	unsigned int high;	   /* the largest size that nothing speaks against */
	struct probe_event limit;  /* what speaks against high + 1; PROBE_ANSWERED: nothing, it is the maximum */
	struct probe_event said;   /* the latest hop that named an MTU smaller than what it dropped */
	unsigned int refused;	   /* messages during this step that are not about size */
	unsigned int contradicted; /* messages during this step against what was answered before */
	uint32_t random;
};

/* xorshift32 */
static bool random_bit(struct search *search)
{
	search->random ^= search->random << 13;
	search->random ^= search->random >> 17;
	search->random ^= search->random << 5;
	return search->random >> 31;
}

static unsigned int smaller(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static void step_end(struct search *search, const struct probe_step *step)
{
	search->result->step = *step;
	if (search->path->progress)
		search->path->progress(search->path->context, step);
}

/* Ends the search without a result. Returns false. */
static bool search_fail(struct search *search, const struct probe_step *step, enum probe_end end)
{
	search->result->step = *step;
	search->result->end = end;
	return false;
}

/* Draws the conclusions from one event, whichever probe it is about. */
static void event_apply(struct search *search, struct probe_step *step, const struct probe_event *event)
{
	bool passed_before = event->size <= search->low;

	if (event->kind == PROBE_SILENT)
		return;
	if (event->kind == PROBE_ANSWERED) {
		if (passed_before) { /* those of earlier steps prove nothing: no probe was paired with them */
			step->controls_answered += event->age < step->probes + step->controls;
		} else {
			step->event = *event;
			search->low = smaller(event->size, search->high);
		}
		return;
	}
	if (event->kind == PROBE_TOO_BIG && event->mtu < event->size)
		search->said = *event;
	if (event->size > search->high) /* late, and settled without it */
		return;
	step->event = *event;
	if (passed_before) {
		search->contradicted++;
	} else if (event->kind == PROBE_REFUSED) {
		search->refused++;
	} else {
		search->high = event->size - 1;
		if (event->kind == PROBE_TOO_BIG_HERE && event->mtu >= search->low)
			search->high = smaller(search->high, event->mtu);
		search->limit = *event;
	}
}

static void attempt(struct search *search, struct probe_step *step, unsigned int size)
{
	struct probe_event event = { .size = size };

	if (size == step->size)
		step->probes++;
	else
		step->controls++;
	search->path->attempt(search->path->context, size, &event);
	event_apply(search, step, &event);
}

/* Something was said about the size, or so often something else that there is no point in going on. */
static bool step_settled(const struct search *search, const struct probe_step *step)
{
	return search->low >= step->size || search->high < step->size || search->refused >= WORDS_ENOUGH ||
	       search->contradicted >= WORDS_ENOUGH;
}

/* Enough was sent to draw a conclusion from silence, or to give up. */
static bool step_exhausted(const struct probe_step *step)
{
	return step->controls_answered >= CONTROLS_ENOUGH || step->probes >= PROBES_MAX ||
	       (step->controls >= CONTROLS_SILENT && !step->controls_answered);
}

/* Finds out whether a size, low < size <= high, passes. Returns false when the search is to end. */
static bool size_test(struct search *search, unsigned int size)
{
	struct probe_step step = { .size = size, .control_size = search->low };

	search->refused = search->contradicted = 0;
	attempt(search, &step, size); /* alone: mostly this settles it */
	while (!step_settled(search, &step) && !step_exhausted(&step)) {
		bool probe_first = random_bit(search);

		attempt(search, &step, probe_first ? size : step.control_size);
		if (!step_settled(search, &step))
			attempt(search, &step, probe_first ? step.control_size : size);
	}
	if (search->low >= size || search->high < size) {
		step.size = step.event.size; /* a late event may be about another size */
		step_end(search, &step);
		return true;
	}
	if (search->contradicted >= WORDS_ENOUGH)
		return search_fail(search, &step,
				   step.event.kind == PROBE_REFUSED ? PROBE_END_REFUSED : PROBE_PATH_CHANGED);
	if (search->refused) /* too seldom to end it, but it is no silence */
		return search_fail(search, &step, PROBE_END_REFUSED);
	if (step.controls_answered < CONTROLS_ENOUGH)
		return search_fail(search, &step, PROBE_LOSS_TOO_HEAVY);
	step.event = (struct probe_event){ .kind = PROBE_SILENT, .size = size };
	search->high = size - 1;
	search->limit = step.event;
	step_end(search, &step);
	return true;
}

/* Asks the host for a first answer. Returns false when the search is to end. */
static bool minimum_test(struct search *search, unsigned int min)
{
	struct probe_step step = { .size = min };
	unsigned int words = 0;

	while (step.probes < MINIMUM_TRIES && words < WORDS_ENOUGH) {
		struct probe_event event = { .size = min };

		step.probes++;
		search->path->attempt(search->path->context, min, &event);
		if (event.kind != PROBE_SILENT)
			step.event = event;
		if (event.kind == PROBE_ANSWERED) {
			search->low = min;
			step_end(search, &step);
			return true;
		}
		words += event.kind == PROBE_TOO_BIG_HERE ? WORDS_ENOUGH : event.kind != PROBE_SILENT;
	}
	if (!words)
		return search_fail(search, &step, PROBE_NEVER_ANSWERED);
	return search_fail(search, &step, step.event.kind == PROBE_REFUSED ? PROBE_END_REFUSED : PROBE_MINIMUM_TOO_BIG);
}

/* Which size to try next: the largest, if nothing else is known; what a hop named; the one above; the middle. */
static unsigned int size_next(const struct search *search)
{
	if (search->limit.kind == PROBE_ANSWERED || search->limit.kind == PROBE_TOO_BIG_HERE)
		return search->high; /* often this is all */
	if (search->said.mtu > search->low && search->said.mtu <= search->high)
		return search->said.mtu;
	if (search->said.mtu == search->low)
		return search->low + 1;
	return search->low + (search->high - search->low + 1) / 2;
}

/*
 * Where a hop names less than what was answered, either it lies or the path has changed under the search: asks
 * for what was answered once more, and ends the search without a result if that does not pass any longer.
 */
static void limit_confirm(struct search *search)
{
	struct probe_step step = { .size = search->low + 1, .control_size = search->low };

	search->contradicted = 0;
	while (!step.controls_answered && search->contradicted < WORDS_ENOUGH && step.controls < PROBES_MAX)
		attempt(search, &step, search->low);
	if (step.controls_answered)
		return;
	step.size = search->low;
	step.probes = step.controls;
	search_fail(search, &step, search->contradicted ? PROBE_PATH_CHANGED : PROBE_LOSS_TOO_HEAVY);
}

/* Says what the limit is. A hop that named it once need not do so each time: it may limit its messages. */
static void limit_name(const struct search *search)
{
	struct probe_result *result = search->result;

	if (search->limit.kind == PROBE_ANSWERED) {
		result->limit = PROBE_LIMIT_MAXIMUM;
	} else if (search->limit.kind == PROBE_TOO_BIG_HERE) {
		result->limit = PROBE_LIMIT_INTERFACE;
	} else if (search->limit.kind == PROBE_TOO_BIG) {
		result->limit = PROBE_LIMIT_HOP;
		result->hop = search->limit;
	} else if (search->said.mtu == result->mtu) {
		result->limit = PROBE_LIMIT_HOP;
		result->hop = search->said;
	} else {
		result->limit = PROBE_LIMIT_BLACK_HOLE;
	}
}

void probe_search(const struct probe_path *path, unsigned int min, unsigned int max, uint32_t seed,
		  struct probe_result *result)
{
	struct search search = {
		.path = path,
		.result = result,
		.high = max,
		.limit = { .kind = PROBE_ANSWERED },
		.random = seed ?: 1,
	};
	bool more;

	*result = (struct probe_result){ .end = PROBE_FOUND };
	more = minimum_test(&search, min);
	while (more && search.low < search.high)
		more = size_test(&search, size_next(&search));
	if (more && search.limit.kind == PROBE_TOO_BIG && search.limit.mtu && search.limit.mtu < search.low)
		limit_confirm(&search);
	result->mtu = search.low;
	if (result->end == PROBE_FOUND)
		limit_name(&search);
}
