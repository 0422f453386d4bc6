// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What doctor looks at on each interface: whether it is attached, its limits, directions and MTU, and who is ahead of
 * the program. Not what is there once for all: that is doctor_host.c.
 */
#include "doctor.h"

#include "ahead.h"
#include "pins.h"
#include "rule_sets.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const direction_words[] = { [1 << MSSBPF_EGRESS] = "egress",
					       [1 << MSSBPF_INGRESS] = "ingress",
					       [1 << MSSBPF_EGRESS | 1 << MSSBPF_INGRESS] = "both" };

/* The directions that it is attached in, a bit each. */
static unsigned int directions_of(const struct subject *subject)
{
	return !!subject->rows[MSSBPF_EGRESS] << MSSBPF_EGRESS | !!subject->rows[MSSBPF_INGRESS] << MSSBPF_INGRESS;
}

static const struct report_row *any_row(const struct subject *subject)
{
	return subject->rows[MSSBPF_EGRESS] ?: subject->rows[MSSBPF_INGRESS];
}

/* Adds "--NAME NUMBER". Returns 0 or -ENOMEM. */
static int number_add(char **command, const char *name, unsigned int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	return command_add(command, name) ?: command_add(command, text);
}

/* What --mtu says. Returns 0 or -ENOMEM. */
static int mtu_add(char **command, const struct mssbpf_limit *limit)
{
	const char *word = limit->source == MSSBPF_SOURCE_ROUTE				? "route"
			   : limit->source == MSSBPF_SOURCE_NONE			? "none"
			   : limit->order.flags & (MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6) ? "auto"
											: NULL;

	return word ? command_add(command, "--mtu") ?: command_add(command, word)
		    : number_add(command, "--mtu", limit->mtu);
}

/* Adds "--mss4 N" or "--mss6 N" where the limit is none that --mtu says. Returns 0 or -ENOMEM. */
static int mss_add(char **command, const char *name, const struct mssbpf_limit *limit, unsigned int mss, __u32 live,
		   unsigned int headers)
{
	unsigned int usual = limit->source == MSSBPF_SOURCE_NONE ? MSSBPF_MSS_NONE : limit->mtu - headers;

	return limit->order.flags & live || mss == usual ? 0 : number_add(command, name, mss);
}

/* Adds the options that say what limits there are. Returns 0 or -ENOMEM. */
static int limits_add(char **command, const struct mssbpf_limit *limit)
{
	const union mssbpf_order *order = &limit->order;
	int err = mtu_add(command, limit);

	if (!err && order->flags & MSSBPF_BOTH_WAYS)
		err = command_add(command, "--both-ways");
	err = err ?: mss_add(command, "--mss4", limit, order->mss4, MSSBPF_LIVE_IPV4, MSSBPF_IPV4_HEADERS);
	return err ?: mss_add(command, "--mss6", limit, order->mss6, MSSBPF_LIVE_IPV6, MSSBPF_IPV6_HEADERS);
}

char *attach_command(const struct doctor *doctor, const struct subject *subject, unsigned int directions,
		     const struct report_row *like, unsigned int mtu)
{
	const __u32 flags = like ? like->entry.limit.order.flags : 0;
	char *command = command_of(WORDS("mssbpf", "attach"));
	int err = command ? 0 : -ENOMEM;

	if (!err && doctor->options->netns)
		err = command_add(&command, "--netns") ?: command_add(&command, doctor->options->netns);
	err = err ?: command_add(&command, subject->device.name);
	if (!err && mtu)
		err = number_add(&command, "--mtu", mtu);
	else if (!err && like)
		err = limits_add(&command, &like->entry.limit);
	err = err ?: command_add(&command, "--direction") ?: command_add(&command, direction_words[directions]);
	if (!err && flags & MSSBPF_DRY_RUN)
		err = command_add(&command, "--dry-run");
	if (!err && flags & MSSBPF_ADD_MISSING)
		err = command_add(&command, flags & MSSBPF_ADD_LIMIT ? "--add-missing=limit" : "--add-missing");
	if (!err)
		return command;
	free(command);
	return NULL;
}

