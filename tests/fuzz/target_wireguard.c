// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer: what a WireGuard program behind a TUN device may answer.
 */
#include <ways.h>

#include <stdlib.h>
#include <string.h>

#include "kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ways ways = {};
	char *text = strndup((const char *)data, size);
	struct stack stack;
	char why[WHY_SIZE];

	if (!text)
		abort();
	kernel_answers(NULL, 0);
	wireguard_text_ways(text, &ways);
	for (size_t i = 0; i < ways.count; i++)
		if (stack_parse(ways.list[i].layers, &stack, why))
			abort();
	free(ways.list);
	free(text);
	return 0;
}
