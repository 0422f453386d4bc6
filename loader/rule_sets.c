// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules, to and from the arrays that the programs search: see struct mssbpf_rule. Not what the programs do with them.
 */
#include "rule_sets.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Opens the set in an element of the map `rules`, counted from 1. Returns its fd, -ENOENT or another -errno. */
static int set_open(const struct maps *maps, __u16 place)
{
	__u32 id = 0;
	int err = bpf_map_lookup_elem(maps->rules, &(__u32){ place - 1 }, &id), fd;

	if (err)
		return err;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? -errno : fd;
}

/* Finds where the prefixes stand. Returns 0 or -errno. */
static int set_measure(int fd, __u32 *begin, __u32 *count)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	struct mssbpf_rule head;
	int err = bpf_obj_get_info_by_fd(fd, &info, &length) ?: bpf_map_lookup_elem(fd, &(__u32){ 0 }, &head);

	if (err)
		return err;
	*begin = 1 + head.ranges[MSSBPF_IPV4] + head.ranges[MSSBPF_IPV6];
	*count = info.max_entries - *begin;
	return 0;
}

/* Reads `count` elements from `begin` on, which is not the first. Returns 0 or -errno. */
static int set_read(int fd, __u32 begin, __u32 count, struct rules *rules)
{
	struct mssbpf_rule *elements = calloc(count + 1, sizeof(*elements));
	__u32 *keys = calloc(count + 1, sizeof(*keys)), before = begin - 1, token, some = count;
	int err = -ENOMEM;

	rules->list = calloc(count + 1, sizeof(*rules->list));
	if (!elements || !keys || !rules->list)
		goto out;
	err = count ? bpf_map_lookup_batch(fd, &before, &token, keys, elements, &some, NULL) : 0;
	if (err == -ENOENT) /* these are the last */
		err = 0;
	if (!err && some != count)
		err = -EIO;
	for (__u32 i = 0; i < count && !err; i++)
		rules->list[i] = (struct rule){
			.first = { { elements[i].first[0], elements[i].first[1] } },
			.family = elements[i].family,
			.length = elements[i].length,
			.mss = elements[i].mss,
		};
	rules->count = count;
out:
	free(elements);
	free(keys);
	if (err) {
		free(rules->list);
		*rules = (struct rules){};
	}
	return err;
}

int rule_set_get(const struct maps *maps, __u32 ifindex, struct rules *rules)
{
	__u32 begin, count;
	__u16 place;
	int fd, err = maps_rules_get(maps, ifindex, &place);

	*rules = (struct rules){};
	if (err || !place)
		return err;
	fd = set_open(maps, place);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = set_measure(fd, &begin, &count) ?: set_read(fd, begin, count, rules);
	close(fd);
	return err;
}

int rule_set_count(const struct maps *maps, __u16 place, size_t *count)
{
	__u32 begin, some;
	int err, fd;

	*count = 0;
	if (!place)
		return 0;
	fd = set_open(maps, place);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = set_measure(fd, &begin, &some);
	if (!err)
		*count = some;
	close(fd);
	return err;
}

/* Makes the elements of a set. Returns their list, for the caller to free, or NULL without memory. */
static struct mssbpf_rule *set_build(const struct rules *rules, size_t *count)
{
	struct mssbpf_rule *elements = NULL, *next = NULL;
	struct rule_range *ranges[MSSBPF_FAMILIES];
	size_t counts[MSSBPF_FAMILIES] = {};

