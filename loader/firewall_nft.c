// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reads what `nft -j -t list ruleset` prints (libnftables-json(5)). What it does not know, it takes for a condition
 * that may hold. Not where the text comes from.
 */
#include "firewall.h"

#include "shell.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 }; /* of JSON */

/* The fields of libnftables-json(5) that can be told. A field of "*" is any other of that header. */
static const struct {
	const char *header, *field;
	enum packet_field is;
} fields[] = {
	{ "meta", "nfproto", FIELD_FAMILY },
	{ "meta", "protocol", FIELD_FAMILY },
	{ "meta", "l4proto", FIELD_PROTOCOL },
	{ "ip", "protocol", FIELD_PROTOCOL },
	{ "ip6", "nexthdr", FIELD_PROTOCOL },
	{ "icmp", "type", FIELD_ICMP_TYPE },
	{ "icmp", "code", FIELD_ICMP_CODE },
	{ "icmpv6", "type", FIELD_ICMP6_TYPE },
	{ "icmpv6", "code", FIELD_ICMP6_CODE },
	{ "ct", "state", FIELD_STATE },
	{ "ip", "*", FIELD_IPV4 },
	{ "ip6", "*", FIELD_IPV6 },
	{ "tcp", "*", FIELD_TCP },
	{ "tcp option", "*", FIELD_TCP },
	{ "udp", "*", FIELD_FOREIGN },
	{ "udplite", "*", FIELD_FOREIGN },
	{ "sctp", "*", FIELD_FOREIGN },
	{ "dccp", "*", FIELD_FOREIGN },
	{ "ah", "*", FIELD_FOREIGN },
	{ "esp", "*", FIELD_FOREIGN },
	{ "arp", "*", FIELD_FOREIGN },
};

/* The header of its own that a field needs (an IPv4 header for "ip protocol"), or FIELD_OTHER. */
static enum packet_field header_of(const char *header)
{
	return !strcmp(header, "ip") ? FIELD_IPV4 : !strcmp(header, "ip6") ? FIELD_IPV6 : FIELD_OTHER;
}

/* The member of an object, NULL when it is none or has no such member. */
static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *found;

	return json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, name, &found) ? found
														: NULL;
}

/* The text of a member, or "" when it has none. */
static const char *text_of(struct json_object *object, const char *name)
{
	struct json_object *found = member(object, name);

	return json_object_is_type(found, json_type_string) ? json_object_get_string(found) : "";
}

/* What is on the left of a comparison. */
struct subject {
	const char *header, *field; /* "" when it is nothing that can be told */
};

static struct subject subject_of(struct json_object *left)
{
	struct json_object *found;

	if ((found = member(left, "meta")))
		return (struct subject){ "meta", text_of(found, "key") };
	if ((found = member(left, "ct")))
		return (struct subject){ "ct", member(found, "dir") ? "" : text_of(found, "key") };
	if ((found = member(left, "payload")))
		return (struct subject){ text_of(found, "protocol"), text_of(found, "field") };
	if ((found = member(left, "tcp option")))
		return (struct subject){ "tcp option", text_of(found, "name") };
	if ((found = member(left, "&")) && json_object_is_type(found, json_type_array)) {
		struct subject inside = subject_of(json_object_array_get_idx(found, 0));

		/* Only that the header is there is told. */
		return (struct subject){ inside.header, "" };
	}
	return (struct subject){ "", "" };
}

/* The field, FIELD_OTHER for those that are not known. */
static enum packet_field field_of(const struct subject *subject)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (!strcmp(subject->header, fields[i].header) &&
		    (!strcmp(subject->field, fields[i].field) || *fields[i].field == '*'))
			return fields[i].is;
	return FIELD_OTHER;
}

static enum answer value_matches(enum probe_packet packet, enum packet_field field, struct json_object *value);

/* Whether any of the values of a list matches. */
static enum answer list_matches(enum probe_packet packet, enum packet_field field, struct json_object *list)
{
	enum answer answer = ANSWER_NO;

	if (!json_object_is_type(list, json_type_array))
		return ANSWER_MAYBE;
	for (size_t i = 0; i < json_object_array_length(list) && answer != ANSWER_YES; i++)
		answer = answer_or(answer, value_matches(packet, field, json_object_array_get_idx(list, i)));
	return answer;
}

