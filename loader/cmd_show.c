// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf show: what is attached, with which limits. Not what it did: that is stats.
 */
#include "cli.h"
#include "report.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option_spec show_options[] = {
	{ "json", 'j', NULL, "as JSON", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ 0 },
};

enum { SOURCE_SIZE = MSSBPF_ORIGIN_SIZE + 16 };

static bool is_live(const struct mssbpf_limit *limit)
{
	return limit->order.flags & (MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6);
}

/* Writes where the limits come from: "given", "device" or "computed: ...". */
static const char *source_text(const struct mssbpf_limit *limit, char text[SOURCE_SIZE])
{
	static const char *const names[] = {
		[MSSBPF_SOURCE_GIVEN] = "given",
		[MSSBPF_SOURCE_DEVICE] = "device",
		[MSSBPF_SOURCE_COMPUTED] = "computed: ",
	};

	snprintf(text, SOURCE_SIZE, "%s%.*s",
		 limit->source < sizeof(names) / sizeof(*names) ? names[limit->source] : "unknown", MSSBPF_ORIGIN_SIZE,
		 limit->source == MSSBPF_SOURCE_COMPUTED ? limit->origin : "");
	return text;
}

static const char *mode_name(const struct mssbpf_limit *limit)
{
	return limit->order.flags & MSSBPF_DRY_RUN ? "dry-run" : "clamp";
}

static void show_json(const struct report *report)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < report->count; i++) {
		const struct report_row *row = &report->rows[i];
		const struct mssbpf_limit *limit = &row->entry.limit;
		struct json_object *object = json_object_new_object();
		char source[SOURCE_SIZE];

		json_object_object_add(object, "interface", json_object_new_string(row->interface));
		json_object_object_add(object, "ifindex", json_object_new_uint64(row->entry.key.ifindex));
		json_object_object_add(object, "direction",
				       json_object_new_string(direction_name(row->entry.key.direction)));
		json_object_object_add(object, "hook", json_object_new_string(hook_name(row->hook)));
		json_object_object_add(object, "mtu", json_object_new_uint64(limit->mtu));
		json_object_object_add(object, "mss4", json_object_new_uint64(limit->order.mss4));
		json_object_object_add(object, "mss6", json_object_new_uint64(limit->order.mss6));
		json_object_object_add(object, "source", json_object_new_string(source_text(limit, source)));
		json_object_object_add(object, "live", json_object_new_boolean(is_live(limit)));
		json_object_object_add(object, "mode", json_object_new_string(mode_name(limit)));
		json_object_object_add(object, "program_id", json_object_new_uint64(row->program_id));
		json_object_array_add(array, object);
	}
	report_print_json(array);
}

static void show_text(const struct report *report)
{
	static const char *const heads[] = { "INTERFACE", "DIRECTION", "HOOK",	  "MODE",  "MTU",
					     "MSS-IPV4",  "MSS-IPV6",  "PROGRAM", "SOURCE" };
	struct table table = { .columns = sizeof(heads) / sizeof(*heads), .words = 0xf | 1 << 8 };

	for (size_t i = 0; i < table.columns; i++)
		table_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < report->count; i++) {
		const struct report_row *row = &report->rows[i];
		const struct mssbpf_limit *limit = &row->entry.limit;
		char source[SOURCE_SIZE];

		table_add(&table, "%s", row->interface);
		table_add(&table, "%s", direction_name(row->entry.key.direction));
		table_add(&table, "%s", hook_name(row->hook));
		table_add(&table, "%s", mode_name(limit));
		table_add(&table, "%u", limit->mtu);
		table_add(&table, "%u", limit->order.mss4);
		table_add(&table, "%u", limit->order.mss6);
		table_add(&table, "%u", row->program_id);
		table_add(&table, "%s%s", source_text(limit, source), is_live(limit) ? ", followed" : "");
	}
	table_print(&table);
}

static int show_run(const struct options *options)
{
	struct report report;
	int status = report_collect(options, &report);

	if (options->json && report.complete)
		show_json(&report);
	else if (report.count)
		show_text(&report);
	free(report.rows);
	return status;
}

const struct verb verb_show = {
	.name = "show",
	.arguments = "[IFACE...]",
	.summary = "what is attached: limits, hook, direction, mode, program id",
	.options = show_options,
	.completion = "attached",
	.run = show_run,
};
