// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules for prefixes: sets that the loader makes, and the loaded programs on SYNs of peers in and beside them. Not
 * about how files are read and prefixes flattened: that is ../unit/rules.c's.
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

#include <bpf/bpf.h>
#include <rule_sets.h>

#include "../lib/object.h"
#include "../lib/packet.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	OFFERED = 0xffff, /* above every limit */
	OWN = 1111,	  /* the interface's own limit */
};

/* SYNs of packet.c's go from 8.0.23.1 and fd00:0:86dd::1701 to 192.0.2.7 and 2001:db8::207. */
#define BOTH_SIDES                                                                                                     \
	"192.0.2.0/24 mss 1000\n2001:db8::/32 mss 1000\n" /* destination */                                            \
	"8.0.0.0/8 mss 900\nfd00::/8 mss 900\n"		  /* source */

static const struct row {
	const char *name;
	const char *rules;
	uint16_t egress, ingress; /* the limit that holds; 0: none */
	struct packet_spec spec;  /* without version and options */
	uint16_t flags;		  /* of the order */
	bool only6, only_xdp;
} rows[] = {
	{ "the peer's side", BOTH_SIDES, 1000, 900 },
	{ "beside the prefixes", "192.0.3.0/24 off\n8.1.0.0/16 off\n2001:db9::/32 off\nfd01::/16 off\n", OWN, OWN },
	{ "the address alone",
	  "192.0.2.7 mss 1000\n2001:db8::207 mss 1000\n8.0.23.1 mss 900\nfd00:0:86dd::1701 mss 900\n", 1000, 900 },
	{ "its neighbours alone",
	  "192.0.2.6 off\n192.0.2.8 off\n8.0.23.0 off\n8.0.23.2 off\n"
	  "2001:db8::206 off\n2001:db8::208 off\nfd00:0:86dd::1700 off\nfd00:0:86dd::1702 off\n",
	  OWN, OWN },
	{ "the longest of several",
	  "0.0.0.0/0 mss 1\n192.0.2.0/24 mss 2\n192.0.2.0/29 mss 1000\n8.0.0.0/8 mss 3\n8.0.23.0/30 mss 900\n"
	  "::/0 mss 1\n2001:db8::/32 mss 2\n2001:db8::200/120 mss 1000\nfd00::/8 mss 3\nfd00:0:86dd::/64 mss 900\n",
	  1000, 900 },
	{ "a longer one that is no match",
	  BOTH_SIDES "192.0.2.8/29 off\n2001:db8::300/120 off\n8.0.24.0/21 off\nfd00:1::/32 off\n", 1000, 900 },
	{ "above the interface's own", "0.0.0.0/0 mss 65495\n::/0 mss 65475\n", 65475, 65475, .only6 = true },
	{ "off", "192.0.2.0/24 off\n2001:db8::/32 off\n8.0.0.0/8 off\nfd00::/8 off\n", 0, 0 },
	{ "off within a limit", BOTH_SIDES "192.0.2.7 off\n2001:db8::207 off\n8.0.23.1 off\nfd00:0:86dd::1701 off\n", 0,
	  0 },
	{ "a limit within off", "0.0.0.0/0 off\n::/0 off\n" BOTH_SIDES, 1000, 900 },
	{ "VLAN", BOTH_SIDES, 1000, 900, { .vlan = { 0x8100 } } },
	{ "two tags", BOTH_SIDES, 1000, 900, { .vlan = { 0x88a8, 0x8100 } } },
	{ "PPPoE", BOTH_SIDES, 1000, 900, { .pppoe = 0x11 }, .only_xdp = true },
	{ "SYN-ACK", BOTH_SIDES, 1000, 900, { .flags = SYN | ACK } },
	{ "IP options", BOTH_SIDES, 1000, 900, { .ip_options = 8 } },
	{ "behind extension headers, of which one is a routing header",
	  BOTH_SIDES,
	  1000,
	  900,
	  { .extensions = "hdrd" },
	  .only6 = true },
	{ "dry run", BOTH_SIDES, 1000, 900, .flags = MSSBPF_DRY_RUN },
	{ "dry run, off", "0.0.0.0/0 off\n::/0 off\n", 0, 0, .flags = MSSBPF_DRY_RUN },
	{ "instead of the device's MTU", BOTH_SIDES, 1000, 900, .flags = MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6 },
	{ "instead of the route's MTU", BOTH_SIDES, 1000, 900,
	  .flags = MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6 | MSSBPF_ROUTE | MSSBPF_BOTH_WAYS },
};

