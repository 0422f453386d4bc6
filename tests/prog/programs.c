// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The loaded programs on packets: each row under each program, the whole packet, what the program returned
 * and all counters compared. Nothing is attached; times are ../bench's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "../lib/object.h"
#include "../lib/packet.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	LIMIT = 1360,
	TC_NEXT = -1,			     /* TC_ACT_UNSPEC, TCX_NEXT: filters of others go on */
	XDP_GO_ON = 2,			     /* XDP_PASS */
	VERIFIED_MAX = 30000,		     /* the kernel ends at a million */
	VERIFIED_MAX_OLD = 100000,	     /* before Linux 6.12 */
	TEST_SKB_CHECKSUM_COMPLETE = 1 << 2, /* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, Linux 6.16 */
};

#define NOT_COUNTED MSSBPF_RESULTS

struct row {
	const char *name;
	struct packet_spec packet;   /* without a version: both; without options: TYPICAL */
	enum mssbpf_result result;   /* or NOT_COUNTED */
	struct packet_bytes becomes; /* options if clamped; usually TYPICAL_LOWERED */
	uint16_t limit;		     /* usually LIMIT */
	enum mssbpf_kind kind;
	bool dry_run;
};

/* As Linux sends them */
#define TYPICAL BYTES(MSS(1460), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE)
#define TYPICAL_LOWERED BYTES(MSS(LIMIT), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE)

static const struct packet_bytes typical = TYPICAL, typical_lowered = TYPICAL_LOWERED;

#define NOP4 NOP, NOP, NOP, NOP
#define NOP16 NOP4, NOP4, NOP4, NOP4
#define NOP36 NOP16, NOP16, NOP4

