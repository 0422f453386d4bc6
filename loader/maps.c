// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Entries and counters in the maps. Not where the maps come from: that is pins.c.
 */
#include "maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int key_compare(const void *one, const void *other)
{
	const struct mssbpf_key *a = one, *b = other;

	if (a->ifindex != b->ifindex)
		return a->ifindex < b->ifindex ? -1 : 1;
	return (int)a->direction - (int)b->direction;
}

/* A map that is read as a whole: each key with its value, of `size` bytes, which is the sum of `copies`. */
struct reading {
	int map;
	size_t size;
	size_t copies; /* of a value: one for each CPU */
	char *list;    /* of elements: a key and a value */
	size_t count;
};

enum { READ_AT_ONCE = 64 }; /* more than a bucket of any map ever has */

static size_t element_size(const struct reading *reading)
{
	return sizeof(struct mssbpf_key) + reading->size;
}

/* Adds up copies of a value. */
static void copies_sum(const struct reading *reading, const __u64 *copies, __u64 *sum)
{
	size_t cells = reading->size / sizeof(__u64);

	memcpy(sum, copies, reading->size);
	for (size_t copy = 1; copy < reading->copies; copy++)
		for (size_t cell = 0; cell < cells; cell++)
			sum[cell] += copies[copy * cells + cell];
}

/* Appends an element. Returns 0 or -ENOMEM. */
static int reading_add(struct reading *reading, const struct mssbpf_key *key, const __u64 *copies)
{
	struct mssbpf_key *element;

	/* The list doubles whenever its length is a power of two. */
	if (!(reading->count & (reading->count - 1))) {
		char *grown =
			reallocarray(reading->list, reading->count ? reading->count * 2 : 1, element_size(reading));

		if (!grown)
			return -ENOMEM;
		reading->list = grown;
	}
	element = (void *)(reading->list + reading->count++ * element_size(reading));
	*element = *key;
	copies_sum(reading, copies, (void *)(element + 1));
	return 0;
}

/* Reads the map into a sorted list, for the caller to free. Returns 0 or -errno; then there is no list. */
static int map_read(struct reading *reading)
{
	size_t value = reading->size * reading->copies;
	struct mssbpf_key keys[READ_AT_ONCE];
	char *values = malloc(READ_AT_ONCE * value);
	__u32 token = 0, some;
	bool first = true;
	int err = values ? 0 : -ENOMEM;

	while (!err) {
		some = READ_AT_ONCE;
		err = bpf_map_lookup_batch(reading->map, first ? NULL : &token, &token, keys, values, &some, NULL);
		first = false;
		for (__u32 i = 0; i < some && (!err || err == -ENOENT); i++) { /* -ENOENT: these are the last */
			int failed = reading_add(reading, &keys[i], (void *)(values + i * value));

			if (failed)
				err = failed;
		}
	}
	free(values);
	if (err != -ENOENT) {
		free(reading->list);
		*reading = (struct reading){};
		return err;
	}
	if (reading->count)
		qsort(reading->list, reading->count, element_size(reading), key_compare);
	return 0;
}

int maps_entries(const struct maps *maps, struct entry **list, size_t *count)
{
	struct reading limits = { .map = maps->limits, .size = sizeof(struct mssbpf_limit), .copies = 1 };
	int err = maps->limits < 0 ? 0 : map_read(&limits);

	_Static_assert(sizeof(struct entry) == sizeof(struct mssbpf_key) + sizeof(struct mssbpf_limit), "an element");
	*list = (struct entry *)limits.list;
	*count = limits.count;
	return err;
}

/* Begins to read counters. Returns 0 or -errno. */
static int counters_reading(const struct maps *maps, struct reading *reading)
{
	int cpus = libbpf_num_possible_cpus();

	*reading = (struct reading){ .map = maps->counters, .size = sizeof(struct mssbpf_counters), .copies = cpus };
	return cpus < 0 ? cpus : 0;
}

int maps_count_ever(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_counters *sum)
{
	struct reading reading;
	int err = counters_reading(maps, &reading);
	__u64 *copies = err ? NULL : calloc(reading.copies, reading.size);

	if (!copies)
		return err ?: -ENOMEM;
	err = bpf_map_lookup_elem(maps->counters, key, copies);
	if (!err)
		copies_sum(&reading, copies, (__u64 *)sum);
	free(copies);
	return err;
}

