/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The views of the verb stats. Not where they are chosen: that is cmd_stats.c.
 */
#ifndef MSSBPF_STATS_H
#define MSSBPF_STATS_H

#include "report.h"

#include <stdio.h>

/* Prints every row as JSON: an array over many lines, or for a stream in one. */
void stats_json(const struct report *report);
void stats_json_line(const struct report *report);

/* Prints the histograms of the MSS announced, with bars that end at `width` characters. */
void stats_histogram(FILE *file, const struct report *report, int width);

/* Prints again every options->watch seconds, until a signal or the reader ends it. Returns an exit status. */
int stats_watch(const struct options *options);

enum { WIDTH_DEFAULT = 80 }; /* characters, where there is no terminal */

/* The terminal that stdout is, in characters. Returns false when it is none. */
bool terminal_size(int *width, int *height);

#endif
