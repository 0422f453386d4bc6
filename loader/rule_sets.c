// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules, to and from the arrays that the programs search: see struct mssbpf_rule_head. Not what the programs do with
 * them.
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

/* Reads `count` of the elements from `begin` on, which is not the first, to the end. Returns 0 or -errno. */
static int elements_read(int fd, __u32 begin, __u32 count, union mssbpf_rule_element *elements)
{
	__u32 *keys = calloc(count, sizeof(*keys)), before = begin - 1, token, some = count;
	int err = keys ? bpf_map_lookup_batch(fd, &before, &token, keys, elements, &some, NULL) : -ENOMEM;

	free(keys);
	if (err && err != -ENOENT) /* -ENOENT: these are the last */
		return err;
	return some == count ? 0 : -EIO;
}

static __u32 prefixes_size(size_t count)
{
	return (count + MSSBPF_RULE_PREFIXES - 1) / MSSBPF_RULE_PREFIXES;
}

/* Reads the prefixes of a set. Returns 0 or -errno. */
static int set_read(int fd, struct rules *rules)
{
	union mssbpf_rule_element head, *elements;
	int err = bpf_map_lookup_elem(fd, &(__u32){ 0 }, &head);
	__u32 count;

	if (err)
		return err;
	count = prefixes_size(head.head.prefixes);
	elements = calloc(count, sizeof(*elements));
	rules->list = calloc(head.head.prefixes, sizeof(*rules->list));
	err = elements && rules->list ? 0 : -ENOMEM;
	/* They stand behind the last level of the last family. */
	err = err ?: elements_read(fd, head.head.begin[MSSBPF_IPV6][head.head.levels[MSSBPF_IPV6]], count, elements);
	for (size_t i = 0; i < head.head.prefixes && !err; i++) {
		const struct mssbpf_rule_prefix *prefix =
			&elements[i / MSSBPF_RULE_PREFIXES].prefixes[i % MSSBPF_RULE_PREFIXES];

		rules->list[rules->count++] = (struct rule){
			.first = prefix->first,
			.family = prefix->family,
			.length = prefix->length,
			.mss = prefix->mss,
		};
	}
	free(elements);
	if (err) {
		free(rules->list);
		*rules = (struct rules){};
	}
	return err;
}

int rule_set_get(const struct maps *maps, __u32 ifindex, struct rules *rules)
{
	__u16 place;
	int fd, err = maps_rules_get(maps, ifindex, &place);

	*rules = (struct rules){};
	if (err || !place)
		return err;
	fd = set_open(maps, place);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = set_read(fd, rules);
	close(fd);
	return err;
}

int rule_set_count(const struct maps *maps, __u16 place, size_t *count)
{
	union mssbpf_rule_element head;
	int err, fd;

	*count = 0;
	if (!place)
		return 0;
	fd = set_open(maps, place);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = bpf_map_lookup_elem(fd, &(__u32){ 0 }, &head);
	if (!err)
		*count = head.head.prefixes;
	close(fd);
	return err;
}

/* Ranges of a family, and the size of each level of their tree in elements, from the root down. */
struct tree {
	struct rule_range *ranges;
	size_t count;
	__u32 keys; /* in a node */
	__u32 levels;
	__u32 nodes[MSSBPF_RULE_LEVELS];
};

static __u32 nodes_for(size_t keys, __u32 each)
{
	return (keys + each - 1) / each;
}

/* Finds out how large the tree is. Returns 0, -E2BIG or -ENOMEM. */
static int tree_measure(const struct rules *rules, enum mssbpf_family family, struct tree *tree)
{
	size_t count;

	tree->keys = family == MSSBPF_IPV4 ? MSSBPF_RULE_KEYS_IPV4 : MSSBPF_RULE_KEYS_IPV6;
	tree->ranges = rules_flatten(rules, family, &tree->count);
	if (!tree->ranges)
		return -ENOMEM;
	if (tree->count > MSSBPF_RULE_RANGES_MAX)
		return -E2BIG;
	tree->levels = 1;
	for (count = nodes_for(tree->count, tree->keys); count > 1; count = nodes_for(count, tree->keys))
		tree->levels++;
	count = tree->count;
	for (__u32 level = tree->levels; level-- > 0; count = tree->nodes[level])
		tree->nodes[level] = nodes_for(count, tree->keys);
	return 0;
}