static const struct row rows[] = {
	/* What is a SYN */
	{ "SYN", {}, MSSBPF_CLAMPED },
	{ "SYN-ACK", { .flags = SYN | ACK }, MSSBPF_CLAMPED, .kind = MSSBPF_SYN_ACK },
	{ "SYN with ECN", { .flags = SYN | ECE | CWR }, MSSBPF_CLAMPED },
	{ "SYN-ACK with ECN", { .flags = SYN | ACK | ECE }, MSSBPF_CLAMPED, .kind = MSSBPF_SYN_ACK },
	{ "SYN-FIN", { .flags = SYN | FIN }, MSSBPF_CLAMPED },
	{ "SYN-PSH-URG", { .flags = SYN | PSH | URG }, MSSBPF_CLAMPED },
	{ "SYN-RST", { .flags = SYN | RST }, NOT_COUNTED },
	{ "SYN-RST-ACK", { .flags = SYN | RST | ACK }, NOT_COUNTED },
	{ "ACK", { .flags = ACK, .payload = 100 }, NOT_COUNTED },
	{ "RST", { .flags = RST }, NOT_COUNTED },
	{ "FIN-ACK", { .flags = FIN | ACK }, NOT_COUNTED },
	{ "no flags", { .flags = SET | 0 }, NOT_COUNTED },
	{ "UDP that looks like a SYN", { .protocol = 17 }, NOT_COUNTED },
	{ "ICMP that looks like a SYN", { .version = 4, .protocol = 1 }, NOT_COUNTED },
	{ "IPv6 without next header", { .version = 6, .protocol = 59 }, NOT_COUNTED },
	{ "ARP that looks like a SYN", { .ethertype = 0x0806 }, NOT_COUNTED },
	{ "PPPoE", { .ethertype = 0x8864 }, NOT_COUNTED },
	{ "MPLS", { .ethertype = 0x8847 }, NOT_COUNTED },

	/* Values and limits */
	{ "MSS below the limit", { .options = BYTES(MSS(1359)) }, MSSBPF_ALREADY_LOW },
	{ "MSS at the limit", { .options = BYTES(MSS(1360)) }, MSSBPF_ALREADY_LOW },
	{ "MSS above the limit", { .options = BYTES(MSS(1361)) }, MSSBPF_CLAMPED, BYTES(MSS(1360)) },
	{ "MSS 0", { .options = BYTES(MSS(0)) }, MSSBPF_ALREADY_LOW },
	{ "MSS 1", { .options = BYTES(MSS(1)) }, MSSBPF_ALREADY_LOW },
	{ "MSS 65535", { .options = BYTES(MSS(65535)) }, MSSBPF_CLAMPED, BYTES(MSS(1360)) },
	{ "MSS 65535, limit 1", { .options = BYTES(MSS(65535)) }, MSSBPF_CLAMPED, BYTES(MSS(1)), 1 },
	{ "MSS 65535, limit 65534", { .options = BYTES(MSS(65535)) }, MSSBPF_CLAMPED, BYTES(MSS(65534)), 65534 },
	{ "MSS 65535, no limit", { .options = BYTES(MSS(65535)) }, MSSBPF_EXEMPT, .limit = MSSBPF_MSS_NONE },
	{ "only the high byte differs", { .options = BYTES(MSS(0x0650)) }, MSSBPF_CLAMPED, BYTES(MSS(0x0550)), 0x0550 },
	{ "only the low byte differs", { .options = BYTES(MSS(0x05ff)) }, MSSBPF_CLAMPED, BYTES(MSS(0x0501)), 0x0501 },
	{ "bytes swap order", { .options = BYTES(NOP, MSS(0x0600)) }, MSSBPF_CLAMPED, BYTES(NOP, MSS(0x05ff)), 0x05ff },
	{ "the sum of the change overflows",
	  { .options = BYTES(NOP, MSS(LIMIT + 255)) },
	  MSSBPF_CLAMPED,
	  BYTES(NOP, MSS(LIMIT)) },

	/* The option list */
	{ "36 NOPs, MSS", { .options = BYTES(NOP36, MSS(1460)) }, MSSBPF_CLAMPED, BYTES(NOP36, MSS(LIMIT)) },
	{ "WScale, MSS", { .options = BYTES(WSCALE, MSS(1460)) }, MSSBPF_CLAMPED, BYTES(WSCALE, MSS(LIMIT)) },
	{ "MSS, MSS", { .options = BYTES(MSS(1460), MSS(8960)) }, MSSBPF_CLAMPED, BYTES(MSS(LIMIT), MSS(LIMIT)) },
	{ "MSS low, MSS", { .options = BYTES(MSS(500), MSS(8960)) }, MSSBPF_CLAMPED, BYTES(MSS(500), MSS(LIMIT)) },
	{ "MSS, MSS low", { .options = BYTES(MSS(1460), MSS(500)) }, MSSBPF_CLAMPED, BYTES(MSS(LIMIT), MSS(500)) },
	{ "MSS low, MSS low", { .options = BYTES(MSS(1360), MSS(500)) }, MSSBPF_ALREADY_LOW },
	{ "MSS even, MSS odd",
	  { .options = BYTES(MSS(1460), NOP, MSS(8961)) },
	  MSSBPF_CLAMPED,
	  BYTES(MSS(LIMIT), NOP, MSS(LIMIT)) },
	{ "MSS odd, MSS odd",
	  { .options = BYTES(NOP, MSS(1460), MSS(8961)) },
	  MSSBPF_CLAMPED,
	  BYTES(NOP, MSS(LIMIT), MSS(LIMIT)) },
	{ "ten MSS",
	  { .options = BYTES(MSS(65535), MSS(65534), MSS(9000), MSS(0), MSS(1360), MSS(1361), MSS(1460), MSS(1),
			     MSS(1500), MSS(65535)) },
	  MSSBPF_CLAMPED,
	  BYTES(MSS(LIMIT), MSS(LIMIT), MSS(LIMIT), MSS(0), MSS(1360), MSS(LIMIT), MSS(LIMIT), MSS(1), MSS(LIMIT),
		MSS(LIMIT)) },
	{ "no options", { .options = NO_BYTES }, MSSBPF_NO_MSS },
	{ "no options, SYN-ACK", { .options = NO_BYTES, .flags = SYN | ACK }, MSSBPF_NO_MSS, .kind = MSSBPF_SYN_ACK },
	{ "no options, payload like MSS", { .options = BYTES(MSS(1460)), .doff = 5 }, MSSBPF_NO_MSS },
	{ "no MSS among others", { .options = BYTES(SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE) }, MSSBPF_NO_MSS },
	{ "40 NOPs", { .options = BYTES(NOP36, NOP4) }, MSSBPF_NO_MSS },
	{ "END, MSS", { .options = BYTES(END, MSS(1460)) }, MSSBPF_NO_MSS },
	{ "MSS, END, MSS",
	  { .options = BYTES(MSS(1460), END, MSS(1460)) },
	  MSSBPF_CLAMPED,
	  BYTES(MSS(LIMIT), END, MSS(1460)) },
	{ "MSS, END, garbage",
	  { .options = BYTES(MSS(1460), END, 5, 0, 1) },
	  MSSBPF_CLAMPED,
	  BYTES(MSS(LIMIT), END, 5, 0, 1) },
	{ "bytes like MSS inside an option", { .options = BYTES(254, 6, MSS(1460)) }, MSSBPF_NO_MSS },
	{ "option of length 0", { .options = BYTES(MSS(1460), 5, 0) }, MSSBPF_MALFORMED },
	{ "option of length 1", { .options = BYTES(MSS(1460), 5, 1) }, MSSBPF_MALFORMED },
	{ "option of length 2", { .options = BYTES(MSS(1460), 5, 2) }, MSSBPF_CLAMPED, BYTES(MSS(LIMIT), 5, 2) },
	{ "option that fills the header",
	  { .options = BYTES(MSS(1460), 5, 4, 0, 0) },
	  MSSBPF_CLAMPED,
	  BYTES(MSS(LIMIT), 5, 4, 0, 0) },
	{ "option one byte too long", { .options = BYTES(MSS(1460), 5, 5, 0, 0), .payload = 4 }, MSSBPF_MALFORMED },
	{ "option without a length",
	  { .options = BYTES(MSS(1460), NOP, NOP, NOP, 5), .payload = 4 },
	  MSSBPF_MALFORMED },
	{ "39 NOPs, MSS", { .options = BYTES(NOP36, NOP, NOP, NOP, 2), .payload = 4 }, MSSBPF_MALFORMED },
	{ "MSS without a value", { .options = BYTES(NOP, NOP, 2, 4), .payload = 4 }, MSSBPF_MALFORMED },
	{ "MSS with half a value", { .options = BYTES(NOP, 2, 4, 5), .payload = 4 }, MSSBPF_MALFORMED },
	{ "MSS of length 0", { .options = BYTES(2, 0, 5, 0xb4) }, MSSBPF_MALFORMED },
	{ "MSS of length 1", { .options = BYTES(2, 1, 5, 0xb4) }, MSSBPF_MALFORMED },
	{ "MSS of length 3", { .options = BYTES(2, 3, 5, NOP) }, MSSBPF_MALFORMED },
	{ "MSS of length 5", { .options = BYTES(2, 5, 5, 0xb4, 0, NOP, NOP, NOP) }, MSSBPF_MALFORMED },
	{ "MSS, MSS of length 5", { .options = BYTES(MSS(1460), 2, 5, 5, 0xb4, 0) }, MSSBPF_MALFORMED },
	{ "malformed SYN-ACK",
	  { .options = BYTES(MSS(1460), 5, 0), .flags = SYN | ACK },
	  MSSBPF_MALFORMED,
	  .kind = MSSBPF_SYN_ACK },

	/* Signed segments */
	{ "MD5, MSS", { .options = BYTES(MD5, MSS(1460)) }, MSSBPF_CLAMPED, BYTES(MD5, MSS(LIMIT)) },
	{ "MSS, MD5", { .options = BYTES(MSS(1460), MD5) }, MSSBPF_CLAMPED, BYTES(MSS(LIMIT), MD5) },
	{ "AO, MSS", { .options = BYTES(AO, MSS(1460)) }, MSSBPF_TCP_AO },
	{ "MSS, AO", { .options = BYTES(MSS(1460), AO) }, MSSBPF_TCP_AO },
	{ "MSS, AO, MSS", { .options = BYTES(MSS(1460), AO, MSS(1460)) }, MSSBPF_TCP_AO },
	{ "MSS low, AO", { .options = BYTES(MSS(500), AO) }, MSSBPF_TCP_AO },
	{ "AO alone", { .options = BYTES(AO) }, MSSBPF_TCP_AO },
	{ "AO, SYN-ACK",
	  { .options = BYTES(AO, MSS(1460)), .flags = SYN | ACK },
	  MSSBPF_TCP_AO,
	  .kind = MSSBPF_SYN_ACK },
	{ "AO, malformed", { .options = BYTES(AO, MSS(1460), 5, 0) }, MSSBPF_MALFORMED },
	{ "AO behind END", { .options = BYTES(MSS(1460), END, AO) }, MSSBPF_CLAMPED, BYTES(MSS(LIMIT), END, AO) },
	{ "AH", { .extensions = "a" }, MSSBPF_AH },
	{ "AH, SYN-ACK", { .extensions = "a", .flags = SYN | ACK }, MSSBPF_AH, .kind = MSSBPF_SYN_ACK },
	{ "AH, no options", { .extensions = "a", .options = NO_BYTES }, MSSBPF_AH },
	{ "AH, ACK", { .extensions = "a", .flags = ACK }, NOT_COUNTED },
	{ "AH, UDP", { .extensions = "a", .protocol = 17 }, NOT_COUNTED },
	{ "AH, IPv4 options", { .version = 4, .extensions = "a3", .ip_options = 12 }, MSSBPF_AH },
	{ "AH before other headers", { .version = 6, .extensions = "ad" }, MSSBPF_AH },
	{ "AH behind other headers", { .version = 6, .extensions = "hra6" }, MSSBPF_AH },
	{ "AH in a first fragment", { .version = 6, .extensions = "fa" }, MSSBPF_AH },
	{ "AH in a later fragment", { .version = 6, .extensions = "f8a" }, NOT_COUNTED },
	{ "ESP", { .extensions = "e" }, NOT_COUNTED },

	/* Payload, padding, checksum */
	{ "TFO", { .options = BYTES(MSS(1460), TFO), .payload = 1201 }, MSSBPF_CLAMPED, BYTES(MSS(LIMIT), TFO) },
	{ "TFO, odd offset",
	  { .options = BYTES(NOP, MSS(1460), TFO), .payload = 3 },
	  MSSBPF_CLAMPED,
	  BYTES(NOP, MSS(LIMIT), TFO) },
	{ "padding", { .options = BYTES(MSS(1460)), .trailing = 2 }, MSSBPF_CLAMPED, BYTES(MSS(LIMIT)) },
	{ "long padding", { .trailing = 101 }, MSSBPF_CLAMPED },
	{ "wrong checksum", { .checksum_error = 1 }, MSSBPF_CLAMPED },
	{ "wrong checksum, odd offset",
	  { .checksum_error = 0x8001, .options = BYTES(NOP, MSS(9000)) },
	  MSSBPF_CLAMPED,
	  BYTES(NOP, MSS(LIMIT)) },
	{ "wrong checksum, already low", { .checksum_error = 0x1234, .options = BYTES(MSS(536)) }, MSSBPF_ALREADY_LOW },

	/* Lengths that contradict each other */
	{ "data offset 0", { .doff = SET | 0 }, MSSBPF_MALFORMED },
	{ "data offset 4", { .doff = 4 }, MSSBPF_MALFORMED },
	{ "data offset 4, SYN-ACK", { .doff = 4, .flags = SYN | ACK }, MSSBPF_MALFORMED, .kind = MSSBPF_SYN_ACK },
	{ "data offset beyond the packet", { .doff = 15 }, MSSBPF_TRUNCATED },
	{ "data offset one word beyond", { .doff = 11 }, MSSBPF_TRUNCATED },
	{ "data offset into padding", { .doff = 11, .trailing = 20 }, MSSBPF_TRUNCATED },
	{ "packet shorter than its TCP header", { .cut = 1 }, MSSBPF_TRUNCATED },
	{ "packet shorter than its payload", { .payload = 100, .cut = 100 }, MSSBPF_CLAMPED },
	{ "IPv4 length 0", { .version = 4, .ip_length = SET | 0 }, MSSBPF_TRUNCATED },
	{ "IPv4 length of the IP header", { .version = 4, .ip_length = 20 }, MSSBPF_TRUNCATED },
	{ "IPv4 length within options", { .version = 4, .ip_length = 59 }, MSSBPF_TRUNCATED },
	{ "IPv4 length without payload", { .version = 4, .ip_length = 60, .payload = 7 }, MSSBPF_CLAMPED },
	{ "IPv4 length beyond the packet", { .version = 4, .ip_length = 61 }, MSSBPF_CLAMPED },
	{ "IPv4 length 65535", { .version = 4, .ip_length = 65535 }, MSSBPF_CLAMPED },
	{ "IPv6 length 0", { .version = 6, .ip_length = SET | 0 }, MSSBPF_TRUNCATED },
	{ "IPv6 length within options", { .version = 6, .ip_length = 39 }, MSSBPF_TRUNCATED },
	{ "IPv6 length without payload", { .version = 6, .ip_length = 40, .payload = 7 }, MSSBPF_CLAMPED },
	{ "IPv6 length beyond the packet", { .version = 6, .ip_length = 41 }, MSSBPF_CLAMPED },
	{ "IPv6 length 65535", { .version = 6, .ip_length = 65535 }, MSSBPF_CLAMPED },
	{ "IPv6 length without extensions", { .version = 6, .ip_length = 40, .extensions = "h" }, MSSBPF_TRUNCATED },
	{ "IHL 0", { .version = 4, .ihl_field = SET | 0 }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },
	{ "IHL 4", { .version = 4, .ihl_field = 4 }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },
	{ "IHL beyond the packet",
	  { .version = 4, .ihl_field = 15, .options = NO_BYTES },
	  MSSBPF_TRUNCATED,
	  .kind = MSSBPF_UNREADABLE },
	{ "IPv4 with version 6", { .version = 4, .version_field = 6 }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },
	{ "IPv4 with version 5", { .version = 4, .version_field = 5 }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },
	{ "IPv4 with version 0",
	  { .version = 4, .version_field = SET | 0 },
	  MSSBPF_MALFORMED,
	  .kind = MSSBPF_UNREADABLE },
	{ "IPv6 with version 4", { .version = 6, .version_field = 4 }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },
	{ "IPv6 with version 7", { .version = 6, .version_field = 7 }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },
	{ "IPv4 said to be IPv6", { .version = 4, .ethertype = 0x86dd }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },
	{ "IPv6 said to be IPv4", { .version = 6, .ethertype = 0x0800 }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },

	/* Fragments */
	{ "IPv4, do not fragment", { .version = 4, .fragment = 0x4000 }, MSSBPF_CLAMPED },
	{ "IPv4, reserved bit", { .version = 4, .fragment = 0x8000 }, MSSBPF_CLAMPED },
	{ "IPv4, first fragment", { .version = 4, .fragment = 0x2000, .payload = 20 }, MSSBPF_CLAMPED },
	{ "IPv4, first fragment ends in options",
	  { .version = 4, .fragment = 0x2000, .ip_length = 52, .cut = 8 },
	  MSSBPF_TRUNCATED },
	{ "IPv4, first fragment of 8 bytes",
	  { .version = 4, .ip_options = 8, .fragment = 0x2000, .ip_length = 36, .cut = 32 },
	  MSSBPF_TRUNCATED,
	  .kind = MSSBPF_UNREADABLE },
	{ "IPv4, second fragment", { .version = 4, .fragment = 0x2001 }, NOT_COUNTED },
	{ "IPv4, last fragment", { .version = 4, .fragment = 0x00b9 }, NOT_COUNTED },
	{ "IPv4, farthest fragment", { .version = 4, .fragment = 0x1000 }, NOT_COUNTED },
	{ "IPv4, later fragment behind AH", { .version = 4, .fragment = 0x2001, .extensions = "a" }, NOT_COUNTED },
	{ "IPv6, first fragment", { .version = 6, .extensions = "f" }, MSSBPF_CLAMPED },
	{ "IPv6, only fragment", { .version = 6, .extensions = "f0" }, MSSBPF_CLAMPED },
	{ "IPv6, first fragment, reserved bits", { .version = 6, .extensions = "f7" }, MSSBPF_CLAMPED },
	{ "IPv6, first fragment ends in options",
	  { .version = 6, .extensions = "f", .ip_length = 40, .cut = 8 },
	  MSSBPF_TRUNCATED },
	{ "IPv6, first fragment of 8 bytes",
	  { .version = 6, .extensions = "f", .ip_length = 16, .cut = 32 },
	  MSSBPF_TRUNCATED,
	  .kind = MSSBPF_UNREADABLE },
	{ "IPv6, second fragment", { .version = 6, .extensions = "f9" }, NOT_COUNTED },
	{ "IPv6, last fragment", { .version = 6, .extensions = "f8" }, NOT_COUNTED },
	{ "IPv6, farthest fragment", { .version = 6, .extensions = "f32768" }, NOT_COUNTED },
	{ "IPv6, later fragment behind options", { .version = 6, .extensions = "hdrf8" }, NOT_COUNTED },

	/* IPv6 extension headers */
	{ "hop-by-hop", { .version = 6, .extensions = "h" }, MSSBPF_CLAMPED },
	{ "routing", { .version = 6, .extensions = "r4" }, MSSBPF_CLAMPED },
	{ "destination options", { .version = 6, .extensions = "d1" }, MSSBPF_CLAMPED },
	{ "all of RFC 8200", { .version = 6, .extensions = "hdrfd" }, MSSBPF_CLAMPED },
	{ "all of RFC 8200, SYN-ACK",
	  { .version = 6, .extensions = "hdrfd", .flags = SYN | ACK },
	  MSSBPF_CLAMPED,
	  .kind = MSSBPF_SYN_ACK },
	{ "all of RFC 8200, ACK", { .version = 6, .extensions = "hdrfd", .flags = ACK }, NOT_COUNTED },
	{ "hop-by-hop, UDP", { .version = 6, .extensions = "h", .protocol = 17 }, NOT_COUNTED },
	{ "hop-by-hop of 2048 bytes", { .version = 6, .extensions = "h255" }, MSSBPF_CLAMPED },
	{ "hop-by-hop beyond the packet",
	  { .version = 6, .extensions = "h2", .cut = 41 },
	  MSSBPF_TRUNCATED,
	  .kind = MSSBPF_UNREADABLE },
	{ "7 headers", { .version = 6, .extensions = "hdrfddd" }, MSSBPF_CLAMPED },
	{ "8 headers", { .version = 6, .extensions = "hdrfdddd" }, MSSBPF_CLAMPED },
	{ "8 headers, odd offset",
	  { .version = 6, .extensions = "hdrfdddd", .options = BYTES(NOP, MSS(1460)) },
	  MSSBPF_CLAMPED,
	  BYTES(NOP, MSS(LIMIT)) },
	{ "8 long headers", { .version = 6, .extensions = "h30d30r30d30d30d30d30d30" }, MSSBPF_CLAMPED },
	{ "8 headers, AH the last", { .version = 6, .extensions = "hdrfddda" }, MSSBPF_AH },
	{ "9 headers", { .version = 6, .extensions = "hdrfddddd" }, MSSBPF_MALFORMED, .kind = MSSBPF_UNREADABLE },
	{ "8 headers, UDP", { .version = 6, .extensions = "hdrfdddd", .protocol = 17 }, NOT_COUNTED },
	{ "8 headers, ESP", { .version = 6, .extensions = "hdrfdddde" }, NOT_COUNTED },
	{ "mobility", { .version = 6, .extensions = "m" }, NOT_COUNTED },
	{ "destination options, mobility", { .version = 6, .extensions = "dm" }, NOT_COUNTED },
	{ "IPv4, hop-by-hop", { .version = 4, .extensions = "h" }, NOT_COUNTED },

	/* VLAN tags */
	{ "802.1Q", { .vlan = { 0x8100 } }, MSSBPF_CLAMPED },
	{ "802.1ad", { .vlan = { 0x88a8 } }, MSSBPF_CLAMPED },
	{ "802.1ad, 802.1Q", { .vlan = { 0x88a8, 0x8100 } }, MSSBPF_CLAMPED },
	{ "802.1Q twice, odd offset",
	  { .vlan = { 0x8100, 0x8100 }, .options = BYTES(NOP, MSS(1460)) },
	  MSSBPF_CLAMPED,
	  BYTES(NOP, MSS(LIMIT)) },
	{ "two tags, extension headers",
	  { .version = 6, .vlan = { 0x88a8, 0x8100 }, .extensions = "hdr" },
	  MSSBPF_CLAMPED },
	{ "two tags, IPv4 options", { .version = 4, .vlan = { 0x88a8, 0x8100 }, .ip_options = 40 }, MSSBPF_CLAMPED },
	{ "two tags, ACK", { .vlan = { 0x88a8, 0x8100 }, .flags = ACK }, NOT_COUNTED },
	{ "three tags", { .vlan = { 0x88a8, 0x8100, 0x8100 } }, NOT_COUNTED },
	{ "tag, ARP", { .vlan = { 0x8100 }, .ethertype = 0x0806 }, NOT_COUNTED },

	/* PPPoE: what XDP makes of it, TC lets it pass */
	{ "PPPoE session", { .pppoe = 0x11 }, MSSBPF_CLAMPED },
	{ "PPPoE, odd offset",
	  { .pppoe = 0x11, .options = BYTES(NOP, MSS(1460)) },
	  MSSBPF_CLAMPED,
	  BYTES(NOP, MSS(LIMIT)) },
	{ "PPPoE, already low", { .pppoe = 0x11, .options = BYTES(MSS(536)) }, MSSBPF_ALREADY_LOW },
	{ "PPPoE, SYN-ACK", { .pppoe = 0x11, .flags = SYN | ACK }, MSSBPF_CLAMPED, .kind = MSSBPF_SYN_ACK },
	{ "PPPoE, ACK", { .pppoe = 0x11, .flags = ACK }, NOT_COUNTED },
	{ "PPPoE in 802.1Q", { .vlan = { 0x8100 }, .pppoe = 0x11 }, MSSBPF_CLAMPED },
	{ "PPPoE in two tags", { .vlan = { 0x88a8, 0x8100 }, .pppoe = 0x11 }, MSSBPF_CLAMPED },
	{ "PPPoE in three tags", { .vlan = { 0x88a8, 0x8100, 0x8100 }, .pppoe = 0x11 }, NOT_COUNTED },
	{ "PPPoE, IPv4 options", { .version = 4, .pppoe = 0x11, .ip_options = 40 }, MSSBPF_CLAMPED },
	{ "PPPoE, all of RFC 8200", { .version = 6, .pppoe = 0x11, .extensions = "hdrfd" }, MSSBPF_CLAMPED },
	{ "PPPoE, AH", { .pppoe = 0x11, .extensions = "a" }, MSSBPF_AH },
	{ "PPPoE, padding", { .pppoe = 0x11, .trailing = 9 }, MSSBPF_CLAMPED },
	{ "PPPoE, other version", { .pppoe = 0x12 }, NOT_COUNTED },
	{ "PPPoE, PADT", { .pppoe = 0x11, .pppoe_code = 0xa7 }, NOT_COUNTED },
	{ "PPPoE, LCP", { .pppoe = 0x11, .ppp_protocol = 0xc021 }, NOT_COUNTED },
	{ "PPPoE, MPLS", { .pppoe = 0x11, .ppp_protocol = 0x0281 }, NOT_COUNTED },
	{ "PPPoE, length within options", { .pppoe = 0x11, .pppoe_length = 41 }, MSSBPF_TRUNCATED },
	{ "PPPoE, length one byte short", { .version = 4, .pppoe = 0x11, .pppoe_length = 61 }, MSSBPF_TRUNCATED },
	{ "PPPoE, length of IPv4", { .version = 4, .pppoe = 0x11, .pppoe_length = 62 }, MSSBPF_CLAMPED },
	{ "PPPoE, longer than IPv6", { .version = 6, .pppoe = 0x11, .pppoe_length = 95 }, MSSBPF_CLAMPED },
	{ "PPPoE, IPv6 said to be IPv4",
	  { .version = 6, .pppoe = 0x11, .ppp_protocol = 0x0021, .ethertype = 0x0800 },
	  MSSBPF_MALFORMED,
	  .kind = MSSBPF_UNREADABLE },
	{ "PPPoE, length 0", { .pppoe = 0x11, .pppoe_length = SET | 0 }, MSSBPF_TRUNCATED },

	/* Dry run: counted, unchanged */
	{ "dry run", {}, MSSBPF_CLAMPED, TYPICAL, .dry_run = true },
	{ "dry run, two MSS",
	  { .options = BYTES(MSS(1460), MSS(8960)) },
	  MSSBPF_CLAMPED,
	  BYTES(MSS(1460), MSS(8960)),
	  .dry_run = true },
	{ "dry run, already low", { .options = BYTES(MSS(536)) }, MSSBPF_ALREADY_LOW, .dry_run = true },
};