static struct object object;
static struct maps maps;
static const char *unavailable;

static struct mssbpf_key key_of(const struct object_program *program)
{
	return (struct mssbpf_key){ OBJECT_IFINDEX, program->direction };
}

/* Gives the interface an order and rules, which may be none. */
static void put(const struct object_program *program, union mssbpf_order order, const struct rules *rules)
{
	assert_int_equal(object_set_limit(&object, key_of(program), order), 0);
	assert_int_equal(rule_set_put(&maps, OBJECT_IFINDEX, rules), 0);
	assert_int_equal(object_reset_counters(&object, key_of(program)), 0);
}

/* Runs a program on a packet, which has to come out as `wanted` and be counted once, as `result`. */
static void check(const struct object_program *program, const struct packet *packet, const struct packet *wanted,
		  const struct packet_spec *spec, enum mssbpf_result result)
{
	struct mssbpf_counters counters;
	struct object_outcome outcome;
	enum mssbpf_kind kind = spec->flags & ACK ? MSSBPF_SYN_ACK : MSSBPF_SYN;

	assert_int_equal(object_reset_counters(&object, key_of(program)), 0);
	assert_int_equal(object_run(program, packet, 0, &outcome), 0);
	assert_int_equal(outcome.length, wanted->length);
	if (memcmp(outcome.data, wanted->data, wanted->length))
		fail_msg("%s, IPv%u: MSS %u instead of %u, or more is wrong", program->name, spec->version,
			 outcome.data[packet->tcp + 23] << 8 | outcome.data[packet->tcp + 24],
			 wanted->data[packet->tcp + 23] << 8 | wanted->data[packet->tcp + 24]);
	assert_int_equal(object_read_counters(&object, key_of(program), &counters), 0);
	assert_int_equal(counters.packets[spec->version == 6][kind][result], 1);
}

static void check_row(const struct row *row, const struct object_program *program, uint8_t version)
{
	const union mssbpf_order order = { .mss4 = OWN, .mss6 = OWN, .flags = row->flags };
	uint16_t limit = program->direction == MSSBPF_EGRESS ? row->egress : row->ingress;
	uint16_t left = limit && !(row->flags & MSSBPF_DRY_RUN) ? limit : OFFERED;
	const uint8_t before[] = { NOP, MSS(OFFERED), NOP, NOP, NOP }, after[] = { NOP, MSS(left), NOP, NOP, NOP };
	struct packet_spec spec = row->spec;
	struct packet packet, wanted;
	char why[WHY_SIZE] = "";
	struct rules rules;

	if (rules_parse(row->rules, strlen(row->rules), &rules, why))
		fail_msg("%s", why);
	spec.version = version;
	spec.options = (struct packet_bytes){ before, sizeof(before) };
	packet_build(&packet, &spec, program->link);
	spec.options.bytes = after;
	packet_build(&wanted, &spec, program->link);
	put(program, order, &rules);
	check(program, &packet, &wanted, &spec, limit ? MSSBPF_CLAMPED : MSSBPF_EXEMPT);
	free(rules.list);
}

static void test_row(void **state)
{
	const struct row *row = *state;

	object_need(unavailable);
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		const struct object_program *program = &object.program[i];

		if ((row->only_xdp && !program->xdp) || (row->spec.vlan[0] && program->link == PACKET_BARE))
			continue;
		if (!row->only6)
			check_row(row, program, 4);
		check_row(row, program, 6);
	}
}

/* A SYN without MSS gets one by the rule; where one says off, it gets none. */
static void test_add_missing(void **state)
{
	const struct packet_bytes none = NO_BYTES, added = BYTES(MSS(1000));
	const union mssbpf_order order = { .mss4 = OWN, .mss6 = OWN, .flags = MSSBPF_ADD_MISSING | MSSBPF_ADD_LIMIT };
	static const char *const texts[] = { "0.0.0.0/0 mss 1000\n::/0 mss 1000\n", "0.0.0.0/0 off\n::/0 off\n" };

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < OBJECT_PROGRAMS * 4; i++) {
		const struct object_program *program = &object.program[i / 4];
		bool off = i & 1;
		struct packet_spec spec = { .version = i & 2 ? 6 : 4, .options = none };
		struct packet packet, wanted;
		char why[WHY_SIZE];
		struct rules rules;

		assert_int_equal(rules_parse(texts[off], strlen(texts[off]), &rules, why), 0);
		put(program, order, &rules);
		packet_build(&packet, &spec, program->link);
		spec.options = off ? none : added;
		packet_build(&wanted, &spec, program->link);
		check(program, &packet, &wanted, &spec, off ? MSSBPF_EXEMPT : MSSBPF_ADDED);
		free(rules.list);
	}
}

