/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Builds packets from rows of test data and computes their checksums in full. Not a parser, and shares
 * nothing with the data path: what that gets wrong must not be wrong here in the same way.
 */
#ifndef TESTS_PACKET_H
#define TESTS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PACKET_MAX = 20 * 1024,

	/* TCP flags */
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	PSH = 0x08,
	ACK = 0x10,
	URG = 0x20,
	ECE = 0x40,
	CWR = 0x80,
};

/* Where 0 in a row means the usual value of a field, SET | 0 means zero. */
#define SET 0x80000000u

struct packet_bytes {
	const uint8_t *bytes; /* NULL: not given */
	size_t length;
};

#define BYTES(...)                                                                                                     \
	{                                                                                                              \
		(const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })                             \
	}
#define NO_BYTES                                                                                                       \
	{                                                                                                              \
		(const uint8_t[]){ 0 }, 0                                                                              \
	}

/* TCP options as bytes */
#define END 0
#define NOP 1
#define MSS(value) 2, 4, (value) >> 8, (value) % 256
#define WSCALE 3, 3, 7
#define SACK_PERMITTED 4, 2
#define TIMESTAMPS 8, 10, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0
#define MD5 19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#define AO 29, 16, 1, 1, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4
#define TFO 34, 10, 2, 4, 5, 4, 2, 4, 3, 2

struct packet_spec {
	/* Ethernet */
	uint16_t vlan[3];   /* tag protocols, outermost first; 0 ends */
	uint32_t ethertype; /* usually that of the version */
	/* A PPPoE session's frame, if version and type are not 0 */
	uint8_t pppoe; /* version and type, 0x11 in all there is */
	uint8_t pppoe_code;
	uint32_t pppoe_length; /* usually right */
	uint16_t ppp_protocol; /* usually that of the version */

	/* IP */
	uint8_t version;	/* 4 or 6 */
	uint8_t ip_options;	/* bytes of IPv4 options, a multiple of 4 */
	uint16_t fragment;	/* IPv4: flags and offset, host order */
	uint32_t version_field; /* usually the version */
	uint32_t ihl_field;	/* IPv4, usually right */
	uint32_t ip_length;	/* IPv4 total length, IPv6 payload length, host order; usually right */
	uint32_t protocol;	/* of the segment, usually TCP */
	/*
	 * Headers between IP and the segment, a letter each: h hop-by-hop, r routing, d destination options,
	 * a authentication, f fragment; m mobility and e ESP, which are not followed. A number behind it is
	 * the header's length field, of f the word with offset and flags (usually 1: first of several).
	 */
	const char *extensions;

	/* TCP */
	uint32_t flags;		     /* usually SYN */
	uint32_t doff;		     /* header length in words, usually right */
	uint16_t checksum_error;     /* what to add to the right checksum in ones' complement */
	uint32_t sequence;	     /* anything */
	struct packet_bytes options; /* filled up with END to whole words */
	uint16_t payload;	     /* bytes */

	uint16_t trailing; /* bytes behind the IP packet */
	uint16_t cut;	   /* bytes missing at the end of all that */
};

enum packet_link {
	PACKET_ETHERNET,
	PACKET_BARE, /* begins with the IP header */
};

struct packet {
	size_t ip;     /* where the IP header starts */
	size_t tcp;    /* where the TCP header starts */
	size_t ip_end; /* where the IP packet ends, by its bytes */
	size_t length;
	uint8_t data[PACKET_MAX];
};

/*
 * Builds the packet. Its source address holds the EtherType in bytes 12 and 13 of the IP header: there
 * BPF_PROG_TEST_RUN looks for it when the packet has no Ethernet header.
 */
void packet_build(struct packet *packet, const struct packet_spec *spec, enum packet_link link);

/* The EtherType that the packet goes by. */
uint16_t packet_ethertype(const struct packet_spec *spec);

/* The right checksum of a TCP segment, host order, whatever stands in its checksum field. */
uint16_t packet_tcp_checksum(const uint8_t *ip, uint8_t version, const uint8_t *segment, size_t length);

/* Adds 16-bit words in ones' complement, the canonical zero being 0. */
uint16_t packet_ones_add(uint16_t a, uint16_t b);

/* Pseudo-random numbers, the same in every run. */
uint32_t packet_random(uint32_t *seed);

#endif
