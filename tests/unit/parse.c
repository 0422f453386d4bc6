// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The parser (bpf/parse.h) on whole packets, on every beginning of them, and on packets with broken bytes,
 * in buffers that end where the packet does. Not the place for options: that is clamp.c.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "parse.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define NOP20 NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP

enum {
	FLAGS_END = 14, /* bytes of a TCP header up to its flags */
};

struct row {
	const char *name;
	struct packet_spec packet; /* without a version: both */
	enum parse_verdict verdict;
};

static const struct row rows[] = {
	/* Flags */
	{ "SYN", {}, PARSE_SYN },
	{ "SYN-ACK", { .flags = SYN | ACK }, PARSE_SYN },
	{ "SYN-FIN", { .flags = SYN | FIN }, PARSE_SYN },
	{ "SYN with ECN", { .flags = SYN | ECE | CWR }, PARSE_SYN },
	{ "SYN, all flags but RST", { .flags = 0xff & ~RST }, PARSE_SYN },
	{ "SYN-RST", { .flags = SYN | RST }, PARSE_OTHER },
	{ "all flags", { .flags = 0xff }, PARSE_OTHER },
	{ "all flags but SYN", { .flags = 0xff & ~SYN }, PARSE_OTHER },
	{ "no flags", { .flags = SET | 0 }, PARSE_OTHER },
	{ "ACK", { .flags = ACK, .payload = 100 }, PARSE_OTHER },

	/* TCP header */
	{ "options", { .options = BYTES(MSS(1460), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE) }, PARSE_SYN },
	{ "40 bytes of options", { .options = BYTES(NOP20, NOP20) }, PARSE_SYN },
	{ "payload", { .options = BYTES(MSS(1460)), .payload = 33 }, PARSE_SYN },
	{ "padding", { .options = BYTES(MSS(1460)), .trailing = 18 }, PARSE_SYN },
	{ "data offset 0", { .options = BYTES(MSS(1460)), .doff = SET | 0 }, PARSE_MALFORMED },
	{ "data offset 4", { .options = BYTES(MSS(1460)), .doff = 4 }, PARSE_MALFORMED },
	{ "data offset 4, no SYN", { .flags = ACK, .doff = 4 }, PARSE_OTHER },
	{ "data offset 5 before options", { .options = BYTES(MSS(1460)), .doff = 5 }, PARSE_SYN },
	{ "data offset into the payload", { .options = BYTES(MSS(1460)), .doff = 15, .payload = 36 }, PARSE_SYN },
	{ "data offset beyond the payload",
	  { .options = BYTES(MSS(1460)), .doff = 15, .payload = 35 },
	  PARSE_TRUNCATED },
	{ "data offset into padding", { .options = BYTES(MSS(1460)), .doff = 7, .trailing = 18 }, PARSE_TRUNCATED },
	{ "data offset beyond the bytes", { .options = BYTES(MSS(1460)), .payload = 9, .cut = 10 }, PARSE_SHORT },

	/* Length in the IP header */
	{ "IPv4 length 0", { .version = 4, .ip_length = SET | 0 }, PARSE_TRUNCATED },
	{ "IPv4 length ends in TCP", { .version = 4, .ip_length = 39 }, PARSE_TRUNCATED },
	{ "IPv4 length ends with TCP", { .version = 4, .ip_length = 40, .payload = 10 }, PARSE_SYN },
	{ "IPv4 length ends in options",
	  { .version = 4, .ip_length = 43, .options = BYTES(MSS(1460)) },
	  PARSE_TRUNCATED },
	{ "IPv4 length longer than the bytes", { .version = 4, .ip_length = 65535 }, PARSE_SYN },
	{ "IPv6 length 0", { .version = 6, .ip_length = SET | 0 }, PARSE_TRUNCATED },
	{ "IPv6 length ends in TCP", { .version = 6, .ip_length = 19 }, PARSE_TRUNCATED },
	{ "IPv6 length ends with TCP", { .version = 6, .ip_length = 20, .payload = 10 }, PARSE_SYN },
	{ "IPv6 length ends in options",
	  { .version = 6, .ip_length = 23, .options = BYTES(MSS(1460)) },
	  PARSE_TRUNCATED },
	{ "IPv6 length without extensions", { .version = 6, .ip_length = 20, .extensions = "h" }, PARSE_TRUNCATED },
	{ "IPv6 length with extensions",
	  { .version = 6, .ip_length = 28, .extensions = "h", .payload = 1 },
	  PARSE_SYN },
	{ "IPv6 length longer than the bytes", { .version = 6, .ip_length = 65535 }, PARSE_SYN },

	/* IPv4 header */
	{ "IHL 6", { .version = 4, .ip_options = 4 }, PARSE_SYN },
	{ "IHL 14", { .version = 4, .ip_options = 36 }, PARSE_SYN },
	{ "IHL 15", { .version = 4, .ip_options = 40 }, PARSE_SYN },
	{ "IHL 0", { .version = 4, .ihl_field = SET | 0 }, PARSE_MALFORMED },
	{ "IHL 4", { .version = 4, .ihl_field = 4 }, PARSE_MALFORMED },
	{ "IHL beyond the bytes", { .version = 4, .ihl_field = 15 }, PARSE_SHORT },
	{ "IPv4, version 3", { .version = 4, .version_field = 3, .ihl_field = 15 }, PARSE_MALFORMED },
	{ "IPv4, version 5", { .version = 4, .version_field = 5 }, PARSE_MALFORMED },
	{ "IPv4, version 6", { .version = 4, .version_field = 6 }, PARSE_MALFORMED },
	{ "IPv4, do not fragment", { .version = 4, .fragment = 0x4000 }, PARSE_SYN },
	{ "IPv4, reserved bit", { .version = 4, .fragment = 0x8000 }, PARSE_SYN },
	{ "IPv4, first fragment", { .version = 4, .fragment = 0x2000 }, PARSE_SYN },
	{ "IPv4, second fragment", { .version = 4, .fragment = 0x2001 }, PARSE_OTHER },
	{ "IPv4, last fragment", { .version = 4, .fragment = 0x0100 }, PARSE_OTHER },
	{ "IPv4, farthest fragment", { .version = 4, .fragment = 0x1000 }, PARSE_OTHER },
	{ "IPv4, UDP", { .version = 4, .protocol = 17 }, PARSE_OTHER },
	{ "IPv4, IPv6 header numbers mean nothing", { .version = 4, .protocol = 60 }, PARSE_OTHER },
	{ "IPv4, hop-by-hop means nothing", { .version = 4, .extensions = "h" }, PARSE_OTHER },
	{ "IPv4, ESP", { .version = 4, .extensions = "e" }, PARSE_OTHER },

	/* Authentication header */
	{ "AH", { .extensions = "a" }, PARSE_SYN },
	{ "AH, SYN-ACK", { .extensions = "a", .flags = SYN | ACK }, PARSE_SYN },
	{ "AH, ACK", { .extensions = "a", .flags = ACK }, PARSE_OTHER },
	{ "AH of 8 bytes", { .extensions = "a0" }, PARSE_SYN },
	{ "AH of 20 bytes", { .version = 4, .extensions = "a3" }, PARSE_SYN },
	{ "AH of 1028 bytes", { .extensions = "a255" }, PARSE_SYN },
	{ "AH and IPv4 options", { .version = 4, .ip_options = 8, .extensions = "a" }, PARSE_SYN },
	{ "AH, UDP", { .extensions = "a", .protocol = 17 }, PARSE_OTHER },
	{ "AH, IPv4 second fragment", { .version = 4, .fragment = 0x2001, .extensions = "a" }, PARSE_OTHER },
	{ "AH beyond the bytes", { .extensions = "a", .cut = 21 }, PARSE_SHORT },
	{ "AH first", { .version = 6, .extensions = "ad" }, PARSE_SYN },
	{ "AH last", { .version = 6, .extensions = "hra" }, PARSE_SYN },
	{ "AH in the middle", { .version = 6, .extensions = "hadf0" }, PARSE_SYN },

	/* IPv6 header */
	{ "IPv6, version 4", { .version = 6, .version_field = 4 }, PARSE_MALFORMED },
	{ "IPv6, version 7", { .version = 6, .version_field = 7 }, PARSE_MALFORMED },
	{ "IPv6, UDP", { .version = 6, .protocol = 17 }, PARSE_OTHER },
	{ "IPv6, nothing follows", { .version = 6, .protocol = 59 }, PARSE_OTHER },
	{ "hop-by-hop", { .version = 6, .extensions = "h" }, PARSE_SYN },
	{ "routing", { .version = 6, .extensions = "r" }, PARSE_SYN },
	{ "destination options", { .version = 6, .extensions = "d" }, PARSE_SYN },
	{ "hop-by-hop, destination, routing, destination", { .version = 6, .extensions = "hdrd" }, PARSE_SYN },
	{ "hop-by-hop of 2048 bytes", { .version = 6, .extensions = "h255" }, PARSE_SYN },
	{ "routing of 136 bytes", { .version = 6, .extensions = "r16d" }, PARSE_SYN },
	{ "first fragment", { .version = 6, .extensions = "f" }, PARSE_SYN },
	{ "only fragment", { .version = 6, .extensions = "f0" }, PARSE_SYN },
	{ "first fragment, reserved bits", { .version = 6, .extensions = "f7" }, PARSE_SYN },
	{ "second fragment", { .version = 6, .extensions = "f9" }, PARSE_OTHER },
	{ "last fragment", { .version = 6, .extensions = "f8" }, PARSE_OTHER },
	{ "farthest fragment", { .version = 6, .extensions = "f32768" }, PARSE_OTHER },
	{ "second fragment behind options", { .version = 6, .extensions = "hdrf8" }, PARSE_OTHER },
	{ "first fragment, options", { .version = 6, .extensions = "hfd" }, PARSE_SYN },
	{ "mobility", { .version = 6, .extensions = "m" }, PARSE_OTHER },
	{ "hop-by-hop, mobility", { .version = 6, .extensions = "hm" }, PARSE_OTHER },
	{ "destination options, ESP", { .version = 6, .extensions = "de" }, PARSE_OTHER },
	{ "hop-by-hop, UDP", { .version = 6, .extensions = "h", .protocol = 17 }, PARSE_OTHER },
	{ "7 headers, UDP", { .version = 6, .extensions = "hdrdddd", .protocol = 17 }, PARSE_OTHER },
	{ "7 headers", { .version = 6, .extensions = "hdrfadd" }, PARSE_SYN },
	{ "8 headers", { .version = 6, .extensions = "hdrfaddd" }, PARSE_SYN },
	{ "8 headers of 2048 bytes", { .version = 6, .extensions = "h255d255r255d255d255d255d255d255" }, PARSE_SYN },
	{ "9 headers", { .version = 6, .extensions = "hdrfadddd" }, PARSE_MALFORMED },
	{ "9 headers, UDP", { .version = 6, .extensions = "hdrfadddd", .protocol = 17 }, PARSE_MALFORMED },
	{ "extension beyond the bytes", { .version = 6, .extensions = "h1", .cut = 21 }, PARSE_SHORT },

	/* Ethernet */
	{ "802.1Q", { .vlan = { 0x8100 } }, PARSE_SYN },
	{ "802.1ad", { .vlan = { 0x88a8 } }, PARSE_SYN },
	{ "802.1ad, 802.1Q", { .vlan = { 0x88a8, 0x8100 } }, PARSE_SYN },
	{ "802.1Q twice", { .vlan = { 0x8100, 0x8100 } }, PARSE_SYN },
	{ "802.1Q, 802.1ad", { .vlan = { 0x8100, 0x88a8 }, .extensions = "a" }, PARSE_SYN },
	{ "three tags", { .vlan = { 0x88a8, 0x8100, 0x8100 } }, PARSE_OTHER },
	{ "an old QinQ tag", { .vlan = { 0x9100 } }, PARSE_OTHER },
	{ "tag, ARP", { .vlan = { 0x8100 }, .ethertype = 0x0806 }, PARSE_OTHER },
	{ "ARP", { .ethertype = 0x0806 }, PARSE_OTHER },
	{ "MPLS", { .ethertype = 0x8847 }, PARSE_OTHER },
	{ "PPPoE", { .pppoe = 0x11 }, PARSE_SYN },
	{ "PPPoE, ACK", { .pppoe = 0x11, .flags = ACK }, PARSE_OTHER },
	{ "PPPoE in two tags", { .vlan = { 0x88a8, 0x8100 }, .pppoe = 0x11, .extensions = "a" }, PARSE_SYN },
	{ "PPPoE in three tags", { .vlan = { 0x88a8, 0x8100, 0x8100 }, .pppoe = 0x11 }, PARSE_OTHER },
	{ "PPPoE, extension headers", { .version = 6, .pppoe = 0x11, .extensions = "hdrfd" }, PARSE_SYN },
	{ "PPPoE, IPv4 options", { .version = 4, .pppoe = 0x11, .ip_options = 40 }, PARSE_SYN },
	{ "PPPoE, version 2", { .pppoe = 0x21 }, PARSE_OTHER },
	{ "PPPoE, code", { .pppoe = 0x11, .pppoe_code = 0xa7 }, PARSE_OTHER },
	{ "PPPoE, LCP", { .pppoe = 0x11, .ppp_protocol = 0xc021 }, PARSE_OTHER },
	{ "PPPoE, IPv4 said to be IPv6",
	  { .version = 4, .pppoe = 0x11, .ppp_protocol = 0x57, .payload = 40 },
	  PARSE_MALFORMED },
	{ "PPPoE shorter than its packet", { .version = 4, .pppoe = 0x11, .pppoe_length = 41 }, PARSE_TRUNCATED },
	{ "PPPoE of length 0", { .pppoe = 0x11, .pppoe_length = SET | 0 }, PARSE_TRUNCATED },
	{ "IPv4 said to be IPv6", { .version = 4, .ethertype = 0x86dd, .payload = 40 }, PARSE_MALFORMED },
	{ "IPv6 said to be IPv4", { .version = 6, .ethertype = 0x0800 }, PARSE_MALFORMED },
};

