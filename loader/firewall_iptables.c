// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reads what iptables-save and ip6tables-save print. What it does not know, it takes for a condition that may hold.
 * Not where the text comes from.
 */
#include "firewall.h"

#include "shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of a line. */
struct words {
	char **list;
	size_t count;
	char *text; /* that they are in */
};

static void words_free(struct words *words)
{
	free(words->list);
	free(words->text);
}

/* Splits a line into words; quotes and backslashes are taken off. Returns 0 or -ENOMEM. */
static int words_split(const char *line, size_t length, struct words *words)
{
	char *in, *out;

	*words = (struct words){ .list = calloc(length / 2 + 1, sizeof(char *)), .text = strndup(line, length) };
	if (!words->list || !words->text)
		return -ENOMEM;
	in = out = words->text;
	for (;;) {
		bool quoted = false;

		in += strspn(in, " \t\r");
		if (!*in)
			return 0;
		words->list[words->count++] = out;
		for (; *in && (quoted || !strchr(" \t\r", *in)); in++) {
			if (*in == '"') {
				quoted = !quoted;
				continue;
			}
			if (quoted && *in == '\\' && in[1])
				in++;
			*out++ = *in;
		}
		in += *in != '\0'; /* before the NUL takes its place */
		*out++ = '\0';
	}
}

/* What an option of a rule asks for. */
enum asks {
	ASKS_UNKNOWN, /* something that may hold or not */
	ASKS_NOTHING, /* it belongs to another option, or says nothing about packets */
	ASKS_PROTOCOL,
	ASKS_IN,
	ASKS_OUT,
	ASKS_ICMP,
	ASKS_ICMP6,
	ASKS_STATE,
	ASKS_LIMIT,
	ASKS_ABOVE,
	ASKS_MODULE,
	TAKES_JUMP,
	TAKES_GOTO,
};

static const struct {
	const char *option;
	enum asks asks;
} options[] = {
	{ "-p", ASKS_PROTOCOL },
	{ "-i", ASKS_IN },
	{ "-o", ASKS_OUT },
	{ "-m", ASKS_MODULE },
	{ "-j", TAKES_JUMP },
	{ "-g", TAKES_GOTO },
	{ "--icmp-type", ASKS_ICMP },
	{ "--icmpv6-type", ASKS_ICMP6 },
	{ "--ctstate", ASKS_STATE },
	{ "--state", ASKS_STATE },
	{ "--limit", ASKS_LIMIT },
	{ "--hashlimit", ASKS_LIMIT },
	{ "--hashlimit-upto", ASKS_LIMIT },
	{ "--hashlimit-above", ASKS_ABOVE },
	{ "--limit-burst", ASKS_NOTHING },
	{ "--hashlimit-burst", ASKS_NOTHING },
	{ "--hashlimit-mode", ASKS_NOTHING },
	{ "--hashlimit-name", ASKS_NOTHING },
	{ "--hashlimit-srcmask", ASKS_NOTHING },
	{ "--hashlimit-dstmask", ASKS_NOTHING },
	{ "--hashlimit-htable-size", ASKS_NOTHING },
	{ "--hashlimit-htable-max", ASKS_NOTHING },
	{ "--hashlimit-htable-expire", ASKS_NOTHING },
	{ "--hashlimit-htable-gcinterval", ASKS_NOTHING },
	{ "--comment", ASKS_NOTHING },
};

/* Modules that ask for nothing but by options that are known. */
static const char *const modules[] = { "tcp", "icmp", "icmp6", "conntrack", "state", "limit", "hashlimit", "comment" };

static enum asks option_asks(const char *option)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (!strcmp(option, options[i].option))
			return options[i].asks;
	return ASKS_UNKNOWN;
}

static bool module_is_known(const char *module)
{
	for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++)
		if (!strcmp(module, modules[i]))
			return true;
	return false;
}

