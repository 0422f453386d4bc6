// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf stats: what passed and what became of it. Not how it is set up: that is show.
 */
#include "counts.h"
#include "metrics.h"
#include "pins.h"
#include "selection.h"
#include "stats.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec stats_options[] = {
	{ "json", 'j', NULL, "as JSON", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ "watch", 'w', "SECONDS", "again and again, with rates; 1 without a number", OPTION_NUMBER,
	  .offset = offsetof(struct options, watch), .min = 1, .max = 86400, .unit = "seconds", .bare = true,
	  .without = 1 },
	{ "histogram", 'H', NULL, "which MSS were announced, as bars", OPTION_FLAG,
	  .offset = offsetof(struct options, histogram) },
	{ "prometheus", 'p', NULL, "in Prometheus's text format", OPTION_FLAG,
	  .offset = offsetof(struct options, prometheus) },
	{ "reset", 0, NULL, "let the counters begin at zero again", OPTION_FLAG,
	  .offset = offsetof(struct options, reset) },
	{ 0 },
};

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

static void announced_json(struct json_object *object, const struct mssbpf_counters *counters, size_t family)
{
	struct json_object *buckets = json_object_new_array_ext(MSSBPF_BUCKETS);

	for (size_t i = 0; i < MSSBPF_BUCKETS; i++) {
		struct json_object *bucket = json_object_new_object();

		add(bucket, "up_to", i < MSSBPF_BUCKETS - 1 ? json_object_new_int(bucket_bounds[i]) : NULL);
		add(bucket, "count", json_object_new_uint64(counters->announced[family][i]));
		json_object_array_add(buckets, bucket);
	}
	add(object, "announced", buckets);
	add(object, "announced_bytes", json_object_new_uint64(counters->announced_bytes[family]));
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
		totals_add(&both, row->counters, family_names[i].index);
	totals_json(object, &both);
	for (size_t i = 0; i < MSSBPF_FAMILIES; i++) {
		struct json_object *family = json_object_new_object();
		struct totals totals = {};

		totals_add(&totals, row->counters, family_names[i].index);
		totals_json(family, &totals);
		announced_json(family, row->counters, family_names[i].index);
		add(object, family_names[i].key, family);
	}
	return object;
}

void stats_json(const struct report *report)
{
	report_print_rows(report, row_json);
}

void stats_json_line(const struct report *report)
{
	putchar('[');
	for (size_t i = 0; i < report->count; i++) {
		struct json_object *row = row_json(report, &report->rows[i]);

		printf("%s%s", i ? "," : "", json_object_to_json_string_ext(row, JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(row);
	}
	puts("]");
}

static void stats_text(const struct report *report)
{
	static const char *const heads[] = { "INTERFACE", "DIRECTION", "FAMILY" };
	const size_t heads_count = sizeof(heads) / sizeof(*heads);
	struct table table = { .columns = heads_count + COUNT_COLUMNS, .words = 1 << 0 | 1 << 1 | 1 << 2 };

	for (size_t i = 0; i < heads_count; i++)
		table_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < COUNT_COLUMNS; i++)
		table_add(&table, "%s", count_head(i));
	for (size_t i = 0; i < report->count * MSSBPF_FAMILIES; i++) {
		const struct report_row *row = &report->rows[i / MSSBPF_FAMILIES];
		const struct count_name *family = &family_names[i % MSSBPF_FAMILIES];
		struct totals totals = {};

		totals_add(&totals, row->counters, family->index);
		table_add(&table, "%s", row->interface);
		table_add(&table, "%s", direction_name(row->entry.key.direction));
		table_add(&table, "%s", family->head);
		for (size_t column = 0; column < COUNT_COLUMNS; column++)
			table_add(&table, "%llu", count_value(&totals, column));
	}
	table_print(&table);
}

/* Resets the counters of the selected interfaces, or of all when no word selects any. Returns 0 or -errno. */
static int reset_selected(const struct options *options, const struct maps *maps, const struct selection *selection)
{
	struct entry *entries;
	size_t count;
	int err = maps_entries(maps, &entries, &count);

	for (size_t i = 0; i < count && !err; i++) {
		struct selected *selected = selection_find(selection, entries[i].key.ifindex);

		if (options->interface_count && !selected)
			continue;
		if (selected)
			selected->used = true;
		err = maps_reset(maps, &entries[i].key);
	}
	free(entries);
	return err;
}

static int reset_run(const struct options *options)
{
	struct selection selection;
	struct maps maps;
	int status, err;

	if (pins_open(&maps))
		return EXIT_FAILED;
	status = selection_make(options, &selection);
	err = reset_selected(options, &maps, &selection);
	pins_close(&maps);
	if (err)
		status = error("cannot reset the counters: %s", strerror(-err));
	else if (report_check(&selection))
		status = EXIT_FAILED;
	selection_free(&selection);
	return status;
}

static int prometheus_print(const struct report *report)
{
	struct metrics metrics = {};
	int err = metrics_write(&metrics, report);

	if (!err)
		fwrite(metrics.text, 1, metrics.length, stdout);
	free(metrics.text);
	return err ? error("%s", strerror(-err)) : EXIT_DONE;
}

static int stats_run(const struct options *options)
{
	struct report report;
	int width, height, status;

	if (options->reset && (options->json || options->watch || options->histogram || options->prometheus))
		return usage_error(&verb_stats, "stats: --reset prints nothing: it goes with no --json, --watch, "
						"--histogram or --prometheus");
	if (options->prometheus && (options->json || options->watch || options->histogram))
		return usage_error(&verb_stats, "stats: --prometheus goes with no --json, --watch or --histogram");
	if (options->reset)
		return reset_run(options);
	if (options->watch)
		return stats_watch(options);
	status = report_read(options, &report);
	if (!terminal_size(&width, &height))
		width = WIDTH_DEFAULT;
	if (options->json && report.complete)
		stats_json(&report);
	else if (options->prometheus && report.complete)
		status = prometheus_print(&report) ? EXIT_FAILED : status;
	else if (report.count && options->histogram)
		stats_histogram(stdout, &report, width);
	else if (report.count)
		stats_text(&report);
	report_free(&report);
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
