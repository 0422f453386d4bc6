// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Route lookups by RTM_GETROUTE, which obeys policy rules as a packet would. Not a cache.
 */
#include "route.h"

#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct address address_of(const void *bytes, size_t length)
{
	static const unsigned char zero[16];
	struct address address = {};

	if ((length != 4 && length != 16) || !memcmp(bytes, zero, length))
		return address;
	address.family = length == 4 ? AF_INET : AF_INET6;
	memcpy(address.bytes, bytes, length);
	return address;
}

static size_t address_length(const struct address *address)
{
	return address->family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

bool address_is_multicast(const struct address *address)
{
	if (address->family == AF_INET)
		return IN_MULTICAST(ntohl(address->v4.s_addr));
	return address->family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&address->v6);
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
	return inet_ntop(address->family, address->bytes, text, ADDRESS_TEXT_SIZE) ?: "no address";
}

static int route_read(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *info = message_header(message, sizeof(*info));
	const struct nlattr *parts[RTA_MAX + 1] = {}, *metrics[RTAX_MAX + 1] = {};
	struct route *route = context;

	if (!info)
		return MNL_CB_STOP;
	attributes_of_message(message, sizeof(*info), parts, RTA_MAX + 1);
	if (parts[RTA_METRICS])
		attributes_of_nest(parts[RTA_METRICS], metrics, RTAX_MAX + 1);
	*route = (struct route){
		.local = info->rtm_type == RTN_LOCAL,
		.oif = attribute_number(parts[RTA_OIF]),
		.mtu = attribute_number(metrics[RTAX_MTU]),
	};
	/* IPv6 answers a lookup that fails with a route of that type. */
	if (info->rtm_type != RTN_UNICAST && info->rtm_type != RTN_LOCAL && info->rtm_type != RTN_MULTICAST)
		route->oif = 0;
	return MNL_CB_STOP;
}

static int route_ask(const struct flow *flow, bool with_local, struct route *route)
{
	char buffer[MNL_NLMSG_HDRLEN + 256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	size_t length = address_length(&flow->remote);
	int err;

	request->nlmsg_type = RTM_GETROUTE;
	info->rtm_family = flow->remote.family;
	info->rtm_dst_len = 8 * length;
	mnl_attr_put(request, RTA_DST, length, flow->remote.bytes);
	if (with_local) {
		info->rtm_src_len = 8 * length;
		mnl_attr_put(request, RTA_SRC, length, flow->local.bytes);
	}
	if (flow->mark)
		mnl_attr_put_u32(request, RTA_MARK, flow->mark);
	if (flow->oif)
		mnl_attr_put_u32(request, RTA_OIF, flow->oif);
	if (flow->protocol == IPPROTO_UDP) { /* the kernel takes no others of ours */
		mnl_attr_put_u8(request, RTA_IP_PROTO, flow->protocol);
		if (flow->sport)
			mnl_attr_put_u16(request, RTA_SPORT, htons(flow->sport));
		if (flow->dport)
			mnl_attr_put_u16(request, RTA_DPORT, htons(flow->dport));
	}
	*route = (struct route){};
	err = netlink_ask(NETLINK_ROUTE, request, route_read, route);
	return err ?: route->oif ? 0 : -ENETUNREACH;
}

int route_get(const struct flow *flow, struct route *route)
{
	bool with_local = flow->local.family == flow->remote.family;
	int err = flow->remote.family ? route_ask(flow, with_local, route) : -EDESTADDRREQ;

	/* An address that is not this host's (yet) cannot be a source. */
	return err == -EINVAL && with_local ? route_ask(flow, false, route) : err;
}
