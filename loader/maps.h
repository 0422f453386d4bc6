/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state that outlives a command: maps and programs, pinned under /sys/fs/bpf/mssbpf/, a folder for
 * each network namespace. Not about interfaces: what is attached where is attach.c's.
 *
 * All of it happens under one lock (flock) on /sys/fs/bpf/mssbpf. A namespace's folder is made complete
 * beside its place and renamed into it, and renamed away before it is taken apart: a folder that is
 * there is whole, whenever a command was killed.
 */
#ifndef MSSBPF_MAPS_H
#define MSSBPF_MAPS_H

#include <mssbpf/abi.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	/* Entries, one for each interface and direction. */
	MAX_ENTRIES_DEFAULT = 65536,
	MAX_ENTRIES_LIMIT = 1 << 20,
};

struct maps {
	char folder[80]; /* of this network namespace */
	int lock;	 /* -1: nothing is pinned, the other fds are -1 too */
	int limits;
	int counters;
	int programs[MSSBPF_LINKS][MSSBPF_DIRECTIONS]; /* fds, after maps_create() */
	bool outdated;				       /* attached programs came from another build */
	unsigned int max_entries;
};

struct entry {
	struct mssbpf_key key;
	struct mssbpf_limit limit;
};

/*
 * Locks and opens what is pinned for the current network namespace; that may be nothing (lock == -1).
 * Returns 0, or -errno after saying what is wrong.
 */
int maps_open(struct maps *maps);

/*
 * Like maps_open(), but makes and pins what is missing: maps of max_entries (0: the default), and the
 * programs of this build. Older programs remain attached and maps->outdated is set: attach them anew,
 * then call maps_programs_settle().
 */
int maps_create(struct maps *maps, unsigned int max_entries);

/* Records that every attached program is of this build. Returns 0 or -errno. */
int maps_programs_settle(struct maps *maps);

/* Unlocks; when no entry is left, everything pinned for the namespace is removed first. */
void maps_close(struct maps *maps);

/*
 * Reads all entries, by ascending ifindex and direction, into a list that the caller frees. Returns
 * 0 or -errno.
 */
int maps_entries(const struct maps *maps, struct entry **list, size_t *count);

/* Adds up the counters of all CPUs. Returns 0 or -errno. */
int maps_count(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_counters *sum);

/*
 * Makes or replaces an entry; one that is new starts with counters of zero. Returns 0, -E2BIG when the
 * maps are full, or another -errno.
 */
int maps_entry_set(const struct maps *maps, const struct mssbpf_key *key, const struct mssbpf_limit *limit);

/* Reads one entry. Returns 0, -ENOENT when there is none or nothing is pinned, or another -errno. */
int maps_entry_get(const struct maps *maps, const struct mssbpf_key *key, struct mssbpf_limit *limit);

/* Removes an entry and its counters; that there is none is no error. */
void maps_entry_remove(const struct maps *maps, const struct mssbpf_key *key);

/*
 * Removes the folders of other network namespaces that dead() says nothing is alive in: an inode number
 * is given again only by chance.
 */
void maps_reap_folders(const struct maps *maps, bool (*dead)(const char *folder));

#endif
