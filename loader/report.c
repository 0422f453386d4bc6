// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Collects what is attached. Not where it is printed.
 */
#include "report.h"

#include "netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool named(const struct options *options, const char *interface)
{
	for (int i = 0; i < options->interface_count; i++)
		if (!strcmp(options->interfaces[i], interface))
			return true;
	return options->interface_count == 0;
}

/* Says which of the named interfaces are not in the report. Returns an exit status. */
static int report_check(const struct options *options, const struct report *report)
{
	int status = EXIT_DONE;

	for (int i = 0; i < options->interface_count; i++) {
		const char *name = options->interfaces[i];
		struct device device;
		bool found = false;

		for (size_t row = 0; row < report->count && !found; row++)
			found = !strcmp(report->rows[row].interface, name);
		if (!found)
			status =
				error("%s: %s", name, device_get(name, &device) ? "no such interface" : "not attached");
	}
	return status;
}

static int report_fill(const struct options *options, const struct maps *maps, struct report *report)
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

		if (!device || !named(options, device->name))
			continue;
		if (attachment_query(maps, &entries[i].key, &row->hook, &row->program_id))
			continue;
		memcpy(row->interface, device->name, sizeof(row->interface));
		row->entry = entries[i];
		err = maps_count(maps, &row->entry.key, &row->counters);
		report->count++;
	}
	free(entries);
	devices_free(&devices);
	return err;
}

int report_collect(const struct options *options, struct report *report)
{
	struct maps maps;
	int err;

	*report = (struct report){};
	if (maps_open(&maps))
		return EXIT_FAILED;
	err = attachments_reap(&maps) ?: report_fill(options, &maps, report);
	maps_close(&maps);
	if (err)
		return error("cannot read what is attached: %s", strerror(-err));
	return report_check(options, report);
}

void report_print_json(struct json_object *value)
{
	puts(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(value);
}
