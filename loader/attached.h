/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is attached: lists it, and forgets what is gone. Not about one interface: that is attach.h's.
 */
#ifndef MSSBPF_ATTACHED_H
#define MSSBPF_ATTACHED_H

#include "attach.h"

/* An entry, and where the program is that obeys it. */
struct attachment {
	struct entry entry;
	enum hook hook;
	__u32 program_id;
};

/*
 * Lists what is attached, by ascending ifindex and direction, in a list that the caller frees. Removes the entries
 * that nothing is attached for any more, and what is left of namespaces that are gone. Returns 0 or -errno.
 */
int attachments_get(const struct maps *maps, struct attachment **list, size_t *count);

/* Does the removing alone. */
int attachments_reap(const struct maps *maps);

#endif
