// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Builds packets byte by byte, as the RFCs draw them. Not fast, and no judge of what makes sense: a row
 * may ask for any nonsense.
 */
#include "packet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	PROTOCOL_TCP = 6,
	TCP_MIN = 20,
};

static void put(struct packet *packet, uint8_t byte)
{
	assert(packet->length < PACKET_MAX);
	packet->data[packet->length++] = byte;
}

static void put16(struct packet *packet, uint16_t word)
{
	put(packet, word >> 8);
	put(packet, word & 0xff);
}

static void write16(uint8_t *at, uint16_t word)
{
	at[0] = word >> 8;
	at[1] = word & 0xff;
}

static void put_fill(struct packet *packet, size_t length)
{
	for (size_t i = 0; i < length; i++)
		put(packet, 0x80 | i);
}

static void put_bytes(struct packet *packet, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		put(packet, ((const uint8_t *)bytes)[i]);
}

/* A field whose 0 means `usual`. */
static uint32_t field(uint32_t given, uint32_t usual)
{
	return given ? given & ~(uint32_t)SET : usual;
}

uint32_t packet_random(uint32_t *seed)
{
	/* xorshift32, Marsaglia 2003 */
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

uint16_t packet_ethertype(const struct packet_spec *spec)
{
	return field(spec->ethertype, spec->version == 6 ? 0x86dd : 0x0800);
}

/* The sum of bytes, the even ones worth 256, reduced only at the end: RFC 1071 without its shortcuts. */
static uint64_t sum_bytes(const uint8_t *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : 256 * bytes[i];
	return sum;
}

/* A sum as the checksum field takes it. Ones' complement is arithmetic modulo 65535. */
static uint16_t checksum_of(uint64_t sum)
{
	return 65535 - (sum == 0 ? 0 : (sum - 1) % 65535 + 1);
}

uint16_t packet_ones_add(uint16_t a, uint16_t b)
{
	return (a + b) % 65535;
}

uint16_t packet_tcp_checksum(const uint8_t *ip, uint8_t version, const uint8_t *segment, size_t length)
{
	uint64_t sum = version == 6 ? sum_bytes(ip + 8, 32) : sum_bytes(ip + 12, 8);

	sum += PROTOCOL_TCP + length;
	sum += sum_bytes(segment, 16) + sum_bytes(segment + 18, length - 18);
	return checksum_of(sum);
}

static void put_ethernet(struct packet *packet, const struct packet_spec *spec)
{
	put_bytes(packet, "\x02\0\0\0\0\1\x02\0\0\0\0\2", 12);
	for (size_t i = 0; i < sizeof(spec->vlan) / sizeof(spec->vlan[0]) && spec->vlan[i]; i++) {
		put16(packet, spec->vlan[i]);
		put16(packet, 0x2064 + i);
	}
	put16(packet, spec->pppoe ? 0x8864 : packet_ethertype(spec));
}

/* Its length is filled in by finish_pppoe(). */
static void put_pppoe(struct packet *packet, const struct packet_spec *spec)
{
	put(packet, spec->pppoe);
	put(packet, spec->pppoe_code);
	put16(packet, 0x17);
	put16(packet, 0);
	put16(packet, field(spec->ppp_protocol, spec->version == 6 ? 0x0057 : 0x0021));
}

static void finish_pppoe(struct packet *packet, const struct packet_spec *spec)
{
	write16(packet->data + packet->ip - 4, field(spec->pppoe_length, packet->ip_end - packet->ip + 2));
}

static void put_ipv4(struct packet *packet, const struct packet_spec *spec, uint8_t protocol)
{
	put(packet, field(spec->version_field, 4) << 4 | field(spec->ihl_field, 5 + spec->ip_options / 4));
	put(packet, 0);
	put16(packet, 0);
	put16(packet, 0x5a17);
	put16(packet, spec->fragment);
	put(packet, 64);
	put(packet, protocol);
	put16(packet, 0);
	put16(packet, packet_ethertype(spec));
	put_bytes(packet, "\x17\x01\xc0\0\x02\x07", 6);
	for (size_t i = 0; i < spec->ip_options; i++)
		put(packet, NOP);
}

static void put_ipv6(struct packet *packet, const struct packet_spec *spec, uint8_t next)
{
	put(packet, field(spec->version_field, 6) << 4);
	put_bytes(packet, "\x01\x23\x45", 3);
	put16(packet, 0);
	put(packet, next);
	put(packet, 64);
	put_bytes(packet, "\xfd\0\0\0", 4);
	put16(packet, packet_ethertype(spec));
	put_bytes(packet, "\0\0\0\0\0\0\0\0\x17\x01", 10);
	put_bytes(packet, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\x02\x07", 16);
}

static uint8_t extension_protocol(char letter)
{
	static const struct {
		char letter;
		uint8_t protocol;
	} extensions[] = { { 'h', 0 }, { 'r', 43 }, { 'f', 44 }, { 'e', 50 }, { 'a', 51 }, { 'd', 60 }, { 'm', 135 } };

	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (extensions[i].letter == letter)
			return extensions[i].protocol;
	abort();
}

/* The protocol of what `letters` begins with. */
static uint8_t protocol_of(const struct packet_spec *spec, const char *letters)
{
	return *letters ? extension_protocol(*letters) : field(spec->protocol, PROTOCOL_TCP);
}

static void put_extensions(struct packet *packet, const struct packet_spec *spec, const char *letters)
{
	while (*letters) {
		char letter = *letters++;
		char *rest;
		unsigned long number = strtoul(letters, &rest, 10);
		bool given = rest != letters;

		letters = rest;
		put(packet, protocol_of(spec, letters));
		if (letter == 'f') {
			put(packet, 0xff); /* reserved, to be ignored */
			put16(packet, given ? number : 1);
			put_fill(packet, 4);
		} else if (letter == 'a') {
			put(packet, given ? number : 4);
			put_fill(packet, 4 * ((given ? number : 4) + 2) - 2);
		} else {
			put(packet, given ? number : 0);
			put_fill(packet, 8 * ((given ? number : 0) + 1) - 2);
		}
	}
}

static void put_tcp(struct packet *packet, const struct packet_spec *spec)
{
	size_t options = (spec->options.length + 3) / 4 * 4;
	uint16_t checksum;

	put_bytes(packet, "\xc3\x50\x00\x50", 4);
	put16(packet, spec->sequence >> 16);
	put16(packet, spec->sequence & 0xffff);
	put_bytes(packet, "\x0b\xad\xca\xfe", 4);
	put(packet, field(spec->doff, (TCP_MIN + options) / 4) << 4);
	put(packet, field(spec->flags, SYN));
	put_bytes(packet, "\xfa\xf0\0\0\0\0", 6);
	put_bytes(packet, spec->options.bytes, spec->options.length);
	for (size_t i = spec->options.length; i < options; i++)
		put(packet, END);
	put_fill(packet, spec->payload);

	checksum = packet_tcp_checksum(packet->data + packet->ip, spec->version, packet->data + packet->tcp,
				       packet->length - packet->tcp);
	if (spec->checksum_error)
		checksum = packet_ones_add(checksum, spec->checksum_error);
	write16(packet->data + packet->tcp + 16, checksum);
}

/* Fills in what depends on the length of all that follows. */
static void finish_ip(struct packet *packet, const struct packet_spec *spec)
{
	uint8_t *ip = packet->data + packet->ip;

	if (spec->version == 6) {
		write16(ip + 4, field(spec->ip_length, packet->ip_end - packet->ip - 40));
	} else {
		write16(ip + 2, field(spec->ip_length, packet->ip_end - packet->ip));
		write16(ip + 10, checksum_of(sum_bytes(ip, 20 + spec->ip_options)));
	}
}

void packet_build(struct packet *packet, const struct packet_spec *spec, enum packet_link link)
{
	const char *letters = spec->extensions ? spec->extensions : "";

	packet->length = 0;
	if (link == PACKET_ETHERNET)
		put_ethernet(packet, spec);
	if (link == PACKET_ETHERNET && spec->pppoe)
		put_pppoe(packet, spec);
	packet->ip = packet->length;
	if (spec->version == 6)
		put_ipv6(packet, spec, protocol_of(spec, letters));
	else
		put_ipv4(packet, spec, protocol_of(spec, letters));
	put_extensions(packet, spec, letters);
	packet->tcp = packet->length;
	put_tcp(packet, spec);
	packet->ip_end = packet->length;
	finish_ip(packet, spec);
	if (link == PACKET_ETHERNET && spec->pppoe)
		finish_pppoe(packet, spec);
	put_fill(packet, spec->trailing);
	assert(spec->cut <= packet->length);
	packet->length -= spec->cut;
}
