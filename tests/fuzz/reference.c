// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The reference clamp: reads a packet front to back as the RFCs draw it, then makes the packet that should come out,
 * with every checksum summed up in full before and after. Not the data path's way on purpose.
 */
#include "reference.h"

#include <string.h>

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_PPPOE = 0x8864,
	ETHERTYPE_PROVIDER = 0x88a8,
	PPP_IPV4 = 0x0021,
	PPP_IPV6 = 0x0057,
	TAGS_MAX = 2,

	HOP_BY_HOP = 0,
	TCP = 6,
	ROUTING = 43,
	FRAGMENT = 44,
	AUTHENTICATION = 51,
	DESTINATION_OPTIONS = 60,
	HEADERS_MAX = 8,

	ROUTING_MOBILE = 2,
	ROUTING_RPL = 3,
	ROUTING_SEGMENTS = 4,

	TCP_FIXED = 20,
	OPTIONS_MAX = 40,
	FLAG_SYN = 0x02,
	FLAG_RST = 0x04,
	FLAG_ACK = 0x10,
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_AO = 29,
	MSS_LENGTH = 4,
	MSS_NONE_IPV4 = 536,
	MSS_NONE_IPV6 = 1220,
	MTU_MIN = 576,
	MTU_MAX = 65535,
};

/* What reading came to. */
enum reading {
	NO_SYN,
	SYN_FOUND,
	BROKEN,
	CUT,
};

/* A packet while it is read. */
struct reader {
	const struct reference_hook *hook;
	const uint8_t *bytes;
	size_t length, position;

	/* What was read. */
	bool known_family, known_flags;
	enum mssbpf_family family;
	uint8_t flags;
	bool authenticated, fragment;
	size_t pppoe, pppoe_end, ip, tcp, tcp_end;
	size_t ip_end;	/* as the IP header says */
	size_t end;	/* the smallest of all that say where it ends */
	size_t headers; /* between IP and TCP */
	const uint8_t *routing;
};

static uint16_t word(const uint8_t *bytes)
{
	return bytes[0] * 256 + bytes[1];
}

