// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf stats --histogram: which MSS hosts announced, as bars. Not a place that counts them.
 */
#include "counts.h"
#include "stats.h"

#include <string.h>

enum {
	LABEL_WIDTH = 6, /* "<=1460" */
	BAR_LEAST = 10,	 /* characters, however narrow the terminal is */
};

static const char bar[] = "########################################################################################"
			  "########################################################################################";

static void bucket_label(char label[16], size_t bucket)
{
	if (bucket < MSSBPF_BUCKETS - 1)
		snprintf(label, 16, "<=%u", bucket_bounds[bucket]);
	else
		snprintf(label, 16, "jumbo");
}

/* What there is of it shows: a bar has one character at least. */
static int bar_length(__u64 count, __u64 most, int room)
{
	int length = (double)count / most * room;

	return !count ? 0 : length ?: 1;
}

static void histogram_print(FILE *file, const __u64 buckets[MSSBPF_BUCKETS], __u64 all, int width)
{
	int number_width = snprintf(NULL, 0, "%llu", all), room;
	__u64 most = 0;

	room = width - LABEL_WIDTH - number_width - (int)strlen("      100.0 %  ");
	room = room < BAR_LEAST ? BAR_LEAST : room > (int)sizeof(bar) - 1 ? (int)sizeof(bar) - 1 : room;
	for (size_t bucket = 0; bucket < MSSBPF_BUCKETS; bucket++)
		if (buckets[bucket] > most)
			most = buckets[bucket];
	for (size_t bucket = 0; bucket < MSSBPF_BUCKETS; bucket++) {
		int length = bar_length(buckets[bucket], most, room);
		char label[16];

		bucket_label(label, bucket);
		fprintf(file, "  %*s  %*llu  %5.1f %%%s%.*s\n", LABEL_WIDTH, label, number_width, buckets[bucket],
			100.0 * buckets[bucket] / all, length ? "  " : "", length, bar);
	}
}

void stats_histogram(FILE *file, const struct report *report, int width)
{
	for (size_t i = 0; i < report->count * MSSBPF_FAMILIES; i++) {
		const struct report_row *row = &report->rows[i / MSSBPF_FAMILIES];
		const struct count_name *family = &family_names[i % MSSBPF_FAMILIES];
		__u64 count = announced_count(row->counters, family->index);

		fprintf(file, "%s %s %s: ", row->interface, direction_name(row->entry.key.direction), family->head);
		if (!count) {
			fprintf(file, "no MSS announced\n");
			continue;
		}
		fprintf(file, "%llu announced an MSS, %llu on average\n", count,
			row->counters->announced_bytes[family->index] / count);
		histogram_print(file, row->counters->announced[family->index], count, width);
	}
}
