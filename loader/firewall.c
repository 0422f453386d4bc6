// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules in memory, and the way of a packet through them. Not a parser: each tool's text has one of its own.
 */
#include "firewall.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	JUMPS_MAX = 16,	     /* nested; the kernel takes as many (NFT_JUMP_STACK_SIZE) */
	STEPS_MAX = 1000000, /* rules tried for one packet, be they the same ones */
};

/* What a field of a packet is. */
struct field_value {
	enum answer has;
	int number; /* -1: none */
	const char *names[3];
};

#define NUMBER(value, ...)                                                                                             \
	{                                                                                                              \
		ANSWER_YES, value,                                                                                     \
		{                                                                                                      \
			__VA_ARGS__                                                                                    \
		}                                                                                                      \
	}
#define ANYTHING                                                                                                       \
	{                                                                                                              \
		.has = ANSWER_MAYBE, .number = -1                                                                      \
	}

/* Fields that are left out are not there. An ICMP error is "related" to conntrack, a SYN or SYN-ACK new or not. */
static const struct field_value packets[PACKETS][FIELDS] = {
	[PACKET_TOO_BIG4] = {
		[FIELD_FAMILY] = NUMBER(4, "ipv4", "ip"),
		[FIELD_PROTOCOL] = NUMBER(1, "icmp"),
		[FIELD_ICMP_TYPE] = NUMBER(3, "destination-unreachable"),
		[FIELD_ICMP_CODE] = NUMBER(4, "frag-needed", "fragmentation-needed"),
		[FIELD_STATE] = NUMBER(-1, "related"),
		[FIELD_IPV4] = ANYTHING,
		[FIELD_OTHER] = ANYTHING,
	},
	[PACKET_TOO_BIG6] = {
		[FIELD_FAMILY] = NUMBER(6, "ipv6", "ip6"),
		[FIELD_PROTOCOL] = NUMBER(58, "ipv6-icmp", "icmpv6"),
		[FIELD_ICMP6_TYPE] = NUMBER(2, "packet-too-big"),
		[FIELD_ICMP6_CODE] = NUMBER(0, "no-route"),
		[FIELD_STATE] = NUMBER(-1, "related"),
		[FIELD_IPV6] = ANYTHING,
		[FIELD_OTHER] = ANYTHING,
	},
	[PACKET_SYN4] = {
		[FIELD_FAMILY] = NUMBER(4, "ipv4", "ip"),
		[FIELD_PROTOCOL] = NUMBER(6, "tcp"),
		[FIELD_STATE] = ANYTHING,
		[FIELD_IPV4] = ANYTHING,
		[FIELD_TCP] = ANYTHING,
		[FIELD_OTHER] = ANYTHING,
	},
	[PACKET_SYN6] = {
		[FIELD_FAMILY] = NUMBER(6, "ipv6", "ip6"),
		[FIELD_PROTOCOL] = NUMBER(6, "tcp"),
		[FIELD_STATE] = ANYTHING,
		[FIELD_IPV6] = ANYTHING,
		[FIELD_TCP] = ANYTHING,
		[FIELD_OTHER] = ANYTHING,
	},
};

enum answer packet_has(enum probe_packet packet, enum packet_field field)
{
	return packets[packet][field].has;
}

int packet_number(enum probe_packet packet, enum packet_field field)
{
	return packets[packet][field].has == ANSWER_YES ? packets[packet][field].number : -1;
}

enum answer packet_compare(enum probe_packet packet, enum packet_field field, const char *value)
{
	const struct field_value *own = &packets[packet][field];
	char *end;
	long number;

	if (own->has != ANSWER_YES)
		return own->has;
	number = strtol(value, &end, 0);
	if (*value && !*end)
		return own->number >= 0 && number == own->number ? ANSWER_YES : ANSWER_NO;
	for (size_t i = 0; i < sizeof(own->names) / sizeof(*own->names) && own->names[i]; i++)
		if (!strcasecmp(value, own->names[i]))
			return ANSWER_YES;
	return ANSWER_NO;
}

enum answer answer_and(enum answer one, enum answer other)
{
	return one < other ? one : other;
}

enum answer answer_or(enum answer one, enum answer other)
{
	return one > other ? one : other;
}

enum answer answer_not(enum answer answer)
{
	return ANSWER_YES - answer;
}

enum stage stage_of(const char *hook)
{
	static const char *const names[STAGES] = {
		[STAGE_INGRESS] = "ingress", [STAGE_PREROUTING] = "prerouting", [STAGE_INPUT] = "input",
		[STAGE_FORWARD] = "forward", [STAGE_OUTPUT] = "output",		[STAGE_POSTROUTING] = "postrouting",
		[STAGE_EGRESS] = "egress",
	};

