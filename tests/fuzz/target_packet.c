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
static enum mssbpf_result clamp(const struct reference_hook *hook, const uint8_t *packet, size_t length,
				const struct syn *syn, uint16_t limit, const struct reference_answer *answer)
{
	static uint8_t lowered[REFERENCE_PACKET_MAX];
	enum mssbpf_result result;
	struct options_walk walk;
	uint16_t field;

	if (syn->cover == NEXTHDR_AUTH)
		return MSSBPF_AH;
	result = options_walk(packet, packet + length, syn->tcp_offset, syn->tcp_length, limit, &walk);
	check(result == MSSBPF_MALFORMED || (uint16_t)walk.announced == answer->announced);
	if (result != MSSBPF_CLAMPED || hook->xdp)
		return result;
	memcpy(lowered, packet, length);
	for (__u32 i = 0; i < ABOVE_WORDS && !above_ends(&walk, i); i++)
		if (above_at(&walk, i))
			memcpy(lowered + syn->tcp_offset + above_at(&walk, i), &(__be16){ bpf_htons(limit) }, 2);
	field = ~checksum_fold(walk.change + (uint16_t)~word(packet + syn->tcp_offset + TCP_CHECKSUM));
	check(field % 65535 == word(answer->data + syn->tcp_offset + TCP_CHECKSUM) % 65535);
	memcpy(lowered + syn->tcp_offset + TCP_CHECKSUM, answer->data + syn->tcp_offset + TCP_CHECKSUM, 2);
	check(memcmp(lowered, answer->data, length) == 0);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct beginning *beginning = (const void *)data;
	const uint8_t *packet = data + sizeof(*beginning);
	static struct reference_answer answer;
	size_t length = size - sizeof(*beginning);
	struct reference_hook hook = {};
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
			check(clamp(&hook, packet, length, &syn, order.mss4, &answer) == answer.result);
		else
			check(answer.result == (verdict == PARSE_MALFORMED ? MSSBPF_MALFORMED : MSSBPF_TRUNCATED));
	}
	/* What a glance lets pass has to be nothing. */
	if (parse(&hook, packet, length, PARSE_GLANCE, &syn, &notes) == PARSE_OTHER)
		check(verdict == PARSE_OTHER);
	return 0;
}