/* Takes off what counts as zero. What is below that began anew meanwhile, with another entry. */
static void counters_subtract(struct mssbpf_counters *counters, const struct mssbpf_counters *base)
{
	for (size_t cell = 0; cell < sizeof(*counters) / sizeof(__u64); cell++) {
		__u64 *total = (__u64 *)counters + cell, before = ((const __u64 *)base)[cell];

		*total -= *total < before ? 0 : before;
	}
}

const struct counted *counted_find(const struct counted *list, size_t count, const struct mssbpf_key *key)
{
	return count ? bsearch(key, list, count, sizeof(*list), key_compare) : NULL;
}

int maps_counts(const struct maps *maps, struct counted **list, size_t *count)
{
	struct reading base = { .map = maps->baseline, .size = sizeof(struct mssbpf_counters), .copies = 1 };
	struct reading counters;
	int err = counters_reading(maps, &counters);

	_Static_assert(sizeof(struct counted) == sizeof(struct mssbpf_key) + sizeof(struct mssbpf_counters),
		       "likewise");
	/* The base first: then a reset meanwhile makes the sum too large, not negative. */
	if (maps->counters >= 0)
		err = err ?: map_read(&base) ?: map_read(&counters);
	for (size_t i = 0; i < counters.count && !err; i++) {
		struct counted *counted = (struct counted *)counters.list + i;
		const struct counted *zero = counted_find((struct counted *)base.list, base.count, &counted->key);

		if (zero)
			counters_subtract(&counted->counters, &zero->counters);
	}
	free(base.list);
	*list = (struct counted *)counters.list;
	*count = counters.count;
	return err;
}

/*
 * Sets a value. The kernel takes memory for it from a reserve that it fills up in the background, and refuses when
 * many come at once (kernel/bpf/memalloc.c, and mm/percpu.c for the counters): it helps to wait a moment.
 */
static int value_set(int map, const void *key, const void *value, __u64 flags)
{
	static unsigned int patience = 3000; /* milliseconds, of the whole command */
	int err;

	while ((err = bpf_map_update_elem(map, key, value, flags)) == -ENOMEM && patience > 0) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		patience--;
	}
	return err;
}

/* Makes or replaces counters of zero, which lead the programs to the order in the slot. */
static int counters_begin(const struct maps *maps, const struct mssbpf_key *key, __u32 slot)
{
	int cpus = libbpf_num_possible_cpus(), err;
	struct mssbpf_counters *each;

	if (cpus < 0)
		return cpus;
	each = calloc(cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	for (int cpu = 0; cpu < cpus; cpu++)
		each[cpu].slot = slot;
	err = value_set(maps->counters, key, each, BPF_ANY);
	free(each);
	return err;
}

/* Takes a slot for an order, or frees it when the order is 0. */
static int slot_set(const struct maps *maps, __u32 slot, __u64 word)
{
	return value_set(maps->orders, &slot, &word, BPF_ANY);
}

/* Finds a free slot. Returns -E2BIG when there is none. */
static int slot_find(const struct maps *maps, __u32 *slot)
{
	static __u32 next; /* most likely free: behind the last */

	for (__u32 i = 0; i < maps->max_entries; i++) {
		*slot = next++ % maps->max_entries;
		if (!((const volatile __u64 *)maps->slots)[*slot])
			return 0;
	}
	return -E2BIG;
}

/* Deletes from a map that may not be open, what may not be there. */
static int key_delete(int map, const void *key)
{
	int err = map < 0 ? 0 : bpf_map_delete_elem(map, key);

	return err == -ENOENT ? 0 : err;
}

/* Removes counters that are of none of the entries. */
static int counters_reap(const struct maps *maps, const struct entry *entries, size_t count)
{
	struct entry sought = {};
	struct mssbpf_key next;
	int err = bpf_map_get_next_key(maps->counters, NULL, &next), deleted = 0;

	while (!err && !deleted) {
		sought.key = next;
		/* Asked for while this one is there: behind none, the kernel begins anew. */
		err = bpf_map_get_next_key(maps->counters, &sought.key, &next);
		if (!bsearch(&sought, entries, count, sizeof(sought), key_compare))
			deleted = key_delete(maps->counters, &sought.key);
	}
	return deleted ?: err == -ENOENT ? 0 : err;
}

int maps_reap(const struct maps *maps, const struct entry *entries, size_t count)
{
	bool *used = calloc(maps->max_entries + 1, sizeof(*used)), found = false;
	int err = used ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++)
		if (entries[i].limit.slot < maps->max_entries)
			used[entries[i].limit.slot] = true;
	for (__u32 slot = 0; slot < maps->max_entries && !err; slot++) {
		if (!maps->slots[slot] || used[slot])
			continue;
		/* Counters may lead there, and would lead to the order of whoever gets the slot next. */
		err = found ? 0 : counters_reap(maps, entries, count);
		found = true;
		err = err ?: slot_set(maps, slot, 0);
	}
	free(used);
	return err;
}