/* An order that names a set which is not there, as none does but for a moment: the interface's own limit holds. */
static void test_no_set(void **state)
{
	const uint8_t before[] = { NOP, MSS(OFFERED), NOP, NOP, NOP }, after[] = { NOP, MSS(OWN), NOP, NOP, NOP };
	static const uint16_t places[] = { 0, 2, 0xffff };

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < OBJECT_PROGRAMS * ARRAY_SIZE(places); i++) {
		const struct object_program *program = &object.program[i % OBJECT_PROGRAMS];
		const union mssbpf_order order = { .mss4 = OWN, .mss6 = OWN, .rules = places[i / OBJECT_PROGRAMS] };
		struct packet_spec spec = { .version = 4, .options = { before, sizeof(before) } };
		struct packet packet, wanted;

		assert_int_equal(object_set_limit(&object, key_of(program), order), 0);
		packet_build(&packet, &spec, program->link);
		spec.options.bytes = after;
		packet_build(&wanted, &spec, program->link);
		check(program, &packet, &wanted, &spec, MSSBPF_CLAMPED);
		assert_int_equal(object_delete_limit(&object, key_of(program)), 0);
	}
}

/* Where the peer's address stands in a packet. */
static uint8_t *peer_of(struct packet *packet, const struct object_program *program, uint8_t version)
{
	bool egress = program->direction == MSSBPF_EGRESS;

	return packet->data + packet->ip + (version == 4 ? 12 + 4 * egress : 8 + 16 * egress);
}

/* The limit of the longest prefix that has the address. */
static uint16_t match(const struct rules *rules, uint8_t version, const uint8_t *address)
{
	const struct rule *best = NULL;

	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];
		bool inside = rule->family == (version == 4 ? MSSBPF_IPV4 : MSSBPF_IPV6);

		for (unsigned int bit = 0; bit < rule->length && inside; bit++)
			inside = (address[bit / 8] >> (7 - bit % 8) & 1) ==
				 (rule->first.half[bit / 64] >> (63 - bit % 64) & 1);
		if (inside && (!best || rule->length > best->length))
			best = rule;
	}
	return best ? best->mss : OWN;
}

/* Makes it the MSS of a SYN that check_address() builds, with a right checksum. */
static void set_mss(struct packet *packet, uint8_t version, uint16_t mss)
{
	uint8_t *tcp = packet->data + packet->tcp;
	uint16_t checksum;

	tcp[23] = mss >> 8;
	tcp[24] = mss;
	checksum = packet_tcp_checksum(packet->data + packet->ip, version, tcp, packet->ip_end - packet->tcp);
	tcp[16] = checksum >> 8;
	tcp[17] = checksum;
}

static void check_address(const struct object_program *program, const struct rules *rules, uint8_t version,
			  const uint8_t address[16])
{
	const uint8_t options[] = { NOP, MSS(OFFERED), NOP, NOP, NOP };
	const struct packet_spec spec = { .version = version, .options = { options, sizeof(options) } };
	struct packet packet, wanted;
	uint8_t *peer;
	uint16_t mss;

	packet_build(&packet, &spec, program->link);
	peer = peer_of(&packet, program, version);
	/* Of a source, what a test run takes for the EtherType stays. */
	for (size_t i = 0; i < (version == 4 ? 4 : 16); i++)
		if (program->direction == MSSBPF_EGRESS || (version == 4 ? i > 1 : i != 4 && i != 5))
			peer[i] = address[i];
	mss = match(rules, version, peer);
	set_mss(&packet, version, OFFERED);
	wanted = packet;
	set_mss(&wanted, version, mss);
	check(program, &packet, &wanted, &spec, mss == MSSBPF_MSS_NONE ? MSSBPF_EXEMPT : MSSBPF_CLAMPED);
}

/* Random bytes, among which there are many zeros and ones. */
static void random_address(uint32_t *seed, uint8_t address[16])
{
	for (int i = 0; i < 16; i++) {
		uint32_t number = packet_random(seed);

		address[i] = number % 4 == 0 ? 0 : number % 4 == 1 ? 0xff : number >> 8;
	}
}

