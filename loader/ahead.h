/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who sees packets before our program does, at the hooks of one device: TCX programs and clsact filters of others. Not
 * a judge of what they are for.
 */
#ifndef MSSBPF_AHEAD_H
#define MSSBPF_AHEAD_H

#include "attach.h"

enum ahead_kind {
	AHEAD_PROGRAM, /* BPF: whether it ends a packet's way, it alone knows */
	AHEAD_FILTER,  /* another filter: what it matches goes no further */
};

struct ahead {
	enum ahead_kind kind;
	bool tcx;
	unsigned int priority;	     /* of a filter */
	char what[16];		     /* a filter's kind: "flower" */
	char name[BPF_OBJ_NAME_LEN]; /* a program's, "" for none */
	__u32 program_id;
};

/*
 * Lists them in the order they run, as far as they can end a packet's way before our program. The caller frees the
 * list. Returns 0 or -errno.
 */
int ahead_list(const struct mssbpf_key *key, enum hook hook, __u32 program_id, struct ahead **list, size_t *count);

#endif