/* The MTU that fits through it; its own where no more is known. */
static unsigned int fitting_mtu(const struct subject *subject)
{
	return subject->detected ? path_mtu(&subject->detection.path) : subject->device.mtu;
}

static void check_attached(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	const struct device *device = &subject->device;
	unsigned int mtu = fitting_mtu(subject);

	if (any_row(subject))
		return;
	if (link_of_device(device->arphrd) < 0 || device->outer_header || device->arphrd == ARPHRD_LOOPBACK)
		finding_add(doctor, check, subject, NULL,
			    "not attached, and it cannot be: 'mssbpf attach %s' says why; attach to the interface that "
			    "its packets come from or go to",
			    device->name);
	else
		finding_add(doctor, check, subject,
			    attach_command(doctor, subject, 1 << MSSBPF_EGRESS | 1 << MSSBPF_INGRESS, NULL, mtu),
			    "not attached: no SYN is clamped here; %u bytes fit through it", mtu);
}

/* The MTU that a limit is for; 0 where there is none, or each packet's route says. */
static unsigned int limit_mtu_of(const struct mssbpf_limit *limit, unsigned int mss, unsigned int headers, __u32 live)
{
	if (mss == MSSBPF_MSS_NONE || (limit->source == MSSBPF_SOURCE_ROUTE && limit->order.flags & live))
		return 0;
	return mss + headers;
}

/* The larger one of a row's two. */
static unsigned int limit_mtu(const struct report_row *row)
{
	const struct mssbpf_limit *limit = &row->entry.limit;
	unsigned int mtu4 = limit_mtu_of(limit, limit->order.mss4, MSSBPF_IPV4_HEADERS, MSSBPF_LIVE_IPV4);
	unsigned int mtu6 = limit_mtu_of(limit, limit->order.mss6, MSSBPF_IPV6_HEADERS, MSSBPF_LIVE_IPV6);

	return mtu4 > mtu6 ? mtu4 : mtu6;
}

static void check_limit(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	unsigned int fits = fitting_mtu(subject), directions = 0, largest = 0;
	const struct report_row *like = NULL;
	char why[PATH_TEXT_SIZE] = "its own MTU";
	char *command = NULL;

	for (size_t direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
		const struct report_row *row = subject->rows[direction];

		if (!row || limit_mtu(row) <= fits)
			continue;
		directions |= 1 << direction;
		like = row;
		if (limit_mtu(row) > largest)
			largest = limit_mtu(row);
	}
	if (!directions)
		return;
	if (fits >= MSSBPF_MTU_MIN)
		command = attach_command(doctor, subject, directions, like, fits);
	if (subject->detected && fits < subject->device.mtu)
		path_describe(&subject->detection.path, why);
	finding_add(doctor, check, subject, command,
		    "the limit (%s) is for an MTU of %u, and %u is what fits through it: %s",
		    direction_words[directions], largest, fits, why);
}

static bool rule_is_too_large(const struct rule *rule, unsigned int fits)
{
	return rule->mss != MSSBPF_MSS_NONE && rule_mtu(rule) > fits;
}

enum { RULES_MENDED = 16 }; /* prefixes in one command */

/* The `mssbpf rule add` that gives those that are too large, or the first of them, an MTU that fits. */
static char *rules_command(const struct doctor *doctor, const struct subject *subject, const struct rules *rules,
			   unsigned int fits)
{
	char *command = command_of(WORDS("mssbpf", "rule", "add")), prefix[RULE_TEXT_SIZE];
	int err = command ? 0 : -ENOMEM;

	if (!err && doctor->options->netns)
		err = command_add(&command, "--netns") ?: command_add(&command, doctor->options->netns);
	err = err ?: command_add(&command, subject->device.name);
	for (size_t i = 0, count = 0; i < rules->count && count < RULES_MENDED && !err; i++) {
		if (!rule_is_too_large(&rules->list[i], fits))
			continue;
		prefix_format(&rules->list[i], prefix);
		err = command_add(&command, prefix);
		count++;
	}
	err = err ?: number_add(&command, "--mtu", fits);
	if (!err)
		return command;
	free(command);
	return NULL;
}

