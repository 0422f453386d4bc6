// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Entries and counters in the maps. Not where the maps come from: that is pins.c.
 */
#include "maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { ENTRIES_AT_ONCE = 256 }; /* more than a bucket of the map ever has */

static int entry_compare(const void *one, const void *other)
{
	const struct entry *a = one, *b = other;

	if (a->key.ifindex != b->key.ifindex)
		return a->key.ifindex < b->key.ifindex ? -1 : 1;
	return (int)a->key.direction - (int)b->key.direction;
}

/* Reads some of the entries behind the place that the token is, as many as there is room for. */
static int entries_read(const struct maps *maps, bool first, __u32 *token, struct entry *entries, __u32 *count)
{
	struct mssbpf_key keys[ENTRIES_AT_ONCE];
	struct mssbpf_limit limits[ENTRIES_AT_ONCE];
	int err;

	*count = ENTRIES_AT_ONCE;
	err = bpf_map_lookup_batch(maps->limits, first ? NULL : token, token, keys, limits, count, NULL);
	if (err && err != -ENOENT) /* -ENOENT: these are the last */
		return err;
	for (__u32 i = 0; i < *count; i++)
		entries[i] = (struct entry){ keys[i], limits[i] };
	return err;
}

int maps_entries(const struct maps *maps, struct entry **list, size_t *count)
{
	struct entry *entries = NULL;
	size_t used = 0, room = 0;
	__u32 token = 0, some;
	int err = 0;

	*list = NULL;
	*count = 0;
	while (maps->limits >= 0 && !err) {
		if (room < used + ENTRIES_AT_ONCE) {
			struct entry *grown =
				reallocarray(entries, room = room * 2 + ENTRIES_AT_ONCE, sizeof(*entries));

			if (!grown) {
				err = -ENOMEM;
				break;
			}
			entries = grown;
		}
		err = entries_read(maps, !used, &token, entries + used, &some);
		if (!err || err == -ENOENT)
			used += some;
	}
	if (err && err != -ENOENT) {
		free(entries);
		return err;
	}
	if (used)
		qsort(entries, used, sizeof(*entries), entry_compare);
	*list = entries;
	*count = used;
	return 0;
}

enum { COUNTER_CELLS = sizeof(struct mssbpf_counters) / sizeof(__u64) };

int maps_count_ever(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_counters *sum)
{
	int cpus = libbpf_num_possible_cpus(), err;
	struct mssbpf_counters *each;

	if (cpus < 0)
		return cpus;
	each = calloc(cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	*sum = (struct mssbpf_counters){};
	err = bpf_map_lookup_elem(maps->counters, key, each);
	for (int cpu = 0; cpu < cpus && !err; cpu++)
		for (size_t cell = 0; cell < COUNTER_CELLS; cell++)
			((__u64 *)sum)[cell] += ((const __u64 *)&each[cpu])[cell];
	free(each);
	return err;
}

int maps_count(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_counters *sum)
{
	struct mssbpf_counters base;
	int err;

	/*
	 * The base first: then a reset meanwhile makes the sum too large, not negative. What is below the base began
	 * anew meanwhile, with another entry.
	 */
	err = bpf_map_lookup_elem(maps->baseline, key, &base);
	if (err && err != -ENOENT)
		return err;
	if (err)
		base = (struct mssbpf_counters){};
	err = maps_count_ever(maps, key, sum);
	for (size_t cell = 0; cell < COUNTER_CELLS && !err; cell++) {
		__u64 *total = (__u64 *)sum + cell, before = ((const __u64 *)&base)[cell];

		*total -= *total < before ? 0 : before;
	}
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
		if (!bsearch(&sought, entries, count, sizeof(sought), entry_compare))
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
	int err = bpf_prog_test_run_opts(maps->change, &run);

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
