// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The packets of verify (loader/verify_packets.c): that they are what their names say, by code that shares nothing with
 * them. Not what programs do with them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "verify_packets.h"

enum { ETHERNET = 14, FLAGS_AT = 13, OPTIONS_AT = 20, CHECKSUM_AT = 16 };

static size_t tcp_at(const struct verify_path *path)
{
	return (path->ethernet ? ETHERNET : 0) + (path->family == MSSBPF_IPV6 ? 40 : 20);
}

/* All combinations of a header in front, and family. */
static struct verify_path path_of(unsigned int number)
{
	return (struct verify_path){ .ethernet = number & 1,
				     .family = number & 2 ? MSSBPF_IPV6 : MSSBPF_IPV4,
				     .source = { 8, 0, 2, 1, 0x86, 0xdd, [15] = 1 },
				     .destination = { 192, 0, 2, 2, [15] = 255 } };
}

static unsigned int word(const uint8_t *bytes)
{
	return bytes[0] << 8 | bytes[1];
}

static void check_packet(const struct verify_path *path, const struct verify_packet *packet)
{
	const uint8_t *ip = packet->data + (path->ethernet ? ETHERNET : 0), *tcp = packet->data + tcp_at(path);
	size_t length = packet->length - tcp_at(path);

	assert_in_range(length, OPTIONS_AT, OPTIONS_AT + 40);
	assert_int_equal(tcp[12] >> 4, length / 4);
	assert_int_equal(length % 4, 0);
	assert_int_equal(word(tcp + CHECKSUM_AT),
			 packet_tcp_checksum(ip, path->family == MSSBPF_IPV6 ? 6 : 4, tcp, length));
	if (path->ethernet)
		assert_int_equal(word(packet->data + 12), path->family == MSSBPF_IPV6 ? 0x86dd : 0x0800);
	if (path->family == MSSBPF_IPV6) {
		assert_int_equal(ip[0] >> 4, 6);
		assert_int_equal(word(ip + 4), length);
		assert_int_equal(ip[6], 6);
		return;
	}
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(word(ip + 2), 20 + length);
	assert_int_equal(ip[9], 6);
	for (uint32_t i = 0, sum = 0; i <= 20; i += 2) {
		if (i == 20)
			assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
		else
			sum += word(ip + i);
	}
}

static void test_packets(void **state)
{
	const struct verify_values values = { .above = 1361, .low = 1360 };
	struct verify_packet packet;

	(void)state;
	for (unsigned int number = 0; number < 4; number++) {
		const struct verify_path path = path_of(number);

		for (size_t i = 0; i < verify_case_count; i++) {
			const struct verify_case *row = &verify_cases[i];
			size_t mss = verify_packet_mss(&path, row, false);

			packet = verify_packet_build(&path, row, &values);
			check_packet(&path, &packet);
			assert_int_equal(packet.data[tcp_at(&path) + FLAGS_AT], row->flags);
			assert_int_equal(!!mss, !!strchr(row->options, 'M'));
			if (!mss)
				continue;
			assert_int_equal(word(packet.data + mss), 1361);
			assert_int_equal(word(packet.data + mss - 2), 0x0204);
			assert_int_equal((mss - tcp_at(&path)) % 2, !!strstr(row->name, "odd offset"));
			if (strstr(row->name, "last option"))
				assert_int_equal(mss + 2, packet.length);
		}
	}
}

/* What is added comes first, and moves the others. */
static void test_added(void **state)
{
	struct verify_packet packet, without;

	(void)state;
	for (unsigned int number = 0; number < 4; number++) {
		const struct verify_path path = path_of(number);
		size_t at = tcp_at(&path) + OPTIONS_AT;

		for (size_t i = 0; i < verify_case_count; i++) {
			if (verify_cases[i].demand != VERIFY_ADD)
				continue;
			without = verify_packet_build(&path, &verify_cases[i], &(struct verify_values){ 1, 1, 0 });
			packet = verify_packet_build(&path, &verify_cases[i], &(struct verify_values){ 1, 1, 1220 });
			check_packet(&path, &packet);
			assert_int_equal(packet.length, without.length + 4);
			assert_int_equal(verify_packet_mss(&path, &verify_cases[i], true), at + 2);
			assert_int_equal(word(packet.data + at), 0x0204);
			assert_int_equal(word(packet.data + at + 2), 1220);
			assert_memory_equal(packet.data + at + 4, without.data + at, without.length - at);
		}
	}
}

static void test_parts(void **state)
{
	const struct verify_path path = path_of(1);

	(void)state;
	assert_string_equal(verify_packet_part(&path, 0), "Ethernet header");
	assert_string_equal(verify_packet_part(&path, 14), "IP header");
	assert_string_equal(verify_packet_part(&path, 34), "TCP header");
	assert_string_equal(verify_packet_part(&path, 49), "TCP header");
	assert_string_equal(verify_packet_part(&path, 50), "TCP checksum");
	assert_string_equal(verify_packet_part(&path, 51), "TCP checksum");
	assert_string_equal(verify_packet_part(&path, 52), "TCP header");
	assert_string_equal(verify_packet_part(&path, 54), "TCP options");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
