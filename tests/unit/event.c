// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Events (loader/event.c): which are chosen, and how they are printed. Not where they come from.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "event.h"
#include "words.h"

#include <arpa/inet.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum { OFFSET = 1000000000 }; /* ns that CLOCK_REALTIME is ahead */

static struct mssbpf_event event_make(const char *source, const char *destination)
{
	struct mssbpf_event event = {
		.time = 1764181500123456789, /* 18:25:00 UTC on 2025-11-26 */
		.ifindex = 7,
		.direction = MSSBPF_EGRESS,
		.family = strchr(source, ':') ? MSSBPF_IPV6 : MSSBPF_IPV4,
		.kind = MSSBPF_SYN,
		.result = MSSBPF_CLAMPED,
		.before = 1460,
		.after = 1380,
		.source_port = htons(40000),
		.destination_port = htons(443),
	};
	int family = event.family == MSSBPF_IPV6 ? AF_INET6 : AF_INET;

	assert_int_equal(inet_pton(family, source, event.source), 1);
	assert_int_equal(inet_pton(family, destination, event.destination), 1);
	return event;
}

static void test_text(void **state)
{
	struct mssbpf_event event = event_make("192.0.2.1", "198.51.100.255");
	char text[EVENT_TEXT_SIZE];

	(void)state;
	assert_string_equal(
		event_text(&event, "wg0", OFFSET, text),
		"18:25:01.123456 wg0 egress 192.0.2.1:40000 > 198.51.100.255:443 SYN mss 1460 -> 1380 clamped");

	event = event_make("2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
	event.direction = MSSBPF_INGRESS;
	event.kind = MSSBPF_SYN_ACK;
	event.result = MSSBPF_ADDED;
	event.before = 0;
	event.after = 65495;
	assert_string_equal(event_text(&event, "fifteen-letters", -123456789, text),
			    "18:25:00.000000 fifteen-letters ingress [2001:db8::1]:40000 > "
			    "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:443 SYN-ACK mss none -> 65495 added");

	event = event_make("192.0.2.1", "198.51.100.2");
	event.kind = MSSBPF_UNREADABLE;
	event.result = MSSBPF_TRUNCATED;
	event.source_port = event.destination_port = event.before = event.after = 0;
	assert_string_equal(
		event_text(&event, "wg0", 0, text),
		"18:25:00.123456 wg0 egress 192.0.2.1:0 > 198.51.100.2:0 UNREADABLE mss none -> none truncated");
}

static void check_json(const struct mssbpf_event *event, const char *interface, const char *expected)
{
	struct json_object *object = event_json(event, interface, OFFSET);

	assert_string_equal(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN), expected);
	json_object_put(object);
}

static void test_json(void **state)
{
	struct mssbpf_event event = event_make("192.0.2.1", "198.51.100.2");

	(void)state;
	check_json(&event, "w\"g\\0",
		   "{\"time\":\"2025-11-26T18:25:01.123456Z\",\"interface\":\"w\\\"g\\\\0\",\"ifindex\":7,"
		   "\"direction\":\"egress\",\"family\":\"ipv4\",\"source\":\"192.0.2.1\",\"source_port\":40000,"
		   "\"destination\":\"198.51.100.2\",\"destination_port\":443,\"kind\":\"syn\",\"mss_before\":1460,"
		   "\"mss_after\":1380,\"result\":\"clamped\"}");
	event = event_make("2001:db8::1", "2001:db8::2");
	event.direction = MSSBPF_INGRESS;
	event.kind = MSSBPF_SYN_ACK;
	event.result = MSSBPF_NO_MSS;
	event.before = event.after = 0;
	check_json(&event, "wg0",
		   "{\"time\":\"2025-11-26T18:25:01.123456Z\",\"interface\":\"wg0\",\"ifindex\":7,"
		   "\"direction\":\"ingress\",\"family\":\"ipv6\",\"source\":\"2001:db8::1\",\"source_port\":40000,"
		   "\"destination\":\"2001:db8::2\",\"destination_port\":443,\"kind\":\"syn_ack\",\"mss_before\":null,"
		   "\"mss_after\":null,\"result\":\"no_mss\"}");
}

