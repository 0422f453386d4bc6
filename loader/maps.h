/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entries and counters of interfaces, in the maps that the programs read. Not where the maps come from:
 * that is pins.h.
 */
#ifndef MSSBPF_MAPS_H
#define MSSBPF_MAPS_H

#include <mssbpf/abi.h>
#include <stdbool.h>
#include <stddef.h>

/* Programs for a kind of device and a direction; others stand behind. */
enum {
	PROGRAMS_XDP = MSSBPF_LINKS,
	PROGRAMS_CHANGE, /* the one that changes entries of limits; without a direction */
	PROGRAM_KINDS,
};

/* What is open of the pins; see pins.h. */
struct maps {
	char folder[80]; /* of this network namespace */
	int lock;	 /* -1: nothing is pinned, the other fds are -1 too */
	int limits;
	int counters;
	int orders;
	int baseline;
	int rules;  /* a map of maps */
	int events; /* likewise */
	int watch;
	const __u64 *slots;				/* what is in orders, max_entries of them */
	int programs[PROGRAM_KINDS][MSSBPF_DIRECTIONS]; /* fds, 0 or -errno: see pins_program() */
	bool outdated;					/* attached programs came from another build */
	unsigned int max_entries;
	unsigned int abilities; /* enum mssbpf_abilities of the pinned programs */
};

struct entry {
	struct mssbpf_key key;
	struct mssbpf_limit limit;
};

struct counted {
	struct mssbpf_key key;
	struct mssbpf_counters counters;
};

/* Compares two struct mssbpf_key, which is what the elements of these lists begin with: for qsort() and bsearch(). */
int key_compare(const void *one, const void *other);

/*
 * Reads all entries, by ascending ifindex and direction, into a list that the caller frees. Returns
 * 0 or -errno.
 */
int maps_entries(const struct maps *maps, struct entry **list, size_t *count);

/*
 * Reads what was counted since the last reset, for every entry and by all CPUs together, into a list like that of
 * maps_entries(). Returns 0 or -errno.
 */
int maps_counts(const struct maps *maps, struct counted **list, size_t *count);

/* Finds a key in such a list; NULL when it is not there. */
const struct counted *counted_find(const struct counted *list, size_t count, const struct mssbpf_key *key);

/* Adds up one entry's counters of all CPUs, as if there had been no reset. Returns 0, -ENOENT or another -errno. */
int maps_count_ever(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_counters *sum);

/*
 * Makes or replaces an entry; one that is new starts with counters of zero. Returns 0, -E2BIG when the
 * maps are full, or another -errno.
 */
int maps_entry_set(const struct maps *maps, const struct mssbpf_key *key, const struct mssbpf_limit *limit);

/*
 * Frees the slots of orders that none of the entries has, and removes the counters that lead there: those of a command
 * that was killed. The entries are sorted, as maps_entries() does. Returns 0 or -errno.
 */
int maps_reap(const struct maps *maps, const struct entry *entries, size_t count);

/* Reads one entry. Returns 0, -ENOENT when there is none or nothing is pinned, or another -errno. */
int maps_entry_get(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_limit *limit);

/*
 * Lets an entry's counters begin at zero again: what is counted meanwhile stays counted. Returns 0, -ENOENT when there
 * is no such entry, or another -errno.
 */
int maps_reset(const struct maps *maps, const struct mssbpf_key *key);

/*
 * Finds out which element of the map `rules` is the device's, counted from 1 as in union mssbpf_order; 0 when it has no
 * rules. Returns 0 or -errno.
 */
int maps_rules_get(const struct maps *maps, __u32 ifindex, __u16 *rules);

/*
 * Removes an entry and its counters, and the rules with a device's last entry; that there is none is no error. Returns
 * 0 or -errno.
 */
int maps_entry_remove(const struct maps *maps, const struct mssbpf_key *key);

#endif
