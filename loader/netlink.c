// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What rtnetlink's answers say about devices and TC filters. Not a cache: every call asks the kernel. How it asks is
 * netlink_socket.c's.
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

const void *message_header(const struct nlmsghdr *message, size_t size)
{
	return mnl_nlmsg_get_payload_len(message) >= size ? mnl_nlmsg_get_payload(message) : NULL;
}

unsigned int attribute_number(const struct nlattr *attribute)
{
	switch (attribute ? mnl_attr_get_payload_len(attribute) : 0) {
	case 1:
		return mnl_attr_get_u8(attribute);
	case 2:
		return mnl_attr_get_u16(attribute);
	case 4:
		return mnl_attr_get_u32(attribute);
	default:
		return 0;
	}
}

const char *attribute_text(const struct nlattr *attribute)
{
	return attribute && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(attribute) : "";
}

const void *attribute_bytes(const struct nlattr *attribute, size_t size)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= size ? mnl_attr_get_payload(attribute) : NULL;
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
		if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) {
			const char *kind = attribute_text(attribute);

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
			if (mnl_attr_get_payload_len(field) == sizeof(any))
				fixed |= memcmp(remote, &any, sizeof(any)) != 0;
		}
	}
	device->outer_header = gre && !fixed;
}

bool device_read(const struct nlmsghdr *message, struct device *device)
{
	const struct ifinfomsg *info = message_header(message, sizeof(*info));
	const struct nlattr *attribute;

	if (!info)
		return false;
	*device = (struct device){ .ifindex = info->ifi_index, .arphrd = info->ifi_type };
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		if (mnl_attr_get_type(attribute) == IFLA_MTU)
			device->mtu = attribute_number(attribute);
		if (mnl_attr_get_type(attribute) == IFLA_IFNAME)
			strncpy(device->name, attribute_text(attribute), sizeof(device->name) - 1);
		if (mnl_attr_get_type(attribute) == IFLA_LINK && attribute_number(attribute) != device->ifindex)
			device->link = attribute_number(attribute);
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

/* Asks for all about one device. Like netlink_ask(). */
static int link_ask(unsigned int ifindex, mnl_cb_t read, void *context)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

	request->nlmsg_type = RTM_GETLINK;
	info->ifi_index = ifindex;
	return netlink_ask(NETLINK_ROUTE, request, read, context);
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

	return link_ask(ifindex, device_data_read, &reader) ?: reader.err;
}

static int packets_read(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *parts[IFLA_STATS_MAX + 1] = {};
	struct device_packets *packets = context;
	const __u64 *counts; /* a struct rtnl_link_stats64, of which later kernels have more */

	attributes_of_message(message, sizeof(struct if_stats_msg), parts, IFLA_STATS_MAX + 1);
	counts = attribute_bytes(parts[IFLA_STATS_LINK_64], 2 * sizeof(*counts));
	if (counts)
		*packets = (struct device_packets){ .received = counts[0], .sent = counts[1] };
	return MNL_CB_STOP;
}

int device_packets_get(unsigned int ifindex, struct device_packets *packets)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct if_stats_msg *wanted = mnl_nlmsg_put_extra_header(request, sizeof(*wanted));

	request->nlmsg_type = RTM_GETSTATS;
	wanted->ifindex = ifindex;
	wanted->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
	*packets = (struct device_packets){};
	return netlink_ask(NETLINK_ROUTE, request, packets_read, packets);
}

static int xdp_read(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *info[IFLA_MAX + 1] = {}, *parts[IFLA_XDP_MAX + 1] = {};
	struct xdp_programs *programs = context;

	attributes_of_message(message, sizeof(struct ifinfomsg), info, IFLA_MAX + 1);
	if (info[IFLA_XDP])
		attributes_of_nest(info[IFLA_XDP], parts, IFLA_XDP_MAX + 1);
	programs->native = attribute_number(parts[IFLA_XDP_DRV_PROG_ID]);
	programs->generic = attribute_number(parts[IFLA_XDP_SKB_PROG_ID]);
	programs->offloaded = attribute_number(parts[IFLA_XDP_HW_PROG_ID]);
	return MNL_CB_STOP;
}

int xdp_look(unsigned int ifindex, struct xdp_programs *programs)
{
	*programs = (struct xdp_programs){};
	return link_ask(ifindex, xdp_read, programs);
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
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
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
		if (mnl_attr_get_type(attribute) == TCA_KIND && !strcmp(attribute_text(attribute), "ingress"))
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
			place->side->program = attribute_number(attribute);
		if (mnl_attr_get_type(attribute) == TCA_BPF_NAME)
			place->side->ours =
				!strncmp(attribute_text(attribute), place->name_prefix, strlen(place->name_prefix));
	}
}

static int filter_read(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *tc = message_header(message, sizeof(*tc));
	const struct place *place = context;
	const struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWTFILTER || !tc)
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

int clsact_dump(unsigned int ifindex, unsigned int minor, mnl_cb_t each, void *context)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = tc_request(buffer, RTM_GETTFILTER, ifindex, TC_H_MAKE(TC_H_CLSACT, minor));

	request->nlmsg_flags = NLM_F_DUMP;
	return netlink_ask(NETLINK_ROUTE, request, each, context);
}

int clsact_look(unsigned int ifindex, unsigned int minor, unsigned short priority, unsigned int handle,
		const char *name_prefix, struct clsact_side *side)
{
	struct place place = { .priority = priority, .handle = handle, .name_prefix = name_prefix, .side = side };
	int err;

	do { /* -EINTR: filters came or went meanwhile */
		*side = (struct clsact_side){};
		err = clsact_dump(ifindex, minor, filter_read, &place);
	} while (err == -EINTR);
	return err;
}

static void program_read(size_t index, const struct nlmsghdr *message, void *context)
{
	const struct nlattr *parts[TCA_MAX + 1] = {}, *options[TCA_BPF_MAX + 1] = {};
	struct clsact_place *places = context;

	attributes_of_message(message, sizeof(struct tcmsg), parts, TCA_MAX + 1);
	if (parts[TCA_OPTIONS])
		attributes_of_nest(parts[TCA_OPTIONS], options, TCA_BPF_MAX + 1);
	places[index].program = attribute_number(options[TCA_BPF_ID]);
}

int clsact_programs(struct clsact_place *places, size_t count, unsigned short priority, unsigned int handle)
{
	/* Few enough for the answers to fit the socket's buffer, 208 KiB by default, even at a page each. */
	enum { AT_ONCE = 32, REQUEST_SIZE = MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct tcmsg)) };
	char buffer[AT_ONCE * REQUEST_SIZE] __attribute__((aligned(MNL_ALIGNTO)));
	int err = 0;

	for (size_t done = 0; done < count && !err; done += AT_ONCE) {
		size_t some = count - done < AT_ONCE ? count - done : AT_ONCE;

		for (size_t i = 0; i < some; i++) {
			struct clsact_place *place = &places[done + i];
			struct nlmsghdr *request = tc_request(buffer + i * REQUEST_SIZE, RTM_GETTFILTER, place->ifindex,
							      TC_H_MAKE(TC_H_CLSACT, place->minor));
			struct tcmsg *tc = mnl_nlmsg_get_payload(request);

			tc->tcm_handle = handle;
			tc->tcm_info = TC_H_MAKE((unsigned int)priority << 16, 0); /* of any protocol */
			place->program = 0;
		}
		err = netlink_ask_all(NETLINK_ROUTE, (struct nlmsghdr *)buffer, some, program_read, places + done);
	}
	return err;
}
