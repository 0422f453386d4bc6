/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state that outlives a command: maps and programs, pinned under /sys/fs/bpf/mssbpf/, a folder for
 * each network namespace. Not about interfaces: what is attached where is attach.c's.
 *
 * All of it happens under one lock (flock) on /sys/fs/bpf/mssbpf. A namespace's folder is made complete
 * beside its place and renamed into it, and renamed away before it is taken apart: a folder that is
 * there is whole, whenever a command was killed. Programs for packets come into it as they are needed, and go with it.
 */
#ifndef MSSBPF_PINS_H
#define MSSBPF_PINS_H

#include "maps.h"

enum {
	/* Entries, one for each interface and direction. */
	MAX_ENTRIES_DEFAULT = 65536,
	MAX_ENTRIES_LIMIT = 1 << 20,
};

/*
 * Locks and opens what is pinned for the current network namespace; that may be nothing (lock == -1).
 * Returns 0, or -errno after saying what is wrong.
 */
int pins_open(struct maps *maps);

/*
 * Opens limits, counters and baseline for reading alone, which takes no lock and no capability, only the rights to the
 * files: root's or the group's, see pins_share.h. Nothing may be pinned (limits == -1). What is opened stays whole
 * while commands change it or take it away. pins_release() closes it. Returns 0, or -errno after saying what is wrong.
 */
int pins_read(struct maps *maps);
void pins_release(struct maps *maps);

/*
 * Like pins_open(), but makes and pins what is missing: maps of max_entries (0: the default), and the program that
 * changes entries. Those of another build remain attached and maps->outdated is set: attach this build's, then call
 * pins_settle().
 */
int pins_create(struct maps *maps, unsigned int max_entries);

/*
 * Opens this build's program for a kind of device (enum mssbpf_link or PROGRAMS_XDP) and a direction, which is loaded
 * and pinned first when it is not there. Returns an fd that is not the caller's to close, or -ENOEXEC after saying what
 * is wrong, with `where` in front. What failed once fails until pins_close().
 */
int pins_program(struct maps *maps, const char *where, unsigned int kind, enum mssbpf_direction direction);

/* Records that every attached program is of this build, and removes the pins of others. Returns 0 or -errno. */
int pins_settle(struct maps *maps);

/* Opens the limits of another namespace, whose folder is in *maps. Returns 0 or -errno, and says nothing. */
int pins_peek(struct maps *maps);

/*
 * Unlocks; when no entry is left, everything pinned for the namespace is removed first. Returns 0, or
 * -errno when that failed.
 */
int pins_close(struct maps *maps);

/*
 * Removes the folders of other network namespaces that dead() says nothing is alive in: nobody may ever
 * run a command there again.
 */
void pins_reap_folders(const struct maps *maps, bool (*dead)(const char *folder));

#endif
