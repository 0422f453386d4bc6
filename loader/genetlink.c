// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Generic netlink: families by name, and requests to them. Not a cache.
 */
#include "genetlink.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>

struct wanted {
	const char *name;
	int number;
};

static int family_read(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *parts[CTRL_ATTR_MAX + 1] = {};
	struct wanted *wanted = context;

	attributes_of_message(message, sizeof(struct genlmsghdr), parts, CTRL_ATTR_MAX + 1);
	if (!strcmp(attribute_text(parts[CTRL_ATTR_FAMILY_NAME]), wanted->name))
		wanted->number = attribute_number(parts[CTRL_ATTR_FAMILY_ID]);
	return MNL_CB_OK;
}

struct nlmsghdr *genetlink_dump(char *buffer, int family, unsigned char command, unsigned char version)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	request->nlmsg_type = family;
	request->nlmsg_flags = NLM_F_DUMP;
	header->cmd = command;
	header->version = version;
	return request;
}

int genetlink_family(const char *name)
{
	struct wanted wanted = { .name = name };
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = genetlink_dump(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	int err;

	do { /* -EINTR: families came or went meanwhile */
		err = netlink_ask(NETLINK_GENERIC, request, family_read, &wanted);
	} while (err == -EINTR);
	return err ?: wanted.number ?: -ENOENT;
}