/* "3/4", "3" or a name; "any" and 255 are all. */
static enum answer icmp_matches(enum probe_packet packet, enum packet_field type, enum packet_field code,
				const char *value)
{
	const char *slash = strchr(value, '/');
	char first[32];

	if (packet_has(packet, type) != ANSWER_YES || !strcmp(value, "any") || !strcmp(value, "255"))
		return packet_has(packet, type);
	snprintf(first, sizeof(first), "%.*s", (int)(slash ? slash - value : (long)strlen(value)), value);
	if (slash)
		return answer_and(packet_compare(packet, type, first), packet_compare(packet, code, slash + 1));
	/* A name may be that of a code. */
	return answer_or(packet_compare(packet, type, first),
			 *first > '9' ? packet_compare(packet, code, first) : ANSWER_NO);
}

/* Whether the packet's state is one of "RELATED,ESTABLISHED". */
static enum answer state_matches(enum probe_packet packet, const char *states)
{
	enum answer answer = ANSWER_NO;

	while (*states && answer != ANSWER_YES) {
		size_t length = strcspn(states, ",");
		char state[32];

		snprintf(state, sizeof(state), "%.*s", (int)(length < sizeof(state) ? length : 0), states);
		answer = answer_or(answer, packet_compare(packet, FIELD_STATE, state));
		states += length + (states[length] == ',');
	}
	return answer;
}

/* Whether a packet is what a condition asks for. */
static enum answer condition_matches(enum asks asks, enum probe_packet packet, const char *value)
{
	switch (asks) {
	case ASKS_PROTOCOL:
		return strcmp(value, "all") && strcmp(value, "0") ? packet_compare(packet, FIELD_PROTOCOL, value)
								  : ANSWER_YES;
	case ASKS_ICMP:
		return icmp_matches(packet, FIELD_ICMP_TYPE, FIELD_ICMP_CODE, value);
	case ASKS_ICMP6:
		return icmp_matches(packet, FIELD_ICMP6_TYPE, FIELD_ICMP6_CODE, value);
	case ASKS_STATE:
		return state_matches(packet, value);
	case ASKS_UNKNOWN:
		return ANSWER_MAYBE;
	default:
		return ANSWER_YES;
	}
}

static void devices_read(struct fw_devices *devices, bool negated, const char *name)
{
	if (devices->given)
		devices->some = true;
	devices_add_name(devices, name);
	devices->negated = negated;
}

/* Narrows a rule down by a condition. */
static void condition_read(struct fw_rule *rule, enum asks asks, bool negated, const char *value)
{
	bool icmp = asks == ASKS_PROTOCOL || asks == ASKS_ICMP || asks == ASKS_ICMP6;

	if (asks == ASKS_IN || asks == ASKS_OUT) {
		devices_read(asks == ASKS_IN ? &rule->in : &rule->out, negated, value);
		return;
	}
	if (asks == ASKS_LIMIT || asks == ASKS_ABOVE) {
		rule->limited = true;
		rule->above = asks == ASKS_ABOVE;
	}
	if (asks == ASKS_MODULE && !module_is_known(value))
		asks = ASKS_UNKNOWN;
	for (size_t packet = 0; packet < PACKETS; packet++) {
		enum answer answer = condition_matches(asks, packet, value);

		answer = negated ? answer_not(answer) : answer;
		rule->answers[packet] = answer_and(rule->answers[packet], answer);
		rule->names_icmp |= icmp && !negated && answer == ANSWER_YES && packet <= PACKET_TOO_BIG6 &&
				    strcmp(value, "all") && strcmp(value, "0");
	}
}

static int target_read(struct fw_rule *rule, enum asks asks, const char *target)
{
	static const struct {
		const char *name;
		enum verdict verdict;
	} targets[] = {
		{ "ACCEPT", VERDICT_ACCEPT }, { "DROP", VERDICT_DROP },	  { "REJECT", VERDICT_DROP },
		{ "RETURN", VERDICT_RETURN }, { "QUEUE", VERDICT_OTHER }, { "NFQUEUE", VERDICT_OTHER },
	};

	rule->sets_mss = !strcmp(target, "TCPMSS");
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		if (!strcmp(target, targets[i].name)) {
			rule->verdict = targets[i].verdict;
			return 0;
		}
	}
	/* A chain, or a target that goes on with the next rule: that is no chain, and is not found. */
	rule->verdict = asks == TAKES_GOTO ? VERDICT_GOTO : VERDICT_JUMP;
	free(rule->target);
	rule->target = strdup(target);
	return rule->target ? 0 : -ENOMEM;
}