	for (enum mssbpf_family family = 0; family < MSSBPF_FAMILIES; family++)
		ranges[family] = rules_flatten(rules, family, &counts[family]);
	*count = 1 + counts[MSSBPF_IPV4] + counts[MSSBPF_IPV6] + rules->count;
	if (ranges[MSSBPF_IPV4] && ranges[MSSBPF_IPV6])
		next = elements = calloc(*count, sizeof(*elements));
	if (elements)
		*next++ = (struct mssbpf_rule){ .ranges = { counts[MSSBPF_IPV4], counts[MSSBPF_IPV6] } };
	for (enum mssbpf_family family = 0; family < MSSBPF_FAMILIES; family++) {
		for (size_t i = 0; i < counts[family] && elements; i++) {
			const struct address *first = &ranges[family][i].first;

			*next++ = (struct mssbpf_rule){ .first = { first->half[0], first->half[1] },
							.mss = ranges[family][i].mss };
		}
		free(ranges[family]);
	}
	for (size_t i = 0; i < rules->count && elements; i++) {
		const struct rule *rule = &rules->list[i];

		*next++ = (struct mssbpf_rule){
			.first = { rule->first.half[0], rule->first.half[1] },
			.mss = rule->mss,
			.family = rule->family,
			.length = rule->length,
		};
	}
	return elements;
}

/* Makes a set in the kernel. Returns its fd or -errno. */
static int set_make(const struct rules *rules)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	struct mssbpf_rule *elements;
	__u32 *keys, filled;
	size_t count;
	int err, fd;

	elements = set_build(rules, &count);
	keys = calloc(count, sizeof(*keys));
	if (!elements || !keys) {
		fd = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		keys[i] = i;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mssbpf_rules", sizeof(*keys), sizeof(*elements), count, &options);
	if (fd < 0) {
		fd = -errno;
		goto out;
	}
	filled = count;
	err = bpf_map_update_batch(fd, keys, elements, &filled, NULL);
	if (err) {
		close(fd);
		fd = err;
	}
out:
	free(elements);
	free(keys);
	return fd;
}

/* Finds an element of the map `rules` that no interface has, counted from 1. Returns 0, -ENOSPC or another -errno. */
static int place_find(const struct maps *maps, __u16 *place)
{
	unsigned int most = maps->max_entries < 0xffff ? maps->max_entries : 0xffff;
	bool *taken = calloc(0x10000, sizeof(*taken));
	struct entry *entries = NULL;
	size_t count = 0;
	int err = taken ? maps_entries(maps, &entries, &count) : -ENOMEM;

	for (size_t i = 0; i < count; i++)
		taken[entries[i].limit.order.rules] = true;
	free(entries);
	for (*place = 1; !err && taken[*place]; ++*place)
		if (*place == most)
			err = -ENOSPC;
	free(taken);
	return err;
}

/* Tells the programs in which element the interface's rules are; those that run now may still go by the old one. */
static int place_set(const struct maps *maps, __u32 ifindex, __u16 place)
{
	int err = 0;

	for (__u32 direction = 0; direction < MSSBPF_DIRECTIONS && !err; direction++) {
		const struct mssbpf_key key = { ifindex, direction };
		struct mssbpf_limit limit;

		err = maps_entry_get(maps, &key, &limit);
		if (!err && limit.order.rules != place) {
			limit.order.rules = place;
			err = maps_entry_set(maps, &key, &limit);
		}
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/* Programs have to find no set before there is none; the kernel waits for them before it returns from a deletion. */
static int set_remove(const struct maps *maps, __u32 ifindex, __u16 place)
{
	int err = place_set(maps, ifindex, 0);

	if (!err && place)
		err = bpf_map_delete_elem(maps->rules, &(__u32){ place - 1 });
	return err == -ENOENT ? 0 : err;
}

int rule_set_put(const struct maps *maps, __u32 ifindex, const struct rules *rules)
{
	__u16 place;
	int fd, err = maps_rules_get(maps, ifindex, &place);

	if (err)
		return err;
	if (!rules->count)
		return set_remove(maps, ifindex, place);
	if (!place)
		err = place_find(maps, &place);
	fd = err ?: set_make(rules);
	if (fd < 0)
		return fd;
	err = bpf_map_update_elem(maps->rules, &(__u32){ place - 1 }, &fd, BPF_ANY);
	close(fd);
	return err ?: place_set(maps, ifindex, place);
}
