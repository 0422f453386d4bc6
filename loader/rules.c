// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules: parsing, sorting, and flattening of nested prefixes into ranges. No BPF, and nothing is printed.
 */
#include "rules.h"

#include "cli.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct family {
	int af;
	unsigned int bits;    /* of an address */
	unsigned int headers; /* between MTU and MSS, bytes */
	const char *name;
} families[MSSBPF_FAMILIES] = {
	[MSSBPF_IPV4] = { AF_INET, 32, MSSBPF_IPV4_HEADERS, "IPv4" },
	[MSSBPF_IPV6] = { AF_INET6, 128, MSSBPF_IPV6_HEADERS, "IPv6" },
};

__attribute__((format(printf, 2, 3))) static int refuse(char why[WHY_SIZE], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, WHY_SIZE, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int address_compare(const struct mssbpf_address *one, const struct mssbpf_address *other)
{
	for (int i = 0; i < 2; i++)
		if (one->half[i] != other->half[i])
			return one->half[i] < other->half[i] ? -1 : 1;
	return 0;
}

/* Ones for the bits that a prefix of this length leaves open, as if all were IPv6's. */
static struct mssbpf_address open_bits(unsigned int length)
{
	return (struct mssbpf_address){ {
		length >= 64 ? 0 : ~0ULL >> length,
		length >= 128  ? 0
		: length <= 64 ? ~0ULL
			       : ~0ULL >> (length - 64),
	} };
}

static struct mssbpf_address rule_last(const struct rule *rule)
{
	struct mssbpf_address open = open_bits(rule->length);

	return (struct mssbpf_address){ { rule->first.half[0] | open.half[0], rule->first.half[1] | open.half[1] } };
}

unsigned int rule_mss_of_mtu(enum mssbpf_family family, unsigned int mtu)
{
	return mtu - families[family].headers;
}

unsigned int rule_mtu(const struct rule *rule)
{
	return rule->mss + families[rule->family].headers;
}

unsigned int rule_mss_max(enum mssbpf_family family)
{
	return MSSBPF_MTU_MAX - families[family].headers;
}

bool prefix_holds(const struct rule *prefix, enum mssbpf_family family, const __u8 address[16])
{
	const struct mssbpf_address last = rule_last(prefix);
	struct mssbpf_address host;
	__be64 halves[2] = {};

	memcpy(halves, address, families[family].bits / 8);
	host = (struct mssbpf_address){ { be64toh(halves[0]), be64toh(halves[1]) } };
	return prefix->family == family && address_compare(&prefix->first, &host) <= 0 &&
	       address_compare(&host, &last) <= 0;
}

void prefix_address(const struct rule *prefix, __u8 address[16])
{
	const __be64 halves[2] = { htobe64(prefix->first.half[0]), htobe64(prefix->first.half[1]) };

	memcpy(address, halves, sizeof(halves));
}

void prefix_format(const struct rule *rule, char text[RULE_TEXT_SIZE])
{
	__u8 address[16];
	char name[INET6_ADDRSTRLEN] = "";

	prefix_address(rule, address);
	inet_ntop(families[rule->family].af, address, name, sizeof(name));
	snprintf(text, RULE_TEXT_SIZE, "%s/%u", name, rule->length);
}

void rule_format(const struct rule *rule, char text[RULE_TEXT_SIZE])
{
	unsigned int mtu = rule_mtu(rule);
	size_t used;

	prefix_format(rule, text);
	used = strlen(text);
	if (rule->mss == MSSBPF_MSS_NONE)
		snprintf(text + used, RULE_TEXT_SIZE - used, " off");
	else if (mtu >= MSSBPF_MTU_MIN)
		snprintf(text + used, RULE_TEXT_SIZE - used, " mtu %u", mtu);
	else
		snprintf(text + used, RULE_TEXT_SIZE - used, " mss %u", rule->mss);
}

static bool address_parse(const char *text, struct rule *rule)
{
	for (enum mssbpf_family family = 0; family < MSSBPF_FAMILIES; family++) {
		__be64 halves[2] = {};

		if (inet_pton(families[family].af, text, halves) != 1)
			continue;
		rule->first = (struct mssbpf_address){ { be64toh(halves[0]), be64toh(halves[1]) } };
		rule->family = family;
		return true;
	}
	return false;
}

int prefix_parse(const char *text, struct rule *rule, char why[WHY_SIZE])
{
	const char *slash = strchrnul(text, '/');
	char address[INET6_ADDRSTRLEN], right[RULE_TEXT_SIZE];
	unsigned int length;
	struct mssbpf_address open;

	*rule = (struct rule){};
	if ((size_t)(slash - text) >= sizeof(address))
		return refuse(why, "'%.60s...' is no prefix: ADDRESS/LENGTH", text);
	memcpy(address, text, slash - text);
	address[slash - text] = '\0';
	if (!address_parse(address, rule))
		return refuse(why, "'%s': '%s' is no IPv4 or IPv6 address", text, address);
	length = families[rule->family].bits;
	if (*slash && number_parse(slash + 1, 0, families[rule->family].bits, &length))
		return refuse(why, "'%.60s': the length of an %s prefix is a number from 0 to %u", text,
			      families[rule->family].name, families[rule->family].bits);
	if (rule->family == MSSBPF_IPV6 && length >= 96 && !rule->first.half[0] && rule->first.half[1] >> 32 == 0xffff)
		return refuse(why, "'%s' is an IPv4 prefix in IPv6's form, which no packet has: write it as IPv4",
			      text);
	rule->length = length;
	open = open_bits(length);
	if (!(rule->first.half[0] & open.half[0]) && !(rule->first.half[1] & open.half[1]))
		return 0;
	rule->first.half[0] &= ~open.half[0];
	rule->first.half[1] &= ~open.half[1];
	prefix_format(rule, right);
	return refuse(why, "'%s' has bits set behind its length: %s is the prefix, %s/%u the address alone", text,
		      right, address, families[rule->family].bits);
}

/* Reads what stands behind a prefix. */
static int limit_parse(char *words, struct rule *rule, char why[WHY_SIZE])
{
	const char *kind = strsep(&words, " "), *value = strsep(&words, " ");
	unsigned int number;

	if (kind && !strcmp(kind, "off")) {
		if (value)
			return refuse(why, "'%s' behind 'off'", value);
		rule->mss = MSSBPF_MSS_NONE;
		return 0;
	}
	if (!kind || (strcmp(kind, "mtu") && strcmp(kind, "mss")))
		return refuse(why, "%s%s%s behind the prefix, where 'mtu N', 'mss N' or 'off' is wanted",
			      kind ? "'" : "", kind ?: "nothing", kind ? "'" : "");
	if (words)
		return refuse(why, "'%s' behind '%s %s'", words, kind, value);
	if (!strcmp(kind, "mtu")) {
		if (!value || number_parse(value, MSSBPF_MTU_MIN, MSSBPF_MTU_MAX, &number))
			return refuse(why, "mtu '%s': not a whole number from %u to %u (bytes)", value ?: "",
				      MSSBPF_MTU_MIN, MSSBPF_MTU_MAX);
		number = rule_mss_of_mtu(rule->family, number);
		rule->by_mtu = true;
	} else if (!value || number_parse(value, 1, rule_mss_max(rule->family), &number)) {
		return refuse(why, "mss '%s': not a whole number from 1 to %u (bytes)", value ?: "",
			      rule_mss_max(rule->family));
	}
	rule->mss = number;
	return 0;
}

/* Takes a line to pieces: without comment, and with one space between words. Returns 0 or -EINVAL. */
static int line_clean(const char *line, size_t length, char text[RULE_LINE_MAX + 1], char why[WHY_SIZE])
{
	const char *comment = memchr(line, '#', length);
	size_t used = 0;

	if (length && line[length - 1] == '\r')
		length--;
	if (length > RULE_LINE_MAX)
		return refuse(why, "longer than %u bytes", RULE_LINE_MAX);
	if (comment && comment < line + length)
		length = comment - line;
	for (size_t i = 0; i < length; i++) {
		char c = line[i] == '\t' ? ' ' : line[i];

		if (c < ' ' || c > '~')
			return refuse(why, "a byte 0x%02x, which is no part of a rule", (unsigned char)c);
		if (c != ' ' || (used && text[used - 1] != ' '))
			text[used++] = c;
	}
	if (used && text[used - 1] == ' ')
		used--;
	text[used] = '\0';
	return 0;
}

/* Reads one line. Returns 1 when it has a rule, 0 when it has none, -EINVAL after writing why. */
static int line_parse(const char *line, size_t length, struct rule *rule, char why[WHY_SIZE])
{
	char text[RULE_LINE_MAX + 1], *words = text;
	int err = line_clean(line, length, text, why);

	if (err || !*text)
		return err;
	err = prefix_parse(strsep(&words, " "), rule, why);
	return err ?: limit_parse(words, rule, why) ?: 1;
}

static int rule_compare(const void *one, const void *other)
{
	const struct rule *a = one, *b = other;
	int order;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	order = address_compare(&a->first, &b->first);
	return order ?: (int)a->length - (int)b->length;
}

/* By line where prefixes are the same. */
static int rule_compare_lines(const void *one, const void *other)
{
	const struct rule *a = one, *b = other;
	int order = rule_compare(one, other);

	return order ?: a->line < b->line ? -1 : a->line > b->line;
}

/* Refuses a list that has a prefix twice, by the first line that repeats one. */
static int rules_check(const struct rules *rules, char why[WHY_SIZE])
{
	const struct rule *twice = NULL;
	char text[RULE_TEXT_SIZE];

	for (size_t i = 1; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];

		if (!rule_compare(rule - 1, rule) && (!twice || rule->line < twice->line))
			twice = rule;
	}
	if (!twice)
		return 0;
	prefix_format(twice, text);
	return refuse(why, "line %u: %s stands on line %u already", twice->line, text, twice[-1].line);
}