/* Fills in a key of a node. What is not used begins behind all. */
static void key_fill(union mssbpf_rule_element *node, enum mssbpf_family family, __u32 key,
		     const struct rule_range *range, bool used)
{
	if (family == MSSBPF_IPV4) {
		node->ipv4.first[key] = used ? range->first.half[0] >> 32 : ~0U;
		node->ipv4.mss[key] = range->mss;
	} else {
		node->ipv6.upper[key] = used ? range->first.half[0] : ~0ULL;
		node->ipv6.lower[key] = used ? range->first.half[1] : ~0ULL;
		node->ipv6.mss[key] = range->mss;
	}
}

/* Fills in the nodes of the tree, from the element `next` on. Returns the element behind. */
static __u32 tree_fill(const struct tree *tree, enum mssbpf_family family, union mssbpf_rule_element *elements,
		       __u32 next)
{
	struct mssbpf_rule_head *head = &elements->head;
	size_t step = 1; /* ranges from one key of the level to the next */

	head->levels[family] = tree->levels;
	for (__u32 level = 1; level < tree->levels; level++)
		step *= tree->keys;
	for (__u32 level = 0; level < tree->levels; level++, step /= tree->keys) {
		head->begin[family][level] = next;
		for (size_t i = 0; i < (size_t)tree->nodes[level] * tree->keys; i++) {
			bool used = i * step < tree->count;

			key_fill(&elements[next + i / tree->keys], family, i % tree->keys,
				 &tree->ranges[used ? i * step : tree->count - 1], used);
		}
		next += tree->nodes[level];
	}
	head->begin[family][tree->levels] = next;
	return next;
}

static void prefixes_fill(const struct rules *rules, union mssbpf_rule_element *elements)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];

		elements[i / MSSBPF_RULE_PREFIXES].prefixes[i % MSSBPF_RULE_PREFIXES] = (struct mssbpf_rule_prefix){
			.first = rule->first,
			.mss = rule->mss,
			.family = rule->family,
			.length = rule->length,
		};
	}
}

/* Makes the elements of a set, for the caller to free. Returns 0, -E2BIG or -ENOMEM. */
static int set_build(const struct rules *rules, union mssbpf_rule_element **elements, size_t *count)
{
	struct tree trees[MSSBPF_FAMILIES] = {};
	__u32 next = 1;
	int err = 0;

	*elements = NULL;
	*count = 1 + prefixes_size(rules->count);
	for (enum mssbpf_family family = 0; family < MSSBPF_FAMILIES && !err; family++) {
		err = tree_measure(rules, family, &trees[family]);
		for (__u32 level = 0; level < trees[family].levels && !err; level++)
			*count += trees[family].nodes[level];
	}
	if (!err) {
		*elements = calloc(*count, sizeof(**elements));
		err = *elements ? 0 : -ENOMEM;
	}
	for (enum mssbpf_family family = 0; family < MSSBPF_FAMILIES; family++) {
		if (!err)
			next = tree_fill(&trees[family], family, *elements, next);
		free(trees[family].ranges);
	}
	if (!err) {
		(*elements)->head.prefixes = rules->count;
		prefixes_fill(rules, *elements + next);
	}
	return err;
}

/* Makes a set in the kernel. Returns its fd or -errno. */
static int set_make(const struct rules *rules)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	union mssbpf_rule_element *elements;
	__u32 *keys = NULL, filled;
	size_t count;
	int fd = -1, err = set_build(rules, &elements, &count);

	if (!err) {
		keys = calloc(count, sizeof(*keys));
		err = keys ? 0 : -ENOMEM;
	}
	if (!err) {
		for (size_t i = 0; i < count; i++)
			keys[i] = i;
		filled = count;
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mssbpf_rules", sizeof(*keys), sizeof(*elements), count,
				    &options);
		err = fd < 0 ? -errno : bpf_map_update_batch(fd, keys, elements, &filled, NULL);
	}
	free(elements);
	free(keys);
	if (err && fd >= 0)
		close(fd);
	return err ?: fd;
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

/* Without a set in their element, programs go on as without rules; so none is left in an element that nobody has. */
static int set_remove(const struct maps *maps, __u32 ifindex, __u16 place)
{
	int err = place ? bpf_map_delete_elem(maps->rules, &(__u32){ place - 1 }) : 0;

	return err && err != -ENOENT ? err : place_set(maps, ifindex, 0);
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
	/* Both directions first: then the set counts in both at once. */
	err = place_set(maps, ifindex, place) ?: bpf_map_update_elem(maps->rules, &(__u32){ place - 1 }, &fd, BPF_ANY);
	close(fd);
	return err;
}