static void set_word(uint8_t *bytes, uint16_t value)
{
	bytes[0] = value / 256;
	bytes[1] = value % 256;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The next bytes, or NULL if there are not so many. */
static const uint8_t *take(struct reader *reader, size_t count)
{
	const uint8_t *at = reader->bytes + reader->position;

	if (count > reader->length - reader->position)
		return NULL;
	reader->position += count;
	return at;
}

static enum reading read_tcp(struct reader *reader)
{
	const uint8_t *header;
	size_t words;

	reader->tcp = reader->position;
	header = take(reader, 14); /* up to and with the flags */
	if (!header)
		return CUT;
	if (!(header[13] & FLAG_SYN) || header[13] & FLAG_RST)
		return NO_SYN;
	reader->known_flags = true;
	reader->flags = header[13];
	words = header[12] / 16;
	if (words < 5)
		return BROKEN;
	reader->tcp_end = reader->tcp + words * 4;
	/* Behind PPPoE, the whole IP packet has to be in the frame: else the two lengths contradict each other. */
	if (reader->tcp_end > reader->end || (reader->pppoe && reader->ip_end > reader->pppoe_end))
		return CUT;
	return SYN_FOUND;
}

static bool leads_to_tcp(const struct reader *reader, uint8_t protocol)
{
	switch (protocol) {
	case TCP:
	case AUTHENTICATION:
		return true;
	case HOP_BY_HOP:
	case ROUTING:
	case FRAGMENT:
	case DESTINATION_OPTIONS:
		return reader->family == MSSBPF_IPV6;
	default:
		return false;
	}
}

/* Reads what the protocol announces: TCP, or a header that may lead to it. */
static enum reading read_protocol(struct reader *reader, uint8_t protocol)
{
	const uint8_t *header;
	size_t length = 8;

	if (protocol == TCP)
		return read_tcp(reader);
	header = take(reader, 8);
	if (!header)
		return CUT;
	reader->headers++;
	if (protocol == FRAGMENT) {
		reader->fragment = true;
		if (word(header + 2) / 8 != 0)
			return NO_SYN;
	} else if (protocol == AUTHENTICATION) {
		reader->authenticated = true;
		length = (header[1] + 2) * 4;
	} else {
		length = (header[1] + 1) * 8;
		if (protocol == ROUTING)
			reader->routing = header;
	}
	if (!leads_to_tcp(reader, header[0]))
		return NO_SYN;
	if (header[0] != TCP && reader->headers == HEADERS_MAX)
		return BROKEN;
	return take(reader, length - 8) ? read_protocol(reader, header[0]) : CUT;
}

static enum reading read_ipv4(struct reader *reader)
{
	const uint8_t *header = take(reader, 20);
	uint16_t fragment;
	size_t words;

	if (!header)
		return CUT;
	words = header[0] % 16;
	if (header[0] / 16 != 4 || words < 5)
		return BROKEN;
	fragment = word(header + 6);
	if (fragment & 0x1fff)
		return NO_SYN;
	reader->fragment = fragment & 0x2000;
	reader->ip_end = reader->ip + word(header + 2);
	if (!leads_to_tcp(reader, header[9]))
		return NO_SYN;
	if (!take(reader, words * 4 - 20))
		return CUT;
	reader->end = smaller(reader->end, reader->ip_end);
	return read_protocol(reader, header[9]);
}

static enum reading read_ipv6(struct reader *reader)
{
	const uint8_t *header = take(reader, 40);

	if (!header)
		return CUT;
	if (header[0] / 16 != 6)
		return BROKEN;
	reader->ip_end = reader->ip + 40 + word(header + 4);
	reader->end = smaller(reader->end, reader->ip_end);
	return leads_to_tcp(reader, header[6]) ? read_protocol(reader, header[6]) : NO_SYN;
}

static enum reading read_ip(struct reader *reader, enum mssbpf_family family)
{
	reader->known_family = true;
	reader->family = family;
	reader->ip = reader->position;
	return family == MSSBPF_IPV4 ? read_ipv4(reader) : read_ipv6(reader);
}

static enum reading read_pppoe(struct reader *reader)
{
	const uint8_t *header;

	reader->pppoe = reader->position;
	header = take(reader, 8);
	if (!header || header[0] != 0x11 || header[1] != 0)
		return NO_SYN;
	reader->pppoe_end = reader->pppoe + 6 + word(header + 4);
	if (word(header + 6) == PPP_IPV4)
		return read_ip(reader, MSSBPF_IPV4);
	if (word(header + 6) == PPP_IPV6)
		return read_ip(reader, MSSBPF_IPV6);
	return NO_SYN;
}

static enum reading read_ethertype(struct reader *reader, uint16_t ethertype, size_t tags)
{
	const uint8_t *tag;

	switch (ethertype) {
	case ETHERTYPE_IPV4:
		return read_ip(reader, MSSBPF_IPV4);
	case ETHERTYPE_IPV6:
		return read_ip(reader, MSSBPF_IPV6);
	case ETHERTYPE_PPPOE:
		return reader->hook->xdp ? read_pppoe(reader) : NO_SYN;
	case ETHERTYPE_VLAN:
	case ETHERTYPE_PROVIDER:
		if (!reader->hook->ethernet || tags == TAGS_MAX)
			return NO_SYN;
		tag = take(reader, 4);
		return tag ? read_ethertype(reader, word(tag + 2), tags + 1) : NO_SYN;
	default:
		return NO_SYN;
	}
}

static enum reading read_packet(struct reader *reader)
{
	const uint8_t *header;

	reader->end = reader->length;
	if (!reader->hook->ethernet)
		return read_ethertype(reader, reader->hook->protocol, 0);
	header = take(reader, 14);
	return header ? read_ethertype(reader, word(header + 12), 0) : NO_SYN;
}

/* TCP options, taken apart. */
struct option {
	uint8_t kind;
	size_t at, length;
};

/* Returns how many there are before the list ends, or -1 if it breaks its rules (RFC 9293, 3.1 and 3.2). */
static int options_split(const uint8_t *list, size_t length, struct option options[OPTIONS_MAX])
{
	int count = 0;

	for (size_t at = 0; at < length && list[at] != OPTION_END; at += options[count++].length) {
		struct option option = { list[at], at, 1 };

		if (option.kind != OPTION_NOP) {
			if (length - at < 2)
				return -1;
			option.length = list[at + 1];
			if (option.length < 2 || option.length > length - at)
				return -1;
			if (option.kind == OPTION_MSS && option.length != MSS_LENGTH)
				return -1;
		}
		options[count] = option;
	}
	return count;
}

uint16_t reference_sum(const uint8_t *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + 1 < length; i += 2)
		sum += word(bytes + i);
	if (length % 2)
		sum += bytes[length - 1] * 256;
	return sum % 65535;
}