static struct object object;
static const char *unavailable;

/* What is being run, for messages. */
static struct {
	const char *row;
	uint8_t version;
} current = { "", 4 };

#define wrong(program, format, ...)                                                                                    \
	fail_msg("%s, IPv%d, %s: " format, current.row, current.version, program, ##__VA_ARGS__)

static struct mssbpf_key key_of(enum mssbpf_direction direction)
{
	return (struct mssbpf_key){ OBJECT_IFINDEX, direction };
}

/*
 * Sets the limit of a row where it belongs, and others everywhere else: a program that obeys the wrong
 * one of them shows.
 */
static void set_limits(const struct row *row, uint8_t version, enum mssbpf_direction direction)
{
	uint16_t limit = row->limit, other = limit == 1 ? 2 : limit - 1;
	union mssbpf_order others = { .mss4 = other, .mss6 = other };
	union mssbpf_order order = { .mss4 = version == 4 ? limit : other,
				     .mss6 = version == 6 ? limit : other,
				     .flags = row->dry_run ? MSSBPF_DRY_RUN : 0 };

	assert_int_equal(object_set_limit(&object, key_of(direction), order), 0);
	assert_int_equal(object_set_limit(&object, key_of(!direction), others), 0);
	assert_int_equal(object_set_limit(&object, (struct mssbpf_key){ OBJECT_IFINDEX + 1, direction }, others), 0);
}

static void reset_counters(void)
{
	for (int direction = 0; direction < MSSBPF_DIRECTIONS; direction++)
		assert_int_equal(object_reset_counters(&object, key_of(direction)), 0);
}

static void check_counters(const char *program, enum mssbpf_direction direction, const struct mssbpf_counters *expected)
{
	static const struct mssbpf_counters none;
	struct mssbpf_counters counters;

	assert_int_equal(object_read_counters(&object, key_of(direction), &counters), 0);
	for (int i = 0; i < MSSBPF_FAMILIES * MSSBPF_KINDS * MSSBPF_RESULTS; i++) {
		int family = i / MSSBPF_RESULTS / MSSBPF_KINDS, kind = i / MSSBPF_RESULTS % MSSBPF_KINDS;
		__u64 got = counters.packets[family][kind][i % MSSBPF_RESULTS];
		__u64 right = expected->packets[family][kind][i % MSSBPF_RESULTS];

		if (got != right)
			wrong(program, "counter [IPv%d][%d][%d] is %llu instead of %llu", family ? 6 : 4, kind,
			      i % MSSBPF_RESULTS, got, right);
	}
	assert_int_equal(object_read_counters(&object, key_of(!direction), &counters), 0);
	if (memcmp(&counters, &none, sizeof(none)) != 0)
		wrong(program, "counted under the other direction");
}

/* Runs a program and compares all that comes out but the counters. */
static void run(const struct object_program *program, const struct packet *packet, const struct packet *expected,
		uint32_t flags)
{
	struct object_outcome outcome;
	int err = object_run(program, packet, flags, &outcome);

	if (err)
		wrong(program->name, "the run failed: %s", strerror(-err));
	if (outcome.returned != (program->xdp ? XDP_GO_ON : TC_NEXT))
		wrong(program->name, "returned %d", outcome.returned);
	if (outcome.length != expected->length)
		wrong(program->name, "%zu bytes instead of %zu", outcome.length, expected->length);
	for (size_t i = 0; i < expected->length; i++)
		if (outcome.data[i] != expected->data[i])
			wrong(program->name, "byte %zu (TCP%+d) is %02x, was %02x, should be %02x", i,
			      (int)(i - expected->tcp), outcome.data[i], packet->data[i], expected->data[i]);
}

/* A row with all that is left out in the table filled in, for one IP version. */
static struct row row_whole(const struct row *row, uint8_t version)
{
	struct row whole = *row;

	whole.packet.version = version;
	if (!whole.packet.options.bytes)
		whole.packet.options = typical;
	if (!whole.limit)
		whole.limit = LIMIT;
	if (whole.result != MSSBPF_CLAMPED)
		whole.becomes = whole.packet.options;
	else if (!whole.becomes.bytes)
		whole.becomes = typical_lowered;
	return whole;
}

static void check_row_under(const struct row *row, const struct object_program *program, uint32_t flags)
{
	static struct packet packet, expected;
	struct packet_spec after = row->packet;
	struct mssbpf_counters counters = {};
	enum mssbpf_family family = packet_ethertype(&row->packet) == 0x86dd ? MSSBPF_IPV6 : MSSBPF_IPV4;

	current.row = row->name ? row->name : "generated";
	current.version = row->packet.version;
	assert_int_equal(row->packet.options.length, row->becomes.length);
	after.options = row->becomes;
	packet_build(&packet, &row->packet, program->link);
	packet_build(&expected, &after, program->link);
	if (row->result != NOT_COUNTED)
		counters.packets[family][row->kind][row->result] = 1;

	set_limits(row, family == MSSBPF_IPV6 ? 6 : 4, program->direction);
	reset_counters();
	run(program, &packet, &expected, flags);
	check_counters(program->name, program->direction, &counters);
}

static void check_row(const struct row *row, uint32_t flags)
{
	for (uint8_t version = 4; version <= 6; version += 2) {
		struct row whole = row_whole(row, version);

		if (row->packet.version && row->packet.version != version)
			continue;
		for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
			const struct object_program *program = &object.program[i];

			if (program->link == PACKET_BARE && (row->packet.vlan[0] || row->packet.pppoe))
				continue;
			if (program->xdp && flags)
				continue;
			if (row->packet.pppoe && !program->xdp)
				check_row_under(&(const struct row){ .name = row->name,
								     .packet = whole.packet,
								     .becomes = whole.packet.options,
								     .result = NOT_COUNTED,
								     .limit = LIMIT },
						program, flags);
			else
				check_row_under(&whole, program, flags);
		}
	}
}

