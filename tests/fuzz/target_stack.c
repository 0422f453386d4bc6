// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer: the text of a stack of layers, and the arithmetic over it. The first two bytes are the link's MTU.
 */
#include <overhead.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(int holds)
{
	if (!holds)
		abort();
}

/* Goes through the layers of a stack: what is left gets smaller, and is said again as the same stack. */
static void enter(const struct stack *stack, unsigned int mtu)
{
	char why[WHY_SIZE], text[PATH_TEXT_SIZE], encap[STACK_TEXT_SIZE];
	unsigned int left = mtu;
	struct stack again;
	struct path path;

	path_begin(&path, "eth0", mtu);
	if (path_enter(&path, stack, why))
		return;
	for (size_t i = 0; i < path.count; i++) {
		check(path.steps[i].left <= left && path.steps[i].bytes == left - path.steps[i].left);
		check(path.steps[i].padding <= path.steps[i].bytes);
		left = path.steps[i].left;
	}
	check(path_mtu(&path) == left && left >= MTU_MIN_IPV4);
	path_describe(&path, text);
	check(memchr(text, '\0', sizeof(text)) != NULL);
	if (path_encap(&path, encap) == 0)
		check(stack_parse(encap, &again, why) == 0 && again.count == stack->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[WHY_SIZE] = "";
	struct stack stack;
	unsigned int mtu;
	char *text;

	if (size < 2)
		return -1;
	mtu = data[0] << 8 | data[1];
	text = strndup((const char *)data + 2, size - 2);
	check(text != NULL);
	if (stack_parse(text, &stack, why))
		check(*why && memchr(why, '\0', sizeof(why)));
	else if (mtu >= MTU_MIN_IPV4)
		enter(&stack, mtu);
	free(text);
	return 0;
}