/* The sum of the pseudo header, for a segment that goes to this destination in the end. */
static uint32_t sum_pseudo(const struct reader *packet, const uint8_t *bytes, const uint8_t *destination)
{
	const uint8_t *ip = bytes + packet->ip;
	size_t address = packet->family == MSSBPF_IPV4 ? 4 : 16;

	return (reference_sum(packet->family == MSSBPF_IPV4 ? ip + 12 : ip + 8, address) +
		reference_sum(destination, address) + TCP + (uint32_t)(packet->ip_end - packet->tcp)) %
	       65535;
}

/*
 * The sum of all that the checksum is about, itself left out: the right checksum is its complement. What is missing of
 * the segment counts as zeros.
 */
static uint32_t sum_segment(const struct reader *packet, const uint8_t *bytes, size_t length,
			    const uint8_t *destination)
{
	size_t end = smaller(length, packet->ip_end);
	const uint8_t *tcp = bytes + packet->tcp;

	return (sum_pseudo(packet, bytes, destination) + reference_sum(tcp, 16) +
		reference_sum(tcp + 18, end - packet->tcp - 18)) %
	       65535;
}

static const uint8_t *destination_of(const struct reader *packet, const uint8_t *bytes)
{
	return bytes + packet->ip + (packet->family == MSSBPF_IPV4 ? 16 : 24);
}

enum checksum {
	COMPLETE,
	UNFINISHED, /* holds the pseudo header's sum only */
	DOUBTFUL,
};

/* XDP: the local stack leaves the pseudo header's sum in the field, and finishes it before it makes fragments. */
static enum checksum checksum_kind(const struct reader *packet)
{
	const uint8_t *destination = destination_of(packet, packet->bytes), *routing = packet->routing;
	uint16_t field = word(packet->bytes + packet->tcp + 16), pseudo;

	if (packet->fragment)
		return COMPLETE;
	if (routing && routing[3] > 0) {
		if (routing[2] == ROUTING_RPL)
			return DOUBTFUL;
		if (routing[2] != ROUTING_MOBILE && routing[2] != ROUTING_SEGMENTS)
			return COMPLETE;
		destination = routing + 8;
	}
	pseudo = sum_pseudo(packet, packet->bytes, destination);
	if (field != (pseudo ? pseudo : 0xffff))
		return COMPLETE;
	if (packet->ip_end > packet->length)
		return DOUBTFUL;
	return (sum_segment(packet, packet->bytes, packet->length, destination) + field) % 65535 ? UNFINISHED
												 : DOUBTFUL;
}

/* Writes a checksum that is as far from the right one as the one before was: right if that was right. */
static void checksum_write(struct reference_answer *answer, size_t at, uint32_t sum_before, uint32_t sum_after)
{
	uint32_t value = (word(answer->data + at) + sum_before + 65535 - sum_after) % 65535;

	set_word(answer->data + at, value);
	if (value == 0)
		answer->zero_checksums[answer->zero_checksums[0] != 0] = at;
}

static void write_tcp_checksum(struct reference_answer *answer, const struct reader *before, const struct reader *after,
			       enum checksum kind)
{
	size_t at = after->tcp + 16;

	if (kind == COMPLETE)
		checksum_write(
			answer, at,
			sum_segment(before, before->bytes, before->length, destination_of(before, before->bytes)),
			sum_segment(after, answer->data, answer->length, destination_of(after, answer->data)));
	else if (after->ip_end != before->ip_end) /* all of the pseudo header that changes */
		checksum_write(answer, at, after->ip_end - before->ip_end, 0);
}

static void lower(struct reference_answer *answer, const struct reader *packet, const struct option *options, int count,
		  uint16_t limit)
{
	for (int i = 0; i < count; i++) {
		uint8_t *value = answer->data + packet->tcp + TCP_FIXED + options[i].at + 2;

		if (options[i].kind == OPTION_MSS && word(value) > limit)
			set_word(value, limit);
	}
}

