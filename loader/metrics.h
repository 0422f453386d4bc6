/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Limits and counters as Prometheus reads them: its text exposition format 0.0.4. Not a way to it: that is stdout for
 * stats, HTTP for exporter.
 */
#ifndef MSSBPF_METRICS_H
#define MSSBPF_METRICS_H

#include "report.h"

struct metrics {
	char *text; /* no NUL at its end */
	size_t length, room;
};

/*
 * Writes the metrics of all rows behind what is there. Returns 0 or -ENOMEM. The caller frees metrics->text.
 */
int metrics_write(struct metrics *metrics, const struct report *report);

#endif