static void test_row(void **state)
{
	object_need(unavailable);
	check_row(*state, 0);
}

/* All rows once more under TC as from a device that sums up what it receives: the kernel compares the sum afterwards.
 */
static void test_checksum_complete(void **state)
{
	static struct packet packet;
	struct object_outcome outcome;
	int err;

	(void)state;
	object_need(unavailable);
	packet_build(&packet, &(struct packet_spec){ .version = 4 }, PACKET_ETHERNET);
	err = object_run(&object.program[0], &packet, TEST_SKB_CHECKSUM_COMPLETE, &outcome);
	if (err == -EINVAL) {
		print_message("SKIPPED: this kernel runs no program on packets with CHECKSUM_COMPLETE (6.16 does)\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i], TEST_SKB_CHECKSUM_COMPLETE);
}

/* An MSS at every offset, NOPs or another option before it. */
static void test_every_offset(void **state)
{
	(void)state;
	object_need(unavailable);
	for (size_t offset = 0; offset <= 36; offset++)
		for (int filler = 0; filler < 2; filler++) {
			uint8_t before[40], after[40];
			size_t length = (offset + 7) / 4 * 4;
			struct row row = { .packet.options = { before, length },
					   .becomes = { after, length },
					   .result = MSSBPF_CLAMPED };

			memset(before, NOP, sizeof(before));
			if (filler && offset >= 2) {
				before[0] = 254;
				before[1] = offset;
			}
			memcpy(after, before, sizeof(after));
			memcpy(before + offset, (const uint8_t[]){ MSS(1461) }, 4);
			memcpy(after + offset, (const uint8_t[]){ MSS(LIMIT) }, 4);
			check_row(&row, 0);
		}
}

static void test_every_ihl(void **state)
{
	(void)state;
	object_need(unavailable);
	for (uint8_t ihl = 5; ihl <= 15; ihl++) {
		struct row row = { .packet = { .version = 4, .ip_options = ihl * 4 - 20 }, .result = MSSBPF_CLAMPED };

		check_row(&row, 0);
		row.packet.flags = ACK;
		row.result = NOT_COUNTED;
		check_row(&row, 0);
	}
}

static void test_every_flag(void **state)
{
	(void)state;
	object_need(unavailable);
	for (uint32_t flags = 0; flags <= 255; flags++) {
		struct row row = { .packet.flags = SET | flags,
				   .result = flags & SYN && !(flags & RST) ? MSSBPF_CLAMPED : NOT_COUNTED,
				   .kind = flags & ACK ? MSSBPF_SYN_ACK : MSSBPF_SYN };

		check_row(&row, 0);
	}
}

static void test_every_protocol(void **state)
{
	(void)state;
	object_need(unavailable);
	for (uint32_t protocol = 0; protocol <= 255; protocol++) {
		struct row row = { .packet = { .version = 4, .protocol = SET | protocol },
				   .result = protocol == 6 ? MSSBPF_CLAMPED : NOT_COUNTED };

		if (protocol != 51) /* AH: what follows is read as its header */
			check_row(&row, 0);
	}
}

/* The kernel runs no program on less than what it takes for Ethernet and IP headers (6.18). */
static size_t run_min(const struct packet *packet)
{
	uint16_t ethertype = packet->data[12] * 256 + packet->data[13];

	return 14 + (ethertype == 0x0800 ? 20 : ethertype == 0x86dd ? 40 : 1);
}

/* The first `length` bytes of a SYN, for every length: touched only if the TCP header is among them. */
static void check_beginnings(const struct packet_spec *spec, const struct object_program *program)
{
	struct row row = row_whole(&(const struct row){ .packet = *spec }, spec->version);
	static struct packet whole;
	size_t header_end;

	row.packet.payload = 10;
	packet_build(&whole, &row.packet, program->link);
	header_end = whole.tcp + 20 + row.packet.options.length;
	for (size_t length = run_min(&whole); length <= whole.length; length++) {
		bool known = length >= whole.ip;

		row.packet.cut = whole.length - length;
		row.kind = length < whole.tcp + 14 ? MSSBPF_UNREADABLE : MSSBPF_SYN;
		row.result = !known ? NOT_COUNTED : length < header_end ? MSSBPF_TRUNCATED : MSSBPF_CLAMPED;
		row.becomes = row.result == MSSBPF_CLAMPED ? typical_lowered : row.packet.options;
		check_row_under(&row, program, 0);
	}
}

static void test_every_beginning(void **state)
{
	static const struct packet_spec specs[] = {
		{ .version = 4 },
		{ .version = 4, .ip_options = 40 },
		{ .version = 4, .vlan = { 0x88a8, 0x8100 } },
		{ .version = 6 },
		{ .version = 6, .vlan = { 0x8100 } },
		{ .version = 6, .extensions = "hdrfd" },
		{ .version = 6, .extensions = "h4d1d1d1d1d1d1d1" },
		{ .version = 4, .pppoe = 0x11, .vlan = { 0x8100 } },
		{ .version = 6, .pppoe = 0x11, .extensions = "hr" },
	};

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		for (size_t j = 0; j < OBJECT_PROGRAMS; j++)
			if (object.program[j].xdp || (object.program[j].link == PACKET_ETHERNET && !specs[i].pppoe) ||
			    (!specs[i].vlan[0] && !specs[i].pppoe))
				check_beginnings(&specs[i], &object.program[j]);
}

/* Every MSS and every checksum there can be before, odd and even offsets, programs in turn. */
static void test_every_value(void **state)
{
	(void)state;
	object_need(unavailable);
	for (uint32_t value = 0; value <= UINT16_MAX; value++) {
		uint16_t mss = value % 4 ? value : 1460, lower = mss > LIMIT ? LIMIT : mss;
		uint8_t before[] = { NOP, MSS(mss), NOP, NOP, NOP }, after[] = { NOP, MSS(lower), NOP, NOP, NOP };
		size_t odd = value / 2 % 2;
		struct row row = { .packet = { .sequence = value, .options = { before + odd, 8 - 4 * odd } },
				   .becomes = { after + odd, 8 - 4 * odd },
				   .result = mss > LIMIT ? MSSBPF_CLAMPED : MSSBPF_ALREADY_LOW };
		struct row whole = row_whole(&row, value & 16 ? 6 : 4);

		check_row_under(&whole, &object.program[value / 4 % OBJECT_PROGRAMS], 0);
	}
}

/* No order in the entry's slot: nothing happens, and nothing is counted. */
static void test_no_limit(void **state)
{
	static struct packet packet;
	static const struct mssbpf_counters none;

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		const struct object_program *program = &object.program[i];
		const struct row row = { .limit = 100 };

		packet_build(&packet, &(struct packet_spec){ .version = 4, .options = typical }, program->link);
		set_limits(&row, 4, program->direction);
		assert_int_equal(object_delete_limit(&object, key_of(program->direction)), 0);
		reset_counters();
		run(program, &packet, &packet, 0);
		check_counters(program->name, program->direction, &none);
	}
}

/* No entry: nothing happens. */
static void test_no_entry(void **state)
{
	static struct packet packet;
	const struct row row = { .limit = LIMIT };

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		const struct object_program *program = &object.program[i];

		packet_build(&packet, &(struct packet_spec){ .version = 6, .options = typical }, program->link);
		set_limits(&row, 6, program->direction);
		reset_counters();
		assert_int_equal(object_delete_counters(&object, key_of(program->direction)), 0);
		run(program, &packet, &packet, 0);
	}
}

