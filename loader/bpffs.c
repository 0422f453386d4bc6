// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The file system of pins. Not what is pinned there.
 */
#include "bpffs.h"

#include "cli.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool bpffs_mounted(void)
{
	struct statfs status;

	return !statfs(BPFFS, &status) && status.f_type == BPF_FS_MAGIC;
}

/* The parent of a process, 0 when there is none or /proc does not tell. */
static int parent_of(int pid)
{
	char path[32];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1)
		parent = 0;
	fclose(file);
	return parent;
}

/*
 * Tells whether this mount namespace is one of its own, as below `ip netns exec`: a mount made in it
 * goes with the last of its processes. It is when one of our ancestors lives in another.
 */
static bool mounts_are_private(void)
{
	struct stat own, other;

	if (stat("/proc/self/ns/mnt", &own))
		return false;
	for (int pid = getppid(); pid > 0; pid = parent_of(pid)) {
		char path[32];

		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
		if (!stat(path, &other) && other.st_ino != own.st_ino)
			return true;
	}
	return false;
}

int bpffs_find(bool mount_it, bool *mounted)
{
	int err;

	*mounted = bpffs_mounted();
	if (*mounted)
		return 0;
	if (mounts_are_private()) {
		error(BPFFS ": no bpffs in this mount namespace, and pins made in one would vanish with it: run from "
			    "outside, 'mssbpf VERB --netns NAME' instead of 'ip netns exec NAME mssbpf VERB'");
		return -ENOENT;
	}
	if (!mount_it)
		return 0;
	if (mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME, "mode=0700")) {
		err = -errno;
		error(BPFFS ": bpffs is not mounted and cannot be: %s; 'mount -t bpf bpf " BPFFS "' as root mounts it",
		      strerror(-err));
		return err;
	}
	*mounted = true;
	return 0;
}
