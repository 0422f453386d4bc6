// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Folders of pins: paths, the lock on all of them, taking one apart. Not what is pinned.
 */
#include "pins_folder.h"

#include "pins_share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct pins_path path_of(const char *folder, const char *name)
{
	struct pins_path path;

	if (snprintf(path.text, sizeof(path.text), "%s/%s", folder, name) >= (int)sizeof(path.text))
		*path.text = '\0'; /* no such file */
	return path;
}

struct pins_path folder_beside(const char *folder, const char *suffix)
{
	struct pins_path path;

	snprintf(path.text, sizeof(path.text), "%s%s", folder, suffix);
	return path;
}

int folder_remove(const char *folder)
{
	const struct dirent *file;
	DIR *directory = opendir(folder);

	if (!directory)
		return errno == ENOENT ? 0 : -errno;
	while ((file = readdir(directory)))
		unlink(path_of(folder, file->d_name).text);
	closedir(directory);
	return rmdir(folder) ? -errno : 0;
}

int top_lock(bool create, int *lock)
{
	for (;;) {
		struct stat locked, named;
		int fd;

		if (create && mkdir(PINS_TOP, 0700) && errno != EEXIST)
			return -errno;
		fd = open(PINS_TOP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT && create)
			continue;
		*lock = fd;
		if (fd < 0)
			return errno == ENOENT ? 0 : -errno;
		while (flock(fd, LOCK_EX))
			if (errno != EINTR)
				return -errno;
		if (!fstat(fd, &locked) && !stat(PINS_TOP, &named) && locked.st_ino == named.st_ino)
			return 0;
		close(fd);
	}
}