/* Reads the rules of an interface. Returns false where there are none, or when it is said that they cannot be read. */
static bool rules_read(struct doctor *doctor, const struct subject *subject, struct rules *rules)
{
	const struct report_row *row = any_row(subject);
	struct maps maps;
	int err;

	if (!row || !row->entry.limit.order.rules || pins_open(&maps))
		return false;
	err = rule_set_get(&maps, subject->device.ifindex, rules);
	pins_close(&maps);
	if (err)
		doctor_fail(doctor, "%s: cannot read its rules: %s", subject->device.name, strerror(-err));
	return !err;
}

static void check_rules(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	unsigned int fits = fitting_mtu(subject);
	const struct rule *first = NULL;
	struct rules rules = {};
	char text[RULE_TEXT_SIZE];
	size_t count = 0;

	if (!rules_read(doctor, subject, &rules))
		return;
	for (size_t i = 0; i < rules.count; i++) {
		if (!rule_is_too_large(&rules.list[i], fits))
			continue;
		first = first ?: &rules.list[i];
		count++;
	}
	if (first) {
		rule_format(first, text);
		finding_add(doctor, check, subject,
			    fits >= MSSBPF_MTU_MIN ? rules_command(doctor, subject, &rules, fits) : NULL,
			    "%zu of its %zu rules %s for more than the %u bytes that fit through it: %s%s", count,
			    rules.count, count == 1 ? "is" : "are", fits, text, count > 1 ? ", and others" : "");
	}
	free(rules.list);
}

static bool is_wireguard(const struct subject *subject)
{
	const struct path *path = &subject->detection.path;

	for (size_t i = 0; i < path->count; i++)
		if (path->steps[i].kind == STEP_LAYER &&
		    !strncmp(path->steps[i].name, "wireguard", strlen("wireguard")))
			return true;
	return false;
}

/* The device's MTU against what fits below it. */
static bool mtu_is_too_large(const struct subject *subject)
{
	return subject->detected && subject->device.mtu > subject->detection.fits;
}

static char *mtu_command(const struct doctor *doctor, const struct subject *subject)
{
	char mtu[16];

	snprintf(mtu, sizeof(mtu), "%u", subject->detection.advice);
	return doctor_command(doctor, WORDS("ip", "link", "set", subject->device.name, "mtu", mtu));
}

static void check_mtu(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	if (mtu_is_too_large(subject) && !is_wireguard(subject))
		finding_add(doctor, check, subject, mtu_command(doctor, subject),
			    "its MTU %u is larger than what fits below it, %u: larger packets are fragmented or lost",
			    subject->device.mtu, subject->detection.fits);
}

static void check_wireguard_mtu(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	if (mtu_is_too_large(subject) && is_wireguard(subject))
		finding_add(doctor, check, subject, mtu_command(doctor, subject),
			    "its MTU %u is larger than what fits below it: WireGuard pads packets to a multiple of 16 "
			    "bytes, up to its own MTU and so beyond the link; of %u that would fit, padding leaves %u",
			    subject->device.mtu, subject->detection.advice, subject->detection.fits);
}

/* Tells whether it may be for what XDP forwards: the programs of devmaps see that as it leaves, and TC never. */
static bool may_be_for_devmaps(const struct report_row *row)
{
	struct xdp_occupant xdp;

	return row->entry.key.direction == MSSBPF_EGRESS && !xdp_occupant_find(row->entry.key.ifindex, &xdp) &&
	       xdp.program_id;
}

