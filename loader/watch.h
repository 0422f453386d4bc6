/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The page that the loader and the running programs share: who listens to events, and which packets are tests. Not
 * the events themselves: listener.h.
 */
#ifndef MSSBPF_WATCH_H
#define MSSBPF_WATCH_H

#include "maps.h"

/* Maps the value of the map `watch`; it stays when the maps are closed. Returns NULL and errno when that fails. */
struct mssbpf_watch *watch_map(const struct maps *maps);
void watch_unmap(struct mssbpf_watch *watch);

/* Both sides use each number as a whole. */
static inline __u64 watch_get(const __u64 *number)
{
	return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static inline void watch_set(__u64 *number, __u64 value)
{
	__atomic_store_n(number, value, __ATOMIC_SEQ_CST);
}

#endif
