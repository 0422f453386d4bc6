/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose the pins are: root's, to be read by a group if there is one. Not what is pinned.
 */
#ifndef MSSBPF_PINS_SHARE_H
#define MSSBPF_PINS_SHARE_H

#include "bpffs.h"

#include <sys/types.h>

#define PINS_TOP BPFFS "/mssbpf"
#define PINS_GROUP "mssbpf"

/*
 * The group that may read: its id, or 0 (root's) when the system has no group of this name, or lets any user load
 * programs, by which readers could write (kernel.unprivileged_bpf_disabled 0).
 */
gid_t pins_group(void);

/*
 * Lets the group read the maps for readers in a folder, and pass through the folders above, which it can neither list
 * nor lock; without such a group, nobody but root. Warns of what cannot be done.
 */
void pins_share(const char *folder);

/* Does so with what is pinned for this network namespace, if this is root. */
void pins_share_own(void);

#endif
