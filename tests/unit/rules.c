// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules (loader/rules.c): what is read, what is refused and why, and the ranges made of prefixes against a longest
 * match that tries them all. What the programs make of them is ../prog/rules.c's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "rules.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Reads a text that has no room behind its end, for the sanitizer to notice. */
static int parse(const char *text, size_t length, struct rules *rules, char why[WHY_SIZE])
{
	char *copy = malloc(length ?: 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, text, length);
	memset(why, 'x', WHY_SIZE);
	err = rules_parse(copy, length, rules, why);
	free(copy);
	if (err)
		assert_in_range(strnlen(why, WHY_SIZE), 1, WHY_SIZE - 1);
	return err;
}

static const struct line_row {
	const char *line, *rule;
} good_lines[] = {
	{ "10.8.0.0/16 mtu 1380", "10.8.0.0/16 mtu 1380" },
	{ "\t10.8.0.0/16   mtu\t1380  ", "10.8.0.0/16 mtu 1380" },
	{ "10.8.0.0/16 mtu 1380 # the branch", "10.8.0.0/16 mtu 1380" },
	{ "10.8.0.0/16 mtu 1380#\xc3\xa9", "10.8.0.0/16 mtu 1380" },
	{ "10.8.0.0/16 mtu 1380\r", "10.8.0.0/16 mtu 1380" },
	{ "10.8.0.0/16 mtu 576", "10.8.0.0/16 mtu 576" },
	{ "10.8.0.0/16 mtu 65535", "10.8.0.0/16 mtu 65535" },
	{ "10.8.0.0/16 mss 1340", "10.8.0.0/16 mtu 1380" },
	{ "10.8.0.0/16 mss 535", "10.8.0.0/16 mss 535" },
	{ "10.8.0.0/16 mss 1", "10.8.0.0/16 mss 1" },
	{ "10.8.0.0/16 mss 65495", "10.8.0.0/16 mtu 65535" },
	{ "10.8.0.0/16 off", "10.8.0.0/16 off" },
	{ "10.8.0.1 off", "10.8.0.1/32 off" },
	{ "0.0.0.0/0 off", "0.0.0.0/0 off" },
	{ "128.0.0.0/1 off", "128.0.0.0/1 off" },
	{ "255.255.255.255/32 off", "255.255.255.255/32 off" },
	{ "::/0 mtu 1280", "::/0 mtu 1280" },
	{ "8000::/1 mtu 1280", "8000::/1 mtu 1280" },
	{ "2001:DB8:0:0::/32 mtu 1400", "2001:db8::/32 mtu 1400" },
	{ "2001:db8::1 mtu 1400", "2001:db8::1/128 mtu 1400" },
	{ "2001:db8::/64 mtu 1400", "2001:db8::/64 mtu 1400" },
	{ "2001:db8::8000:0:0:0/65 mtu 1400", "2001:db8:0:0:8000::/65 mtu 1400" },
	{ "2001:db8:0:1::/64 mss 1220", "2001:db8:0:1::/64 mtu 1280" },
	{ "2001:db8:0:1::/64 mss 65475", "2001:db8:0:1::/64 mtu 65535" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff off", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128 off" },
};

static void test_good_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good_lines); i++) {
		const struct line_row *row = &good_lines[i];
		char why[WHY_SIZE], text[RULE_TEXT_SIZE];
		struct rules rules;

		if (parse(row->line, strlen(row->line), &rules, why))
			fail_msg("'%s': %s", row->line, why);
		assert_int_equal(rules.count, 1);
		rule_format(rules.list, text);
		assert_string_equal(text, row->rule);
		free(rules.list);
	}
}

