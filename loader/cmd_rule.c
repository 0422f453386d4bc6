// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf rule: limits of their own for prefixes. Not what a set of them is made of: that is rule_sets.c and rules.c.
 */
#include "attached.h"
#include "cli.h"
#include "pins.h"
#include "privileges.h"
#include "report.h"
#include "rule_sets.h"
#include "selection.h"
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option_spec rule_options[] = {
	{ "mtu", 'm', "N", "add: MTU of the path to these prefixes", OPTION_NUMBER,
	  .offset = offsetof(struct options, mtu), .min = MSSBPF_MTU_MIN, .max = MSSBPF_MTU_MAX, .unit = "bytes" },
	{ "mss", 0, "N", "add: MSS limit for these prefixes", OPTION_NUMBER, .offset = offsetof(struct options, mss),
	  .min = 1, .max = MSSBPF_MTU_MAX - MSSBPF_IPV4_HEADERS, .unit = "bytes" },
	{ "off", 0, NULL, "add: leave the SYNs of these prefixes alone", OPTION_FLAG,
	  .offset = offsetof(struct options, off) },
	{ "plain", 'p', NULL, "list: as lines that load takes", OPTION_FLAG,
	  .offset = offsetof(struct options, plain) },
	{ "json", 'j', NULL, "list: as JSON", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ 0 },
};

/* What stands behind `rule`. */
struct action {
	const char *name;
	const char *arguments;
	int least, most; /* words behind the name */
	int (*run)(const struct options *options, const struct action *action);
	/* Reads what is given, if anything. Returns an exit status. */
	int (*read)(const struct options *options, struct rules *given);
	/* Changes the rules of an interface. Returns 0, or -errno after saying what is wrong. NULL: given ones replace
	 * all. */
	int (*edit)(const struct rules *given, const char *interface, struct rules *rules);
};

/* Takes the prefixes behind the interface, which have no limit yet. Returns an exit status. */
static int prefixes_read(const struct options *options, struct rules *given)
{
	for (int i = 2; i < options->interface_count; i++) {
		struct rule rule;
		char why[WHY_SIZE];

		if (prefix_parse(options->interfaces[i], &rule, why))
			return usage_error(&verb_rule, "rule: %s", why);
		if (rules_find(given, &rule))
			return usage_error(&verb_rule, "rule: '%s' stands there twice", options->interfaces[i]);
		if (rules_set(given, &rule))
			return error("%s", strerror(ENOMEM));
	}
	return EXIT_DONE;
}

/* What to add to a complaint that the rules cannot be read. */
static const char *read_hint(int err)
{
	return err == -EPERM ? "; this takes root, or CAP_SYS_ADMIN" : "";
}

/* Warns of the first IPv6 prefix whose MTU IPv6 does not allow. */
static void rules_warn(const struct rules *rules)
{
	const struct rule *first = NULL;
	char text[RULE_TEXT_SIZE];
	size_t more = 0;

	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];

		if (!rule->by_mtu || rule->family != MSSBPF_IPV6 || rule_mtu(rule) >= MTU_MIN_IPV6)
			continue;
		if (!first)
			first = rule;
		else
			more++;
	}
	if (!first)
		return;
	rule_format(first, text);
	warning("%s: IPv6 needs 1280 at least (RFC 8200); its packets do not fit this path", text);
	if (more)
		warning("the same goes for %zu more", more);
}

static int add_read(const struct options *options, struct rules *given)
{
	int status;

	if (!options->mtu + !options->mss + !options->off != 2)
		return usage_error(&verb_rule, "rule add: one of --mtu, --mss and --off says what is to hold");
	status = prefixes_read(options, given);
	for (size_t i = 0; i < given->count && !status; i++) {
		struct rule *rule = &given->list[i];
		char text[RULE_TEXT_SIZE];

		prefix_format(rule, text);
		if (options->mss > rule_mss_max(rule->family))
			status = usage_error(&verb_rule, "rule add: --mss %u: at most %u for %s", options->mss,
					     rule_mss_max(rule->family), text);
		rule->by_mtu = options->mtu;
		rule->mss = options->off   ? MSSBPF_MSS_NONE
			    : options->mtu ? rule_mss_of_mtu(rule->family, options->mtu)
					   : options->mss;
	}
	if (!status)
		rules_warn(given);
	return status;
}