/* Puts an MSS option in front of the others: all from there to the end of the IP packet moves by its length. */
static void add(struct reference_answer *answer, const struct reader *packet, struct reader *after, uint16_t mss)
{
	uint8_t *ip = answer->data + packet->ip, *tcp = answer->data + packet->tcp, *first = tcp + TCP_FIXED;
	size_t header = ip[0] % 16 * 4;
	uint32_t sum_before = 0;

	memmove(first + MSS_LENGTH, first, packet->tcp_end - packet->tcp - TCP_FIXED);
	first[0] = OPTION_MSS;
	first[1] = MSS_LENGTH;
	set_word(first + 2, mss);
	tcp[12] += MSS_LENGTH / 4 * 16;
	after->ip_end += MSS_LENGTH;
	if (answer->length < after->ip_end)
		answer->length = after->ip_end;
	if (packet->pppoe && packet->pppoe_end < after->ip_end)
		set_word(answer->data + packet->pppoe + 4, after->ip_end - packet->pppoe - 6);
	if (packet->family == MSSBPF_IPV6) {
		set_word(ip + 4, word(ip + 4) + MSS_LENGTH);
		return;
	}
	sum_before = (reference_sum(ip, 10) + reference_sum(ip + 12, header - 12)) % 65535;
	set_word(ip + 2, word(ip + 2) + MSS_LENGTH);
	checksum_write(answer, packet->ip + 10, sum_before,
		       (reference_sum(ip, 10) + reference_sum(ip + 12, header - 12)) % 65535);
}

static bool may_grow(const struct reader *packet)
{
	return packet->tcp_end == packet->ip_end &&
	       packet->tcp_end - packet->tcp <= TCP_FIXED + OPTIONS_MAX - MSS_LENGTH && packet->headers == 0 &&
	       !packet->fragment;
}

static bool has_kind(const struct option *options, int count, uint8_t kind)
{
	for (int i = 0; i < count; i++)
		if (options[i].kind == kind)
			return true;
	return false;
}

static uint16_t last_mss(const struct reader *packet, const struct option *options, int count)
{
	uint16_t last = 0;

	for (int i = 0; i < count; i++)
		if (options[i].kind == OPTION_MSS)
			last = word(packet->bytes + packet->tcp + TCP_FIXED + options[i].at + 2);
	return last;
}

static bool has_above(const struct reader *packet, const struct option *options, int count, uint16_t limit)
{
	for (int i = 0; i < count; i++)
		if (options[i].kind == OPTION_MSS &&
		    word(packet->bytes + packet->tcp + TCP_FIXED + options[i].at + 2) > limit)
			return true;
	return false;
}

static enum mssbpf_result judge_options(const struct reader *packet, const union mssbpf_order *order, uint16_t limit,
					const struct option *options, int count)
{
	if (count < 0)
		return MSSBPF_MALFORMED;
	if (has_kind(options, count, OPTION_AO))
		return MSSBPF_TCP_AO;
	if (limit == MSSBPF_MSS_NONE)
		return MSSBPF_EXEMPT;
	if (!has_kind(options, count, OPTION_MSS))
		return order->flags & MSSBPF_ADD_MISSING && may_grow(packet) ? MSSBPF_ADDED : MSSBPF_NO_MSS;
	return has_above(packet, options, count, limit) ? MSSBPF_CLAMPED : MSSBPF_ALREADY_LOW;
}