static const struct bad_row {
	const char *line, *why;
} bad_lines[] = {
	{ "10.8.0.0/16", "nothing behind the prefix, where 'mtu N', 'mss N' or 'off' is wanted" },
	{ "10.8.0.0/16 1380", "'1380' behind the prefix, where 'mtu N', 'mss N' or 'off' is wanted" },
	{ "10.8.0.0/16 mtu", "mtu '': not a whole number from 576 to 65535 (bytes)" },
	{ "10.8.0.0/16 mtu 575", "mtu '575': not a whole number from 576 to 65535 (bytes)" },
	{ "10.8.0.0/16 mtu 65536", "mtu '65536': not a whole number from 576 to 65535 (bytes)" },
	{ "10.8.0.0/16 mtu 4294968676", "mtu '4294968676': not a whole number from 576 to 65535 (bytes)" },
	{ "10.8.0.0/16 mtu -1380", "mtu '-1380': not a whole number from 576 to 65535 (bytes)" },
	{ "10.8.0.0/16 mtu 1380x", "mtu '1380x': not a whole number from 576 to 65535 (bytes)" },
	{ "10.8.0.0/16 mtu 1380 off", "'off' behind 'mtu 1380'" },
	{ "10.8.0.0/16 mss 0", "mss '0': not a whole number from 1 to 65495 (bytes)" },
	{ "10.8.0.0/16 mss 65496", "mss '65496': not a whole number from 1 to 65495 (bytes)" },
	{ "::/0 mss 65476", "mss '65476': not a whole number from 1 to 65475 (bytes)" },
	{ "10.8.0.0/16 mss", "mss '': not a whole number from 1 to 65495 (bytes)" },
	{ "10.8.0.0/16 off 1", "'1' behind 'off'" },
	{ "10.8.0.0/16 OFF", "'OFF' behind the prefix, where" },
	{ "10.8.0.1/16 off",
	  "'10.8.0.1/16' has bits set behind its length: 10.8.0.0/16 is the prefix, 10.8.0.1/32 the address alone" },
	{ "0.0.0.1/0 off", "0.0.0.0/0 is the prefix" },
	{ "2001:db8::1/64 off", "2001:db8::/64 is the prefix, 2001:db8::1/128 the address alone" },
	{ "2001:db8:0:1::/63 off", "2001:db8::/63 is the prefix" },
	{ "2001:db8::8000:0:0:0/64 off", "2001:db8::/64 is the prefix" },
	{ "10.8.0.0/33 off", "'10.8.0.0/33': the length of an IPv4 prefix is a number from 0 to 32" },
	{ "::ffff:10.8.0.0/112 off", "'::ffff:10.8.0.0/112' is an IPv4 prefix in IPv6's form" },
	{ "::ffff:10.8.0.1 off", "'::ffff:10.8.0.1' is an IPv4 prefix in IPv6's form" },
	{ "::ffff:0:0/96 off", "'::ffff:0:0/96' is an IPv4 prefix in IPv6's form" },
	{ "::ffff:0:0/95 off", "::fffe:0:0/95 is the prefix" },
	{ "::/129 off", "'::/129': the length of an IPv6 prefix is a number from 0 to 128" },
	{ "10.8.0.0/ off", "'10.8.0.0/': the length of an IPv4 prefix is a number from 0 to 32" },
	{ "10.8.0.0/16/8 off", "'10.8.0.0/16/8': the length" },
	{ "10.8.0.0/255.255.0.0 off", "'10.8.0.0/255.255.0.0': the length" },
	{ "10.8/16 off", "'10.8/16': '10.8' is no IPv4 or IPv6 address" },
	{ "10.8.0.0.0/16 off", "is no IPv4 or IPv6 address" },
	{ "10.8.0.256/32 off", "is no IPv4 or IPv6 address" },
	{ "fe80::1%eth0 off", "is no IPv4 or IPv6 address" },
	{ "example.org off", "is no IPv4 or IPv6 address" },
	{ "/16 off", "'/16': '' is no IPv4 or IPv6 address" },
	{ "off", "'off': 'off' is no IPv4 or IPv6 address" },
	{ "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111 off", "is no prefix: ADDRESS/LENGTH" },
	{ "10.8.0.0/16 off\x01", "a byte 0x01, which is no part of a rule" },
	{ "10.8.0.0/16\r off", "a byte 0x0d" },
	{ "\xef\xbb\xbf"
	  "10.8.0.0/16 off",
	  "a byte 0xef" },
};

static void test_bad_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_lines); i++) {
		const struct bad_row *row = &bad_lines[i];
		char why[WHY_SIZE], text[512];
		struct rules rules;

		snprintf(text, sizeof(text), "# first\n10.9.0.0/16 off\n%s\n10.10.0.0/16 off\n", row->line);
		assert_int_equal(parse(text, strlen(text), &rules, why), -EINVAL);
		assert_null(rules.list);
		assert_int_equal(rules.count, 0);
		assert_memory_equal(why, "line 3: ", 8);
		if (!strstr(why, row->why))
			fail_msg("'%s': '%s', expected: '%s'", row->line, why, row->why);
	}
}

static void check_file(const char *text, size_t length, size_t count, const char *says)
{
	char why[WHY_SIZE];
	struct rules rules;
	int err = parse(text, length, &rules, why);

	assert_int_equal(err, says ? -EINVAL : 0);
	if (says)
		assert_string_equal(why, says);
	else
		assert_int_equal(rules.count, count);
	free(rules.list);
}

#define CHECK_FILE(text, count, says) check_file(text, sizeof(text) - 1, count, says)

