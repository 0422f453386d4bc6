/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hooks at which a program is attached by a BPF link: TCX and XDP. A link is pinned beside the maps, under a name
 * of its device, and direction or mode. Not the choice among hooks: attach.h.
 */
#ifndef MSSBPF_LINK_H
#define MSSBPF_LINK_H

#include "attach.h"

enum { TCX_PROGRAMS_MAX = 64 }; /* BPF_MPROG_MAX */

/* Lists the TCX programs there, whoever they are of, in the order they run. Returns how many, or -errno. */
int tcx_programs(const struct mssbpf_key *key, __u32 ids[TCX_PROGRAMS_MAX]);

/*
 * Looks for our program. Returns 0 and the program's id, -ENOENT when none of ours is there, or another -errno.
 */
int link_query(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, __u32 *program_id);

/* Attaches and pins; puts another program in the place of the one that is there; takes it off. 0 or -errno. */
int link_create(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, int program);
int link_replace(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, int program);
int link_remove(const struct maps *maps, const struct mssbpf_key *key, enum hook hook);

/* Tells whether any link is pinned for this device and direction. */
bool link_is_pinned(const struct maps *maps, const struct mssbpf_key *key);

/* Tells whether a file in a folder of pins is a link's; if so, whether its device is there, or that is unknown. */
bool link_is_name(const char *name);
bool link_is_alive(const char *folder, const char *name);

#endif