/* A change of limits holds from the next packet on; counters go on from where they are. */
static void test_changed_limit(void **state)
{
	static struct packet packet, expected;
	const struct packet_bytes before = BYTES(MSS(1460)), after = BYTES(MSS(1220));
	struct packet_spec spec = { .version = 4, .options = before };
	const struct object_program *program = &object.program[0];
	const struct mssbpf_counters counters = { .packets[MSSBPF_IPV4][MSSBPF_SYN] = {
							  [MSSBPF_ALREADY_LOW] = 2, [MSSBPF_CLAMPED] = 1 } };

	(void)state;
	object_need(unavailable);
	packet_build(&packet, &spec, program->link);
	spec.options = after;
	packet_build(&expected, &spec, program->link);
	reset_counters();
	set_limits(&(const struct row){ .limit = 1460 }, 4, program->direction);
	run(program, &packet, &packet, 0);
	set_limits(&(const struct row){ .limit = 1220 }, 4, program->direction);
	run(program, &packet, &expected, 0);
	set_limits(&(const struct row){ .limit = 1460 }, 4, program->direction);
	run(program, &packet, &packet, 0);
	check_counters(program->name, program->direction, &counters);
}

/*
 * Small enough for old kernels and slow routers. Older verifiers find fewer states alike, and process several times as
 * many instructions: up to VERIFIED_MAX_OLD of the million that the kernel allows.
 */
