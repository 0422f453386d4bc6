/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events: what became of a SYN, for who listens now. Not the counters: those are maps.bpf.h.
 */
#ifndef MSSBPF_EVENTS_BPF_H
#define MSSBPF_EVENTS_BPF_H

#include "parse.h"
#include <bpf/bpf_helpers.h>

/* The loader's side of it lies in the same page; see struct mssbpf_watch. */
struct mssbpf_watch watch;

/* The listener's ring buffer, while there is one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 4096); /* of any size, in fact */
		});
} events SEC(".maps");

/*
 * Sends the event if somebody listens still, or counts it as lost. Who listens looks by himself every now and then: to
 * wake him for every event would cost more than the event.
 */
static __noinline int event_send(struct mssbpf_event *event)
{
	__u32 zero = 0;
	void *ring;

	event->time = bpf_ktime_get_ns();
	if (event->time > watch.until)
		return 0;
	ring = bpf_map_lookup_elem(&events, &zero);
	if (!ring || bpf_ringbuf_output(ring, event, sizeof(*event), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&watch.lost, 1);
	return 0;
}

#endif
