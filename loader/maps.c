// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Entries and counters in the maps. Not where the maps come from: that is pins.c.
 */
#include "maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

static int entry_compare(const void *one, const void *other)
{
	const struct entry *a = one, *b = other;

	if (a->key.ifindex != b->key.ifindex)
		return a->key.ifindex < b->key.ifindex ? -1 : 1;
	return (int)a->key.direction - (int)b->key.direction;
}

int maps_entries(const struct maps *maps, struct entry **list, size_t *count)
{
	struct mssbpf_key *previous = NULL, key;
	struct entry *entries = NULL;
	size_t used = 0, room = 0;
	int err = 0;

	*list = NULL;
	*count = 0;
	while (maps->limits >= 0 && !(err = bpf_map_get_next_key(maps->limits, previous, &key))) {
		if (used == room) {
			struct entry *grown = reallocarray(entries, room = room * 2 + 16, sizeof(*entries));

			if (!grown) {
				err = -ENOMEM;
				break;
			}
			entries = grown;
		}
		entries[used].key = key;
		previous = &key;
		err = maps_entry_get(maps, &key, &entries[used++].limit);
		if (err)
			break;
	}
	if (err && err != -ENOENT) { /* -ENOENT: no further key */
		free(entries);
		return err;
	}
	if (used)
		qsort(entries, used, sizeof(*entries), entry_compare);
	*list = entries;
	*count = used;
	return 0;
}

int maps_count(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_counters *sum)
{
	const size_t cells = sizeof(*sum) / sizeof(__u64);
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
		for (size_t cell = 0; cell < cells; cell++)
			((__u64 *)sum->packets)[cell] += ((const __u64 *)each[cpu].packets)[cell];
	free(each);
	return err;
}

static int counters_zero(const struct maps *maps, const struct mssbpf_key *key)
{
	int cpus = libbpf_num_possible_cpus(), err;
	struct mssbpf_counters *zero;

	if (cpus < 0)
		return cpus;
	zero = calloc(cpus, sizeof(*zero));
	if (!zero)
		return -ENOMEM;
	err = bpf_map_update_elem(maps->counters, key, zero, BPF_ANY);
	free(zero);
	return err;
}

int maps_entry_set(const struct maps *maps, const struct mssbpf_key *key, const struct mssbpf_limit *limit)
{
	int err = bpf_map_update_elem(maps->limits, key, limit, BPF_EXIST);

	if (err != -ENOENT)
		return err;
	err = counters_zero(maps, key) ?: bpf_map_update_elem(maps->limits, key, limit, BPF_NOEXIST);
	if (err)
		bpf_map_delete_elem(maps->counters, key);
	return err;
}

int maps_entry_get(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_limit *limit)
{
	return maps->limits < 0 ? -ENOENT : bpf_map_lookup_elem(maps->limits, key, limit);
}

int maps_entry_remove(const struct maps *maps, const struct mssbpf_key *key)
{
	int err = maps->limits < 0 ? -ENOENT : bpf_map_delete_elem(maps->limits, key);

	if (!err || err == -ENOENT)
		err = maps->counters < 0 ? -ENOENT : bpf_map_delete_elem(maps->counters, key);
	return err == -ENOENT ? 0 : err;
}
