// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Choosing and printing events. Knows no map.
 */
#include "event.h"

#include "counts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

bool event_matches(const struct event_filter *filter, const struct mssbpf_event *event)
{
	const enum mssbpf_family family = event->family;

	if (filter->results && !(filter->results >> event->result & 1))
		return false;
	if (filter->port && filter->port != ntohs(event->source_port) && filter->port != ntohs(event->destination_port))
		return false;
	return !filter->by_prefix || prefix_holds(&filter->prefix, family, event->source) ||
	       prefix_holds(&filter->prefix, family, event->destination);
}

/* Writes a point of time, to the microsecond. */
static void time_text(const struct mssbpf_event *event, __s64 offset, bool utc, const char *format, char *text,
		      size_t size)
{
	__u64 nanoseconds = event->time + offset;
	time_t seconds = nanoseconds / 1000000000;
	struct tm parts;
	size_t used;

	if (utc)
		gmtime_r(&seconds, &parts);
	else
		localtime_r(&seconds, &parts);
	used = strftime(text, size, format, &parts);
	snprintf(text + used, size - used, ".%06u%s", (unsigned int)(nanoseconds / 1000 % 1000000), utc ? "Z" : "");
}

static const char *address_text(const struct mssbpf_event *event, const __u8 *address, char text[INET6_ADDRSTRLEN])
{
	return inet_ntop(event->family == MSSBPF_IPV6 ? AF_INET6 : AF_INET, address, text, INET6_ADDRSTRLEN);
}

/* Writes address and port: 192.0.2.1:80, [2001:db8::1]:80. */
static void end_text(const struct mssbpf_event *event, const __u8 *address, __be16 port, char *text, size_t size)
{
	char name[INET6_ADDRSTRLEN];

	snprintf(text, size, event->family == MSSBPF_IPV6 ? "[%s]:%u" : "%s:%u", address_text(event, address, name),
		 ntohs(port));
}

static void mss_text(unsigned int mss, char *text, size_t size)
{
	if (mss)
		snprintf(text, size, "%u", mss);
	else
		snprintf(text, size, "none");
}

const char *event_text(const struct mssbpf_event *event, const char *interface, __s64 offset,
		       char text[EVENT_TEXT_SIZE])
{
	char when[32], source[INET6_ADDRSTRLEN + 8], destination[INET6_ADDRSTRLEN + 8], before[8], after[8];

	time_text(event, offset, false, "%H:%M:%S", when, sizeof(when));
	end_text(event, event->source, event->source_port, source, sizeof(source));
	end_text(event, event->destination, event->destination_port, destination, sizeof(destination));
	mss_text(event->before, before, sizeof(before));
	mss_text(event->after, after, sizeof(after));
	snprintf(text, EVENT_TEXT_SIZE, "%s %s %s %s > %s %s mss %s -> %s %s", when, interface,
		 direction_name(event->direction), source, destination,
		 event->kind < MSSBPF_KINDS ? kind_names[event->kind].head : "?", before, after,
		 result_key(event->result));
	return text;
}

/* Keys that are constant and new, as all here are, need neither a copy nor a search. */
static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add_ex(object, key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT);
}

struct json_object *event_json(const struct mssbpf_event *event, const char *interface, __s64 offset)
{
	struct json_object *object = json_object_new_object();
	char text[64];

	time_text(event, offset, true, "%Y-%m-%dT%H:%M:%S", text, sizeof(text));
	add(object, "time", json_object_new_string(text));
	add(object, "interface", json_object_new_string(interface));
	add(object, "ifindex", json_object_new_uint64(event->ifindex));
	add(object, "direction", json_object_new_string(direction_name(event->direction)));
	add(object, "family", json_object_new_string(event->family == MSSBPF_IPV6 ? "ipv6" : "ipv4"));
	add(object, "source", json_object_new_string(address_text(event, event->source, text)));
	add(object, "source_port", json_object_new_uint64(ntohs(event->source_port)));
	add(object, "destination", json_object_new_string(address_text(event, event->destination, text)));
	add(object, "destination_port", json_object_new_uint64(ntohs(event->destination_port)));
	add(object, "kind",
	    json_object_new_string(event->kind < MSSBPF_KINDS ? kind_names[event->kind].key : "unknown"));
	add(object, "mss_before", event->before ? json_object_new_uint64(event->before) : NULL);
	add(object, "mss_after", event->after ? json_object_new_uint64(event->after) : NULL);
	add(object, "result", json_object_new_string(result_key(event->result)));
	return object;
}