/* What the parser noted of the Ethernet frame that it saw last. */
static struct notes notes;

/* The least that a glance takes of any frame: one with IPv4 and TCP, up to the flags. */
enum { GLANCE_ETHERNET = 14 + 34 };

static bool is_pppoe(const uint8_t *data, size_t length)
{
	size_t at = 12;

	for (int tags = 0; tags < 2 && at + 2 <= length; tags++)
		if ((data[at] == 0x81 && data[at + 1] == 0) || (data[at] == 0x88 && data[at + 1] == 0xa8))
			at += 4;
	return at + 2 <= length && data[at] == 0x88 && data[at + 1] == 0x64;
}

/* As for XDP, and as for TC: that makes a difference to PPPoE alone. */
static enum parse_verdict parse_frame(const uint8_t *data, size_t length, enum parse_depth depth, struct syn *syn)
{
	enum parse_verdict plain = parse_ethernet(data, data + length, depth, syn, NULL), verdict;
	struct syn known = *syn;

	memset(syn, 0xa5, sizeof(*syn));
	memset(&notes, 0xa5, sizeof(notes));
	verdict = parse_ethernet(data, data + length, depth, syn, &notes);
	if (is_pppoe(data, length))
		assert_int_equal(plain, depth == PARSE_GLANCE && length < GLANCE_ETHERNET ? PARSE_SHORT : PARSE_OTHER);
	else
		assert_int_equal(plain, verdict);
	if (!is_pppoe(data, length))
		assert_memory_equal(&known, syn, sizeof(known));
	return verdict;
}