	for (enum stage stage = STAGE_NONE + 1; stage < STAGES; stage++)
		if (!strcasecmp(hook, names[stage]))
			return stage;
	return STAGE_NONE;
}

/* Building */

static int chain_compare(const void *one, const void *other)
{
	const struct fw_chain *a = one, *b = other;

	return strcmp(a->program, b->program) ?:
	       strcmp(a->family, b->family)   ?:
	       strcmp(a->table, b->table)     ?:
						strcmp(a->name, b->name);
}

struct fw_chain *firewall_find_chain(const struct firewall *firewall, const struct fw_chain *key)
{
	struct fw_chain *const *found = tfind(key, &firewall->index, chain_compare);

	return found ? *found : NULL;
}

static void rule_free(struct fw_rule *rule)
{
	free(rule->target);
	free(rule->remove);
}

static void chain_free(struct fw_chain *chain)
{
	for (size_t i = 0; i < chain->count; i++)
		rule_free(&chain->rules[i]);
	free(chain->rules);
	free(chain->family);
	free(chain->table);
	free(chain->name);
	free(chain);
}

void firewall_free(struct firewall *firewall)
{
	for (size_t i = 0; i < firewall->count; i++) {
		tdelete(firewall->chains[i], &firewall->index, chain_compare);
		chain_free(firewall->chains[i]);
	}
	free(firewall->chains);
	*firewall = (struct firewall){};
}

/* Makes room for one more in a list that doubles whenever its length is a power of two. Returns NULL or the list. */
static void *grow(void *list, size_t count, size_t size)
{
	return count & (count - 1) ? list : reallocarray(list, count ? count * 2 : 1, size);
}

struct fw_chain *firewall_add_chain(struct firewall *firewall, const struct fw_chain *key)
{
	struct fw_chain *chain = firewall_find_chain(firewall, key);
	struct fw_chain **grown;

	if (chain)
		return chain;
	grown = grow(firewall->chains, firewall->count, sizeof(*grown));
	if (!grown)
		return NULL;
	firewall->chains = grown;
	chain = calloc(1, sizeof(*chain));
	if (!chain)
		return NULL;
	*chain = (struct fw_chain){ .program = key->program,
				    .family = strdup(key->family),
				    .table = strdup(key->table),
				    .name = strdup(key->name) };
	if (!chain->family || !chain->table || !chain->name || !tsearch(chain, &firewall->index, chain_compare)) {
		chain_free(chain);
		return NULL;
	}
	return firewall->chains[firewall->count++] = chain;
}

struct fw_rule *chain_add_rule(struct fw_chain *chain)
{
	struct fw_rule *grown = grow(chain->rules, chain->count, sizeof(*grown)), *rule;

	if (!grown)
		return NULL;
	chain->rules = grown;
	rule = &grown[chain->count++];
	*rule = (struct fw_rule){};
	for (size_t packet = 0; packet < PACKETS; packet++)
		rule->answers[packet] = ANSWER_YES;
	return rule;
}

void devices_add_name(struct fw_devices *devices, const char *name)
{
	devices->given = true;
	if (devices->count == sizeof(devices->names) / sizeof(*devices->names) ||
	    strlen(name) >= sizeof(*devices->names))
		devices->some = true;
	else
		strcpy(devices->names[devices->count++], name);
}

/* Following */

static bool name_matches(const char *pattern, const char *device)
{
	size_t length = strlen(pattern);

	if (length && (pattern[length - 1] == '*' || pattern[length - 1] == '+'))
		return !strncmp(pattern, device, length - 1);
	return !strcmp(pattern, device);
}

/* Tells whether the condition holds for a device; NULL: it may be any but the loopback. */
static enum answer devices_match(const struct fw_devices *devices, const char *device)
{
	enum answer answer = devices->some ? ANSWER_MAYBE : ANSWER_NO;

	if (!devices->given)
		return ANSWER_YES;
	for (size_t i = 0; i < devices->count; i++) {
		if (device)
			answer = answer_or(answer, name_matches(devices->names[i], device) ? ANSWER_YES : ANSWER_NO);
		else
			answer = answer_or(answer, strcmp(devices->names[i], "lo") ? ANSWER_MAYBE : ANSWER_NO);
	}
	return devices->negated ? answer_not(answer) : answer;
}