static int add_edit(const struct rules *given, const char *interface, struct rules *rules)
{
	for (size_t i = 0; i < given->count; i++) {
		if (rules->count == RULES_MAX && !rules_find(rules, &given->list[i])) {
			error("%s: it has %u rules, which is the most", interface, RULES_MAX);
			return -ENOSPC;
		}
		if (rules_set(rules, &given->list[i])) {
			error("%s: %s", interface, strerror(ENOMEM));
			return -ENOMEM;
		}
	}
	return 0;
}

static int del_edit(const struct rules *given, const char *interface, struct rules *rules)
{
	for (size_t i = 0; i < given->count; i++) {
		struct rule *rule = rules_find(rules, &given->list[i]);
		char text[RULE_TEXT_SIZE];

		if (!rule) {
			prefix_format(&given->list[i], text);
			error("%s: no rule for exactly %s; 'mssbpf rule list %s' shows those there are", interface,
			      text, interface);
			return -ENOENT;
		}
		rules_remove(rules, rule);
	}
	return 0;
}

/* Reads a whole file into *text, for the caller to free. Returns 0 or -errno. */
static int file_read(int fd, char **text, size_t *length)
{
	size_t room = 0;

	*text = NULL;
	*length = 0;
	for (;;) {
		ssize_t some;

		if (*length == room) {
			char *grown = room < RULES_FILE_MAX ? realloc(*text, room = room * 2 ?: 1 << 16) : NULL;

			if (!grown)
				return room < RULES_FILE_MAX ? -ENOMEM : -EFBIG;
			*text = grown;
		}
		some = read(fd, *text + *length, room - *length);
		if (some < 0 && errno != EINTR)
			return -errno;
		if (some == 0)
			return 0;
		if (some > 0)
			*length += some;
	}
}

static int load_read(const struct options *options, struct rules *given)
{
	const char *name = options->interfaces[2];
	bool standard = !strcmp(name, "-");
	int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC), err = fd < 0 ? -errno : 0;
	char *text = NULL, why[WHY_SIZE];
	size_t length;

	name = standard ? "standard input" : name;
	err = err ?: file_read(fd, &text, &length);
	if (fd >= 0 && !standard)
		close(fd);
	if (err) {
		free(text);
		return error("%s: %s", name, strerror(-err));
	}
	err = rules_parse(text, length, given, why);
	free(text);
	if (err)
		return error("%s: %s", name, why);
	if (!given->count)
		return error("%s: no rule in it; 'mssbpf rule flush %s' takes all away", name, options->interfaces[1]);
	rules_warn(given);
	return EXIT_DONE;
}

/* Warns of the rule with the largest MTU, if it is larger than the interface's own. */
static void rules_warn_device(const struct rules *given, const struct selected *selected)
{
	const struct rule *largest = NULL;
	char text[RULE_TEXT_SIZE];

	for (size_t i = 0; i < given->count; i++) {
		const struct rule *rule = &given->list[i];

		if (rule->mss != MSSBPF_MSS_NONE && (!largest || rule_mtu(rule) > rule_mtu(largest)))
			largest = rule;
	}
	if (!largest || rule_mtu(largest) <= selected->device.mtu)
		return;
	rule_format(largest, text);
	warning("%s: %s is larger than its own MTU, %u: larger packets never leave by it", selected->name, text,
		selected->device.mtu);
}

/* Changes the rules of one interface. Returns 0, or -errno after saying what is wrong. */
static int interface_change(const struct maps *maps, const struct selected *selected, const struct action *action,
			    const struct rules *given)
{
	__u32 ifindex = selected->device.ifindex;
	struct rules rules = {};
	int err = 0;

	if (action->edit) {
		err = rule_set_get(maps, ifindex, &rules);
		if (err)
			error("%s: cannot read its rules: %s%s", selected->name, strerror(-err), read_hint(err));
		err = err ?: action->edit(given, selected->name, &rules);
	}
	if (!err) {
		err = rule_set_put(maps, ifindex, action->edit ? &rules : given);
		if (err == -ENOSPC)
			error("%s: no room for the rules of another interface", selected->name);
		else if (err)
			error("%s: cannot set its rules: %s; the old ones stay", selected->name, strerror(-err));
	}
	free(rules.list);
	return err;
}