/* Tells whether limits for both ways are held on two interfaces, each where packets leave. */
static bool goes_both_ways(const struct doctor *doctor, const struct report_row *row)
{
	const __u32 both = row->entry.limit.order.flags & MSSBPF_BOTH_WAYS;
	const bool xdp = may_be_for_devmaps(row);

	for (size_t i = 0; i < doctor->report.count; i++) {
		const struct report_row *other = &doctor->report.rows[i];

		if (other->entry.key.ifindex == row->entry.key.ifindex ||
		    other->entry.key.direction != row->entry.key.direction)
			continue;
		if (both & other->entry.limit.order.flags)
			return true;
		/* What comes by this one leaves by the other, and has to be as small. */
		if (xdp && limit_mtu(other) && limit_mtu(other) <= limit_mtu(row) && may_be_for_devmaps(other))
			return true;
	}
	return false;
}

static void check_directions(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	const unsigned int both = 1 << MSSBPF_EGRESS | 1 << MSSBPF_INGRESS;
	unsigned int directions = directions_of(subject), fits = fitting_mtu(subject);
	const struct report_row *row = any_row(subject);
	char *command = NULL;

	if (!row || directions == both || goes_both_ways(doctor, row))
		return;
	if (directions == 1 << MSSBPF_INGRESS || ingress_is_readable(subject->device.arphrd))
		command = attach_command(doctor, subject, both ^ directions, row, limit_mtu(row) > fits ? fits : 0);
	finding_add(
		doctor, check, subject, command,
		"only %s is clamped: the SYN or SYN-ACK of the other direction announces too much, unless the far end "
		"clamps it",
		direction_words[directions]);
}

static void check_dry_run(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	unsigned int directions = 0;
	struct report_row like = {};

	for (size_t direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
		const struct report_row *row = subject->rows[direction];

		if (!row || !(row->entry.limit.order.flags & MSSBPF_DRY_RUN))
			continue;
		directions |= 1 << direction;
		like = *row;
	}
	if (!directions)
		return;
	like.entry.limit.order.flags &= ~MSSBPF_DRY_RUN;
	finding_add(doctor, check, subject, attach_command(doctor, subject, directions, &like, 0),
		    "attached with --dry-run (%s): it counts, and changes nothing", direction_words[directions]);
}

/* How our program gets ahead of clsact filters: by TCX. */
static char *leave_clsact_command(const struct doctor *doctor, const struct subject *subject,
				  const struct report_row *row)
{
	const char *direction = direction_name(row->entry.key.direction);
	char *command;

	if (!tcx_supported())
		return doctor_command(doctor, WORDS("tc", "filter", "show", "dev", subject->device.name, direction));
	command = attach_command(doctor, subject, 1 << row->entry.key.direction, row, 0);
	if (command && !command_add(&command, "--hook") && !command_add(&command, "tcx"))
		return command;
	free(command);
	return NULL;
}

/* How it gets ahead in TCX: by being attached anew. */
static char *attach_anew_command(const struct doctor *doctor, const struct subject *subject,
				 const struct report_row *row)
{
	char *attach = attach_command(doctor, subject, directions_of(subject), row, 0), *detach, *command = NULL;

	if (doctor->options->netns)
		detach = command_of(WORDS("mssbpf", "detach", "--netns", doctor->options->netns, subject->device.name));
	else
		detach = command_of(WORDS("mssbpf", "detach", subject->device.name));
	if (attach && detach && asprintf(&command, "%s && %s", detach, attach) < 0)
		command = NULL;
	free(attach);
	free(detach);
	return command;
}