/* Parses `length` bytes that lie at the end of what may be read. */
static enum parse_verdict parse(const uint8_t *data, size_t length, enum packet_link link, uint16_t ethertype,
				enum parse_depth depth, struct syn *syn)
{
	uint8_t *copy = malloc(length);
	enum parse_verdict verdict;

	if (length)
		memcpy(copy, data, length);
	memset(syn, 0xa5, sizeof(*syn));
	if (link == PACKET_ETHERNET)
		verdict = parse_frame(copy, length, depth, syn);
	else
		verdict = parse_ip(copy, copy + length, 0, htons(ethertype), depth, syn, NULL);
	free(copy);
	return verdict;
}

static const char *verdict_name(enum parse_verdict verdict)
{
	static const char *const names[] = { "OTHER", "SYN", "MALFORMED", "TRUNCATED", "SHORT" };

	return (unsigned int)verdict < ARRAY_SIZE(names) ? names[verdict] : "?";
}

static void check_notes(const struct packet *packet, const struct packet_spec *spec, const struct syn *syn)
{
	const char *extensions = spec->version == 6 && spec->extensions ? spec->extensions : "";
	bool fragment = strchr(extensions, 'f') || (spec->version == 4 && spec->fragment & 0x2000);

	assert_int_equal(syn->ip_offset, packet->ip);
	assert_int_equal(notes.fragment, fragment ? 44 : 59);
	assert_int_equal(notes.routing_offset == NO_HEADER, !strchr(extensions, 'r'));
	if (extensions[0] == 'r')
		assert_int_equal(notes.routing_offset, packet->ip + 40);
	if (!strncmp(extensions, "hdr", 3))
		assert_int_equal(notes.routing_offset, packet->ip + 40 + 16);
	if (spec->pppoe)
		assert_int_equal(notes.packet_end, packet->ip_end);
	else
		assert_int_equal(notes.packet_end, UNBOUNDED);
}

