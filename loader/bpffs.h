/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The file system of pins: whether it is mounted, and mounting it. Not what is pinned there.
 */
#ifndef MSSBPF_BPFFS_H
#define MSSBPF_BPFFS_H

#include <stdbool.h>

#define BPFFS "/sys/fs/bpf"

/*
 * Looks whether bpffs is mounted, and mounts it if asked to. Returns 0, or -errno after saying what is
 * wrong: it cannot be mounted; or it is missing in a mount namespace of our own, as below
 * `ip netns exec`, where a mount would go with us.
 */
int bpffs_find(bool mount_it, bool *mounted);

#endif