static void ahead_report(struct doctor *doctor, const struct check *check, const struct subject *subject,
			 const struct report_row *row, const struct ahead *one)
{
	const char *direction = direction_name(row->entry.key.direction);
	char *command = row->hook == HOOK_CLSACT ? leave_clsact_command(doctor, subject, row)
						 : attach_anew_command(doctor, subject, row);

	if (one->kind == AHEAD_PROGRAM)
		finding_add(
			doctor, check, subject, command,
			"another BPF program runs ahead of this one on %s: %s, id %u, %s; it may end a packet's way, "
			"and then its SYNs are not seen here",
			direction, *one->name ? one->name : "without a name", one->program_id,
			one->tcx ? "at tcx" : "in clsact");
	else
		finding_add(
			doctor, check, subject, command,
			"a %s filter of somebody else at priority %u runs ahead of this one on %s, and what it matches "
			"goes no further: those SYNs are not seen here",
			one->what, one->priority, direction);
}

/* Reports the first of a kind in each direction. */
static void check_ahead(struct doctor *doctor, const struct check *check, const struct subject *subject,
			enum ahead_kind kind)
{
	for (size_t direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
		const struct report_row *row = subject->rows[direction];
		struct ahead *list = NULL;
		size_t count = 0, i = 0;
		int err = row ? ahead_list(&row->entry.key, row->hook, row->program_id, &list, &count) : 0;

		if (err)
			doctor_fail(doctor, "%s: cannot read what is attached by others: %s", subject->device.name,
				    strerror(-err));
		while (i < count && list[i].kind != kind)
			i++;
		if (i < count)
			ahead_report(doctor, check, subject, row, &list[i]);
		free(list);
	}
}

static void check_filter_ahead(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	check_ahead(doctor, check, subject, AHEAD_FILTER);
}

static void check_program_ahead(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	check_ahead(doctor, check, subject, AHEAD_PROGRAM);
}

/* So many packets without a SYN among them are no chance. */
enum { PACKETS_WITHOUT_SYN = 1000 };

/* How many packets the device has counted since counting began here. */
static int packets_since(const struct report_row *row, unsigned long long *own, unsigned long long *back)
{
	const __u64 *passed = row->entry.limit.passed;
	struct device_packets packets;
	int err = device_packets_get(row->entry.key.ifindex, &packets);
	unsigned long long sent = packets.sent > passed[MSSBPF_EGRESS] ? packets.sent - passed[MSSBPF_EGRESS] : 0;
	unsigned long long received =
		packets.received > passed[MSSBPF_INGRESS] ? packets.received - passed[MSSBPF_INGRESS] : 0;

	*own = row->entry.key.direction == MSSBPF_EGRESS ? sent : received;
	*back = row->entry.key.direction == MSSBPF_EGRESS ? received : sent;
	return err;
}

static bool counted_any(const struct mssbpf_counters *counters)
{
	const __u64 *cells = (const __u64 *)counters->packets;

	for (size_t i = 0; i < sizeof(counters->packets) / sizeof(*cells); i++)
		if (cells[i])
			return true;
	return false;
}

/* Tells whether it has seen no SYN since it was attached, whatever was reset. */
static bool sees_nothing(struct doctor *doctor, const struct report_row *row)
{
	struct mssbpf_counters counters;
	struct maps maps;
	int err;

	if (counted_any(row->counters) || pins_open(&maps))
		return false;
	err = maps_count_ever(&maps, &row->entry.key, &counters);
	pins_close(&maps);
	if (err && err != -ENOENT)
		doctor_fail(doctor, "%s: cannot read its counters: %s", row->interface, strerror(-err));
	return !err && !counted_any(&counters);
}

/* Why no SYN is seen though packets pass. */
static void no_syn_explain(struct doctor *doctor, const struct check *check, const struct subject *subject,
			   const struct report_row *row, unsigned long long own)
{
	bool egress = row->entry.key.direction == MSSBPF_EGRESS;
	struct xdp_occupant xdp;

	if (!hook_mode(row->hook) && !xdp_occupant_find(subject->device.ifindex, &xdp) && xdp.program_id)
		finding_add(
			doctor, check, subject, NULL,
			"%llu packets %s it since it was attached, and not one SYN was seen among them: an XDP program "
			"(%s, id %u) is on it; what XDP forwards does not pass TC: see XDP in mssbpf(8)",
			own, egress ? "left by" : "arrived by", *xdp.name ? xdp.name : "without a name",
			xdp.program_id);
	else
		finding_add(
			doctor, check, subject, NULL,
			"%llu packets %s it since it was attached, and not one SYN was seen among them: no TCP passes "
			"here, or it is inside of something: IPsec in GRE (attach where it comes from, before it is "
			"encrypted), or what XDP forwards, which does not pass TC (see XDP in mssbpf(8))",
			own, egress ? "left by" : "arrived by");
}

