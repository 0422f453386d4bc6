// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The XDP program on checksums that are not complete (CHECKSUM_PARTIAL): it has nothing but the bytes to tell by. That
 * kernels really hand such packets to it is e2e's subject (test_xdp.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/object.h"
#include "../lib/packet.h"

enum {
	LIMIT = 1360,
	SEGMENTS = 4, /* types of routing header */
	MOBILE = 2,
	RPL = 3,
	UNKNOWN = 253,
};

static const uint8_t before[] = { NOP, MSS(1460), NOP, NOP, NOP }, after[] = { NOP, MSS(LIMIT), NOP, NOP, NOP };
static struct object object;
static const char *unavailable;
static const struct object_program *program;

static uint8_t *checksum_of(struct packet *packet)
{
	return packet->data + packet->tcp + 16;
}

static void set_checksum(struct packet *packet, uint16_t checksum)
{
	checksum_of(packet)[0] = checksum >> 8;
	checksum_of(packet)[1] = checksum & 0xff;
}

/* The sum of the pseudo header, as the kernel puts it there; the one of zeros is its complement. */
static uint16_t pseudo_sum(const struct packet *packet, uint8_t version, const uint8_t *destination)
{
	static const uint8_t zeros[PACKET_MAX];
	uint8_t ip[40];

	memcpy(ip, packet->data + packet->ip, sizeof(ip));
	if (destination)
		memcpy(ip + 24, destination, 16);
	return ~packet_tcp_checksum(ip, version, zeros, packet->ip_end - packet->tcp);
}

/* Builds a SYN, and what it has to become, with complete checksums. */
static void build(struct packet_spec spec, struct packet *packet, struct packet *clamped)
{
	spec.options = (struct packet_bytes){ before, sizeof(before) };
	packet_build(packet, &spec, PACKET_ETHERNET);
	spec.options.bytes = after;
	packet_build(clamped, &spec, PACKET_ETHERNET);
}

static void check(const struct packet *packet, const struct packet *expected, uint8_t version,
		  enum mssbpf_result result)
{
	const struct mssbpf_key key = { OBJECT_IFINDEX, program->direction };
	const union mssbpf_order order = { .mss4 = LIMIT, .mss6 = LIMIT };
	struct mssbpf_counters counters;
	struct object_outcome outcome;

	assert_int_equal(object_set_limit(&object, key, order), 0);
	assert_int_equal(object_reset_counters(&object, key), 0);
	assert_int_equal(object_run(program, packet, 0, &outcome), 0);
	assert_int_equal(outcome.length, expected->length);
	assert_memory_equal(outcome.data, expected->data, expected->length);
	assert_int_equal(object_read_counters(&object, key, &counters), 0);
	assert_int_equal(counters.packets[version == 6 ? MSSBPF_IPV6 : MSSBPF_IPV4][MSSBPF_SYN][result], 1);
}

/* Checks that a SYN whose field holds this value is clamped and keeps it. */
static void check_partial(const struct packet_spec *spec, uint16_t pseudo)
{
	struct packet packet, clamped;

	build(*spec, &packet, &clamped);
	set_checksum(&packet, pseudo);
	set_checksum(&clamped, pseudo);
	check(&packet, &clamped, spec->version, MSSBPF_CLAMPED);
}

/* Every length of payload that a frame has room for, every step of the sum over it. */
static void test_every_length(void **state)
{
	static struct packet packet, clamped;

	(void)state;
	object_need(unavailable);
	for (uint8_t version = 4; version <= 6; version += 2)
		for (uint16_t payload = 0; payload < 2900; payload += payload < 200 ? 1 : 61) {
			const struct packet_spec spec = { .version = version, .payload = payload, .trailing = 5 };

			build(spec, &packet, &clamped);
			check(&packet, &clamped, version, MSSBPF_CLAMPED);
			check_partial(&spec, pseudo_sum(&packet, version, NULL));
		}
}

static void test_wherever_the_packet_is(void **state)
{
	static const struct packet_spec specs[] = {
		{ .version = 4, .ip_options = 40 },    { .version = 4, .vlan = { 0x88a8, 0x8100 } },
		{ .version = 4, .pppoe = 0x11 },       { .version = 6, .pppoe = 0x11, .vlan = { 0x8100 } },
		{ .version = 6, .extensions = "h4d" }, { .version = 6, .extensions = "hdddd", .payload = 1201 },
	};
	static struct packet packet, clamped;

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		build(specs[i], &packet, &clamped);
		check_partial(&specs[i], pseudo_sum(&packet, specs[i].version, NULL));
	}
}