static bool is_attached(const struct maps *maps, __u32 ifindex)
{
	struct mssbpf_limit limit;

	return !maps_entry_get(maps, &(struct mssbpf_key){ ifindex, MSSBPF_EGRESS }, &limit) ||
	       !maps_entry_get(maps, &(struct mssbpf_key){ ifindex, MSSBPF_INGRESS }, &limit);
}

/* Changes the rules of the selected interfaces; one that fails does not stop the others. Returns an exit status. */
static int selected_change(const struct maps *maps, const struct options *options, const struct action *action,
			   const struct rules *given)
{
	struct selection selection;
	int status = selection_make(options, &selection);

	for (size_t i = 0; i < selection.count; i++) {
		struct selected *selected = &selection.list[i];

		if (is_attached(maps, selected->device.ifindex)) {
			selected->used = true;
			if (interface_change(maps, selected, action, given))
				status = EXIT_FAILED;
			else
				rules_warn_device(given, selected);
		} else if (!selected->by_pattern) {
			status = error(
				"%s: not attached: 'mssbpf attach %s' first (with --mtu none, only its rules count)",
				selected->name, selected->name);
		}
	}
	if (selection_check(&selection, "none of the interfaces that match is attached; 'mssbpf show' lists what is"))
		status = EXIT_FAILED;
	selection_free(&selection);
	return status;
}

static int change_run(const struct options *options, const struct action *action)
{
	struct options first = *options;
	struct rules given = {};
	struct maps maps;
	int err, status = action->read ? action->read(options, &given) : EXIT_DONE;

	if (status)
		goto out;
	status = EXIT_FAILED;
	if (privileges_check(false) || pins_open(&maps))
		goto out;
	err = attachments_reap(&maps);
	if (err)
		error("cannot clean up after interfaces that are gone: %s", strerror(-err));
	first.interfaces = options->interfaces + 1;
	first.interface_count = 1;
	status = selected_change(&maps, &first, action, &given) ?: err ? EXIT_FAILED : EXIT_DONE;
	pins_close(&maps);
out:
	free(given.list);
	return status;
}

/* What list prints. */
struct interface_rules {
	char interface[PRINTABLE_NAME_SIZE];
	struct rules rules;
};

static void list_json(const struct interface_rules *list, size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < count; i++) {
		for (size_t r = 0; r < list[i].rules.count; r++) {
			const struct rule *rule = &list[i].rules.list[r];
			struct json_object *object = json_object_new_object();
			bool off = rule->mss == MSSBPF_MSS_NONE;
			char prefix[RULE_TEXT_SIZE];

			prefix_format(rule, prefix);
			json_object_object_add(object, "interface", json_object_new_string(list[i].interface));
			json_object_object_add(object, "prefix", json_object_new_string(prefix));
			json_object_object_add(object, "family",
					       json_object_new_string(rule->family == MSSBPF_IPV4 ? "ipv4" : "ipv6"));
			json_object_object_add(object, "mtu", off ? NULL : json_object_new_uint64(rule_mtu(rule)));
			json_object_object_add(object, "mss", off ? NULL : json_object_new_uint64(rule->mss));
			json_object_object_add(object, "off", json_object_new_boolean(off));
			json_object_array_add(array, object);
		}
	}
	report_print_json(array);
}

static void list_plain(const struct interface_rules *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		printf("# %s: %zu\n", list[i].interface, list[i].rules.count);
		for (size_t r = 0; r < list[i].rules.count; r++) {
			char text[RULE_TEXT_SIZE];

			rule_format(&list[i].rules.list[r], text);
			puts(text);
		}
	}
}

