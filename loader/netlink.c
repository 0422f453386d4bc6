// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * rtnetlink questions, by libmnl. Not a cache: every call asks the kernel.
 */
#include "netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_tunnel.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/*
 * Sends one request and calls each() for every message of the answer. The buffer takes what the kernel
 * puts into one datagram of a dump: 32 KiB at most (net/netlink/af_netlink.c, netlink_dump()).
 */
int netlink_ask(int bus, struct nlmsghdr *request, mnl_cb_t each, void *context)
{
	static char answer[32768];
	struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	ssize_t length;
	int err = 0;

	if (!socket)
		return -errno;
	/* Some questions have no answer (the qdisc of a device without one): the ACK ends those. */
	request->nlmsg_flags |= NLM_F_REQUEST | (request->nlmsg_flags & NLM_F_DUMP ? 0 : NLM_F_ACK);
	request->nlmsg_seq = 1;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, request, request->nlmsg_len) < 0) {
		err = -errno;
		goto out;
	}
	do {
		length = mnl_socket_recvfrom(socket, answer, sizeof(answer));
		if (length <= 0)
			break;
		length = mnl_cb_run(answer, length, 1, mnl_socket_get_portid(socket), each, context);
	} while (length > 0);
	if (length < 0)
		err = -errno;
out:
	mnl_socket_close(socket);
	return err;
}

void attributes_of_nest(const struct nlattr *nest, const struct nlattr **list, size_t size)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest)
	{
		if (mnl_attr_get_type(attribute) < size)
			list[mnl_attr_get_type(attribute)] = attribute;
	}
}

void attributes_of_message(const struct nlmsghdr *message, size_t skip, const struct nlattr **list, size_t size)
{
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, skip)
	{
		if (mnl_attr_get_type(attribute) < size)
			list[mnl_attr_get_type(attribute)] = attribute;
	}
}

/*
 * A GRE device without a fixed unicast remote has header_ops: its packets pass TC with the outer IP and
 * GRE header in front (net/ipv4/ip_gre.c, ipgre_tunnel_init(); net/ipv6/ip6_gre.c). With "external"
 * it has none.
 */
static void linkinfo_read(const struct nlattr *linkinfo, struct device *device)
{
	static const struct in6_addr any;
	bool gre = false, fixed = false;
	const struct nlattr *attribute, *field;

	mnl_attr_for_each_nested(attribute, linkinfo)
	{
		const char *kind = mnl_attr_get_payload(attribute);

		if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) {
			strncpy(device->kind, kind, sizeof(device->kind) - 1);
			gre = !strcmp(kind, "gre") || !strcmp(kind, "ip6gre");
			device->redirected = !strcmp(kind, "ifb");
		}
		if (mnl_attr_get_type(attribute) != IFLA_INFO_DATA)
			continue;
		mnl_attr_for_each_nested(field, attribute)
		{
			const unsigned char *remote = mnl_attr_get_payload(field);

			if (mnl_attr_get_type(field) == IFLA_GRE_COLLECT_METADATA)
				fixed = true;
			if (mnl_attr_get_type(field) != IFLA_GRE_REMOTE)
				continue;
			if (mnl_attr_get_payload_len(field) == sizeof(any.s6_addr32[0]))
				fixed |= remote[0] != 0 && remote[0] < 224; /* neither any nor multicast */
			else
				fixed |= memcmp(remote, &any, sizeof(any)) != 0;
		}
	}
	device->outer_header = gre && !fixed;
}

static bool device_read(const struct nlmsghdr *message, struct device *device)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;

	*device = (struct device){ .ifindex = info->ifi_index, .arphrd = info->ifi_type };
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		if (mnl_attr_get_type(attribute) == IFLA_MTU)
			device->mtu = mnl_attr_get_u32(attribute);
		if (mnl_attr_get_type(attribute) == IFLA_IFNAME)
			strncpy(device->name, mnl_attr_get_str(attribute), sizeof(device->name) - 1);
		if (mnl_attr_get_type(attribute) == IFLA_LINK && mnl_attr_get_u32(attribute) != device->ifindex)
			device->link = mnl_attr_get_u32(attribute);
		if (mnl_attr_get_type(attribute) == IFLA_LINK_NETNSID)
			device->link_elsewhere = true;
		if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
			linkinfo_read(attribute, device);
	}
	return *device->name;
}

static int device_store(const struct nlmsghdr *message, void *context)
{
	device_read(message, context);
	return MNL_CB_STOP;
}

int device_get(const char *name, struct device *device)
{
	char buffer[MNL_NLMSG_HDRLEN + 512];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	int err;

	if (!*name || strlen(name) >= ALTIFNAMSIZ)
		return -ENODEV;
	request->nlmsg_type = RTM_GETLINK;
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, strlen(name) < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, name);
	*device = (struct device){};
	err = netlink_ask(NETLINK_ROUTE, request, device_store, device);
	return err ?: device->ifindex ? 0 : -ENODEV;
}

struct data_reader {
	int (*each)(const struct nlattr *data, void *context);
	void *context;
	int err;
};