static void test_verified_instructions(void **state)
{
	unsigned int major, minor, most;
	struct utsname system;

	(void)state;
	assert_int_equal(uname(&system), 0);
	assert_int_equal(sscanf(system.release, "%u.%u", &major, &minor), 2);
	most = major * 100 + minor < 612 ? VERIFIED_MAX_OLD : VERIFIED_MAX;
	object_need(unavailable);
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		print_message("%-22s %6u instructions verified\n", object.program[i].name, object.program[i].verified);
		assert_in_range(object.program[i].verified, 1, most);
	}
}

static int setup(void **state)
{
	(void)state;
	unavailable = object_unavailable();
	return unavailable ? 0 : object_open(&object);
}

static int teardown(void **state)
{
	(void)state;
	object_close(&object);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest generated[] = {
		cmocka_unit_test(test_verified_instructions),
		cmocka_unit_test(test_every_offset),
		cmocka_unit_test(test_every_ihl),
		cmocka_unit_test(test_every_flag),
		cmocka_unit_test(test_every_protocol),
		cmocka_unit_test(test_every_beginning),
		cmocka_unit_test(test_every_value),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_no_entry),
		cmocka_unit_test(test_changed_limit),
		cmocka_unit_test(test_checksum_complete),
	};
	struct CMUnitTest tests[ARRAY_SIZE(rows) + ARRAY_SIZE(generated)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)&rows[i] };
	memcpy(tests + ARRAY_SIZE(rows), generated, sizeof(generated));
	return cmocka_run_group_tests_name("programs", tests, setup, teardown);
}
