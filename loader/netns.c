// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Network namespaces. Not a fork of ip-netns(8): it neither makes nor lists them.
 */
#include "netns.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int netns_enter(const char *name)
{
	char path[PATH_MAX];
	int fd, err = 0;

	if (!*name ||
	    snprintf(path, sizeof(path), "%s%s", strchr(name, '/') ? "" : "/run/netns/", name) >= (int)sizeof(path)) {
		error("--netns '%s': not a name of a network namespace", name);
		return -EINVAL;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		error("--netns %s: %s: %s; 'ip netns list' shows the names", name, path, strerror(-err));
		return err;
	}
	if (setns(fd, CLONE_NEWNET)) {
		err = -errno;
		error("--netns %s: cannot enter: %s%s", name, strerror(-err),
		      err == -EPERM ? "; this takes root, or CAP_SYS_ADMIN" : "");
	}
	close(fd);
	return err;
}

ino_t netns_inode(void)
{
	struct stat status;

	return stat("/proc/self/ns/net", &status) ? 0 : status.st_ino;
}