static bool rule_matches(const struct reference_rule *rule, enum mssbpf_family family, const uint8_t *address)
{
	if (rule->family != family)
		return false;
	for (int bit = 0; bit < rule->length; bit++)
		if ((rule->address[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

/* What the device's MTU leaves. */
static uint16_t limit_of_mtu(enum mssbpf_family family, unsigned int mtu)
{
	unsigned int headers = family == MSSBPF_IPV4 ? 20 + TCP_FIXED : 40 + TCP_FIXED;

	return mtu < MTU_MIN ? MTU_MIN - headers : mtu > MTU_MAX ? MTU_MAX - headers : mtu - headers;
}

/* That of the longest prefix which the peer is in, else the device's own. */
static uint16_t limit_of(const struct reader *packet, const union mssbpf_order *order)
{
	size_t address = packet->family == MSSBPF_IPV4 ? 4 : 16;
	const uint8_t *peer = destination_of(packet, packet->bytes) - (packet->hook->egress ? 0 : address);
	const struct reference_rule *longest = NULL;

	for (size_t i = 0; i < packet->hook->rule_count; i++) {
		const struct reference_rule *rule = &packet->hook->rules[i];

		if (rule_matches(rule, packet->family, peer) && (!longest || rule->length > longest->length))
			longest = rule;
	}
	if (longest)
		return longest->mss;
	if (order->flags & (packet->family == MSSBPF_IPV4 ? MSSBPF_LIVE_IPV4 : MSSBPF_LIVE_IPV6))
		return limit_of_mtu(packet->family, packet->hook->mtu);
	return packet->family == MSSBPF_IPV4 ? order->mss4 : order->mss6;
}

static enum mssbpf_result handle_syn(const struct reader *packet, const union mssbpf_order *order,
				     struct reference_answer *answer)
{
	uint16_t limit = limit_of(packet, order), mss = limit;
	uint16_t assumed = packet->family == MSSBPF_IPV4 ? MSS_NONE_IPV4 : MSS_NONE_IPV6;
	size_t length = packet->tcp_end - packet->tcp - TCP_FIXED;
	struct option options[OPTIONS_MAX];
	enum checksum kind = COMPLETE;
	enum mssbpf_result result;
	struct reader after;
	int count;

	if (packet->authenticated)
		return MSSBPF_AH;
	count = options_split(packet->bytes + packet->tcp + TCP_FIXED, length, options);
	result = judge_options(packet, order, limit, options, count);
	answer->announced = last_mss(packet, options, count);
	if ((result != MSSBPF_CLAMPED && result != MSSBPF_ADDED) || order->flags & MSSBPF_DRY_RUN)
		return result;
	if (packet->hook->xdp)
		kind = checksum_kind(packet);
	if (kind == DOUBTFUL)
		return MSSBPF_UNWRITABLE;
	after = *packet;
	if (result == MSSBPF_CLAMPED) {
		lower(answer, packet, options, count, limit);
	} else {
		if (!(order->flags & MSSBPF_ADD_LIMIT) && assumed < limit)
			mss = assumed;
		add(answer, packet, &after, mss);
	}
	write_tcp_checksum(answer, packet, &after, kind);
	return result;
}

void reference_clamp(const struct reference_hook *hook, const union mssbpf_order *order, const uint8_t *packet,
		     size_t length, struct reference_answer *answer)
{
	struct reader reader = { .hook = hook, .bytes = packet, .length = length };
	enum reading reading = read_packet(&reader);

	memcpy(answer->data, packet, length);
	answer->length = length;
	answer->announced = 0;
	memset(answer->zero_checksums, 0, sizeof(answer->zero_checksums));
	answer->counted = reading != NO_SYN && reader.known_family;
	if (!answer->counted)
		return;
	answer->family = reader.family;
	answer->kind = !reader.known_flags ? MSSBPF_UNREADABLE : reader.flags & FLAG_ACK ? MSSBPF_SYN_ACK : MSSBPF_SYN;
	if (reading == SYN_FOUND)
		answer->result = handle_syn(&reader, order, answer);
	else
		answer->result = reading == BROKEN ? MSSBPF_MALFORMED : MSSBPF_TRUNCATED;
}

void reference_count(const struct reference_answer *answer, struct mssbpf_counters *counters)
{
	static const uint16_t bounds[] = { 536, 1220, 1360, 1380, 1400, 1412, 1420, 1436, 1440, 1448, 1452, 1460 };
	size_t bucket = 0;

	if (!answer->counted)
		return;
	counters->packets[answer->family][answer->kind][answer->result]++;
	if (!answer->announced)
		return;
	while (bucket < sizeof(bounds) / sizeof(*bounds) && answer->announced > bounds[bucket])
		bucket++;
	counters->announced[answer->family][bucket]++;
	counters->announced_bytes[answer->family] += answer->announced;
}

bool reference_agrees(const struct reference_answer *answer, const uint8_t *data, size_t length)
{
	size_t from = 0;

	if (length != answer->length)
		return false;
	for (int i = 0; i < REFERENCE_CHECKSUMS && answer->zero_checksums[i]; i++) {
		size_t at = answer->zero_checksums[i];

		if (word(data + at) % 65535 != 0 || memcmp(data + from, answer->data + from, at - from) != 0)
			return false;
		from = at + 2;
	}
	return memcmp(data + from, answer->data + from, length - from) == 0;
}
