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
	uint8_t options[TCP_OPTIONS_MAX] = {}, packet[AT + TCP_OPTIONS_MAX] = { 0x45, [9] = 6, [33] = 0x02 };
	static struct reference_answer answer;
	union mssbpf_order order = {};
	enum mssbpf_result result;
	size_t length = size - 2;
	__u32 change;

	if (size < 2 || length > TCP_OPTIONS_MAX || length % 4)
		return -1;
	order.mss4 = word(data);
	memcpy(options, data + 2, length);
	memcpy(packet + AT, data + 2, length);
	packet[3] = AT + length;
	packet[IP_LENGTH + 12] = (TCP_HEADER_MIN + length) / 4 << 4;
	reference_clamp(&hook, &order, packet, AT + length, &answer);

	result = options_clamp(options, length, order.mss4, &change);
	check(answer.counted && answer.result == result);
	if (result != MSSBPF_CLAMPED)
		return 0;
	check(memcmp(options, answer.data + AT, length) == 0);
	check((uint16_t)~checksum_fold(change + 0xffff) % 65535 == word(answer.data + IP_LENGTH + 16) % 65535);
	return 0;
}