/* Puts a rule at the end. Returns 0 or -ENOMEM. */
static int rules_append(struct rules *rules, const struct rule *rule)
{
	/* The list doubles whenever its length is a power of two. */
	if (!(rules->count & (rules->count - 1))) {
		size_t room = rules->count ? rules->count * 2 : 1;
		struct rule *grown = reallocarray(rules->list, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		rules->list = grown;
	}
	rules->list[rules->count++] = *rule;
	return 0;
}

/* Reads all lines into the list, in their order. What is said in `why` begins with the line. */
static int lines_parse(const char *text, size_t length, struct rules *rules, char why[WHY_SIZE])
{
	unsigned int line = 0;

	while (length) {
		const char *end = memchr(text, '\n', length);
		size_t used = end ? (size_t)(end - text) : length;
		char line_why[WHY_SIZE];
		struct rule rule;
		int found;

		line++;
		found = line_parse(text, used, &rule, line_why);
		if (found < 0)
			return refuse(why, "line %u: %.480s", line, line_why);
		if (found && rules->count == RULES_MAX)
			return refuse(why, "line %u: more than %u rules", line, RULES_MAX);
		rule.line = line;
		if (found && rules_append(rules, &rule)) {
			refuse(why, "%s", strerror(ENOMEM));
			return -ENOMEM;
		}
		used += end != NULL;
		text += used;
		length -= used;
	}
	return 0;
}

int rules_parse(const char *text, size_t length, struct rules *rules, char why[WHY_SIZE])
{
	int err;

	*rules = (struct rules){};
	err = lines_parse(text, length, rules, why);
	if (!err && rules->count)
		qsort(rules->list, rules->count, sizeof(*rules->list), rule_compare_lines);
	err = err ?: rules_check(rules, why);
	if (err) {
		free(rules->list);
		*rules = (struct rules){};
	}
	return err;
}

struct rule *rules_find(const struct rules *rules, const struct rule *prefix)
{
	return rules->count ? bsearch(prefix, rules->list, rules->count, sizeof(*prefix), rule_compare) : NULL;
}

int rules_set(struct rules *rules, const struct rule *rule)
{
	struct rule *place = rules_find(rules, rule), *grown;
	size_t before = rules->count;

	if (place) {
		*place = *rule;
		return 0;
	}
	grown = reallocarray(rules->list, before + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	rules->list = grown;
	while (before && rule_compare(&rules->list[before - 1], rule) > 0)
		before--;
	place = &rules->list[before];
	memmove(place + 1, place, (rules->count++ - before) * sizeof(*place));
	*place = *rule;
	return 0;
}

void rules_remove(struct rules *rules, struct rule *rule)
{
	memmove(rule, rule + 1, (&rules->list[--rules->count] - rule) * sizeof(*rule));
}

/* The ranges so far, and the prefixes that reach beyond the last: each lies in the one before. */
struct flattening {
	struct rule_range *list;
	size_t count;
	const struct rule *open[129]; /* of lengths 0 to 128 */
	size_t depth;
};

static __u16 flattening_mss(const struct flattening *flat)
{
	return flat->depth ? flat->open[flat->depth - 1]->mss : MSSBPF_MSS_OWN;
}

/* Begins a range that has the limit of the innermost prefix; nothing is left of one that begins at the same address. */
static void range_begin(struct flattening *flat, const struct mssbpf_address *first)
{
	const struct rule_range range = { *first, flattening_mss(flat) };

	if (flat->count && !address_compare(&flat->list[flat->count - 1].first, first))
		flat->count--;
	if (!flat->count || flat->list[flat->count - 1].mss != range.mss)
		flat->list[flat->count++] = range;
}

/* Ends the prefixes that do not reach to the address; all if it is NULL. */
static void prefixes_end(struct flattening *flat, const struct mssbpf_address *address)
{
	while (flat->depth) {
		const struct rule *inner = flat->open[flat->depth - 1];
		const struct mssbpf_address all = open_bits(0);
		struct mssbpf_address last = rule_last(inner);

		if (address && address_compare(&last, address) >= 0)
			return;
		flat->depth--;
		if (!address_compare(&last, &all))
			continue;
		if (!++last.half[1])
			last.half[0]++;
		range_begin(flat, &last);
	}
}

struct rule_range *rules_flatten(const struct rules *rules, enum mssbpf_family family, size_t *count)
{
	struct flattening flat = { .list = calloc(2 * rules->count + 1, sizeof(*flat.list)) };

	if (!flat.list)
		return NULL;
	range_begin(&flat, &(struct mssbpf_address){});
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];

		if (rule->family != family)
			continue;
		prefixes_end(&flat, &rule->first);
		flat.open[flat.depth++] = rule;
		range_begin(&flat, &rule->first);
	}
	prefixes_end(&flat, NULL);
	*count = flat.count;
	return flat.list;
}
