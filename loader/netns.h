/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Network namespaces: entering one by name, and telling one from another. Not about mounts: /sys/fs/bpf
 * stays the caller's.
 */
#ifndef MSSBPF_NETNS_H
#define MSSBPF_NETNS_H

#include <sys/types.h>

/*
 * Enters the network namespace `name` of ip-netns(8), or the one of a file when `name` has a slash.
 * Returns 0, or -errno after saying what is wrong.
 */
int netns_enter(const char *name);

/* The inode number of the current network namespace, 0 when /proc is missing. */
ino_t netns_inode(void);

#endif
