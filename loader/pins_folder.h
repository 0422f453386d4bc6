/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Folders of pins: paths, the lock on all of them, taking one apart. Not what is pinned.
 */
#ifndef MSSBPF_PINS_FOLDER_H
#define MSSBPF_PINS_FOLDER_H

#include <stdbool.h>

struct pins_path {
	char text[512];
};

/* A file's path in a folder; "" when it would be too long: there is no such file. */
struct pins_path path_of(const char *folder, const char *name);

/* The folder's path with a suffix: where it is made, or taken apart. */
struct pins_path folder_beside(const char *folder, const char *suffix);

/* Removes a folder of pins; there may be none. Removing a link's pin detaches it. Returns 0 or -errno. */
int folder_remove(const char *folder);

/*
 * Takes the lock on all folders. Returns 0 with *lock == -1 when there is no folder to lock and none is to be made. The
 * folder may be removed by the one who held the lock before: then it is made or looked for anew.
 */
int top_lock(bool create, int *lock);

#endif