static void test_files(void **state)
{
	char line[RULE_LINE_MAX + 32];

	(void)state;
	CHECK_FILE("", 0, NULL);
	CHECK_FILE("\n\n \n# nothing\n", 0, NULL);
	CHECK_FILE("10.8.0.0/16 off", 1, NULL);
	CHECK_FILE("10.8.0.0/16 off\r\n\r\n::/0 mtu 1280\r\n", 2, NULL);
	CHECK_FILE("10.8.0.0/16 off\n10.8.0.0/17 off\n10.8.0.0 off\n::/16 off\n", 4, NULL);
	CHECK_FILE("10.8.0.0/16\0off\n", 0, "line 1: a byte 0x00, which is no part of a rule");
	CHECK_FILE("\0", 0, "line 1: a byte 0x00, which is no part of a rule");
	CHECK_FILE("10.8.0.0/16 off\n\n10.8.0.0/16 mtu 1380\n", 0, "line 3: 10.8.0.0/16 stands on line 1 already");
	CHECK_FILE("::/0 off\n::1 off\n::2 off\n::2 off\n::1 off\n::1 off\n", 0,
		   "line 4: ::2/128 stands on line 3 already");
	CHECK_FILE("10.8.0.1 off\n10.8.0.1/32 off\n", 0, "line 2: 10.8.0.1/32 stands on line 1 already");

	memset(line, ' ', sizeof(line));
	memcpy(line, "10.8.0.0/16 off", 15);
	check_file(line, RULE_LINE_MAX, 1, NULL);
	check_file(line, RULE_LINE_MAX + 1, 0, "line 1: longer than 255 bytes");
	line[RULE_LINE_MAX] = '\r';
	line[RULE_LINE_MAX + 1] = '\n';
	check_file(line, RULE_LINE_MAX + 2, 1, NULL);
	memset(line, '#', sizeof(line));
	check_file(line, sizeof(line), 0, "line 1: longer than 255 bytes");
}

/* One more than there may be is refused, by its line. */
static void test_too_many(void **state)
{
	static char text[(RULES_MAX + 1) * 24];
	char why[WHY_SIZE];
	struct rules rules;
	size_t length = 0;

	(void)state;
	for (unsigned int i = 0; i <= RULES_MAX; i++) {
		if (i == RULES_MAX) {
			assert_int_equal(rules_parse(text, length, &rules, why), 0);
			assert_int_equal(rules.count, RULES_MAX);
			free(rules.list);
		}
		length += sprintf(text + length, "%u.%u.%u.%u off\n", i >> 24, i >> 16 & 255, i >> 8 & 255, i & 255);
	}
	assert_int_equal(rules_parse(text, length, &rules, why), -EINVAL);
	assert_string_equal(why, "line 500001: more than 500000 rules");
}

/* The limit of the longest prefix that has the address. */
static uint16_t match(const struct rules *rules, enum mssbpf_family family, const struct mssbpf_address *address)
{
	const struct rule *best = NULL;

	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];
		bool inside = rule->family == family;

		for (unsigned int bit = 0; bit < rule->length && inside; bit++) {
			uint64_t differ = address->half[bit / 64] ^ rule->first.half[bit / 64];

			inside = !(differ >> (63 - bit % 64) & 1);
		}
		if (inside && (!best || rule->length > best->length))
			best = rule;
	}
	return best ? best->mss : MSSBPF_MSS_OWN;
}

static uint16_t search(const struct rule_range *ranges, size_t count, const struct mssbpf_address *address)
{
	size_t i = count - 1;

	while (i && (ranges[i].first.half[0] != address->half[0] ? ranges[i].first.half[0] > address->half[0]
								 : ranges[i].first.half[1] > address->half[1]))
		i--;
	return ranges[i].mss;
}

/* To the address before or behind; from one end of all to the other. */
static void step(struct mssbpf_address *address, int by, enum mssbpf_family family)
{
	uint64_t before = address->half[1];

	if (family == MSSBPF_IPV4) {
		address->half[0] += (uint64_t)by << 32;
		return;
	}
	address->half[1] += by;
	if (by > 0 && address->half[1] < before)
		address->half[0]++;
	if (by < 0 && address->half[1] > before)
		address->half[0]--;
}

/* Flattens, and compares with match() at the edges of all ranges and prefixes and beside them. */
static void check_ranges(const struct rules *rules)
{
	for (enum mssbpf_family family = 0; family < MSSBPF_FAMILIES; family++) {
		size_t count;
		struct rule_range *ranges = rules_flatten(rules, family, &count);

		assert_non_null(ranges);
		assert_in_range(count, 1, 2 * rules->count + 1);
		assert_int_equal(ranges[0].first.half[0] | ranges[0].first.half[1], 0);
		for (size_t i = 0; i < count + rules->count; i++) {
			struct mssbpf_address address = i < count ? ranges[i].first : rules->list[i - count].first;

			if (i && i < count)
				assert_int_not_equal(ranges[i].mss, ranges[i - 1].mss);
			step(&address, -1, family);
			for (int beside = -1; beside <= 1; beside++, step(&address, 1, family))
				assert_int_equal(search(ranges, count, &address), match(rules, family, &address));
		}
		free(ranges);
	}
}

