// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Makes packets layer by layer: mostly as they should be, so that what is behind gets tried, and each field now and
 * then as it should not. At last, some are cut off, and some get bytes changed anywhere.
 */
#include "generator.h"

#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	ETHERNET_HEADER = 14,
	RUN_MIN_MAX = ETHERNET_HEADER + 40,
	OPTIONS_MAX = 40,
	TCP_FIXED = 20,
	TCP = 6,
	ROUTING = 43,
	FRAGMENT = 44,
	AUTHENTICATION = 51,
	NOP = 1,
	MSS = 2,
	SYN = 0x02,
	ACK = 0x10,
};

struct generator {
	uint64_t state;
	const union mssbpf_order *order;
	const struct generated_rules *rules;
	uint8_t *data;
	size_t length;
	size_t ip, tcp;
	size_t pppoe;	/* where its length field is, or 0 */
	size_t routing; /* where the last routing header is, or 0 */
	bool ipv6;
};

/* splitmix64, Steele, Lea and Flood 2014 */
static uint64_t scramble(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t generator_mix(uint64_t a, uint64_t b)
{
	return scramble(scramble(a + 0x9e3779b97f4a7c15) + b);
}

static uint64_t next(struct generator *g)
{
	g->state += 0x9e3779b97f4a7c15;
	return scramble(g->state);
}

/* 0 to count - 1 */
static uint32_t below(struct generator *g, uint32_t count)
{
	return (next(g) >> 32) * count >> 32;
}

static bool chance(struct generator *g, uint32_t percent)
{
	return below(g, 100) < percent;
}

#define pick_rule(g) ((g)->rules->list[below(g, (g)->rules->count)])
#define pick(g, array) ((array)[below(g, ARRAY_SIZE(array))])

static void put(struct generator *g, uint8_t byte)
{
	g->data[g->length++] = byte;
}

static void put16(struct generator *g, uint16_t word)
{
	put(g, word >> 8);
	put(g, word & 0xff);
}

static void set16(struct generator *g, size_t at, uint16_t word)
{
	g->data[at] = word >> 8;
	g->data[at + 1] = word & 0xff;
}

static uint16_t get16(const struct generator *g, size_t at)
{
	return g->data[at] << 8 | g->data[at + 1];
}

static void put_random(struct generator *g, size_t count)
{
	for (; count >= 8; count -= 8, g->length += 8)
		memcpy(g->data + g->length, &(uint64_t){ next(g) }, 8);
	memcpy(g->data + g->length, &(uint64_t){ next(g) }, count);
	g->length += count;
}

/* A length field: mostly right. */
static uint16_t length_field(struct generator *g, uint16_t right)
{
	static const uint16_t others[] = { 0, 1, 20, 39, 40, 60, 1500, 0x7fff, 0xfffe, 0xffff };

	if (chance(g, 88))
		return right;
	if (chance(g, 60))
		return right + below(g, 17) - 8;
	return chance(g, 60) ? pick(g, others) : next(g);
}

static uint16_t family_ethertype(struct generator *g)
{
	static const uint16_t others[] = { 0x0806, 0x8847, 0x8100, 0x88a8, 0x9100, 0x8863, 0x8864, 0x86dd, 0x0800, 0 };

	if (chance(g, 98))
		return g->ipv6 ? 0x86dd : 0x0800;
	return pick(g, others);
}

static void put_ethernet(struct generator *g)
{
	static const uint8_t tag_counts[] = { 0, 0, 0, 0, 0, 1, 1, 2, 2, 3 };
	static const uint16_t tags[] = { 0x8100, 0x8100, 0x8100, 0x88a8, 0x88a8, 0x9100 };
	static const uint16_t protocols[] = { 0x0021, 0x0057, 0xc021, 0x0281, 0x8021, 0x2100 };

	put_random(g, 12);
	for (uint8_t count = pick(g, tag_counts); count; count--) {
		put16(g, chance(g, 95) ? tags[below(g, 5)] : pick(g, tags));
		put_random(g, 2);
	}
	if (!chance(g, 12)) {
		put16(g, family_ethertype(g));
		return;
	}
	put16(g, 0x8864);
	put(g, chance(g, 97) ? 0x11 : next(g));
	put(g, chance(g, 97) ? 0 : next(g));
	put_random(g, 2);
	g->pppoe = g->length;
	put16(g, 0);
	put16(g, chance(g, 97) ? (g->ipv6 ? 0x0057 : 0x0021) : pick(g, protocols));
}

/* What stands in front of the segment: TCP's number at the end, or something else's. */
static uint8_t last_protocol(struct generator *g)
{
	static const uint8_t others[] = { 17, 1, 58, 50, 59, 0, 43, 44, 51, 60, 135, 4, 41, 47, 139, 140, 253 };

	return chance(g, 96) ? TCP : chance(g, 80) ? pick(g, others) : next(g);
}

static void put_authentication(struct generator *g, uint8_t after)
{
	uint8_t words = chance(g, 95) ? 1 + below(g, 8) : below(g, 40);

	put(g, after);
	put(g, words);
	put_random(g, words * 4 + 6);
}

/* Moves an address of `size` bytes to a rule's prefix, or to an edge of it. */
static void steer(struct generator *g, size_t at, size_t size)
{
	enum mssbpf_family family = size == 4 ? MSSBPF_IPV4 : MSSBPF_IPV6;
	uint8_t fill = chance(g, 50) ? 0 : 0xff;
	bool random = chance(g, 40);
	const struct reference_rule *rule;

	if (!g->rules->count || chance(g, 20))
		return;
	rule = &pick_rule(g);
	for (size_t i = 0; i < size && rule->family == family; i++) {
		int bits = rule->length - (int)i * 8;
		uint8_t open = bits >= 8 ? 0 : bits <= 0 ? 0xff : 0xff >> bits;

		g->data[at + i] = (rule->address[i] & ~open) | ((random ? g->data[at + i] : fill) & open);
	}
	/* One beyond the edge, without a carry. */
	if (chance(g, 20))
		g->data[at + size - 1] += fill ? 1 : -1;
}

static void put_ipv4(struct generator *g)
{
	static const uint16_t fragments[] = { 0x2000, 0x4000, 0x4000, 0x4000, 0x4000,
					      0x8000, 0x2001, 0x0001, 0x1fff, 0x1000 };
	uint8_t words = chance(g, 75) ? 5 : 5 + below(g, 11),
		headers = chance(g, 95) ? 0 : 1 + below(g, chance(g, 80) ? 2 : 9);
	uint8_t protocol = last_protocol(g);

	put(g, (chance(g, 98) ? 4 : below(g, 16)) << 4 | (chance(g, 97) ? words : below(g, 16)));
	put_random(g, 5);
	put16(g, chance(g, 70) ? 0 : chance(g, 97) ? pick(g, fragments) : next(g));
	put_random(g, 1);
	put(g, headers ? AUTHENTICATION : protocol);
	put_random(g, 10 + (words - 5) * 4);
	steer(g, g->ip + 12, 4);
	steer(g, g->ip + 16, 4);
	for (; headers; headers--)
		put_authentication(g, headers > 1 ? AUTHENTICATION : protocol);
}

static void put_extension(struct generator *g, uint8_t kind, uint8_t after)
{
	static const uint8_t types[] = { 0, 2, 2, 3, 4, 4, 253 };
	uint8_t units = chance(g, 70) ? below(g, 4) : chance(g, 97) ? below(g, 24) : next(g);
	size_t at = g->length;

	if (kind == AUTHENTICATION) {
		put_authentication(g, after);
		return;
	}
	put(g, after);
	put(g, units);
	put_random(g, kind == FRAGMENT ? 6 : 6 + units * 8);
	if (kind == FRAGMENT)
		set16(g, at + 2, chance(g, 75) ? below(g, 8) : chance(g, 60) ? 8 + below(g, 16) : next(g));
	if (kind == ROUTING) {
		g->routing = at;
		g->data[at + 2] = pick(g, types);
		g->data[at + 3] = chance(g, 90) ? below(g, 3) : next(g);
	}
}

static void put_ipv6(struct generator *g)
{
	static const uint8_t kinds[] = { 0, 0, 43, 43, 44, 60, 60, 60, 51 }, others[] = { 135, 50, 139, 140, 59, 41 };
	uint8_t chain[12], count = chance(g, 55) ? 0 : chance(g, 80) ? 1 + below(g, 3) : 4 + below(g, 7);
	bool signs = chance(g, 10);

	for (uint8_t i = 0; i < count; i++)
		chain[i] = chance(g, 99) ? kinds[below(g, signs ? 9 : 8)] : pick(g, others);
	chain[count] = last_protocol(g);
	put(g, (chance(g, 98) ? 6 : below(g, 16)) << 4 | below(g, 16));
	put_random(g, 5);
	put(g, chain[0]);
	put_random(g, 33);
	steer(g, g->ip + 8, 16);
	steer(g, g->ip + 24, 16);
	for (uint8_t i = 0; i < count && g->length < GENERATOR_PACKET_MAX - 400; i++)
		put_extension(g, chain[i], chain[i + 1]);
}

static uint16_t mss_value(struct generator *g)
{
	static const uint16_t usual[] = { 0, 1, 536, 1220, 1360, 1380, 1440, 1460, 8960, 65495, 65535 };
	uint16_t limit = chance(g, 50) ? g->order->mss4 : g->order->mss6;

	if (g->rules->count && chance(g, 50))
		limit = pick_rule(g).mss;
	switch (below(g, 4)) {
	case 0:
		return limit - 1 + below(g, 3);
	case 1:
		return pick(g, usual);
	case 2:
		return limit + below(g, 300);
	default:
		return next(g);
	}
}

/* A list of options while it is made. */
struct list {
	uint8_t bytes[OPTIONS_MAX + 256];
	size_t length;
};

static void list_mss(struct generator *g, struct list *list)
{
	uint16_t value = mss_value(g);

	list->bytes[list->length++] = MSS;
	list->bytes[list->length++] = chance(g, 97) ? 4 : next(g);
	list->bytes[list->length++] = value >> 8;
	list->bytes[list->length++] = value & 0xff;
}

static void list_option(struct generator *g, struct list *list)
{
	static const uint8_t kinds[][2] = {
		{ 3, 3 },   { 3, 3 },	{ 4, 2 },   { 4, 2 },	{ 8, 10 }, { 8, 10 }, { 5, 10 },
		{ 19, 18 }, { 29, 16 }, { 29, 12 }, { 34, 10 }, { 34, 2 }, { 28, 4 }, { 254, 6 },
	};
	const uint8_t *kind = pick(g, kinds);
	uint8_t length = kind[1];

	switch (below(g, 16)) {
	case 0 ... 4:
		list->bytes[list->length++] = NOP;
		return;
	case 5 ... 8:
		list_mss(g, list);
		return;
	case 9:
		list->bytes[list->length++] = below(g, 3) ? NOP : 0;
		return;
	case 10: /* any kind, any length that fits */
		list->bytes[list->length] = next(g);
		length = 2 + below(g, 9);
		break;
	default:
		list->bytes[list->length] = kind[0];
	}
	if (chance(g, 2))
		length = below(g, 3) ? below(g, 5) : next(g);
	list->bytes[list->length + 1] = length;
	for (int i = 2; i < length; i++)
		list->bytes[list->length + i] = next(g);
	list->length += length > 2 ? length : 2;
}

static void make_list(struct generator *g, struct list *list)
{
	/* What systems send behind an MSS; the first byte is the length. */
	static const uint8_t typical[][21] = {
		{ 16, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7 },
		{ 16, 1, 3, 3, 6, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0 },
		{ 20, 1, 3, 3, 6, 1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 4, 2, 0, 0 },
		{ 8, 1, 3, 3, 8, 1, 1, 4, 2 },
		{ 8, 1, 1, 4, 2, 1, 3, 3, 7 },
		{ 0 },
	};
	static const uint8_t hostile[] = { 0, 0, 1, 1, 2, 2, 3, 4, 4, 4, 5, 6, 8, 10, 18, 19, 29, 40, 254, 255 };
	const uint8_t *usual;
	size_t nops;

	list->length = 0;
	switch (below(g, 8)) {
	case 0: /* as hosts send them */
	case 1:
		list_mss(g, list);
		usual = pick(g, typical);
		memcpy(list->bytes + list->length, usual + 1, *usual);
		list->length += *usual;
		if (chance(g, 30)) /* but for a byte */
			list->bytes[below(g, list->length)] = chance(g, 80) ? pick(g, hostile) : next(g);
		break;
	case 2: /* behind NOPs, at any offset */
		nops = below(g, OPTIONS_MAX + 1);
		memset(list->bytes, NOP, nops);
		list->length = nops;
		list_mss(g, list);
		break;
	case 3: /* no MSS, perhaps nothing */
		if (chance(g, 50)) {
			usual = pick(g, typical);
			memcpy(list->bytes, usual + 1, sizeof(typical[0]) - 1);
			list->length = below(g, 2) ? *usual : below(g, 3) * 2;
		}
		break;
	case 4: /* many */
		while (list->length < OPTIONS_MAX - 3 && !chance(g, 4))
			list_mss(g, list);
		break;
	case 5: /* anything */
		for (list->length = below(g, 11) * 4, nops = 0; nops < list->length; nops++)
			list->bytes[nops] = chance(g, 90) ? pick(g, hostile) : next(g);
		break;
	default:
		for (uint32_t count = 1 + below(g, 10); count && list->length < OPTIONS_MAX; count--)
			list_option(g, list);
	}
	if (list->length > OPTIONS_MAX && chance(g, 95)) /* to the end, then: cut off, or not */
		list->length = OPTIONS_MAX;
}

static void put_tcp(struct generator *g)
{
	static const uint8_t odd_flags[] = { ACK, 0x14, 0x04, 0x06, 0x16, 0x11, 0x18, 0x03, 0xc2, 0x52, 0xff, 0 };
	uint8_t flags = chance(g, 60) ? SYN : chance(g, 60) ? SYN | ACK : chance(g, 80) ? pick(g, odd_flags) : next(g);
	struct list list;
	size_t length;

	make_list(g, &list);
	length = list.length > OPTIONS_MAX ? OPTIONS_MAX : (list.length + 3) / 4 * 4;
	memset(list.bytes + list.length, chance(g, 50) ? 0 : NOP, 4);
	g->tcp = g->length;
	put_random(g, 12);
	put(g, (chance(g, 94) ? (TCP_FIXED + length) / 4 : below(g, 16)) << 4 | below(g, 2));
	put(g, flags);
	put_random(g, 2);
	put16(g, 0);
	put16(g, 0);
	memcpy(g->data + g->length, list.bytes, length);
	g->length += length;
	if (chance(g, 40))
		put_random(g, chance(g, 80) ? below(g, 24) : chance(g, 95) ? below(g, 200) : below(g, 1400));
}

static void finish_lengths(struct generator *g)
{
	if (g->ipv6)
		set16(g, g->ip + 4, length_field(g, g->length - g->ip - 40));
	else
		set16(g, g->ip + 2, length_field(g, g->length - g->ip));
	if (g->pppoe)
		set16(g, g->pppoe, length_field(g, g->length - g->ip + 2));
}

static uint32_t fold(uint64_t sum)
{
	return sum % 65535;
}

static uint64_t sum(const struct generator *g, size_t from, size_t to)
{
	uint64_t total = 0;

	for (; from + 1 < to; from += 2)
		total += get16(g, from);
	return from < to ? total + g->data[from] * 256 : total;
}

/* The sum of the pseudo header; some name the last destination, which a routing header has. */
static uint32_t sum_pseudo(struct generator *g)
{
	size_t address = g->ipv6 ? 16 : 4, source = g->ip + (g->ipv6 ? 8 : 12), destination = source + address;

	if (g->routing && chance(g, 50))
		destination = g->routing + 8;
	return fold(sum(g, source, source + address) + sum(g, destination, destination + address) + TCP + g->length -
		    g->tcp);
}

/* Checksums: mostly right, some wrong, some that hold but the pseudo header's sum. */
static void finish_checksums(struct generator *g)
{
	size_t header = g->ipv6 ? 0 : g->data[g->ip] % 16 * 4, tcp = g->tcp + 16;
	uint32_t pseudo = sum_pseudo(g), segment = fold(sum(g, g->tcp, g->length));
	uint32_t kind = below(g, 100);

	if (header > g->tcp - g->ip)
		header = g->tcp - g->ip;
	if (header) {
		set16(g, g->ip + 10, 0);
		set16(g, g->ip + 10, ~fold(sum(g, g->ip, g->ip + header)));
		if (chance(g, 5))
			set16(g, g->ip + 10, next(g));
	}
	if (kind < 4) /* a right one that looks like the pseudo header's sum */
		set16(g, g->tcp + 18, 65535 - fold(2 * pseudo + segment));
	if (kind < 10)
		set16(g, tcp, pseudo ? pseudo : 0xffff);
	else if (kind < 85)
		set16(g, tcp, ~fold(pseudo + segment));
	else if (kind < 92)
		set16(g, tcp, kind % 2 ? 0xffff : 0);
	else
		set16(g, tcp, next(g));
}

/* Changes bytes, most of them in headers. */
static void spoil(struct generator *g)
{
	static const uint8_t values[] = { 0, 1, 2, 4, 5, 6, 0x10, 0x40, 0x45, 0x46, 0x60, 0x7f, 0x80, 0xff };

	for (uint32_t count = 1 + below(g, 3); count; count--) {
		size_t at = chance(g, 60) ? g->tcp + below(g, 64) : below(g, g->length);

		if (at < g->length)
			g->data[at] = chance(g, 50) ? pick(g, values) : next(g);
	}
}

/* The kernel runs no program on less than Ethernet's and IP's headers, as it reads them (6.18). */
static size_t run_min(const uint8_t *data)
{
	uint16_t ethertype = data[12] << 8 | data[13];

	return ETHERNET_HEADER + (ethertype == 0x0800 ? 20 : ethertype == 0x86dd ? 40 : 1);
}

void generate_packet(uint64_t seed, bool ethernet, const union mssbpf_order *order, const struct generated_rules *rules,
		     struct generated *packet)
{
	struct generator g = { .state = seed, .order = order, .rules = rules, .data = packet->data };

	g.ipv6 = chance(&g, 50);
	if (ethernet)
		put_ethernet(&g);
	g.ip = g.length;
	if (g.ipv6)
		put_ipv6(&g);
	else
		put_ipv4(&g);
	if (!ethernet)
		set16(&g, 12, family_ethertype(&g));
	put_tcp(&g);
	finish_lengths(&g);
	finish_checksums(&g);
	if (chance(&g, 30))
		put_random(&g, chance(&g, 80) ? 1 + below(&g, 8) : below(&g, 64));
	if (chance(&g, 12))
		spoil(&g);
	if (chance(&g, 12))
		g.length = chance(&g, 50) && g.tcp + TCP_FIXED + OPTIONS_MAX < g.length
				   ? g.tcp + below(&g, TCP_FIXED + OPTIONS_MAX)
				   : below(&g, g.length);
	if (g.length < RUN_MIN_MAX)
		memset(packet->data + g.length, 0, RUN_MIN_MAX - g.length);
	if (g.length < run_min(packet->data))
		g.length = run_min(packet->data);
	packet->length = g.length > GENERATOR_PACKET_MAX ? GENERATOR_PACKET_MAX : g.length;
}

static uint16_t limit(struct generator *g)
{
	static const uint16_t usual[] = { 1,	2,    255,  256,  500,	536,   537,   1000,  1220,
					  1221, 1360, 1380, 1440, 1460, 65495, 65534, 65535, 0x5ff };

	return chance(g, 60) ? pick(g, usual) : chance(g, 60) ? 500 + below(g, 1500) : 1 + below(g, 65535);
}

static bool rule_is_there(const struct generated_rules *rules, const struct reference_rule *rule)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rules->list[i].family == rule->family && rules->list[i].length == rule->length &&
		    memcmp(rules->list[i].address, rule->address, sizeof(rule->address)) == 0)
			return true;
	return false;
}

