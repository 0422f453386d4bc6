// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Collects what is attached. Not where it is printed.
 */
#include "report.h"

#include "netlink.h"
#include "pins.h"
#include "rule_sets.h"
#include "selection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int report_check(const struct selection *selection)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < selection->count; i++)
		if (!selection->list[i].by_pattern && !selection->list[i].used)
			status = error("%s: not attached", selection->list[i].name);
	return selection_check(selection, "none of the interfaces that match is attached") ?: status;
}

void limit_update(struct mssbpf_limit *limit, unsigned int mtu)
{
	if (limit->order.flags & (MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6))
		limit->mtu = mtu;
	mtu = mtu < MSSBPF_MTU_MIN ? MSSBPF_MTU_MIN : mtu > MSSBPF_MTU_MAX ? MSSBPF_MTU_MAX : mtu;
	if (limit->order.flags & MSSBPF_LIVE_IPV4)
		limit->order.mss4 = mtu - MSSBPF_IPV4_HEADERS;
	if (limit->order.flags & MSSBPF_LIVE_IPV6)
		limit->order.mss6 = mtu - MSSBPF_IPV6_HEADERS;
}

/* Lists the entries, without looking what is attached. Like attachments_get(). */
static int entries_get(const struct maps *maps, struct attachment **list, size_t *count)
{
	struct entry *entries;
	int err = maps_entries(maps, &entries, count);

	*list = calloc(*count + 1, sizeof(**list));
	if (!err && !*list)
		err = -ENOMEM;
	for (size_t i = 0; i < *count && !err; i++)
		(*list)[i].entry = entries[i];
	free(entries);
	return err;
}

typedef int (*report_source)(const struct maps *maps, struct attachment **list, size_t *count);

/* Adds what is attached to the selected interfaces, or to all when no word selects any. */
static int report_fill(const struct options *options, const struct selection *selection, const struct maps *maps,
		       report_source source, struct report *report)
{
	struct attachment *attachments = NULL;
	struct devices devices = {};
	size_t count = 0, counted_count = 0;
	int err = source(maps, &attachments, &count) ?: maps_counts(maps, &report->counts, &counted_count) ?: devices_get(&devices);

	if (!err && count) {
		report->rows = calloc(count, sizeof(*report->rows));
		err = report->rows ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < count && !err; i++) {
		const struct mssbpf_key *key = &attachments[i].entry.key;
		const struct device *device = devices_find(&devices, key->ifindex);
		struct selected *selected = selection_find(selection, key->ifindex);
		const struct counted *counted = counted_find(report->counts, counted_count, key);
		struct report_row *row = &report->rows[report->count];

		/* Without counters: detached since it was listed. */
		if (!device || !counted || (options->interface_count && !selected))
			continue;
		if (selected)
			selected->used = true;
		row->counters = &counted->counters;
		name_printable(device->name, row->interface);
		row->entry = attachments[i].entry;
		row->hook = attachments[i].hook;
		row->program_id = attachments[i].program_id;
		limit_update(&row->entry.limit, device->mtu);
		if (maps->rules >= 0)
			err = rule_set_count(maps, row->entry.limit.order.rules, &row->rules);
		if (err == -EPERM)
			err = 0;
		report->count += !err;
	}
	free(attachments);
	devices_free(&devices);
	return err;
}

static int report_make(const struct options *options, const struct maps *maps, report_source source,
		       struct report *report)
{
	struct selection selection;
	int status, err;

	*report = (struct report){ .abilities = maps->abilities };
	status = selection_make(options, &selection);
	err = report_fill(options, &selection, maps, source, report);
	report->complete = !err;
	if (err)
		status = error("cannot read what is attached: %s", strerror(-err));
	else if (!options->quiet && report_check(&selection))
		status = EXIT_FAILED;
	selection_free(&selection);
	return status;
}

int report_collect_from(const struct options *options, const struct maps *maps, struct report *report)
{
	return report_make(options, maps, attachments_get, report);
}

int report_collect(const struct options *options, struct report *report)
{
	struct maps maps;
	int status;

	*report = (struct report){};
	if (pins_open(&maps))
		return EXIT_FAILED;
	status = report_collect_from(options, &maps, report);
	pins_close(&maps);
	return status;
}

int report_read(const struct options *options, struct report *report)
{
	struct maps maps;
	int status;

	*report = (struct report){};
	if (pins_read(&maps))
		return EXIT_FAILED;
	status = report_make(options, &maps, entries_get, report);
	pins_release(&maps);
	return status;
}

void report_free(struct report *report)
{
	free(report->rows);
	free(report->counts);
	*report = (struct report){};
}

static const char *json_text(struct json_object *value, size_t *length)
{
	return json_object_to_json_string_length(value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE,
						 length);
}

void report_print_json(struct json_object *value)
{
	size_t length;

	puts(json_text(value, &length));
	json_object_put(value);
}

void report_print_rows(const struct report *report,
		       struct json_object *(*row_json)(const struct report *report, const struct report_row *row))
{
	static const char begin[] = "[\n", end[] = "\n]";

	/* An array of one row at a time, without what begins and ends it. */
	fputs(report->count ? begin : "[", stdout);
	for (size_t i = 0; i < report->count; i++) {
		struct json_object *array = json_object_new_array_ext(1);
		const char *text;
		size_t length;

		json_object_array_add(array, row_json(report, &report->rows[i]));
		text = json_text(array, &length);
		fwrite(text + strlen(begin), 1, length - strlen(begin) - strlen(end), stdout);
		fputs(i + 1 < report->count ? ",\n" : "", stdout);
		json_object_put(array);
	}
	puts(report->count ? end : "]");
}