/* What the parser reports of a packet that it takes for a SYN. */
static void check_found(const struct packet *packet, const struct packet_spec *spec, const struct syn *syn)
{
	const uint8_t *ip = packet->data + packet->ip, *tcp = packet->data + packet->tcp;

	assert_int_equal(syn->version, spec->version);
	assert_int_equal(syn->flags, tcp[13]);
	assert_int_equal(syn->tcp_offset, packet->tcp);
	assert_int_equal(syn->tcp_length, tcp[12] / 16 * 4);
	assert_int_equal(syn->cover == NEXTHDR_AUTH, spec->extensions && strchr(spec->extensions, 'a'));
	if (spec->version == 6)
		assert_int_equal(syn->ip_end, packet->ip + 40 + ip[4] * 256 + ip[5]);
	else
		assert_int_equal(syn->ip_end, packet->ip + ip[2] * 256 + ip[3]);
}

/* What the parser says of the first `length` bytes of a packet that is a SYN. */
static void check_beginning_of_syn(const struct packet *packet, const struct packet_spec *spec, size_t length,
				   enum parse_verdict verdict, const struct syn *syn)
{
	const uint8_t *tcp = packet->data + packet->tcp;

	assert_int_equal(verdict, length < packet->tcp + tcp[12] / 16 * 4 ? PARSE_SHORT : PARSE_SYN);
	assert_int_equal(syn->flags, length < packet->tcp + FLAGS_END ? 0 : tcp[13]);
	assert_int_equal(syn->version, length < packet->ip ? 0 : spec->version);
	if (verdict == PARSE_SYN)
		check_found(packet, spec, syn);
	if (verdict == PARSE_SYN && packet->ip != 0)
		check_notes(packet, spec, syn);
}