static enum answer range_matches(enum probe_packet packet, enum packet_field field, struct json_object *range)
{
	struct json_object *low =
		json_object_is_type(range, json_type_array) ? json_object_array_get_idx(range, 0) : NULL;
	struct json_object *high = low ? json_object_array_get_idx(range, 1) : NULL;
	int number = packet_number(packet, field);

	if (value_matches(packet, field, low) == ANSWER_YES || value_matches(packet, field, high) == ANSWER_YES)
		return ANSWER_YES;
	if (number < 0 || !json_object_is_type(low, json_type_int) || !json_object_is_type(high, json_type_int))
		return ANSWER_MAYBE;
	return number >= json_object_get_int(low) && number <= json_object_get_int(high) ? ANSWER_YES : ANSWER_NO;
}

/* Whether the value of a field of the packet is this one, or among these. */
static enum answer value_matches(enum probe_packet packet, enum packet_field field, struct json_object *value)
{
	struct json_object *inside;
	const char *text;

	if (packet_has(packet, field) != ANSWER_YES)
		return packet_has(packet, field);
	switch (json_object_get_type(value)) {
	case json_type_string:
		text = json_object_get_string(value);
		if (*text == '@') /* a set by its name */
			return ANSWER_MAYBE;
		return *text == '*' ? ANSWER_YES : packet_compare(packet, field, text);
	case json_type_int:
		return packet_compare(packet, field, json_object_get_string(value));
	case json_type_array:
		return list_matches(packet, field, value);
	case json_type_object:
		if ((inside = member(value, "set")))
			return list_matches(packet, field, inside);
		if ((inside = member(value, "range")))
			return range_matches(packet, field, inside);
		if ((inside = member(value, "elem"))) /* an element with a comment or timeout */
			return value_matches(packet, field, member(inside, "val"));
		return ANSWER_MAYBE;
	default:
		return ANSWER_MAYBE;
	}
}

/* Adds the names of devices on the right of a comparison. */
static void devices_read(struct fw_devices *devices, struct json_object *value)
{
	struct json_object *set = member(value, "set") ?: value;

	devices->given = true;
	if (json_object_is_type(set, json_type_string) && *json_object_get_string(set) != '@')
		devices_add_name(devices, json_object_get_string(set));
	else if (json_object_is_type(set, json_type_array))
		for (size_t i = 0; i < json_object_array_length(set); i++)
			devices_read(devices, json_object_array_get_idx(set, i));
	else
		devices->some = true;
}

/* Narrows a rule down by a comparison of devices. Returns false when it is none. */
static bool devices_compare(struct fw_rule *rule, const struct subject *subject, const char *operation,
			    struct json_object *right)
{
	bool in = !strcmp(subject->field, "iifname") || !strcmp(subject->field, "iif");
	bool out = !strcmp(subject->field, "oifname") || !strcmp(subject->field, "oif");
	struct fw_devices *devices = in ? &rule->in : &rule->out;

	if (strcmp(subject->header, "meta") || (!in && !out))
		return false;
	/* Of two, one that says which devices says more than one that says which not. */
	if (devices->given && (!devices->negated || !strcmp(operation, "!=")))
		return true;
	*devices = (struct fw_devices){};
	devices_read(devices, right);
	devices->negated = !strcmp(operation, "!=");
	return true;
}

/* Narrows a rule down by what is asked of a field. */
static void rule_compare(struct fw_rule *rule, struct json_object *match)
{
	struct subject subject = subject_of(member(match, "left"));
	struct json_object *right = member(match, "right");
	const char *operation = text_of(match, "op");
	enum packet_field field = field_of(&subject);
	bool equal = !strcmp(operation, "==") || !strcmp(operation, "in"), unequal = !strcmp(operation, "!=");

	if (devices_compare(rule, &subject, operation, right))
		return;
	for (size_t packet = 0; packet < PACKETS; packet++) {
		enum answer answer = packet_has(packet, field);

		/* What may be there can have any value. */
		if (answer == ANSWER_YES)
			answer = equal || unequal ? value_matches(packet, field, right) : ANSWER_MAYBE;
		if (packet_has(packet, field) != ANSWER_NO && unequal)
			answer = answer_not(answer);
		if (packet_has(packet, header_of(subject.header)) == ANSWER_NO)
			answer = ANSWER_NO;
		rule->answers[packet] = answer_and(rule->answers[packet], answer);
		if (answer == ANSWER_YES && equal && packet <= PACKET_TOO_BIG6 && field >= FIELD_PROTOCOL &&
		    field <= FIELD_ICMP6_CODE)
			rule->names_icmp = true;
	}
}