/* Changes an entry in its place, so that the programs never miss it. Returns 0, -ENOENT or another -errno. */
static int limit_change(const struct maps *maps, const struct mssbpf_key *key, const struct mssbpf_limit *limit)
{
	struct mssbpf_change change = { .key = *key, .limit = *limit };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &change, .data_size_in = sizeof(change));
	int err = bpf_prog_test_run_opts(maps->programs[PROGRAMS_CHANGE][0], &run);

	return err ?: run.retval ? -ENOENT : 0;
}

/* Makes an entry: its order first, then what leads the programs there, then the record. */
static int entry_make(const struct maps *maps, const struct mssbpf_key *key, const struct mssbpf_limit *limit)
{
	struct mssbpf_limit record = *limit;
	int err = slot_find(maps, &record.slot);

	if (err)
		return err;
	err = slot_set(maps, record.slot, record.order.word);
	err = err ?: key_delete(maps->baseline, key);
	err = err ?: counters_begin(maps, key, record.slot);
	err = err ?: value_set(maps->limits, key, &record, BPF_NOEXIST);
	if (err) {
		key_delete(maps->counters, key);
		slot_set(maps, record.slot, 0);
	}
	return err;
}

int maps_entry_set(const struct maps *maps, const struct mssbpf_key *key, const struct mssbpf_limit *limit)
{
	int err = limit_change(maps, key, limit);

	return err == -ENOENT ? entry_make(maps, key, limit) : err;
}

int maps_entry_get(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_limit *limit)
{
	return maps->limits < 0 ? -ENOENT : bpf_map_lookup_elem(maps->limits, key, limit);
}

int maps_reset(const struct maps *maps, const struct mssbpf_key *key)
{
	struct mssbpf_counters sum;

	return maps_count_ever(maps, key, &sum) ?: value_set(maps->baseline, key, &sum, BPF_ANY);
}

int maps_rules_get(const struct maps *maps, __u32 ifindex, __u16 *rules)
{
	*rules = 0;
	for (__u32 direction = 0; direction < MSSBPF_DIRECTIONS && !*rules; direction++) {
		struct mssbpf_limit limit = {};
		int err = maps_entry_get(maps, &(struct mssbpf_key){ ifindex, direction }, &limit);

		if (err && err != -ENOENT)
			return err;
		*rules = limit.order.rules;
	}
	return 0;
}

int maps_entry_remove(const struct maps *maps, const struct mssbpf_key *key)
{
	const struct mssbpf_key other = { key->ifindex, !key->direction };
	struct mssbpf_limit limit;
	int found = maps_entry_get(maps, key, &limit), err;
	__u16 rules;

	if (found && found != -ENOENT)
		return found;
	err = maps_rules_get(maps, key->ifindex, &rules);
	err = err ?: key_delete(maps->counters, key);
	err = err ?: key_delete(maps->baseline, key);
	if (!found)
		err = err ?: slot_set(maps, limit.slot, 0);
	if (!err && rules && maps_entry_get(maps, &other, &limit) == -ENOENT)
		err = key_delete(maps->rules, &(__u32){ rules - 1 });
	return err ?: key_delete(maps->limits, key);
}