/* The command that removes the rule: words from the chain's name on. Returns 0 or -ENOMEM. */
static int rule_name(struct fw_rule *rule, const struct fw_chain *chain, const struct words *words, size_t first)
{
	int err;

	rule->remove = command_of(WORDS(chain->program, "-t", chain->table, "-D"));
	err = rule->remove ? 0 : -ENOMEM;
	for (size_t i = first; i < words->count && !err; i++)
		err = command_add(&rule->remove, words->list[i]);
	return err;
}

/* Reads the words behind "-A". Returns 0 or -ENOMEM. */
static int rule_read(struct fw_chain *chain, const struct words *words, size_t first)
{
	struct fw_rule *rule = chain_add_rule(chain);
	bool negated = false;
	int err = 0;

	if (!rule)
		return -ENOMEM;
	for (size_t i = first + 1; i < words->count; i++) {
		const char *word = words->list[i], *value = i + 1 < words->count ? words->list[i + 1] : "";
		enum asks asks = option_asks(word);

		if (!strcmp(word, "!")) {
			negated = true;
			continue;
		}
		if (asks == TAKES_JUMP || asks == TAKES_GOTO) {
			err = target_read(rule, asks, value);
			break; /* what follows is the target's */
		}
		if (*word == '-')
			condition_read(rule, asks, negated, value);
		if (asks != ASKS_UNKNOWN)
			i++;
		negated = false;
	}
	return err ?: rule->sets_mss ? rule_name(rule, chain, words, first) : 0;
}

/* The table that is there as nft shows it is this one. */
static void table_hide(struct firewall *firewall, const char *family, const char *table)
{
	for (size_t i = 0; i < firewall->count; i++) {
		struct fw_chain *chain = firewall->chains[i];

		if (!strcmp(chain->program, "nft") && !strcmp(chain->family, family) && !strcmp(chain->table, table))
			chain->hidden = true;
	}
}

/* A line of a rule set; key->table is the table that it is in. Returns 0, -EINVAL or -ENOMEM. */
static int line_read(struct firewall *firewall, struct fw_chain *key, char **table, const struct words *words)
{
	size_t command = words->count && *words->list[0] == '[' ? 1 : 0; /* behind counters */
	struct fw_chain *chain;

	if (!words->count || *words->list[0] == '#' || !strcmp(words->list[0], "COMMIT"))
		return 0;
	if (*words->list[0] == '*') {
		free(*table);
		key->table = *table = strdup(words->list[0] + 1);
		if (*table)
			table_hide(firewall, key->family, *table);
		return *table ? 0 : -ENOMEM;
	}
	if (!*table)
		return -EINVAL;
	if (*words->list[0] == ':') {
		key->name = words->list[0] + 1;
		chain = firewall_add_chain(firewall, key);
		if (!chain)
			return -ENOMEM;
		chain->drops = words->count > 1 && !strcmp(words->list[1], "DROP");
		/* Only those of the kernel have a policy. */
		chain->stage = words->count > 1 && strcmp(words->list[1], "-") ? stage_of(chain->name) : STAGE_NONE;
		chain->nat = !strcmp(chain->table, "nat");
		return 0;
	}
	if (command + 1 >= words->count || strcmp(words->list[command], "-A"))
		return -EINVAL;
	key->name = words->list[command + 1];
	chain = firewall_add_chain(firewall, key);
	return chain ? rule_read(chain, words, command + 1) : -ENOMEM;
}

int firewall_read_iptables(struct firewall *firewall, const char *program, const char *family, const char *text)
{
	struct fw_chain key = { .program = program, .family = (char *)family };
	char *table = NULL;
	int err = 0;

	while (*text && !err) {
		size_t length = strcspn(text, "\n");
		struct words words;

		err = words_split(text, length, &words) ?: line_read(firewall, &key, &table, &words);
		words_free(&words);
		text += length + (text[length] == '\n');
	}
	free(table);
	return err;
}