static int device_data_read(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *info[IFLA_MAX + 1] = {}, *parts[IFLA_INFO_MAX + 1] = {};
	struct data_reader *reader = context;

	attributes_of_message(message, sizeof(struct ifinfomsg), info, IFLA_MAX + 1);
	if (info[IFLA_LINKINFO])
		attributes_of_nest(info[IFLA_LINKINFO], parts, IFLA_INFO_MAX + 1);
	if (parts[IFLA_INFO_DATA])
		reader->err = reader->each(parts[IFLA_INFO_DATA], reader->context);
	return MNL_CB_STOP;
}

int device_data_get(unsigned int ifindex, int (*each)(const struct nlattr *data, void *context), void *context)
{
	struct data_reader reader = { .each = each, .context = context };
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

	request->nlmsg_type = RTM_GETLINK;
	info->ifi_index = ifindex;
	return netlink_ask(NETLINK_ROUTE, request, device_data_read, &reader) ?: reader.err;
}

static int devices_append(const struct nlmsghdr *message, void *context)
{
	struct devices *devices = context;
	struct device *grown = reallocarray(devices->list, devices->count + 1, sizeof(*grown));

	if (!grown) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	devices->list = grown;
	if (device_read(message, &devices->list[devices->count]))
		devices->count++;
	return MNL_CB_OK;
}

static int device_compare(const void *one, const void *other)
{
	const struct device *a = one, *b = other;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

int devices_get(struct devices *devices)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	int err;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	do { /* -EINTR: devices came or went meanwhile */
		*devices = (struct devices){};
		err = netlink_ask(NETLINK_ROUTE, request, devices_append, devices);
		if (err)
			devices_free(devices);
	} while (err == -EINTR);
	if (!err && devices->count)
		qsort(devices->list, devices->count, sizeof(*devices->list), device_compare);
	return err;
}

void devices_free(struct devices *devices)
{
	free(devices->list);
	*devices = (struct devices){};
}

const struct device *devices_find(const struct devices *devices, unsigned int ifindex)
{
	struct device key = { .ifindex = ifindex };

	if (!devices->count)
		return NULL;
	return bsearch(&key, devices->list, devices->count, sizeof(key), device_compare);
}

/* Writes a request about the device's TC objects below `parent` into the buffer. */
static struct nlmsghdr *tc_request(char *buffer, unsigned int type, unsigned int ifindex, unsigned int parent)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));

	request->nlmsg_type = type;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	return request;
}

static int qdisc_kind(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct tcmsg))
	{
		if (mnl_attr_get_type(attribute) == TCA_KIND && !strcmp(mnl_attr_get_str(attribute), "ingress"))
			*(int *)context = CLSACT_INGRESS;
	}
	return MNL_CB_OK;
}

int clsact_find(unsigned int ifindex)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = tc_request(buffer, RTM_GETQDISC, ifindex, TC_H_CLSACT);
	struct tcmsg *tc = mnl_nlmsg_get_payload(request);
	int err, kind = CLSACT_QDISC;

	/* The kernel compares the handle, and describes the qdisc to who asks for an echo. */
	tc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	request->nlmsg_flags = NLM_F_ECHO;
	err = netlink_ask(NETLINK_ROUTE, request, qdisc_kind, &kind);
	if (err == -ENOENT || err == -EINVAL)
		return CLSACT_NONE;
	return err ?: kind;
}

struct place {
	unsigned short priority;
	unsigned int handle;
	const char *name_prefix;
	struct clsact_side *side;
};

static void bpf_filter_read(const struct nlattr *options, const struct place *place)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, options)
	{
		if (mnl_attr_get_type(attribute) == TCA_BPF_ID)
			place->side->program = mnl_attr_get_u32(attribute);
		if (mnl_attr_get_type(attribute) == TCA_BPF_NAME)
			place->side->ours =
				!strncmp(mnl_attr_get_str(attribute), place->name_prefix, strlen(place->name_prefix));
	}
}

static int filter_read(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(message);
	const struct place *place = context;
	const struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWTFILTER)
		return MNL_CB_OK;
	if (TC_H_MAJ(tc->tcm_info) >> 16 != place->priority || (tc->tcm_handle && tc->tcm_handle != place->handle)) {
		place->side->others = true;
		return MNL_CB_OK;
	}
	if (!tc->tcm_handle) /* the head of the list of this priority */
		return MNL_CB_OK;
	place->side->taken = true;
	mnl_attr_for_each(attribute, message, sizeof(*tc))
	{
		if (mnl_attr_get_type(attribute) == TCA_OPTIONS)
			bpf_filter_read(attribute, place);
	}
	return MNL_CB_OK;
}

int clsact_look(unsigned int ifindex, unsigned int minor, unsigned short priority, unsigned int handle,
		const char *name_prefix, struct clsact_side *side)
{
	struct place place = { .priority = priority, .handle = handle, .name_prefix = name_prefix, .side = side };
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = tc_request(buffer, RTM_GETTFILTER, ifindex, TC_H_MAKE(TC_H_CLSACT, minor));
	int err;

	request->nlmsg_flags = NLM_F_DUMP;
	do { /* -EINTR: filters came or went meanwhile */
		*side = (struct clsact_side){};
		err = netlink_ask(NETLINK_ROUTE, request, filter_read, &place);
	} while (err == -EINTR);
	return err;
}
