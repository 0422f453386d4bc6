/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Listening to the events of a network namespace: one listener at a time, for whom the programs send as long as it
 * lives. What an event says is event.h's.
 *
 * A listener holds a lock (flock) on the folder of pins, which the kernel takes off when it dies, however that happens.
 * For the programs it renews a date up to which they send; they stop LISTENER_LEASE after it was killed.
 */
#ifndef MSSBPF_LISTENER_H
#define MSSBPF_LISTENER_H

#include "maps.h"

#include <stdbool.h>

enum { LISTENER_LEASE = 5 }; /* seconds */

struct listener {
	int folder; /* locked */
	int events; /* the map of maps */
	int ring;
	struct mssbpf_watch *watch;
	struct ring_buffer *reader;
	__u64 lost_before; /* events, when it began */
};

/*
 * Begins, with a ring buffer of `size` bytes (a power of two, a page at least); each() is called for every event by
 * listener_read(), which it ends by returning -errno. Signals SIGALRM are used from now on. The maps may be closed
 * then. Returns 0, -EWOULDBLOCK when there is another listener, -ENOMEM without memory for the buffer, or another
 * -errno.
 */
int listener_begin(struct listener *listener, const struct maps *maps, size_t size,
		   int (*each)(void *context, void *event, size_t length), void *context);

/* Calls each() for what is there. Returns 0, or what each() returned. */
int listener_read(struct listener *listener);

/* How many events were lost since it began, for which there was no room. */
__u64 listener_lost(const struct listener *listener);

/* Tells whether the folder of pins is removed: no event will come any more. */
bool listener_is_orphan(const struct listener *listener);

/* Tells, once, whether the process was kept from running, and events were not sent meanwhile. */
bool listener_slept(void);

/*
 * Lets the programs stop sending. After it, listener_read() reads the rest and listener_lost() is final.
 * listener_release() gives everything back, also after listener_begin() failed.
 */
void listener_end(struct listener *listener);
void listener_release(struct listener *listener);

/* Frees the ring buffer that a listener left when it was killed, with the maps locked. Returns 0 or -errno. */
int listener_reap(const struct maps *maps);

#endif
