// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Mapping the page that the loader and the running programs share. Not a place that uses it.
 */
#include "watch.h"

#include <sys/mman.h>
#include <unistd.h>

struct mssbpf_watch *watch_map(const struct maps *maps)
{
	void *page = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, maps->watch, 0);

	return page == MAP_FAILED ? NULL : page;
}

void watch_unmap(struct mssbpf_watch *watch)
{
	if (watch)
		munmap(watch, sysconf(_SC_PAGESIZE));
}