static void list_table(const struct interface_rules *list, size_t count)
{
	static const char *const heads[] = { "INTERFACE", "PREFIX", "MTU", "MSS" };
	struct table table = { .columns = sizeof(heads) / sizeof(*heads), .words = 0x3 };

	for (size_t i = 0; i < table.columns; i++)
		table_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < count; i++) {
		for (size_t r = 0; r < list[i].rules.count; r++) {
			const struct rule *rule = &list[i].rules.list[r];
			char prefix[RULE_TEXT_SIZE];

			prefix_format(rule, prefix);
			table_add(&table, "%s", list[i].interface);
			table_add(&table, "%s", prefix);
			table_add(&table, rule->mss == MSSBPF_MSS_NONE ? "off" : "%u", rule_mtu(rule));
			table_add(&table, rule->mss == MSSBPF_MSS_NONE ? "off" : "%u", rule->mss);
		}
	}
	table_print(&table);
}

/*
 * Collects the rules of the report's interfaces that have some; the directions of one share them. Returns 0, or -errno
 * after saying what is wrong.
 */
static int list_fill(const struct maps *maps, const struct report *report, struct interface_rules *list, size_t *count)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct report_row *row = &report->rows[i];
		struct interface_rules *place = &list[*count];
		int err;

		if (i && row[-1].entry.key.ifindex == row->entry.key.ifindex)
			continue;
		err = rule_set_get(maps, row->entry.key.ifindex, &place->rules);
		if (err) {
			error("%s: cannot read its rules: %s%s", row->interface, strerror(-err), read_hint(err));
			return err;
		}
		memcpy(place->interface, row->interface, sizeof(place->interface));
		*count += place->rules.count > 0;
	}
	return 0;
}

static int list_run(const struct options *options, const struct action *action)
{
	struct options rest = *options;
	struct interface_rules *list;
	struct report report;
	struct maps maps;
	size_t count = 0;
	int status;

	(void)action;
	rest.interfaces++;
	rest.interface_count--;
	if (pins_open(&maps))
		return EXIT_FAILED;
	status = report_collect_from(&rest, &maps, &report);
	list = calloc(report.count + 1, sizeof(*list));
	if (!list)
		status = error("%s", strerror(ENOMEM));
	else if (!report.complete || list_fill(&maps, &report, list, &count))
		status = EXIT_FAILED;
	else if (options->json)
		list_json(list, count);
	else if (options->plain)
		list_plain(list, count);
	else if (count)
		list_table(list, count);
	while (count-- > 0)
		free(list[count].rules.list);
	free(list);
	report_free(&report);
	pins_close(&maps);
	return status;
}

static const struct action actions[] = {
	{ "add", "IFACE PREFIX...", 2, INT_MAX, change_run, add_read, add_edit },
	{ "del", "IFACE PREFIX...", 2, INT_MAX, change_run, prefixes_read, del_edit },
	{ "list", "[IFACE...]", 0, INT_MAX, list_run, NULL, NULL },
	{ "load", "IFACE FILE", 2, 2, change_run, load_read, NULL },
	{ "flush", "IFACE", 1, 1, change_run, NULL, NULL },
};
static const char *const action_words[] = { "add", "del", "list", "load", "flush", NULL };

static int rule_run(const struct options *options)
{
	const struct action *action = NULL;
	int words = options->interface_count - 1;

	if (words < 0)
		return usage_error(&verb_rule, "rule: add, del, list, load or flush is missing");
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (!strcmp(actions[i].name, options->interfaces[0]))
			action = &actions[i];
	if (!action)
		return usage_error(&verb_rule, "rule: '%s': not one of add, del, list, load, flush",
				   options->interfaces[0]);
	if (words < action->least || words > action->most)
		return usage_error(&verb_rule, "rule %s: takes %s", action->name, action->arguments);
	if (action->read != add_read && (options->mtu || options->mss || options->off))
		return usage_error(&verb_rule, "rule %s: --mtu, --mss and --off go with add", action->name);
	if (action->run != list_run && (options->json || options->plain))
		return usage_error(&verb_rule, "rule %s: --json and --plain go with list", action->name);
	if (options->json && options->plain)
		return usage_error(&verb_rule, "rule list: one of --json and --plain");
	return action->run(options, action);
}

const struct verb verb_rule = {
	.name = "rule",
	.arguments = "add IFACE PREFIX... | del IFACE PREFIX... | list [IFACE...] | load IFACE FILE | flush IFACE",
	.summary = "limits of their own for prefixes of peers",
	.options = rule_options,
	.actions = action_words,
	.completion = "attached",
	.run = rule_run,
};
