// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Answers to netlink requests, from bytes. Each message is in memory of its own length, so that reading behind its end
 * shows.
 */
#include "kernel.h"

#include <errno.h>
#include <netlink.h>
#include <stdlib.h>
#include <string.h>

static struct {
	const uint8_t *bytes;
	size_t size;
} rest;

void kernel_answers(const uint8_t *bytes, size_t size)
{
	rest.bytes = bytes;
	rest.size = size;
}

/* Takes up to `size` bytes; what there is no more is zero. */
static void take(void *to, size_t size)
{
	size_t some = size < rest.size ? size : rest.size;

	memset(to, 0, size);
	if (!some)
		return;
	memcpy(to, rest.bytes, some);
	rest.bytes += some;
	rest.size -= some;
}

/* The next message; the caller frees it. */
static struct nlmsghdr *message_make(void)
{
	uint16_t type, length;
	struct nlmsghdr *message;

	take(&type, sizeof(type));
	take(&length, sizeof(length));
	if (length > rest.size)
		length = rest.size;
	message = calloc(1, MNL_ALIGN(sizeof(*message) + length)); /* the padding belongs to it */
	if (!message)
		abort();
	message->nlmsg_type = type;
	message->nlmsg_len = sizeof(*message) + length;
	take(message + 1, length);
	return message;
}

/* How many messages the next answer has, or -errno. */
static int answer_begin(void)
{
	uint8_t first;

	take(&first, sizeof(first));
	return first <= KERNEL_ERRNO_MAX ? -first : first - KERNEL_ERRNO_MAX;
}

int netlink_ask(int bus, struct nlmsghdr *request, mnl_cb_t each, void *context)
{
	int count = answer_begin(), verdict = MNL_CB_OK;

	(void)bus;
	(void)request;
	for (int i = 0; i < count && verdict > MNL_CB_STOP && rest.size; i++) {
		struct nlmsghdr *message = message_make();

		verdict = each(message, context);
		free(message);
	}
	return count < 0 ? count : verdict == MNL_CB_ERROR ? -errno : 0;
}

int netlink_ask_all(int bus, struct nlmsghdr *requests, size_t count, netlink_each each, void *context)
{
	(void)bus;
	(void)requests;
	for (size_t i = 0; i < count && rest.size; i++) {
		if (answer_begin() > 0) {
			struct nlmsghdr *message = message_make();

			each(i, message, context);
			free(message);
		}
	}
	return 0;
}
