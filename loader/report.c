// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Collects what is attached. Not where it is printed.
 */
#include "report.h"

#include "netlink.h"
#include "pins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Finds the interfaces that are named; where one is not, its index is 0. Returns an exit status. */
static int interfaces_resolve(const struct options *options, unsigned int *indexes)
{
	int status = EXIT_DONE;

	for (int i = 0; i < options->interface_count; i++) {
		struct device device;
		int err = device_get(options->interfaces[i], &device);

		indexes[i] = err ? 0 : device.ifindex;
		if (err)
			status = error("%s: %s", options->interfaces[i],
				       err == -ENODEV ? "no such interface" : strerror(-err));
	}
	return status;
}

/* Tells whether the index is among the named ones; none named means all. */
static bool wanted(const struct options *options, const unsigned int *indexes, unsigned int ifindex)
{
	for (int i = 0; i < options->interface_count; i++)
		if (indexes[i] == ifindex)
			return true;
	return options->interface_count == 0;
}

/* Says which of the named interfaces are not in the report. Returns an exit status. */
static int report_check(const struct options *options, const unsigned int *indexes, const struct report *report)
{
	int status = EXIT_DONE;

	for (int i = 0; i < options->interface_count; i++) {
		bool found = indexes[i] == 0; /* said before */

		for (size_t row = 0; row < report->count && !found; row++)
			found = report->rows[row].entry.key.ifindex == indexes[i];
		if (!found)
			status = error("%s: not attached", options->interfaces[i]);
	}
	return status;
}

/* Sets limits that follow the device's MTU to what the programs make of it now. */
static void limit_update(struct mssbpf_limit *limit, unsigned int mtu)
{
	if (limit->order.flags & (MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6))
		limit->mtu = mtu;
	mtu = mtu < MSSBPF_MTU_MIN ? MSSBPF_MTU_MIN : mtu > MSSBPF_MTU_MAX ? MSSBPF_MTU_MAX : mtu;
	if (limit->order.flags & MSSBPF_LIVE_IPV4)
		limit->order.mss4 = mtu - MSSBPF_IPV4_HEADERS;
	if (limit->order.flags & MSSBPF_LIVE_IPV6)
		limit->order.mss6 = mtu - MSSBPF_IPV6_HEADERS;
}

static int report_fill(const struct options *options, const unsigned int *indexes, const struct maps *maps,
		       struct report *report)
{
	struct devices devices = {};
	struct entry *entries = NULL;
	size_t count = 0;
	int err = devices_get(&devices) ?: maps_entries(maps, &entries, &count);

	if (!err && count) {
		report->rows = calloc(count, sizeof(*report->rows));
		err = report->rows ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < count && !err; i++) {
		const struct device *device = devices_find(&devices, entries[i].key.ifindex);
		struct report_row *row = &report->rows[report->count];

		if (!device || !wanted(options, indexes, device->ifindex))
			continue;
		memcpy(row->interface, device->name, sizeof(row->interface));
		row->entry = entries[i];
		limit_update(&row->entry.limit, device->mtu);
		err = attachment_query(maps, &row->entry.key, &row->hook, &row->program_id)
			      ?: maps_count(maps, &row->entry.key, &row->counters);
		report->count += !err;
	}
	free(entries);
	devices_free(&devices);
	return err;
}

int report_collect(const struct options *options, struct report *report)
{
	unsigned int *indexes = calloc(options->interface_count + 1, sizeof(*indexes));
	int status = EXIT_FAILED, err = 0;
	struct maps maps;

	*report = (struct report){};
	if (!indexes || pins_open(&maps))
		goto out;
	report->abilities = maps.abilities;
	status = interfaces_resolve(options, indexes);
	err = attachments_reap(&maps) ?: report_fill(options, indexes, &maps, report);
	pins_close(&maps);
	report->complete = !err;
	if (err)
		status = error("cannot read what is attached: %s", strerror(-err));
	else if (report_check(options, indexes, report))
		status = EXIT_FAILED;
out:
	free(indexes);
	return status;
}

void report_print_json(struct json_object *value)
{
	puts(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(value);
}