/* Every result and kind has a name of its own; numbers beyond them, from a program of another build, are no crash. */
static void test_words(void **state)
{
	struct mssbpf_event event = event_make("192.0.2.1", "198.51.100.2");
	char text[EVENT_TEXT_SIZE], keys[RESULT_KEYS_SIZE];

	(void)state;
	for (unsigned int result = 0; result < MSSBPF_RESULTS; result++) {
		const char *key = result_key(result);

		assert_string_not_equal(key, "unknown");
		assert_int_equal(result_find(key, strlen(key)), result);
		assert_int_equal(result_find(key, strlen(key) - 1), -1);
		assert_non_null(strstr(result_keys(keys), key));
	}
	assert_int_equal(result_find("clamped,added", 7), MSSBPF_CLAMPED);
	assert_int_equal(result_find("", 0), -1);
	event.kind = MSSBPF_KINDS;
	event.result = 255;
	assert_non_null(strstr(event_text(&event, "wg0", OFFSET, text), " ? mss 1460 -> 1380 unknown"));
}

static void test_prefix(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool holds;
	} rows[] = {
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },

		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.128", true },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "128.0.0.0/1", "127.0.0.0", false },
		{ "0.0.0.0/0", "::", false },
		{ "::/0", "0.0.0.0", false },
		{ "::/0", "2001:db8::", true },
		{ "2001:db8::/32", "2001:db8:ffff::", true },
		{ "2001:db8::/32", "2001:db9::", false },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "2001:db8::1", "2001:db8::1", true },
		{ "2001:db8::/127", "2001:db8::", true },
		{ "2001:db8::1", "2001:db8::", false },
	};
	char why[WHY_SIZE];
	struct rule prefix;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool ipv6 = strchr(rows[i].address, ':');
		unsigned char address[16] = {};

		assert_int_equal(inet_pton(ipv6 ? AF_INET6 : AF_INET, rows[i].address, address), 1);
		assert_int_equal(prefix_parse(rows[i].prefix, &prefix, why), 0);
		if (prefix_holds(&prefix, ipv6 ? MSSBPF_IPV6 : MSSBPF_IPV4, address) != rows[i].holds)
			fail_msg("'%s' and '%s'", rows[i].prefix, rows[i].address);
	}
}

static void test_filter(void **state)
{
	static const struct {
		const char *prefix;
		unsigned int port, results;
		bool matches;
	} rows[] = {
		{ NULL, 0, 0, true },
		{ "192.0.2.1", 0, 0, true },
		{ "198.51.100.0/24", 0, 0, true },
		{ "203.0.113.0/24", 0, 0, false },
		{ NULL, 40000, 0, true },
		{ NULL, 443, 0, true },
		{ NULL, 80, 0, false },
		{ NULL, 0, 1 << MSSBPF_CLAMPED, true },
		{ NULL, 0, 1 << MSSBPF_CLAMPED | 1 << MSSBPF_ADDED, true },
		{ NULL, 0, 1 << MSSBPF_ADDED, false },
		{ "192.0.2.1", 443, 1 << MSSBPF_CLAMPED, true },
		{ "192.0.2.1", 443, 1 << MSSBPF_ADDED, false },
		{ "192.0.2.1", 80, 1 << MSSBPF_CLAMPED, false },
		{ "192.0.2.2", 443, 1 << MSSBPF_CLAMPED, false },
	};
	const struct mssbpf_event event = event_make("192.0.2.1", "198.51.100.2");
	char why[WHY_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct event_filter filter = { .by_prefix = rows[i].prefix,
					       .port = rows[i].port,
					       .results = rows[i].results };

		if (rows[i].prefix)
			assert_int_equal(prefix_parse(rows[i].prefix, &filter.prefix, why), 0);
		if (event_matches(&filter, &event) != rows[i].matches)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),   cmocka_unit_test(test_json),   cmocka_unit_test(test_words),
		cmocka_unit_test(test_prefix), cmocka_unit_test(test_filter),
	};

	setenv("TZ", "UTC0", 1);
	tzset();
	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
