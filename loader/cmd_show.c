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

static bool is_by_route(const struct mssbpf_limit *limit)
{
	return limit->order.flags & MSSBPF_ROUTE;
}

/* Tells whether a family, whose flag is `live`, has no limit of its own that is the same for all packets. */
static bool has_no_limit(const struct mssbpf_limit *limit, __u16 mss, __u32 live)
{
	return mss == MSSBPF_MSS_NONE || (is_by_route(limit) && limit->order.flags & live);
}

static bool has_no_mtu(const struct mssbpf_limit *limit)
{
	return is_by_route(limit) || limit->source == MSSBPF_SOURCE_NONE;
}

/* How a route is found: an index of the texts below. */
enum route_by { BY_PACKET, BY_LOOKUP_AND_MARK, BY_LOOKUP };

/* A lookup; ahead of TC, packets have no mark. */
static enum route_by lookup_by(const struct report *report, const struct report_row *row)
{
	return report->abilities & MSSBPF_GIVES_MARK && !hook_mode(row->hook) ? BY_LOOKUP_AND_MARK : BY_LOOKUP;
}

/* A packet's own; the way back is always looked up. */
static enum route_by route_by(const struct report *report, const struct report_row *row)
{
	if (row->entry.key.direction == MSSBPF_EGRESS && report->abilities & MSSBPF_READS_ROUTE)
		return BY_PACKET;
	return lookup_by(report, row);
}

static const char *const route_by_name[] = { "packet", "lookup+mark", "lookup" };
static const char *const route_by_text[] = {
	": the one the packet has",
	": looked up; an mtu that is not locked is not seen",
	": looked up; an mtu that is not locked and the mark are not seen",
};
static const char *const back_text[] = {
	[BY_LOOKUP_AND_MARK] = "; both ways, back looked up: an mtu that is not locked is not seen",
	[BY_LOOKUP] = "; both ways, back looked up: an mtu that is not locked and the mark are not seen",
};

/* What is to be said of the way back. */
static const char *both_ways_text(const struct report *report, const struct report_row *row)
{
	if (!(row->entry.limit.order.flags & MSSBPF_BOTH_WAYS))
		return "";
	return route_by(report, row) == BY_PACKET ? back_text[lookup_by(report, row)] : "; both ways";
}

/* Writes where the limits come from: "given", "device", "route", "none" or "computed: ...". */
static const char *source_text(const struct mssbpf_limit *limit, char text[SOURCE_SIZE])
{
	static const char *const names[] = {
		[MSSBPF_SOURCE_GIVEN] = "given",	 [MSSBPF_SOURCE_DEVICE] = "device",
		[MSSBPF_SOURCE_COMPUTED] = "computed: ", [MSSBPF_SOURCE_ROUTE] = "route",
		[MSSBPF_SOURCE_NONE] = "none",
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

/* What a SYN without MSS gets. */
static const char *add_name(const struct mssbpf_limit *limit)
{
	return !(limit->order.flags & MSSBPF_ADD_MISSING) ? "off"
	       : limit->order.flags & MSSBPF_ADD_LIMIT	  ? "limit"
							  : "default";
}

static struct json_object *json_number(unsigned int number, bool none)
{
	return none ? NULL : json_object_new_uint64(number);
}

static struct json_object *row_json(const struct report *report, const struct report_row *row)
{
	const struct mssbpf_limit *limit = &row->entry.limit;
	struct json_object *object = json_object_new_object();
	char source[SOURCE_SIZE];

	json_object_object_add(object, "interface", json_object_new_string(row->interface));
	json_object_object_add(object, "ifindex", json_object_new_uint64(row->entry.key.ifindex));
	json_object_object_add(object, "direction", json_object_new_string(direction_name(row->entry.key.direction)));
	json_object_object_add(object, "hook", json_object_new_string(hook_name(row->hook)));
	if (hook_mode(row->hook))
		json_object_object_add(object, "xdp_mode", json_object_new_string(hook_mode(row->hook)));
	json_object_object_add(object, "mtu", json_number(limit->mtu, has_no_mtu(limit)));
	json_object_object_add(
		object, "mss4",
		json_number(limit->order.mss4, has_no_limit(limit, limit->order.mss4, MSSBPF_LIVE_IPV4)));
	json_object_object_add(
		object, "mss6",
		json_number(limit->order.mss6, has_no_limit(limit, limit->order.mss6, MSSBPF_LIVE_IPV6)));
	json_object_object_add(object, "source", json_object_new_string(source_text(limit, source)));
	json_object_object_add(object, "live", json_object_new_boolean(is_live(limit)));
	json_object_object_add(object, "route_by",
			       is_by_route(limit) ? json_object_new_string(route_by_name[route_by(report, row)])
						  : NULL);
	json_object_object_add(object, "both_ways", json_object_new_boolean(limit->order.flags & MSSBPF_BOTH_WAYS));
	json_object_object_add(object, "mode", json_object_new_string(mode_name(limit)));
	json_object_object_add(object, "add_missing", json_object_new_string(add_name(limit)));
	json_object_object_add(object, "rules", json_object_new_uint64(row->rules));
	json_object_object_add(object, "program_id", json_object_new_uint64(row->program_id));
	return object;
}

static void table_number(struct table *table, unsigned int number, bool none)
{
	if (none)
		table_add(table, "-");
	else
		table_add(table, "%u", number);
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
		char source[SOURCE_SIZE], rules[32];

		table_add(&table, "%s", row->interface);
		table_add(&table, "%s", direction_name(row->entry.key.direction));
		table_add(&table, "%s%s%s", hook_name(row->hook), hook_mode(row->hook) ? "-" : "",
			  hook_mode(row->hook) ?: "");
		table_add(&table, "%s%s", mode_name(limit), limit->order.flags & MSSBPF_ADD_MISSING ? "+add" : "");
		table_number(&table, limit->mtu, has_no_mtu(limit));
		table_number(&table, limit->order.mss4, has_no_limit(limit, limit->order.mss4, MSSBPF_LIVE_IPV4));
		table_number(&table, limit->order.mss6, has_no_limit(limit, limit->order.mss6, MSSBPF_LIVE_IPV6));
		table_add(&table, "%u", row->program_id);
		snprintf(rules, sizeof(rules), row->rules ? ", %zu rule%s" : "", row->rules, row->rules > 1 ? "s" : "");
		if (is_by_route(limit))
			table_add(&table, "%s%s%s%s", source_text(limit, source), route_by_text[route_by(report, row)],
				  both_ways_text(report, row), rules);
		else
			table_add(&table, "%s%s%s", source_text(limit, source), is_live(limit) ? ", followed" : "",
				  rules);
	}
	table_print(&table);
}

static int show_run(const struct options *options)
{
	struct report report;
	int status = report_collect(options, &report);

	if (options->json && report.complete)
		report_print_rows(&report, row_json);
	else if (report.count)
		show_text(&report);
	report_free(&report);
	return status;
}

const struct verb verb_show = {
	.name = "show",
	.arguments = "[IFACE|PATTERN...]",
	.summary = "what is attached: limits, hook, direction, mode, program id",
	.options = show_options,
	.completion = "attached",
	.run = show_run,
};