static const char *const flattened[] = {
	"",
	"0.0.0.0/0 off\n::/0 off\n",
	"0.0.0.0/0 mtu 1400\n10.0.0.0/8 mtu 1300\n10.0.0.0/9 mtu 1200\n10.0.0.0 mtu 1100\n",
	"255.255.255.255 mtu 1400\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff mtu 1400\n",
	"0.0.0.0/0 off\n255.255.255.255 mtu 1400\n::/0 off\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff mtu 1400\n",
	"128.0.0.0/1 mtu 1400\n192.0.0.0/2 mtu 1300\n255.255.255.255 mtu 1200\n8000::/1 off\nc000::/2 mtu 1300\n",
	"0.0.0.0 mtu 1400\n:: mtu 1400\n",
	"0.0.0.0/1 mtu 1400\n128.0.0.0/1 mtu 1400\n",
	"10.0.0.0/9 mtu 1400\n10.128.0.0/9 mtu 1400\n10.0.0.0/8 mtu 1300\n",
	"10.0.0.0/8 mtu 1400\n10.0.0.0/9 mtu 1400\n10.255.255.255 mtu 1400\n",
	"10.0.0.0/8 mtu 1400\n10.128.0.0/9 mtu 1300\n10.192.0.0/10 mtu 1200\n10.255.255.255 mtu 1100\n11.0.0.0/8 off\n",
	"2001:db8::/64 mtu 1400\n2001:db8:0:1::/64 mtu 1300\n2001:db8::ffff:ffff:ffff:ffff mtu 1290\n",
	"2001:db8::/63 mtu 1400\n2001:db8:0:1::/65 mtu 1300\n",
};

static void test_flattened(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flattened); i++) {
		char why[WHY_SIZE];
		struct rules rules;

		if (parse(flattened[i], strlen(flattened[i]), &rules, why))
			fail_msg("%s: %s", flattened[i], why);
		check_ranges(&rules);
		free(rules.list);
	}
}

/* A random rule among few prefixes that nest, or at the ends of what there is. */
static struct rule random_rule(uint32_t *seed)
{
	static const uint16_t limits[] = { 1, 536, 1340, MSSBPF_MSS_NONE };
	enum mssbpf_family family = packet_random(seed) % 2;
	unsigned int bits = family == MSSBPF_IPV4 ? 32 : 128;
	struct rule rule = {
		.family = family,
		.length = packet_random(seed) % (bits + 1),
		.mss = limits[packet_random(seed) % ARRAY_SIZE(limits)],
	};

	/* mostly ones, but for the last bits of the prefix */
	for (unsigned int bit = 0; bit < rule.length; bit++)
		if (rule.length - bit > 2 ? packet_random(seed) % 16 != 0 : packet_random(seed) % 2)
			rule.first.half[bit / 64] |= 1ULL << (63 - bit % 64);
	return rule;
}

/* Sets by rules_set() and rules_remove(), which leave them in order. */
static void test_random(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct rules rules = {};

		for (uint32_t i = packet_random(&seed) % 40; i > 0; i--) {
			const struct rule rule = random_rule(&seed);

			assert_int_equal(rules_set(&rules, &rule), 0);
			assert_non_null(rules_find(&rules, &rule));
			assert_int_equal(rules_find(&rules, &rule)->mss, rule.mss);
		}
		check_ranges(&rules);
		while (rules.count) {
			struct rule gone = rules.list[packet_random(&seed) % rules.count];

			rules_remove(&rules, rules_find(&rules, &gone));
			assert_null(rules_find(&rules, &gone));
			if (rules.count % 8 == 0)
				check_ranges(&rules);
		}
		free(rules.list);
	}
}

/* What is written is read as the same. */
static void test_formatted(void **state)
{
	uint32_t seed = 2;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		const struct rule rule = random_rule(&seed);
		char text[RULE_TEXT_SIZE], again[RULE_TEXT_SIZE], why[WHY_SIZE];
		struct rules rules;

		rule_format(&rule, text);
		assert_int_equal(parse(text, strlen(text), &rules, why), 0);
		assert_int_equal(rules.count, 1);
		assert_memory_equal(&rules.list->first, &rule.first, sizeof(rule.first));
		assert_int_equal(rules.list->family, rule.family);
		assert_int_equal(rules.list->length, rule.length);
		assert_int_equal(rules.list->mss, rule.mss);
		rule_format(rules.list, again);
		assert_string_equal(again, text);
		free(rules.list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_line), cmocka_unit_test(test_bad_line),  cmocka_unit_test(test_files),
		cmocka_unit_test(test_too_many),  cmocka_unit_test(test_flattened), cmocka_unit_test(test_random),
		cmocka_unit_test(test_formatted),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