static const struct {
	const char *name;
	enum verdict verdict;
} verdicts[] = {
	{ "accept", VERDICT_ACCEPT }, { "drop", VERDICT_DROP },	     { "reject", VERDICT_DROP },
	{ "jump", VERDICT_JUMP },     { "goto", VERDICT_GOTO },	     { "return", VERDICT_RETURN },
	{ "queue", VERDICT_OTHER },   { "synproxy", VERDICT_OTHER }, { "fwd", VERDICT_OTHER },
};

/* Reads a statement that may be a verdict. Returns 0 or -ENOMEM. */
static int verdict_read(struct fw_rule *rule, struct json_object *statement)
{
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++) {
		/* Those without parameters are null. */
		if (!json_object_is_type(statement, json_type_object) ||
		    !json_object_object_get_ex(statement, verdicts[i].name, NULL))
			continue;
		rule->verdict = verdicts[i].verdict;
		if (rule->verdict != VERDICT_JUMP && rule->verdict != VERDICT_GOTO)
			return 0;
		free(rule->target);
		rule->target = strdup(text_of(member(statement, verdicts[i].name), "target"));
		return rule->target ? 0 : -ENOMEM;
	}
	return 0;
}

/* What a vmap asks for first, one rule for each of its elements; what is behind it comes in a rule of its own. */
static int vmap_read(struct fw_chain *chain, const struct fw_rule *before, struct json_object *vmap)
{
	struct json_object *key = member(vmap, "key"), *set = member(member(vmap, "data"), "set");
	int err = 0;

	if (!json_object_is_type(set, json_type_array)) { /* a map by its name: may be anything */
		struct fw_rule *rule = chain_add_rule(chain);

		if (!rule)
			return -ENOMEM;
		memcpy(rule->answers, before->answers, sizeof(rule->answers));
		rule->verdict = VERDICT_OTHER;
		return 0;
	}
	for (size_t i = 0; i < json_object_array_length(set) && !err; i++) {
		struct json_object *element = json_object_array_get_idx(set, i);
		struct fw_rule *rule = chain_add_rule(chain);
		struct json_object *match;

		if (!rule)
			return -ENOMEM;
		*rule = *before;
		rule->target = rule->remove = NULL;
		if (!json_object_is_type(element, json_type_array))
			continue;
		match = json_object_new_object();
		json_object_object_add(match, "op", json_object_new_string("=="));
		json_object_object_add(match, "left", json_object_get(key));
		json_object_object_add(match, "right", json_object_get(json_object_array_get_idx(element, 0)));
		rule_compare(rule, match);
		json_object_put(match);
		err = verdict_read(rule, json_object_array_get_idx(element, 1));
	}
	return err;
}

static bool is_mss(struct json_object *mangle)
{
	return !strcmp(text_of(member(member(mangle, "key"), "tcp option"), "name"), "maxseg");
}

bool nft_takes_name(const char *text)
{
	return isalpha((unsigned char)*text) && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
								   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-")];
}

/* The command that removes a rule, if its chain can be named. Returns 0 or -ENOMEM. */
static int rule_name(struct fw_rule *rule, const struct fw_chain *chain, struct json_object *json)
{
	struct json_object *handle = member(json, "handle");
	char number[24];

	if (!nft_takes_name(chain->table) || !nft_takes_name(chain->name))
		return 0;
	snprintf(number, sizeof(number), "%lld", (long long)json_object_get_int64(handle));
	rule->remove =
		command_of(WORDS("nft", "delete", "rule", chain->family, chain->table, chain->name, "handle", number));
	return rule->remove ? 0 : -ENOMEM;
}

/* Statements that are conditions of which no more can be told: xt is one of iptables's. */
static const char *const unknown[] = { "xt", "quota", "ct count", "meter", "set", "map" };

/* A limit, which may be that of each element of a set. */
static void limit_read(struct fw_rule *rule, struct json_object *limit)
{
	rule->limited = true;
	rule->above = json_object_get_boolean(member(limit, "inv"));
}