/*
 * Every checksum there can be. The complete one that equals the pseudo header's sum cannot be told from an incomplete
 * one whose segment sums up to zero: it is left alone.
 */
static void test_every_complete_checksum(void **state)
{
	static struct packet packet, clamped;
	unsigned int doubtful = 0;

	(void)state;
	object_need(unavailable);
	for (uint32_t sequence = 0; sequence < UINT16_MAX; sequence++) {
		const uint8_t version = sequence % 2 ? 4 : 6;
		const struct packet_spec spec = { .version = version, .sequence = sequence + 1, .payload = 3 };
		uint16_t pseudo;

		build(spec, &packet, &clamped);
		pseudo = pseudo_sum(&packet, version, NULL);
		if (checksum_of(&packet)[0] * 256 + checksum_of(&packet)[1] == pseudo) {
			check(&packet, &packet, version, MSSBPF_UNWRITABLE);
			doubtful++;
		} else {
			check(&packet, &clamped, version, MSSBPF_CLAMPED);
		}
	}
	/* Each version has half of the values. */
	assert_in_range(doubtful, 1, 2);
}

/* The kernel finishes a checksum before it makes fragments; what equals the sum is a complete one, by chance. */
static void test_fragments(void **state)
{
	static const struct packet_spec specs[] = { { .version = 4, .fragment = 0x2000 },
						    { .version = 6, .extensions = "f" },
						    { .version = 6, .extensions = "f0" } };
	static struct packet packet, clamped;

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		uint16_t pseudo, change;

		build(specs[i], &packet, &clamped);
		pseudo = pseudo_sum(&packet, specs[i].version, NULL);
		/* What the checksum field grows by when the options change, in ones' complement. */
		change = packet_ones_add(checksum_of(&clamped)[0] * 256 + checksum_of(&clamped)[1],
					 ~(checksum_of(&packet)[0] * 256 + checksum_of(&packet)[1]));
		set_checksum(&packet, pseudo);
		set_checksum(&clamped, packet_ones_add(pseudo, change));
		check(&packet, &clamped, specs[i].version, MSSBPF_CLAMPED);
	}
}

/* Writes the type of the routing header, and how many segments are left. Returns the address in it. */
static const uint8_t *set_routing(struct packet *packet, uint8_t type, uint8_t left)
{
	uint8_t *routing = packet->data + packet->ip + 40;

	routing[2] = type;
	routing[3] = left;
	return routing + 8;
}

/* On its way through segments, a packet's pseudo header has the final destination, not the IP header's. */
static void test_routing_headers(void **state)
{
	static const struct {
		uint8_t type, left;
		bool final; /* the field holds the sum with the address in the routing header */
		enum mssbpf_result result;
		bool kept; /* the field stays */
	} rows[] = {
		{ SEGMENTS, 1, true, MSSBPF_CLAMPED, true },   { MOBILE, 1, true, MSSBPF_CLAMPED, true },
		{ SEGMENTS, 0, false, MSSBPF_CLAMPED, true },  { UNKNOWN, 0, false, MSSBPF_CLAMPED, true },
		{ SEGMENTS, 2, false, MSSBPF_CLAMPED, false }, { UNKNOWN, 1, false, MSSBPF_CLAMPED, false },
		{ RPL, 1, false, MSSBPF_UNWRITABLE, true },    { RPL, 0, false, MSSBPF_CLAMPED, true },
	};
	static struct packet packet, clamped;

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const uint8_t *address;
		uint16_t pseudo;

		build((struct packet_spec){ .version = 6, .extensions = "r2" }, &packet, &clamped);
		address = set_routing(&packet, rows[i].type, rows[i].left);
		set_routing(&clamped, rows[i].type, rows[i].left);
		pseudo = pseudo_sum(&packet, 6, rows[i].final ? address : NULL);
		set_checksum(&packet, pseudo);
		if (rows[i].kept)
			set_checksum(&clamped, pseudo);
		else /* 1460 - 1360, swapped for the odd offset */
			set_checksum(&clamped, packet_ones_add(pseudo, 100 << 8));
		check(&packet, rows[i].result == MSSBPF_CLAMPED ? &clamped : &packet, 6, rows[i].result);
	}
}

static int setup(void **state)
{
	(void)state;
	unavailable = object_unavailable();
	if (unavailable)
		return 0;
	if (object_open(&object))
		return -1;
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++)
		if (object.program[i].xdp)
			program = &object.program[i];
	return program ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	object_close(&object);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_wherever_the_packet_is),
		cmocka_unit_test(test_every_complete_checksum),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_routing_headers),
	};

	return cmocka_run_group_tests_name("partial checksums", tests, setup, teardown);
}
