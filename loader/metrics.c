// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Limits and counters as Prometheus reads them. All lines of a metric stand together, as the format asks; a thousand
 * interfaces have 60,000 lines, so a line is put together from pieces, without printf().
 */
#include "metrics.h"

#include "counts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LINE_MAX_SIZE = 512, /* bytes, of the longest line */
	LABELS_SIZE = 128,   /* of interface and direction: each byte of a name becomes 5 at most */
};

/* Makes room for some lines. */
static int metrics_grow(struct metrics *metrics, size_t lines)
{
	size_t wanted = metrics->length + lines * LINE_MAX_SIZE;
	char *grown;

	if (wanted <= metrics->room)
		return 0;
	wanted += metrics->room; /* twice as much, about: few copies */
	grown = realloc(metrics->text, wanted);
	if (!grown)
		return -ENOMEM;
	metrics->text = grown;
	metrics->room = wanted;
	return 0;
}

static void put(struct metrics *metrics, const char *text)
{
	size_t length = strlen(text);

	memcpy(metrics->text + metrics->length, text, length);
	metrics->length += length;
}

static void put_number(struct metrics *metrics, __u64 number)
{
	char digits[21], *digit = digits + sizeof(digits) - 1;

	*digit = '\0';
	do
		*--digit = '0' + number % 10;
	while (number /= 10);
	put(metrics, digit);
}

/* What stands behind a line's labels. */
static void put_value(struct metrics *metrics, __u64 value)
{
	put(metrics, "} ");
	put_number(metrics, value);
	put(metrics, "\n");
}

static void put_head(struct metrics *metrics, const char *name, const char *type, const char *help)
{
	put(metrics, "# HELP ");
	put(metrics, name);
	put(metrics, " ");
	put(metrics, help);
	put(metrics, "\n# TYPE ");
	put(metrics, name);
	put(metrics, " ");
	put(metrics, type);
	put(metrics, "\n");
}

static void name_escape(const char *name, char *text)
{
	while (*name) {
		if (*name == '\\' || *name == '"')
			*text++ = '\\';
		*text++ = *name++;
	}
	*text = '\0';
}

/* The labels that every line of a row begins with, all but what closes them. */
static void row_labels(const struct report_row *row, char labels[LABELS_SIZE])
{
	char name[5 * IFNAMSIZ]; /* \x1b becomes \\x1b */

	name_escape(row->interface, name);
	snprintf(labels, LABELS_SIZE, "{interface=\"%s\",direction=\"%s\"", name,
		 direction_name(row->entry.key.direction));
}

/* Begins a line: "NAME SUFFIX {interface=...,direction=...,family="..."". */
static void put_labels(struct metrics *metrics, const char *name, const char *labels, const struct count_name *family)
{
	put(metrics, name);
	put(metrics, labels);
	if (family) {
		put(metrics, ",family=\"");
		put(metrics, family->key);
		put(metrics, "\"");
	}
}

static void put_label(struct metrics *metrics, const char *name, const char *value)
{
	put(metrics, ",");
	put(metrics, name);
	put(metrics, "=\"");
	put(metrics, value);
	put(metrics, "\"");
}

static void limits_write(struct metrics *metrics, const char *name, const char *labels, const struct report_row *row)
{
	const union mssbpf_order *order = &row->entry.limit.order;

	for (size_t i = 0; i < MSSBPF_FAMILIES; i++) {
		bool ipv4 = family_names[i].index == MSSBPF_IPV4;
		unsigned int mss = ipv4 ? order->mss4 : order->mss6;

		if (mss == MSSBPF_MSS_NONE ||
		    (order->flags & MSSBPF_ROUTE && order->flags & (ipv4 ? MSSBPF_LIVE_IPV4 : MSSBPF_LIVE_IPV6)))
			continue;
		put_labels(metrics, name, labels, &family_names[i]);
		put_value(metrics, mss);
	}
}

static void dry_run_write(struct metrics *metrics, const char *name, const char *labels, const struct report_row *row)
{
	put_labels(metrics, name, labels, NULL);
	put_value(metrics, !!(row->entry.limit.order.flags & MSSBPF_DRY_RUN));
}

static void results_write(struct metrics *metrics, const char *name, const char *labels, const struct report_row *row)
{
	for (size_t family = 0; family < MSSBPF_FAMILIES; family++) {
		struct totals totals = {};

		totals_add(&totals, row->counters, family_names[family].index);
		for (size_t i = 0; i < MSSBPF_RESULTS; i++) {
			put_labels(metrics, name, labels, &family_names[family]);
			put_label(metrics, "result", results[i].key);
			put_value(metrics, totals.results[results[i].result]);
		}
	}
}

