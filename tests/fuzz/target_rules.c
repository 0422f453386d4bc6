// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer: the text of a file of rules, which has to be the same when it is written and read again; and the ranges
 * that are made of it, at whose edges each address has to have the limit of its longest prefix.
 */
#include <rules.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Rules as lines of a file. */
static char *text_of(const struct rules *rules)
{
	char *text = calloc(rules->count + 1, RULE_TEXT_SIZE);

	check(text);
	for (size_t i = 0, used = 0; i < rules->count; i++) {
		rule_format(&rules->list[i], text + used);
		used += strlen(text + used);
		text[used++] = '\n';
	}
	return text;
}

static void check_text(const struct rules *rules)
{
	char *text = text_of(rules), why[WHY_SIZE];
	struct rules again;

	check(rules_parse(text, strlen(text), &again, why) == 0 && again.count == rules->count);
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *one = &rules->list[i], *other = &again.list[i];

		check(memcmp(&one->first, &other->first, sizeof(one->first)) == 0 && one->mss == other->mss);
		check(one->family == other->family && one->length == other->length);
		check(rules_find(&again, one) == other);
	}
	free(again.list);
	free(text);
}

/* Compares bit by bit. */
static bool matches(const struct rule *rule, const struct mssbpf_address *address)
{
	for (int bit = 0; bit < rule->length; bit++)
		if ((rule->first.half[bit / 64] ^ address->half[bit / 64]) >> (63 - bit % 64) & 1)
			return false;
	return true;
}

static uint16_t longest_match(const struct rules *rules, enum mssbpf_family family,
			      const struct mssbpf_address *address)
{
	const struct rule *longest = NULL;

	for (size_t i = 0; i < rules->count; i++)
		if (rules->list[i].family == family && matches(&rules->list[i], address) &&
		    (!longest || rules->list[i].length > longest->length))
			longest = &rules->list[i];
	return longest ? longest->mss : MSSBPF_MSS_OWN;
}

static void check_ranges(const struct rules *rules, enum mssbpf_family family)
{
	size_t count;
	struct rule_range *ranges = rules_flatten(rules, family, &count);

	check(ranges && count > 0 && ranges[0].first.half[0] == 0 && ranges[0].first.half[1] == 0);
	for (size_t i = 0; i < count; i++) {
		struct mssbpf_address before = ranges[i].first;

		check(longest_match(rules, family, &ranges[i].first) == ranges[i].mss);
		if (i == 0)
			continue;
		before.half[0] -= before.half[1]-- == 0;
		check(longest_match(rules, family, &before) == ranges[i - 1].mss && ranges[i - 1].mss != ranges[i].mss);
	}
	free(ranges);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[WHY_SIZE] = "";
	struct rules rules;

	if (rules_parse((const char *)data, size, &rules, why)) {
		check(*why && memchr(why, '\0', sizeof(why)));
		return 0;
	}
	check_text(&rules);
	check_ranges(&rules, MSSBPF_IPV4);
	check_ranges(&rules, MSSBPF_IPV6);
	free(rules.list);
	return 0;
}
