// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The session behind an L2TPv3 Ethernet device, and the tunnel that carries it. Not PPP over L2TP: there
 * pppd sets the MTU.
 */
#include "ways.h"

#include "cli.h"
#include "genetlink.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/l2tp.h>
#include <stdio.h>
#include <string.h>

enum { PROTOCOL_L2TP = 115 }; /* RFC 3931 4.1.1; netinet/in.h does not have it */

/* The session with this device, and the tunnel with that number. */
struct reader {
	const char *interface;
	bool found;
	unsigned int tunnel;
	unsigned int cookie; /* bytes */
	bool udp;
	struct flow flow;
};

static int session_read(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *parts[L2TP_ATTR_MAX + 1] = {};
	struct reader *reader = context;

	attributes_of_message(message, sizeof(struct genlmsghdr), parts, L2TP_ATTR_MAX + 1);
	if (!parts[L2TP_ATTR_CONN_ID] || strcmp(attribute_text(parts[L2TP_ATTR_IFNAME]), reader->interface) != 0)
		return MNL_CB_OK;
	reader->found = true;
	reader->tunnel = attribute_number(parts[L2TP_ATTR_CONN_ID]);
	if (parts[L2TP_ATTR_COOKIE])
		reader->cookie = mnl_attr_get_payload_len(parts[L2TP_ATTR_COOKIE]);
	return MNL_CB_OK;
}

static int tunnel_read(const struct nlmsghdr *message, void *context)
{
	static const int local[] = { L2TP_ATTR_IP_SADDR, L2TP_ATTR_IP6_SADDR };
	static const int remote[] = { L2TP_ATTR_IP_DADDR, L2TP_ATTR_IP6_DADDR };
	const struct nlattr *parts[L2TP_ATTR_MAX + 1] = {};
	struct reader *reader = context;

	attributes_of_message(message, sizeof(struct genlmsghdr), parts, L2TP_ATTR_MAX + 1);
	if (!parts[L2TP_ATTR_CONN_ID] || attribute_number(parts[L2TP_ATTR_CONN_ID]) != reader->tunnel)
		return MNL_CB_OK;
	for (int i = 0; i < 2; i++) {
		if (parts[local[i]])
			reader->flow.local = address_of(mnl_attr_get_payload(parts[local[i]]),
							mnl_attr_get_payload_len(parts[local[i]]));
		if (parts[remote[i]])
			reader->flow.remote = address_of(mnl_attr_get_payload(parts[remote[i]]),
							 mnl_attr_get_payload_len(parts[remote[i]]));
	}
	reader->udp =
		!parts[L2TP_ATTR_ENCAP_TYPE] || attribute_number(parts[L2TP_ATTR_ENCAP_TYPE]) == L2TP_ENCAPTYPE_UDP;
	return MNL_CB_OK;
}

int l2tp_ways(const struct device *device, struct ways *ways)
{
	struct reader reader = { .interface = device->name };
	struct way way = { .kind = WAY_ROUTED };
	char buffer[MNL_NLMSG_HDRLEN + 64], cookie[8] = "";
	int err, family = genetlink_family(L2TP_GENL_NAME);

	if (family == -ENOENT)
		return 0;
	err = family < 0 ? family
			 : netlink_ask(NETLINK_GENERIC,
				       genetlink_dump(buffer, family, L2TP_CMD_SESSION_GET, L2TP_GENL_VERSION),
				       session_read, &reader);
	/* It takes CAP_NET_ADMIN to ask; who has not must not fail on every Ethernet device. */
	if (err == -EPERM || (!err && !reader.found))
		return 0;
	err = err
		      ?: netlink_ask(NETLINK_GENERIC,
				     genetlink_dump(buffer, family, L2TP_CMD_TUNNEL_GET, L2TP_GENL_VERSION),
				     tunnel_read, &reader);
	if (err) {
		error("%s: cannot read its L2TP tunnel: %s", device->name, strerror(-err));
		return err;
	}
	way.flow = reader.flow;
	way.flow.protocol = reader.udp ? IPPROTO_UDP : PROTOCOL_L2TP;
	if (reader.cookie)
		snprintf(cookie, sizeof(cookie), ":%u", reader.cookie);
	/* The kernel does not tell whether there is a sublayer: by default there is (net/l2tp/l2tp_netlink.c). */
	snprintf(way.layers, sizeof(way.layers), "%s/l2tpv3%s:sublayer%s",
		 reader.flow.remote.family == AF_INET ? "ipv4" : "ipv6", reader.udp ? ":udp" : "", cookie);
	return ways_add(ways, &way);
}
