// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Builds the packets of verify, checksums in full. Runs nothing.
 */
#include "verify_packets.h"

#include <string.h>

enum {
	FLAG_SYN = 0x02,
	FLAG_RST = 0x04,
	FLAG_ACK = 0x10,

	ETHERNET_SIZE = 14,
	IPV4_SIZE = 20,
	IPV6_SIZE = 40,
	TCP_SIZE = 20,
	TCP_CHECKSUM_AT = 16,
	TCP_PROTOCOL = 6,
};

/*
 * The letters: M an MSS above the limit, m one at or below it; n NOP, s SACK permitted, w window scale, t timestamps, 5
 * TCP-MD5, a TCP-AO, z an option of length 0. The list is filled up with END.
 */
const struct verify_case verify_cases[] = {
	{ "SYN", FLAG_SYN, "M", VERIFY_LOWER },
	{ "SYN with the options of Linux", FLAG_SYN, "Mstnw", VERIFY_LOWER },
	{ "SYN-ACK", FLAG_SYN | FLAG_ACK, "Mnw", VERIFY_LOWER },
	{ "SYN, MSS at an odd offset", FLAG_SYN, "nM", VERIFY_LOWER },
	{ "SYN, MSS at an odd offset behind window scale", FLAG_SYN, "wM", VERIFY_LOWER },
	{ "SYN, MSS as the last option", FLAG_SYN, "nnnnstnnnnnnnnnnnnnnnnnnnnM", VERIFY_LOWER },
	{ "SYN, two MSS above the limit", FLAG_SYN, "MnM", VERIFY_LOWER },
	{ "SYN, the second MSS above the limit", FLAG_SYN, "mM", VERIFY_LOWER },
	{ "SYN with TCP-MD5", FLAG_SYN, "M5", VERIFY_LOWER },
	{ "SYN, MSS low already", FLAG_SYN, "m", VERIFY_LOWER },
	{ "SYN without options", FLAG_SYN, "", VERIFY_ADD },
	{ "SYN without MSS", FLAG_SYN, "stnw", VERIFY_ADD },
	{ "SYN with TCP-AO", FLAG_SYN, "Ma", VERIFY_LEAVE },
	{ "SYN, broken option", FLAG_SYN, "Mz", VERIFY_LEAVE },
	{ "no SYN", FLAG_ACK, "M", VERIFY_LEAVE },
	{ "SYN with RST", FLAG_SYN | FLAG_RST, "M", VERIFY_LEAVE },
};
const size_t verify_case_count = sizeof(verify_cases) / sizeof(*verify_cases);
const struct verify_case *const verify_case_simple = &verify_cases[0];

static const struct {
	char letter;
	__u8 kind, length;
} options[] = {
	{ 'M', 2, 4 },	{ 'm', 2, 4 },	 { 'n', 1, 1 },	  { 's', 4, 2 },   { 'w', 3, 3 },
	{ 't', 8, 10 }, { '5', 19, 18 }, { 'a', 29, 16 }, { 'z', 253, 0 },
};

static void put16(__u8 *bytes, unsigned int value)
{
	bytes[0] = value >> 8;
	bytes[1] = value;
}

static size_t option_put(__u8 *bytes, char letter, const struct verify_values *values)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		if (options[i].letter != letter)
			continue;
		bytes[0] = options[i].kind;
		if (options[i].kind != 1) /* NOP has no length */
			bytes[1] = options[i].length;
		for (unsigned int at = 2; at < options[i].length; at++)
			bytes[at] = at;
		if (options[i].kind == 2)
			put16(bytes + 2, letter == 'M' ? values->above : values->low);
		return options[i].length ?: 2;
	}
	return 0;
}

/* Writes the list of options into zeros. Returns its length, a multiple of four bytes. */
static size_t options_put(__u8 *bytes, const char *letters, const struct verify_values *values)
{
	const struct verify_values added = { .low = values->added };
	size_t length = values->added ? option_put(bytes, 'm', &added) : 0;

	for (; *letters; letters++)
		length += option_put(bytes + length, *letters, values);
	return (length + 3) / 4 * 4;
}

static size_t ip_at(const struct verify_path *path)
{
	return path->ethernet ? ETHERNET_SIZE : 0;
}

static size_t tcp_at(const struct verify_path *path)
{
	return ip_at(path) + (path->family == MSSBPF_IPV6 ? IPV6_SIZE : IPV4_SIZE);
}

/* Adds bytes as 16-bit words to a sum. */
static __u32 sum_add(__u32 sum, const __u8 *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	return sum;
}

static __u16 sum_finish(__u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void ip_put(__u8 *ip, const struct verify_path *path, size_t payload)
{
	if (path->family == MSSBPF_IPV6) {
		ip[0] = 0x60;
		put16(ip + 4, payload);
		ip[6] = TCP_PROTOCOL;
		ip[7] = 64; /* hop limit */
		memcpy(ip + 8, path->source, 16);
		memcpy(ip + 24, path->destination, 16);
		return;
	}
	ip[0] = 0x45;
	put16(ip + 2, IPV4_SIZE + payload);
	ip[6] = 0x40; /* do not fragment */
	ip[8] = 64;   /* TTL */
	ip[9] = TCP_PROTOCOL;
	memcpy(ip + 12, path->source, 4);
	memcpy(ip + 16, path->destination, 4);
	put16(ip + 10, sum_finish(sum_add(0, ip, IPV4_SIZE)));
}

struct verify_packet verify_packet_build(const struct verify_path *path, const struct verify_case *row,
					 const struct verify_values *values)
{
	const size_t address = path->family == MSSBPF_IPV6 ? 16 : 4;
	struct verify_packet packet = {};
	__u8 *ip = packet.data + ip_at(path), *tcp = packet.data + tcp_at(path);
	size_t length;
	__u32 sum;

	if (path->ethernet) {
		packet.data[0] = packet.data[6] = 2; /* addresses that nobody has */
		put16(packet.data + 12, path->family == MSSBPF_IPV6 ? 0x86dd : 0x0800);
	}
	length = TCP_SIZE + options_put(tcp + TCP_SIZE, row->options, values);
	put16(tcp, 49152);
	put16(tcp + 2, 443);
	put16(tcp + 4, 0x4d53); /* sequence number */
	tcp[12] = length / 4 << 4;
	tcp[13] = row->flags;
	put16(tcp + 14, 64240); /* window */
	ip_put(ip, path, length);
	sum = sum_add(TCP_PROTOCOL + length, path->source, address);
	sum = sum_add(sum_add(sum, path->destination, address), tcp, length);
	put16(tcp + TCP_CHECKSUM_AT, sum_finish(sum));
	packet.length = tcp + length - packet.data;
	return packet;
}

size_t verify_packet_mss(const struct verify_path *path, const struct verify_case *row, bool added)
{
	size_t at = tcp_at(path) + TCP_SIZE;
	__u8 unused[20];

	if (added)
		return at + 2;
	for (const char *letter = row->options; *letter; letter++) {
		if (*letter == 'M')
			return at + 2;
		at += option_put(unused, *letter, &(struct verify_values){});
	}
	return 0;
}

const char *verify_packet_part(const struct verify_path *path, size_t offset)
{
	if (offset < ip_at(path))
		return "Ethernet header";
	if (offset < tcp_at(path))
		return "IP header";
	if (offset >= tcp_at(path) + TCP_SIZE)
		return "TCP options";
	return offset - tcp_at(path) - TCP_CHECKSUM_AT < 2 ? "TCP checksum" : "TCP header";
}
