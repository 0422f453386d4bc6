/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events: which of them are asked for, and how they are printed. Not where they come from: listener.h.
 */
#ifndef MSSBPF_EVENT_H
#define MSSBPF_EVENT_H

#include "rules.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

/* What an event has to have, each if it is given. */
struct event_filter {
	bool by_prefix;
	struct rule prefix;   /* source or destination lies in it */
	unsigned int port;    /* source or destination; 0: not given */
	unsigned int results; /* a bit for each; 0: not given */
};

bool event_matches(const struct event_filter *filter, const struct mssbpf_event *event);

enum { EVENT_TEXT_SIZE = 256 };

/*
 * Writes a line about the event, without a newline, with local time. `offset` is what CLOCK_REALTIME is ahead of
 * CLOCK_MONOTONIC, ns.
 */
const char *event_text(const struct mssbpf_event *event, const char *interface, __s64 offset,
		       char text[EVENT_TEXT_SIZE]);

/* The same as an object that the caller releases, with time in UTC. */
struct json_object *event_json(const struct mssbpf_event *event, const char *interface, __s64 offset);

#endif