static void kinds_write(struct metrics *metrics, const char *name, const char *labels, const struct report_row *row)
{
	for (size_t family = 0; family < MSSBPF_FAMILIES; family++) {
		struct totals totals = {};

		totals_add(&totals, row->counters, family_names[family].index);
		for (size_t i = 0; i < MSSBPF_KINDS; i++) {
			put_labels(metrics, name, labels, &family_names[family]);
			put_label(metrics, "kind", kind_names[i].key);
			put_value(metrics, totals.kinds[kind_names[i].index]);
		}
	}
}

/* Buckets count what is in those below, too. */
static void announced_write(struct metrics *metrics, const char *name, const char *labels, const struct report_row *row)
{
	char bucket_name[64], sum_name[64], count_name[64];

	snprintf(bucket_name, sizeof(bucket_name), "%s_bucket", name);
	snprintf(sum_name, sizeof(sum_name), "%s_sum", name);
	snprintf(count_name, sizeof(count_name), "%s_count", name);
	for (size_t i = 0; i < MSSBPF_FAMILIES; i++) {
		const struct count_name *family = &family_names[i];
		__u64 count = 0;

		for (size_t bucket = 0; bucket < MSSBPF_BUCKETS; bucket++) {
			count += row->counters->announced[family->index][bucket];
			put_labels(metrics, bucket_name, labels, family);
			put(metrics, ",le=\"");
			if (bucket < MSSBPF_BUCKETS - 1)
				put_number(metrics, bucket_bounds[bucket]);
			else
				put(metrics, "+Inf");
			put(metrics, "\"");
			put_value(metrics, count);
		}
		put_labels(metrics, sum_name, labels, family);
		put_value(metrics, row->counters->announced_bytes[family->index]);
		put_labels(metrics, count_name, labels, family);
		put_value(metrics, count);
	}
}

enum { ROW_LINES = MSSBPF_FAMILIES * (MSSBPF_BUCKETS + 2) }; /* most that one of these writes */

static const struct {
	const char *name, *type, *help;
	void (*write)(struct metrics *metrics, const char *name, const char *labels, const struct report_row *row);
} families[] = {
	{ "mssbpf_mss_limit_bytes", "gauge",
	  "Largest MSS let through; not there where it differs from packet to packet, or there is none.",
	  limits_write },
	{ "mssbpf_dry_run", "gauge", "1 where SYNs are counted and not changed, else 0.", dry_run_write },
	{ "mssbpf_syn_packets_total", "counter",
	  "TCP SYNs, by what became of them; malformed and truncated also count packets that may be none.",
	  results_write },
	{ "mssbpf_syn_kind_packets_total", "counter",
	  "The same packets, by what they are: SYN, SYN-ACK, or unreadable ahead of the flags.", kinds_write },
	{ "mssbpf_announced_mss_bytes", "histogram", "MSS that SYNs announced, before it was clamped.",
	  announced_write },
};

/* The build, and when the counters were read. */
static void general_write(struct metrics *metrics)
{
	char abi[16];

	snprintf(abi, sizeof(abi), "%d", MSSBPF_ABI);
	put_head(metrics, "mssbpf_build_info", "gauge", "1, with the version of mssbpf and of the layout of its maps.");
	put(metrics, "mssbpf_build_info{version=\"" MSSBPF_VERSION "\"");
	put_label(metrics, "abi", abi);
	put_value(metrics, 1);
	put_head(metrics, "mssbpf_read_timestamp_seconds", "gauge", "When all this was read, in seconds since 1970.");
	put(metrics, "mssbpf_read_timestamp_seconds ");
	put_number(metrics, time(NULL));
	put(metrics, "\n");
}

int metrics_write(struct metrics *metrics, const struct report *report)
{
	char(*labels)[LABELS_SIZE] = calloc(report->count + 1, sizeof(*labels));
	int err = labels ? metrics_grow(metrics, 8) : -ENOMEM;

	if (!err)
		general_write(metrics);
	for (size_t i = 0; i < report->count && !err; i++)
		row_labels(&report->rows[i], labels[i]);
	for (size_t i = 0; i < sizeof(families) / sizeof(*families) && !err && report->count; i++) {
		err = metrics_grow(metrics, 2);
		if (!err)
			put_head(metrics, families[i].name, families[i].type, families[i].help);
		for (size_t row = 0; row < report->count && !err; row++) {
			err = metrics_grow(metrics, ROW_LINES);
			if (!err)
				families[i].write(metrics, families[i].name, labels[row], &report->rows[row]);
		}
	}
	free(labels);
	return err;
}
