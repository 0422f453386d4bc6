// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer: a list of options through the option walk, and as those of a SYN through the reference. The first two
 * bytes are the limit.
 */
#include "reference.h"

#include <stdlib.h>
#include <string.h>

#include "clamp.h"

enum {
	IP_LENGTH = 20,
	AT = IP_LENGTH + TCP_HEADER_MIN,
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct reference_hook hook = { .protocol = 0x0800 };
	uint8_t packet[AT + TCP_OPTIONS_MAX] = { 0x45, [9] = 6, [33] = 0x02 };
	static struct reference_answer answer;
	union mssbpf_order order = {};
	enum mssbpf_result result;
	struct options_walk walk;
	size_t length = size - 2;

	if (size < 2 || length > TCP_OPTIONS_MAX || length % 4)
		return -1;
	order.mss4 = word(data);
	memcpy(packet + AT, data + 2, length);
	packet[3] = AT + length;
	packet[IP_LENGTH + 12] = (TCP_HEADER_MIN + length) / 4 << 4;
	reference_clamp(&hook, &order, packet, AT + length, &answer);

	/* From the input itself, behind whose end nothing may be read. */
	result = options_walk(data + 2 - TCP_HEADER_MIN, data + size, 0, TCP_HEADER_MIN + length, order.mss4, &walk);
	check(answer.counted && answer.result == result);
	check(result == MSSBPF_MALFORMED || (uint16_t)walk.announced == answer.announced);
	if (result != MSSBPF_CLAMPED)
		return 0;
	for (__u32 i = 0; i < ABOVE_WORDS && !above_ends(&walk, i); i++)
		if (above_at(&walk, i))
			memcpy(packet + IP_LENGTH + above_at(&walk, i), (uint8_t[]){ data[0], data[1] }, 2);
	check(memcmp(packet + AT, answer.data + AT, length) == 0);
	check((uint16_t)~checksum_fold(walk.change + 0xffff) % 65535 == word(answer.data + IP_LENGTH + 16) % 65535);
	return 0;
}
