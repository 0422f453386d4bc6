/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is attached, as show and stats list it. Not a format: each verb prints its own.
 */
#ifndef MSSBPF_REPORT_H
#define MSSBPF_REPORT_H

#include "attached.h"
#include "cli.h"
#include "printable.h"

#include <json-c/json.h>
#include <linux/if.h>

struct report_row {
	char interface[PRINTABLE_NAME_SIZE];
	struct entry entry; /* limits that follow the device's MTU: as they are now */
	enum hook hook;
	__u32 program_id;
	const struct mssbpf_counters *counters;
	size_t rules; /* how many; 0 also if that cannot be read without CAP_SYS_ADMIN */
};

struct report {
	struct report_row *rows; /* by ascending ifindex and direction */
	size_t count;
	struct counted *counts; /* where the rows' counters are */
	unsigned int abilities; /* enum mssbpf_abilities of the programs */
	bool complete;		/* what is attached could be read: an empty report means that nothing is */
};

/*
 * Collects the rows of the named interfaces, or of all when none is named. Returns an exit status; after
 * EXIT_FAILED, a complete report still has the rows of those named interfaces that are attached. The caller releases
 * it.
 */
int report_collect(const struct options *options, struct report *report);

/* Likewise, from pins that are open. */
int report_collect_from(const struct options *options, const struct maps *maps, struct report *report);

/*
 * Like report_collect(), from the maps alone: takes no capability and no lock, and removes nothing. hook and program_id
 * are not set; what somebody else took off an interface is in it until a command that looks comes by.
 */
int report_read(const struct options *options, struct report *report);

void report_free(struct report *report);

/* Sets limits that follow the device's MTU to what the programs make of it now. */
void limit_update(struct mssbpf_limit *limit, unsigned int mtu);

struct selection;

/* Says which of the selected interfaces were not used: they are not attached. Returns an exit status. */
int report_check(const struct selection *selection);

/* Prints the value and a newline on stdout, and releases it. */
void report_print_json(struct json_object *value);

/* Prints an array of what row_json() makes of each row. One at a time: thousands at once take twice as long. */
void report_print_rows(const struct report *report,
		       struct json_object *(*row_json)(const struct report *report, const struct report_row *row));

#endif