/*
 * Tells whether a glance is enough for the first `length` bytes: they have neither IPv4 options nor extension headers,
 * and are as many as TCP's flags take behind their headers.
 */
static bool is_plain(const struct packet *packet, const struct packet_spec *spec, enum packet_link link, size_t length)
{
	uint16_t ethertype = spec->ppp_protocol == 0x0057 ? 0x86dd : packet_ethertype(spec);
	size_t takes = ethertype == 0x0800 ? packet->ip + 34 : ethertype == 0x86dd ? packet->ip + 54 : 0;

	if (link == PACKET_ETHERNET && takes < GLANCE_ETHERNET)
		takes = GLANCE_ETHERNET;
	return length >= takes && !spec->extensions && (ethertype != 0x0800 || packet->data[packet->ip] == 0x45);
}

static void check_row(const struct row *row, const struct packet_spec *spec, enum packet_link link)
{
	uint16_t ethertype = packet_ethertype(spec);
	enum parse_verdict before = PARSE_SHORT;
	static struct packet packet;
	struct syn syn;

	packet_build(&packet, spec, link);
	for (size_t length = 0; length <= packet.length; length++) {
		enum parse_verdict glance = parse(packet.data, length, link, ethertype, PARSE_GLANCE, &syn);
		enum parse_verdict verdict = parse(packet.data, length, link, ethertype, PARSE_WHOLE, &syn);

		if (row->verdict == PARSE_SYN)
			check_beginning_of_syn(&packet, spec, length, verdict, &syn);
		/* More bytes may end the doubt, nothing else. */
		if (verdict != before && before != PARSE_SHORT)
			fail_msg("%zu bytes: %s after %s", length, verdict_name(verdict), verdict_name(before));
		if (glance != verdict && (glance != PARSE_SHORT || is_plain(&packet, spec, link, length)))
			fail_msg("%zu bytes: %s at a glance, %s", length, verdict_name(glance), verdict_name(verdict));
		before = verdict;
	}
	if (before != row->verdict)
		fail_msg("%s instead of %s", verdict_name(before), verdict_name(row->verdict));
}

