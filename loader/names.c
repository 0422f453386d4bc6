// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Interface names by rtnetlink's news. Not for who asks once: that is netlink.c.
 */
#include "names.h"

#include "netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* The first place in the list whose ifindex is not smaller. */
static size_t place_find(const struct names *names, unsigned int ifindex)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (names->list[middle].ifindex < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int name_set(struct names *names, const struct device *device)
{
	size_t place = place_find(names, device->ifindex);

	if (place == names->count || names->list[place].ifindex != device->ifindex) {
		struct name *grown = reallocarray(names->list, names->count + 1, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->list = grown;
		memmove(&grown[place + 1], &grown[place], (names->count++ - place) * sizeof(*grown));
		grown[place].ifindex = device->ifindex;
	}
	memcpy(names->list[place].text, device->name, sizeof(names->list[place].text));
	return 0;
}

static int names_fill(struct names *names)
{
	struct devices devices;
	int err = devices_get(&devices);

	for (size_t i = 0; i < devices.count && !err; i++)
		err = name_set(names, &devices.list[i]);
	devices_free(&devices);
	return err;
}

int names_open(struct names *names)
{
	*names = (struct names){ .socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK) };
	if (!names->socket || mnl_socket_bind(names->socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return names_fill(names); /* after the socket listens: nothing is missed */
}

void names_close(struct names *names)
{
	if (names->socket)
		mnl_socket_close(names->socket);
	free(names->list);
}

static int news_read(const struct nlmsghdr *message, void *context)
{
	struct device device;

	if (message->nlmsg_type != RTM_NEWLINK || !device_read(message, &device))
		return MNL_CB_OK;
	errno = -name_set(context, &device);
	return errno ? MNL_CB_ERROR : MNL_CB_OK;
}

int names_update(struct names *names)
{
	union {
		struct nlmsghdr first;
		char bytes[32768];
	} news;

	for (;;) {
		ssize_t length = mnl_socket_recvfrom(names->socket, &news, sizeof(news));

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && errno == ENOBUFS) /* there was more than the socket holds */
			length = names_fill(names) ? -1 : 0;
		else if (length > 0)
			length = mnl_cb_run(&news, length, 0, 0, news_read, names);
		if (length < 0)
			return errno == EAGAIN ? 0 : -errno;
	}
}

const char *names_find(const struct names *names, unsigned int ifindex)
{
	size_t place = place_find(names, ifindex);

	return place < names->count && names->list[place].ifindex == ifindex ? names->list[place].text : NULL;
}
