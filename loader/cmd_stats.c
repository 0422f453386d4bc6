// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf stats: what passed and what became of it. Not how it is set up: that is show.
 */
#include "cli.h"
#include "report.h"
#include "results.h"
#include "table.h"

#include <stdlib.h>

static const struct option_spec stats_options[] = {
	{ "json", 'j', NULL, "as JSON", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ 0 },
};

static const struct {
	enum mssbpf_family family;
	const char *key;
	const char *name;
} families[MSSBPF_FAMILIES] = {
	{ MSSBPF_IPV4, "ipv4", "IPv4" },
	{ MSSBPF_IPV6, "ipv6", "IPv6" },
};

/* Sums of one family's counters, or added up for both. */
struct totals {
	__u64 kinds[MSSBPF_KINDS];
	__u64 results[MSSBPF_RESULTS];
};

static void totals_add(struct totals *totals, const struct mssbpf_counters *counters, enum mssbpf_family family)
{
	for (size_t kind = 0; kind < MSSBPF_KINDS; kind++) {
		for (size_t result = 0; result < MSSBPF_RESULTS; result++) {
			totals->kinds[kind] += counters->packets[family][kind][result];
			totals->results[result] += counters->packets[family][kind][result];
		}
	}
}

/* Keys that are constant and new, as all here are, need neither a copy nor a search. */
static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add_ex(object, key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT);
}

static void totals_json(struct json_object *object, const struct totals *totals)
{
	add(object, "syn", json_object_new_uint64(totals->kinds[MSSBPF_SYN] + totals->kinds[MSSBPF_SYN_ACK]));
	for (size_t i = 0; i < MSSBPF_RESULTS; i++)
		add(object, results[i].key, json_object_new_uint64(totals->results[results[i].result]));
	add(object, "syn_only", json_object_new_uint64(totals->kinds[MSSBPF_SYN]));
	add(object, "syn_ack", json_object_new_uint64(totals->kinds[MSSBPF_SYN_ACK]));
	add(object, "unreadable", json_object_new_uint64(totals->kinds[MSSBPF_UNREADABLE]));
}

static struct json_object *row_json(const struct report *report, const struct report_row *row)
{
	struct json_object *object = json_object_new_object();
	struct totals both = {};

	(void)report;
	add(object, "interface", json_object_new_string(row->interface));
	add(object, "ifindex", json_object_new_uint64(row->entry.key.ifindex));
	add(object, "direction", json_object_new_string(direction_name(row->entry.key.direction)));
	for (size_t i = 0; i < MSSBPF_FAMILIES; i++)
		totals_add(&both, &row->counters, families[i].family);
	totals_json(object, &both);
	for (size_t i = 0; i < MSSBPF_FAMILIES; i++) {
		struct json_object *family = json_object_new_object();
		struct totals totals = {};

		totals_add(&totals, &row->counters, families[i].family);
		totals_json(family, &totals);
		add(object, families[i].key, family);
	}
	return object;
}

static void stats_text(const struct report *report)
{
	static const char *const heads[] = { "INTERFACE", "DIRECTION", "FAMILY", "SYN", "SYN-ACK" };
	const size_t heads_count = sizeof(heads) / sizeof(*heads);
	struct table table = { .columns = heads_count + MSSBPF_RESULTS, .words = 1 << 0 | 1 << 1 | 1 << 2 };

	for (size_t i = 0; i < heads_count; i++)
		table_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < MSSBPF_RESULTS; i++)
		table_add(&table, "%s", results[i].head);
	for (size_t i = 0; i < report->count * MSSBPF_FAMILIES; i++) {
		const struct report_row *row = &report->rows[i / MSSBPF_FAMILIES];
		size_t family = i % MSSBPF_FAMILIES;
		struct totals totals = {};

		totals_add(&totals, &row->counters, families[family].family);
		table_add(&table, "%s", row->interface);
		table_add(&table, "%s", direction_name(row->entry.key.direction));
		table_add(&table, "%s", families[family].name);
		table_add(&table, "%llu", totals.kinds[MSSBPF_SYN]);
		table_add(&table, "%llu", totals.kinds[MSSBPF_SYN_ACK]);
		for (size_t result = 0; result < MSSBPF_RESULTS; result++)
			table_add(&table, "%llu", totals.results[results[result].result]);
	}
	table_print(&table);
}

static int stats_run(const struct options *options)
{
	struct report report;
	int status = report_collect(options, &report);

	if (options->json && report.complete)
		report_print_rows(&report, row_json);
	else if (report.count)
		stats_text(&report);
	free(report.rows);
	return status;
}

const struct verb verb_stats = {
	.name = "stats",
	.arguments = "[IFACE|PATTERN...]",
	.summary = "SYNs seen, and what became of them",
	.options = stats_options,
	.completion = "attached",
	.run = stats_run,
};