/* The chain that a rule leads to, or NULL. */
static const struct fw_chain *rule_target(const struct firewall *firewall, const struct fw_chain *chain,
					  const struct fw_rule *rule)
{
	struct fw_chain key = *chain;

	if ((rule->verdict != VERDICT_JUMP && rule->verdict != VERDICT_GOTO) || !rule->target)
		return NULL;
	key.name = rule->target;
	return firewall_find_chain(firewall, &key);
}

/* Tells whether packets of this family come to the chain. */
static bool chain_takes(const struct fw_chain *chain, enum probe_packet packet)
{
	int version = packets[packet][FIELD_FAMILY].number;

	return strcmp(chain->family, "ip") && strcmp(chain->family, "ip6") ? true
	       : version == 4						   ? !strcmp(chain->family, "ip")
									   : !strcmp(chain->family, "ip6");
}

enum outcome { GOES_ON, RETURNS, SETTLED };

struct walk {
	const struct firewall *firewall;
	enum probe_packet packet;
	size_t steps;
	size_t depth;
	bool perhaps;			    /* it may have left the rules before */
	const struct fw_chain *limit_chain; /* where a rate counts */
	const struct fw_rule *limit;
	struct fw_fate fate;
};

static enum outcome chain_walk(struct walk *walk, const struct fw_chain *chain, enum answer reached);

/* What drops all does not surely drop this packet if that may have left the rules before; what names ICMP is meant. */
static enum outcome walk_drop(struct walk *walk, const struct fw_chain *chain, const struct fw_rule *rule,
			      enum answer answer)
{
	if (rule->limited) {
		if (rule->above && rule->names_icmp && !walk->limit) {
			walk->limit_chain = chain;
			walk->limit = rule;
		}
		return GOES_ON;
	}
	if (rule->names_icmp || (answer == ANSWER_YES && !walk->perhaps)) {
		walk->fate = (struct fw_fate){ .dropped = true, .by = chain, .rule = rule };
		return SETTLED;
	}
	return answer == ANSWER_YES ? SETTLED : GOES_ON;
}

static enum outcome walk_accept(struct walk *walk, const struct fw_chain *chain, const struct fw_rule *rule,
				enum answer answer)
{
	if (rule->limited && rule->names_icmp && !walk->limit) {
		walk->limit_chain = chain;
		walk->limit = rule;
		return GOES_ON;
	}
	if (answer == ANSWER_YES && !rule->limited)
		return SETTLED;
	walk->perhaps = true;
	return GOES_ON;
}

static enum outcome rule_walk(struct walk *walk, const struct fw_chain *chain, const struct fw_rule *rule,
			      enum answer answer)
{
	const struct fw_chain *target = rule_target(walk->firewall, chain, rule);
	enum outcome outcome;

	switch (rule->verdict) {
	case VERDICT_ACCEPT:
		return walk_accept(walk, chain, rule, answer);
	case VERDICT_DROP:
		return walk_drop(walk, chain, rule, answer);
	case VERDICT_JUMP:
	case VERDICT_GOTO:
		outcome = target ? chain_walk(walk, target, rule->limited ? ANSWER_MAYBE : answer) : GOES_ON;
		if (outcome == SETTLED)
			return SETTLED;
		if (rule->verdict == VERDICT_JUMP)
			return GOES_ON;
		break; /* a goto does not come back here, but to where this chain was called from */
	case VERDICT_OTHER:
	case VERDICT_RETURN:
		break;
	case VERDICT_NONE:
		return GOES_ON;
	}
	if (answer == ANSWER_YES && !rule->limited && rule->verdict != VERDICT_OTHER)
		return RETURNS;
	walk->perhaps = true;
	return GOES_ON;
}

static enum outcome chain_walk(struct walk *walk, const struct fw_chain *chain, enum answer reached)
{
	enum outcome outcome = GOES_ON;

	if (walk->depth == JUMPS_MAX) {
		walk->perhaps = true;
		return GOES_ON;
	}
	walk->depth++;
	for (size_t i = 0; i < chain->count && outcome == GOES_ON; i++) {
		const struct fw_rule *rule = &chain->rules[i];
		enum answer answer = answer_and(reached, rule->answers[walk->packet]);

		answer = answer_and(answer, devices_match(&rule->in, NULL));
		answer = answer_and(answer, devices_match(&rule->out, NULL));
		if (++walk->steps > STEPS_MAX) {
			walk->perhaps = true;
			break;
		}
		if (answer != ANSWER_NO)
			outcome = rule_walk(walk, chain, rule, answer);
	}
	walk->depth--;
	return outcome == SETTLED ? SETTLED : GOES_ON;
}

