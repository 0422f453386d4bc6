// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Whose the pins are: root's, to be read by a group if there is one. Not what is pinned.
 */
#include "pins_share.h"

#include "cli.h"
#include "netns.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNPRIVILEGED "kernel/unprivileged_bpf_disabled"

/*
 * Tells whether any user may load programs: these may write to a map that was opened to be read (the verifier does not
 * look at how it was), so who may read could change limits.
 */
static bool programs_are_everybodys(void)
{
	FILE *file = fopen("/proc/sys/" UNPRIVILEGED, "re");
	bool everybodys = file && fgetc(file) == '0';

	if (file)
		fclose(file);
	return everybodys;
}

gid_t pins_group(void)
{
	const struct group *group = getgrnam(PINS_GROUP);

	return group && !programs_are_everybodys() ? group->gr_gid : 0;
}

/*
 * Gives the file to the group, with `mode` for root and `group_mode` for the group, which has it only once the file is
 * the group's. Returns 0 or -errno.
 */
static int file_share(const char *path, gid_t group, mode_t mode, mode_t group_mode)
{
	struct stat status;

	if (!group)
		group_mode = 0;
	if (stat(path, &status))
		return errno == ENOENT ? 0 : -errno;
	if (status.st_gid == group && (status.st_mode & 07777) == (mode | group_mode))
		return 0;
	return (status.st_gid != group && (chmod(path, mode) || chown(path, -1, group))) ||
			       chmod(path, mode | group_mode)
		       ? -errno
		       : 0;
}

/* Lets the group pass through the file system's root where it is root's alone, as systemd mounts it. */
static int root_share(gid_t group)
{
	struct stat status;

	if (!group || stat(BPFFS, &status) || status.st_gid || status.st_mode & (S_IXGRP | S_IXOTH))
		return 0;
	return chown(BPFFS, -1, group) || chmod(BPFFS, (status.st_mode & 07777) | S_IXGRP) ? -errno : 0;
}

void pins_share(const char *folder)
{
	static const char *const readable[] = { "meta", "limits", "counters", "baseline" };
	gid_t group = pins_group();
	int err = root_share(group);

	if (!group && getgrnam(PINS_GROUP))
		warning("the group " PINS_GROUP " may not read: sysctl " UNPRIVILEGED " is 0, so members could change "
			"limits by programs of their own; 2 is safe");
	err = err ?: file_share(PINS_TOP, group, 0700, S_IXGRP);
	for (size_t i = 0; i < sizeof(readable) / sizeof(*readable) && !err; i++) {
		char path[512];

		if (snprintf(path, sizeof(path), "%s/%s", folder, readable[i]) < (int)sizeof(path))
			err = file_share(path, group, 0600, S_IRGRP);
	}
	err = err ?: file_share(folder, group, 0700, S_IXGRP);
	if (err)
		warning("%s: cannot let the group " PINS_GROUP " read: %s%s", folder, strerror(-err),
			err == -EPERM ? "; this takes CAP_CHOWN" : "");
}

void pins_share_own(void)
{
	char folder[80];

	if (geteuid())
		return;
	snprintf(folder, sizeof(folder), PINS_TOP "/%lu", (unsigned long)netns_inode());
	pins_share(folder);
}