/* Reads one statement. Returns 0 or -ENOMEM. */
static int statement_read(struct fw_chain *chain, struct fw_rule *rule, struct json_object *statement)
{
	struct json_object *found;

	if ((found = member(statement, "match")))
		rule_compare(rule, found);
	else if ((found = member(statement, "vmap")))
		return vmap_read(chain, rule, found);
	else if ((found = member(statement, "limit")))
		limit_read(rule, found);
	else if ((found = member(statement, "mangle")))
		rule->sets_mss |= is_mss(found);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		struct json_object *inside;

		found = member(statement, unknown[i]);
		if (!found)
			continue;
		rule->sets_mss |= !strcmp(text_of(found, "name"), "TCPMSS");
		inside = member(found, "stmt");
		inside = json_object_is_type(inside, json_type_array) ? json_object_array_get_idx(inside, 0) : inside;
		if (member(inside, "limit"))
			limit_read(rule, member(inside, "limit"));
		for (size_t packet = 0; packet < PACKETS; packet++)
			rule->answers[packet] = answer_and(rule->answers[packet], ANSWER_MAYBE);
	}
	return verdict_read(rule, statement);
}

/* Types of set whose elements are looked at: few and short, in contrast to sets of addresses. */
static const char *const set_types[] = { "inet_proto",	"icmp_type", "icmp_code", "icmpv6_type",
					 "icmpv6_code", "ct_state",  "ifname" };

enum { SET_KEY_SIZE = 1024 };

/* What a set is called among all of them. */
static void set_key(struct json_object *json, const char *name, char key[SET_KEY_SIZE])
{
	snprintf(key, SET_KEY_SIZE, "%s %s %s", text_of(json, "family"), text_of(json, "table"), name);
}

/* Notes a named set, without its elements; nft lists sets ahead of the rules. Returns 0 or -ENOMEM. */
static int set_note(struct json_object *sets, struct json_object *json)
{
	char key[SET_KEY_SIZE];

	set_key(json, text_of(json, "name"), key);
	for (size_t i = 0; i < sizeof(set_types) / sizeof(*set_types); i++)
		if (!strcmp(text_of(json, "type"), set_types[i]))
			return json_object_object_add(sets, key, json_object_new_boolean(false)) ? -ENOMEM : 0;
	return 0;
}

/* The elements in what `nft -j list set` printed, NULL when it is something else. The caller puts them. */
static struct json_object *set_parse(const char *text)
{
	struct json_object *all = json_tokener_parse(text), *list = member(all, "nftables"), *elements = NULL;

	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		struct json_object *set = member(json_object_array_get_idx(list, i), "set");

		if (set && !elements) /* an empty one has none */
			elements = member(set, "elem") ? json_object_get(member(set, "elem")) : json_object_new_array();
	}
	json_object_put(all);
	return elements;
}

/* The elements of a set that was noted, read when they are first asked for; NULL when nothing is known of them. */
static struct json_object *set_elements(const struct firewall *firewall, struct json_object *sets,
					struct json_object *rule, const char *name)
{
	struct json_object *known, *elements = NULL;
	char key[SET_KEY_SIZE], *text;
	size_t length;

	set_key(rule, name, key);
	known = member(sets, key);
	if (!json_object_is_type(known, json_type_boolean) || !firewall->set_get)
		return known;
	if (!firewall->set_get(text_of(rule, "family"), text_of(rule, "table"), name, &text, &length)) {
		elements = set_parse(text);
		free(text);
	}
	json_object_object_add(sets, key, elements);
	return elements;
}

/* Puts the elements of a named set in the place of its name in a comparison, if they are known. */
static void set_resolve(const struct firewall *firewall, struct json_object *sets, struct json_object *rule,
			struct json_object *match)
{
	const char *name = text_of(match, "right");
	struct json_object *elements = *name == '@' ? set_elements(firewall, sets, rule, name + 1) : NULL, *set;

	if (!json_object_is_type(elements, json_type_array))
		return;
	set = json_object_new_object();
	if (set && !json_object_object_add(set, "set", json_object_get(elements)))
		json_object_object_add(match, "right", set);
}

/* A rule is built beside the chain: the elements of a vmap in it go there first. */
static int rule_read(const struct firewall *firewall, struct json_object *sets, struct fw_chain *chain,
		     struct json_object *json)
{
	struct json_object *statements = member(json, "expr");
	struct fw_rule rule = {}, *place;
	int err = 0;