struct fw_fate firewall_fate(const struct firewall *firewall, const struct fw_chain *base, enum probe_packet packet)
{
	struct walk walk = { .firewall = firewall, .packet = packet };
	enum outcome outcome = chain_takes(base, packet) ? chain_walk(&walk, base, ANSWER_YES) : SETTLED;

	if (outcome != SETTLED && base->drops && !walk.perhaps)
		walk.fate = (struct fw_fate){ .dropped = true, .by = base };
	/* Accepted up to a rate, and dropped beyond; or dropped above a rate, and not otherwise. */
	if (walk.limit && walk.limit->above != walk.fate.dropped)
		walk.fate = (struct fw_fate){ .limited = true, .by = walk.limit_chain, .rule = walk.limit };
	return walk.fate;
}

/* Which way packets pass a stage: a bit for each direction. */
static bool stage_sees(enum stage stage, enum mssbpf_direction direction)
{
	static const unsigned char directions[STAGES] = {
		[STAGE_INGRESS] = 1 << MSSBPF_INGRESS,
		[STAGE_INPUT] = 1 << MSSBPF_INGRESS,
		[STAGE_OUTPUT] = 1 << MSSBPF_EGRESS,
		[STAGE_EGRESS] = 1 << MSSBPF_EGRESS,
		[STAGE_PREROUTING] = 1 << MSSBPF_INGRESS | 1 << MSSBPF_EGRESS,
		[STAGE_FORWARD] = 1 << MSSBPF_INGRESS | 1 << MSSBPF_EGRESS,
		[STAGE_POSTROUTING] = 1 << MSSBPF_INGRESS | 1 << MSSBPF_EGRESS,
	};

	return directions[stage] >> direction & 1;
}

struct clamps_search {
	struct firewall *firewall;
	const char *device;
	enum mssbpf_direction direction;
	firewall_each each;
	void *context;
	size_t steps;
	size_t depth;
};

static bool rule_takes_syn(const struct fw_chain *chain, const struct fw_rule *rule)
{
	return (chain_takes(chain, PACKET_SYN4) && rule->answers[PACKET_SYN4]) ||
	       (chain_takes(chain, PACKET_SYN6) && rule->answers[PACKET_SYN6]);
}

/* own, other: rules on the way here named the device on its side, or another one on the other. */
static void chain_search(struct clamps_search *search, const struct fw_chain *chain, bool own, bool other)
{
	if (search->depth == JUMPS_MAX)
		return;
	search->depth++;
	for (size_t i = 0; i < chain->count && ++search->steps <= STEPS_MAX; i++) {
		struct fw_rule *rule = &chain->rules[i];
		const struct fw_devices *near = search->direction == MSSBPF_EGRESS ? &rule->out : &rule->in;
		const struct fw_devices *far = search->direction == MSSBPF_EGRESS ? &rule->in : &rule->out;
		const struct fw_chain *target = rule_target(search->firewall, chain, rule);
		bool named = own || near->given, elsewhere = other || far->given;

		if (!rule_takes_syn(chain, rule) || !devices_match(near, search->device))
			continue;
		if (rule->sets_mss && (named || !elsewhere))
			search->each(chain, rule, search->context);
		if (target && target->clamps)
			chain_search(search, target, named, elsewhere);
	}
	search->depth--;
}

/* Marks the chains that have a rule that sets the MSS, or lead to one: few, as a rule, or none. */
static void clamps_mark(struct firewall *firewall)
{
	bool more = true;

	for (size_t depth = 0; depth < JUMPS_MAX && more; depth++) {
		more = false;
		for (size_t i = 0; i < firewall->count; i++) {
			struct fw_chain *chain = firewall->chains[i];

			for (size_t at = 0; at < chain->count && !chain->clamps; at++) {
				const struct fw_chain *target = rule_target(firewall, chain, &chain->rules[at]);

				chain->clamps = chain->rules[at].sets_mss || (target && target->clamps);
				more |= chain->clamps;
			}
		}
	}
	firewall->marked = true;
}

void firewall_clamps(struct firewall *firewall, const char *device, enum mssbpf_direction direction, firewall_each each,
		     void *context)
{
	struct clamps_search search = {
		.firewall = firewall,
		.device = device,
		.direction = direction,
		.each = each,
		.context = context,
	};

	if (!firewall->marked)
		clamps_mark(firewall);
	for (size_t i = 0; i < firewall->count; i++) {
		const struct fw_chain *chain = firewall->chains[i];

		if (chain->clamps && !chain->hidden && stage_sees(chain->stage, direction))
			chain_search(&search, chain, false, false);
	}
}
