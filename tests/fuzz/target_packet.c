// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer: a packet through the parser and the option walk, natively, and through the reference. What TC and XDP add
 * to them is the comparison's with the loaded programs.
 */
#include "reference.h"

#include <stdlib.h>
#include <string.h>

#include "parse.h"

/* What an input begins with. */
struct beginning {
	uint8_t hook; /* bit 0: XDP, bit 1: no Ethernet header */
	uint8_t limit[2];
};

static uint16_t word(const uint8_t *bytes)
{
	return bytes[0] << 8 | bytes[1];
}

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Calls the parser as the entry points do. */
static enum parse_verdict parse(const struct reference_hook *hook, const uint8_t *packet, size_t length,
				enum parse_depth depth, struct syn *syn, struct notes *notes)
{
	if (hook->ethernet)
		return parse_ethernet(packet, packet + length, depth, syn, hook->xdp ? notes : NULL);
	return parse_ip(packet, packet + length, 0, bpf_htons(hook->protocol), depth, syn, NULL);
}

/* What the options of a SYN come to; compares them and the checksum with the reference's. */
static enum mssbpf_result clamp(const struct reference_hook *hook, const uint8_t *packet, const struct syn *syn,
				uint16_t limit, const struct reference_answer *answer)
{
	uint8_t options[TCP_OPTIONS_MAX] = {};
	size_t length = syn->tcp_length - TCP_HEADER_MIN, at = syn->tcp_offset + TCP_HEADER_MIN;
	enum mssbpf_result result;
	__u32 change;
	uint16_t field;

	if (syn->covered)
		return MSSBPF_AH;
	memcpy(options, packet + at, length);
	result = options_clamp(options, length, limit, &change);
	if (result != MSSBPF_CLAMPED || hook->xdp)
		return result;
	check(memcmp(options, answer->data + at, length) == 0);
	field = ~checksum_fold(change + (uint16_t)~word(packet + syn->tcp_offset + TCP_CHECKSUM));
	check(field % 65535 == word(answer->data + syn->tcp_offset + TCP_CHECKSUM) % 65535);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct beginning *beginning = (const void *)data;
	const uint8_t *packet = data + sizeof(*beginning);
	static struct reference_answer answer;
	size_t length = size - sizeof(*beginning);
	struct reference_hook hook;
	enum parse_verdict verdict;
	union mssbpf_order order;
	struct notes notes;
	struct syn syn;

	if (size < sizeof(*beginning) + 14 || length > REFERENCE_PACKET_MAX - 4)
		return -1;
	hook.ethernet = !(beginning->hook & 2);
	hook.xdp = beginning->hook & 1 && hook.ethernet;
	hook.protocol = word(packet + 12);
	order = (union mssbpf_order){ .mss4 = word(beginning->limit), .mss6 = word(beginning->limit) };
	order.flags = hook.xdp ? MSSBPF_DRY_RUN : 0;
	reference_clamp(&hook, &order, packet, length, &answer);

	verdict = parse(&hook, packet, length, PARSE_WHOLE, &syn, &notes);
	if (verdict == PARSE_OTHER || syn.version == 0) {
		check(!answer.counted);
	} else {
		check(answer.counted);
		check(answer.family == (syn.version == 6 ? MSSBPF_IPV6 : MSSBPF_IPV4));
		check((answer.kind == MSSBPF_UNREADABLE) == !syn.flags);
		if (verdict == PARSE_SYN)
			check(clamp(&hook, packet, &syn, order.mss4, &answer) == answer.result);
		else
			check(answer.result == (verdict == PARSE_MALFORMED ? MSSBPF_MALFORMED : MSSBPF_TRUNCATED));
	}
	/* What a glance lets pass has to be nothing. */
	if (parse(&hook, packet, length, PARSE_GLANCE, &syn, &notes) == PARSE_OTHER)
		check(verdict == PARSE_OTHER);
	return 0;
}