/* A rule for a prefix of the address; mostly of one that a source may have, see check_address(). */
static struct rule random_rule(uint32_t *seed, enum mssbpf_family family, uint8_t address[16])
{
	static const uint8_t source4[] = { 8, 0 }, source6[] = { 0x86, 0xdd };
	struct rule rule = { .family = family,
			     .length = packet_random(seed) % (family == MSSBPF_IPV4 ? 33 : 129),
			     .mss = packet_random(seed) % 8 ? 1 + packet_random(seed) % 65000 : MSSBPF_MSS_NONE };

	if (packet_random(seed) % 2)
		memcpy(address + (family == MSSBPF_IPV4 ? 0 : 4), family == MSSBPF_IPV4 ? source4 : source6, 2);
	for (unsigned int bit = 0; bit < rule.length; bit++)
		if (address[bit / 8] >> (7 - bit % 8) & 1)
			rule.first.half[bit / 64] |= 1ULL << (63 - bit % 64);
	return rule;
}

/* Checks addresses in a set's prefixes and at both their ends, of all ones and zeros, and others. */
static void check_set(const struct rules *rules, uint32_t *seed, int tries)
{
	const union mssbpf_order order = { .mss4 = OWN, .mss6 = OWN };

	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		const struct object_program *program = &object.program[i];

		put(program, order, rules);
		for (int try = 0; try < tries; try++) {
			uint8_t version = try % 2 ? 6 : 4, address[16];
			const struct rule *rule =
				rules->count ? &rules->list[packet_random(seed) % rules->count] : NULL;
			uint32_t kind = packet_random(seed) % 4;

			random_address(seed, address);
			for (int byte = 0; byte < 16 && kind == 0; byte++)
				address[byte] = try % 4 < 2 ? 0xff : 0;
			for (unsigned int bit = 0; rule && bit < 128 && kind > 1; bit++) {
				uint8_t one = 1 << (7 - bit % 8);
				bool is = bit < rule->length ? rule->first.half[bit / 64] >> (63 - bit % 64) & 1
							     : kind == 2;

				address[bit / 8] = is ? address[bit / 8] | one : address[bit / 8] & ~one;
			}
			check_address(program, rules, version, address);
		}
	}
}

/* Sizes at which a tree gets another node or level, by what its prefixes are flattened to, and random ones. */
static void test_random(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 9, 23, 24, 25, 100, 127, 128, 129, 600, 1200, 5000 };
	uint32_t seed = 3;

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct rules rules = {};

		for (size_t n = 0; n < 2 * sizes[i]; n++) {
			uint8_t address[16];
			struct rule rule;

			random_address(&seed, address);
			rule = random_rule(&seed, n % 2 ? MSSBPF_IPV6 : MSSBPF_IPV4, address);
			assert_int_equal(rules_set(&rules, &rule), 0);
		}
		check_set(&rules, &seed, 200);
		free(rules.list);
	}
}

/* As many as there may be, of each family: single addresses with one between, so that all ranges are needed. */
static void test_most(void **state)
{
	uint32_t seed = 4;

	(void)state;
	object_need(unavailable);
	for (enum mssbpf_family family = 0; family < MSSBPF_FAMILIES; family++) {
		struct rules rules = { calloc(RULES_MAX, sizeof(*rules.list)), RULES_MAX };

		assert_non_null(rules.list);
		for (unsigned int i = 0; i < RULES_MAX; i++) {
			const uint64_t number = (uint64_t)i << 1 | 1;

			rules.list[i] = (struct rule){ .first = { { family == MSSBPF_IPV4 ? number << 32 : 0,
								    family == MSSBPF_IPV4 ? 0 : number } },
						       .family = family,
						       .length = family == MSSBPF_IPV4 ? 32 : 128,
						       .mss = 1 + i % 60000 };
		}
		put(&object.program[0], (union mssbpf_order){ .mss4 = OWN, .mss6 = OWN }, &rules);
		for (int i = 0; i < 60; i++) {
			const uint32_t number = i == 0	 ? 0
						: i == 1 ? 2 * RULES_MAX - 1
							 : packet_random(&seed) % (2 * RULES_MAX);
			uint8_t address[16] = {};
			size_t end = family == MSSBPF_IPV4 ? 4 : 16;

			for (int byte = 0; byte < 4; byte++)
				address[end - 1 - byte] = number >> byte * 8;
			/* No other rule can be for it; to try all takes long where all is slow. */
			check_address(&object.program[0], &(struct rules){ &rules.list[number / 2], 1 },
				      family == MSSBPF_IPV4 ? 4 : 6, address);
		}
		free(rules.list);
	}
}