/* A prefix of its own, or one that lies in another, or around it. */
static void add_rule(struct generator *g, struct generated_rules *rules)
{
	static const uint8_t lengths[] = { 0, 1, 2, 7, 8, 16, 24, 30, 31, 32, 48, 63, 64, 65, 96, 127, 128 };
	struct reference_rule rule = { .family = chance(g, 50) ? MSSBPF_IPV4 : MSSBPF_IPV6 };

	memcpy(rule.address, (uint64_t[]){ next(g), next(g) }, sizeof(rule.address));
	if (rules->count && chance(g, 60)) {
		const struct reference_rule *other = &rules->list[below(g, rules->count)];

		rule.family = other->family;
		for (int bit = 0; bit < other->length; bit++)
			rule.address[bit / 8] = (rule.address[bit / 8] & ~(0x80 >> bit % 8)) |
						(other->address[bit / 8] & 0x80 >> bit % 8);
	}
	rule.length = chance(g, 70) ? pick(g, lengths) : below(g, 129);
	if (rule.family == MSSBPF_IPV4 && rule.length > 32)
		rule.length %= 33;
	for (int bit = rule.length; bit < 128; bit++)
		rule.address[bit / 8] &= ~(0x80 >> bit % 8);
	rule.mss = chance(g, 10) ? MSSBPF_MSS_NONE : limit(g);
	if (!rule_is_there(rules, &rule))
		rules->list[rules->count++] = rule;
}

void generate_rules(uint64_t seed, struct generated_rules *rules)
{
	struct generator g = { .state = seed };

	rules->count = 0;
	for (uint32_t some = chance(&g, 20) ? 0 : 1 + below(&g, GENERATOR_RULES_MAX); some; some--)
		add_rule(&g, rules);
}

union mssbpf_order generate_order(uint64_t seed)
{
	static const uint16_t flags[] = { 0,
					  0,
					  0,
					  MSSBPF_DRY_RUN,
					  MSSBPF_ADD_MISSING,
					  MSSBPF_ADD_MISSING,
					  MSSBPF_ADD_MISSING | MSSBPF_ADD_LIMIT,
					  MSSBPF_ADD_MISSING | MSSBPF_DRY_RUN };
	struct generator g = { .state = seed };
	union mssbpf_order order = { .flags = pick(&g, flags) };

	order.mss4 = limit(&g);
	order.mss6 = limit(&g);
	if (chance(&g, 20))
		order.flags |= (1 + below(&g, 3)) * MSSBPF_LIVE_IPV4; /* either or both */
	return order;
}