	for (size_t packet = 0; packet < PACKETS; packet++)
		rule.answers[packet] = ANSWER_YES;
	if (!json_object_is_type(statements, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(statements) && !err; i++) {
		struct json_object *statement = json_object_array_get_idx(statements, i);

		set_resolve(firewall, sets, json, member(statement, "match"));
		err = statement_read(chain, &rule, statement);
	}
	if (!err && rule.sets_mss)
		err = rule_name(&rule, chain, json);
	place = err ? NULL : chain_add_rule(chain);
	if (place) {
		*place = rule;
		return 0;
	}
	free(rule.target);
	free(rule.remove);
	return err ?: -ENOMEM;
}

/* The chain that an object names: as "name" of a chain, as "chain" of a rule. */
static struct fw_chain *chain_of(struct firewall *firewall, struct json_object *json, const char *name)
{
	const struct fw_chain key = {
		.program = "nft",
		.family = (char *)text_of(json, "family"),
		.table = (char *)text_of(json, "table"),
		.name = (char *)text_of(json, name),
	};

	return firewall_add_chain(firewall, &key);
}

static int chain_read(struct firewall *firewall, struct json_object *json)
{
	struct fw_chain *chain = chain_of(firewall, json, "name");

	if (!chain)
		return -ENOMEM;
	chain->stage = stage_of(text_of(json, "hook"));
	chain->nat = !strcmp(text_of(json, "type"), "nat");
	chain->drops = !strcmp(text_of(json, "policy"), "drop");
	return 0;
}

/* Families whose packets do not come here as they are asked for. */
static bool is_other_family(struct json_object *json)
{
	const char *family = text_of(json, "family");

	return !strcmp(family, "bridge") || !strcmp(family, "arp");
}

static int object_read(struct firewall *firewall, struct json_object *sets, struct json_object *object)
{
	struct json_object *found;
	struct fw_chain *chain;

	if ((found = member(object, "chain")) && !is_other_family(found))
		return chain_read(firewall, found);
	if ((found = member(object, "set")))
		return set_note(sets, found);
	if ((found = member(object, "rule")) && !is_other_family(found)) {
		chain = chain_of(firewall, found, "chain");
		return chain ? rule_read(firewall, sets, chain, found) : -ENOMEM;
	}
	return 0;
}

/* What is left of the text. */
struct cursor {
	const char *at, *end;
};

/* Goes behind a piece of JSON that stands here. Returns false when something else does. */
static bool cursor_take(struct cursor *cursor, const char *piece)
{
	size_t length = strlen(piece);

	while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) && *cursor->at)
		cursor->at++;
	if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, piece, length))
		return false;
	cursor->at += length;
	return true;
}

/* Reads one element of the list. Returns 0, -EINVAL or -ENOMEM. */
static int element_read(struct firewall *firewall, struct json_object *sets, struct json_tokener *tokener,
			struct cursor *cursor)
{
	struct json_object *object = json_tokener_parse_ex(tokener, cursor->at, cursor->end - cursor->at);
	int err = json_tokener_get_error(tokener) == json_tokener_success ? 0 : -EINVAL;

	cursor->at += json_tokener_get_parse_end(tokener);
	err = err ?: object_read(firewall, sets, object);
	json_object_put(object);
	return err;
}

/* Element by element: a tree of the whole takes 36 times the memory of the text. */
int firewall_read_nft(struct firewall *firewall, const char *text, size_t length)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *sets = tokener ? json_object_new_object() : NULL; /* false, an array, or null: unknown */
	struct cursor cursor = { text, text + length };
	int err = -EINVAL;

	if (!sets) {
		if (tokener)
			json_tokener_free(tokener);
		return -ENOMEM;
	}
	if (length <= INT32_MAX && cursor_take(&cursor, "{") && cursor_take(&cursor, "\"nftables\"") &&
	    cursor_take(&cursor, ":") && cursor_take(&cursor, "["))
		err = 0;
	while (!err && !cursor_take(&cursor, "]")) {
		err = element_read(firewall, sets, tokener, &cursor);
		cursor_take(&cursor, ",");
	}
	json_tokener_free(tokener);
	json_object_put(sets);
	return err ?: cursor_take(&cursor, "}") ? 0 : -EINVAL;
}