/* What was put is read as it was, and counted; and is gone with the interface's last entry. */
static void test_kept(void **state)
{
	const struct mssbpf_key keys[] = { { OBJECT_IFINDEX, MSSBPF_EGRESS }, { OBJECT_IFINDEX, MSSBPF_INGRESS } };
	uint32_t seed = 5, id;
	struct rules rules = {}, got;
	uint16_t place, again;
	size_t count;

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(object_set_limit(&object, keys[i], (union mssbpf_order){ .mss4 = OWN }), 0);
	for (int n = 0; n < 50; n++) {
		uint8_t address[16];
		struct rule rule;

		random_address(&seed, address);
		rule = random_rule(&seed, n % 2, address);
		assert_int_equal(rules_set(&rules, &rule), 0);
		assert_int_equal(rule_set_put(&maps, OBJECT_IFINDEX, &rules), 0);
		assert_int_equal(rule_set_get(&maps, OBJECT_IFINDEX, &got), 0);
		assert_int_equal(got.count, rules.count);
		for (size_t i = 0; i < got.count; i++) {
			assert_memory_equal(&got.list[i].first, &rules.list[i].first, sizeof(rules.list[i].first));
			assert_int_equal(got.list[i].family, rules.list[i].family);
			assert_int_equal(got.list[i].length, rules.list[i].length);
			assert_int_equal(got.list[i].mss, rules.list[i].mss);
		}
		free(got.list);
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_int_equal(maps_rules_get(&maps, OBJECT_IFINDEX, &place), 0);
		assert_int_not_equal(place, 0);
		assert_int_equal(rule_set_count(&maps, place, &count), 0);
		assert_int_equal(count, rules.count);
		/* Another interface's are in another place. */
		assert_int_equal(
			object_set_limit(&object, (struct mssbpf_key){ 7, MSSBPF_EGRESS }, (union mssbpf_order){}), 0);
		assert_int_equal(rule_set_put(&maps, 7, &rules), 0);
		assert_int_equal(maps_rules_get(&maps, 7, &again), 0);
		assert_int_not_equal(again, place);
		assert_int_equal(maps_entry_remove(&maps, &(struct mssbpf_key){ 7, MSSBPF_EGRESS }), 0);
		assert_int_equal(maps_entry_remove(&maps, &keys[i]), 0);
	}
	assert_int_equal(rule_set_get(&maps, OBJECT_IFINDEX, &got), 0);
	assert_int_equal(got.count, 0);
	assert_int_equal(bpf_map_lookup_elem(maps.rules, &(uint32_t){ place - 1 }, &id), -ENOENT);
	assert_int_equal(bpf_map_lookup_elem(maps.rules, &(uint32_t){ again - 1 }, &id), -ENOENT);
	free(rules.list);
}

/* More interfaces with rules than there is room for. */
static void test_no_room(void **state)
{
	struct rule rule = { .mss = OWN };
	const struct rules rules = { &rule, 1 };
	uint16_t seen = 0, place;
	int err = 0;

	(void)state;
	object_need(unavailable);
	for (uint32_t ifindex = 1; !err; ifindex++) {
		struct maps few = maps;

		few.max_entries = 2;
		assert_int_equal(object_set_limit(&object, (struct mssbpf_key){ ifindex, MSSBPF_EGRESS },
						  (union mssbpf_order){}),
				 0);
		err = rule_set_put(&few, ifindex, &rules);
		assert_int_equal(maps_rules_get(&few, ifindex, &place), 0);
		assert_int_equal(place, err ? 0 : seen + 1);
		seen += !err;
	}
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(seen, 2);
	for (uint32_t ifindex = 1; ifindex <= 3; ifindex++)
		assert_int_equal(maps_entry_remove(&maps, &(struct mssbpf_key){ ifindex, MSSBPF_EGRESS }), 0);
}

static int setup(void **state)
{
	(void)state;
	unavailable = object_unavailable();
	if (unavailable)
		return 0;
	if (object_open(&object))
		return -1;
	maps = object_maps(&object);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	object_close(&object);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(test_add_missing), cmocka_unit_test(test_random), cmocka_unit_test(test_most),
		cmocka_unit_test(test_no_set),	    cmocka_unit_test(test_kept),   cmocka_unit_test(test_no_room),
	};
	struct CMUnitTest tests[ARRAY_SIZE(rows) + ARRAY_SIZE(others)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)&rows[i] };
	memcpy(tests + ARRAY_SIZE(rows), others, sizeof(others));
	return cmocka_run_group_tests_name("rules", tests, setup, teardown);
}