static void test_row(void **state)
{
	const struct row *row = *state;

	for (uint8_t version = 4; version <= 6; version += 2) {
		struct packet_spec spec = row->packet;

		if (spec.version && spec.version != version)
			continue;
		spec.version = version;
		check_row(row, &spec, PACKET_ETHERNET);
		if (!spec.vlan[0] && !spec.pppoe)
			check_row(row, &spec, PACKET_BARE);
	}
}

/*
 * Whatever the bytes are: what holds of a SYN holds, a glance leaves a packet open or finds what a whole look does, and
 * nothing is read beyond the end.
 */
static void check_broken(const struct packet *packet, size_t length, enum packet_link link, uint16_t ethertype)
{
	enum parse_verdict glance, verdict;
	struct syn syn;
	const uint8_t *tcp;

	glance = parse(packet->data, length, link, ethertype, PARSE_GLANCE, &syn);
	verdict = parse(packet->data, length, link, ethertype, PARSE_WHOLE, &syn);
	if (glance != verdict && glance != PARSE_SHORT)
		fail_msg("%s at a glance, %s", verdict_name(glance), verdict_name(verdict));
	if (verdict != PARSE_SYN)
		return;
	tcp = packet->data + syn.tcp_offset;
	assert_in_range(syn.tcp_length, 20, 60);
	assert_true((size_t)syn.tcp_offset + syn.tcp_length <= length);
	assert_true((size_t)syn.tcp_offset + syn.tcp_length <= syn.ip_end);
	assert_int_equal(tcp[12] / 16 * 4, syn.tcp_length);
	assert_int_equal(tcp[13], syn.flags);
	assert_true((syn.flags & (SYN | RST)) == SYN);
	assert_true(syn.version == 4 || syn.version == 6);
}

/* Every byte of the headers, broken in every way. */
static void test_every_byte_broken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct packet_spec spec = rows[i].packet;
		static struct packet packet;

		spec.version = spec.version ? spec.version : i % 2 ? 4 : 6;
		packet_build(&packet, &spec, PACKET_ETHERNET);
		for (size_t at = 12; at < packet.length && at < 200; at++) {
			uint8_t right = packet.data[at];

			for (int wrong = 0; wrong < 256; wrong++) {
				packet.data[at] = wrong;
				check_broken(&packet, packet.length, PACKET_ETHERNET, 0);
			}
			packet.data[at] = right;
		}
	}
}

static void test_random_bytes_broken(void **state)
{
	static struct packet packet;
	uint32_t seed = 0x1d872b41;

	(void)state;
	for (int i = 0; i < 300 * 1000; i++) {
		struct packet_spec spec = rows[packet_random(&seed) % ARRAY_SIZE(rows)].packet;
		enum packet_link link = packet_random(&seed) >> 8 & 1;
		size_t breaks = packet_random(&seed) % 6, length;

		spec.version = spec.version ? spec.version : packet_random(&seed) >> 8 & 1 ? 4 : 6;
		packet_build(&packet, &spec, link);
		for (size_t j = 0; j < breaks; j++)
			packet.data[packet_random(&seed) % packet.length % 120] = packet_random(&seed) >> 8;
		length = packet_random(&seed) & 256 ? packet.length : packet_random(&seed) % packet.length;
		check_broken(&packet, length, link, packet_ethertype(&spec));
	}
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(rows) + 2] = {
		cmocka_unit_test(test_every_byte_broken),
		cmocka_unit_test(test_random_bytes_broken),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i + 2] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)&rows[i] };
	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