/* Finds a direction in which enough packets passed for a SYN to be among them; or else, the other way. */
static const struct report_row *row_without_syn(struct doctor *doctor, const struct subject *subject, bool other_way,
						unsigned long long *own, unsigned long long *back)
{
	for (size_t direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
		const struct report_row *row = subject->rows[direction];

		if (row && !packets_since(row, own, back) && (other_way ? *back : *own) >= PACKETS_WITHOUT_SYN &&
		    sees_nothing(doctor, row))
			return row;
	}
	return NULL;
}

static void check_no_syn(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	unsigned long long own, back;
	const struct report_row *row = row_without_syn(doctor, subject, false, &own, &back);
	bool egress;

	if (row) {
		no_syn_explain(doctor, check, subject, row, own);
		return;
	}
	row = row_without_syn(doctor, subject, true, &own, &back);
	if (!row)
		return;
	egress = row->entry.key.direction == MSSBPF_EGRESS;
	finding_add(
		doctor, check, subject, NULL,
		"since it was attached, %llu packets %s it, and only %llu %s it, without a SYN among them: the other "
		"way is by another device; attach to that one, too",
		back, egress ? "arrived by" : "left by", own, egress ? "left by" : "arrived by");
}

struct clamp_search {
	struct doctor *doctor;
	const struct check *check;
	const struct subject *subject;
	const char *direction;
};

static void clamp_found(const struct fw_chain *chain, struct fw_rule *rule, void *context)
{
	const struct clamp_search *search = context;
	char *command = NULL;

	if (rule->told)
		return;
	rule->told = true;
	if (rule->remove)
		command = doctor_command_in(search->doctor, strdup(rule->remove));
	finding_add(
		search->doctor, search->check, search->subject, command,
		"a firewall rule (%s, family %s, table %s, chain %s) sets the MSS of SYNs on %s, too; where the option "
		"stands at an odd offset, Linux's own leaves a wrong TCP checksum, and that connection never opens",
		chain->program, chain->family, chain->table, chain->name, search->direction);
}

static void check_firewall_clamp(struct doctor *doctor, const struct check *check, const struct subject *subject)
{
	for (enum mssbpf_direction direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
		struct clamp_search search = { doctor, check, subject, direction_name(direction) };

		if (subject->rows[direction])
			firewall_clamps(&doctor->firewall, subject->device.name, direction, clamp_found, &search);
	}
}

const struct check interface_checks[] = {
	{ "not_attached", SEVERITY_ERROR, .look_at = check_attached },
	{ "limit_too_large", SEVERITY_ERROR, .look_at = check_limit },
	{ "rule_too_large", SEVERITY_ERROR, .look_at = check_rules },
	{ "wireguard_mtu_too_large", SEVERITY_WARNING, .look_at = check_wireguard_mtu },
	{ "mtu_too_large", SEVERITY_WARNING, .look_at = check_mtu },
	{ "one_direction", SEVERITY_WARNING, .look_at = check_directions },
	{ "dry_run", SEVERITY_INFO, .look_at = check_dry_run },
	{ "filter_ahead", SEVERITY_WARNING, .look_at = check_filter_ahead },
	{ "program_ahead", SEVERITY_INFO, .look_at = check_program_ahead },
	{ "no_syn", SEVERITY_WARNING, .look_at = check_no_syn },
	{ "firewall_clamp", SEVERITY_WARNING, .look_at = check_firewall_clamp },
	{ 0 },
};
