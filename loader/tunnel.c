// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kinds of devices, and for each how to tell the ways that its packets leave by. A new kind is a line
 * in the table. Kinds with an interface of their own have a file of their own.
 */
#include "cli.h"
#include "ways.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_macsec.h>
#include <linux/if_tunnel.h>
#include <linux/ip6_tunnel.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DATA_MAX = 64, /* attribute numbers of all kinds are below */
	DATA_SIZE = 4096,
	MACSEC_TAG = 16, /* bytes of the SecTAG with its EtherType and SCI, IEEE 802.1AE 9.3 */
};

/* What a reader is given: the device, its data by attribute number, and where its ways go. */
struct reader {
	const struct device *device;
	const struct nlattr *data[DATA_MAX];
	char copy[DATA_SIZE] __attribute__((aligned(MNL_ALIGNTO))); /* that they stand in */
	struct ways *ways;
};

int ways_add(struct ways *ways, const struct way *way)
{
	struct way *grown = reallocarray(ways->list, ways->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	ways->list = grown;
	grown[ways->count++] = *way;
	return 0;
}

static struct address address_at(const struct reader *reader, int attribute)
{
	const struct nlattr *data = reader->data[attribute];

	return data ? address_of(mnl_attr_get_payload(data), mnl_attr_get_payload_len(data)) : (struct address){};
}

/* A number of the data, 0 when it is not there. In host order as it stands. */
static unsigned int number_at(const struct reader *reader, int attribute)
{
	return attribute_number(reader->data[attribute]);
}

static const char *ip_layer(int family)
{
	return family == AF_INET ? "ipv4" : "ipv6";
}

/* Adds the layers of the outer flow's transport mode, if it has any: GRE or VXLAN in IPsec. */
static int layers_set(struct way *way, int family, const char *inside)
{
	char ipsec[STACK_TEXT_SIZE] = "";
	int err = way->flow.remote.family ? xfrm_transport_layers(&way->flow, ipsec) : 0;

	if (!err && snprintf(way->layers, sizeof(way->layers), "%s%s%s%s%s", ip_layer(family), *ipsec ? "/" : "", ipsec,
			     *inside ? "/" : "", inside) >= (int)sizeof(way->layers))
		err = -E2BIG;
	return err;
}

/*
 * Adds the way to one remote end. Without one, packets go by the device it is bound to; without that, the
 * kernel decides on each.
 */
static int way_to(const struct reader *reader, const struct flow *flow, int family, const char *inside)
{
	struct way way = { .kind = WAY_ROUTED, .flow = *flow };
	int err;

	if (!flow->remote.family || address_is_multicast(&flow->remote)) {
		if (!flow->oif) {
			reader->ways->open = true;
			return 0;
		}
		way.kind = WAY_DEVICE;
	}
	err = layers_set(&way, family, inside) ?: ways_add(reader->ways, &way);
	if (err)
		error("%s: what it puts around packets: %s", reader->device->name, strerror(-err));
	return err;
}

/* By the device below, with these layers or none around. */
static int below_read(const struct reader *reader, const char *layers)
{
	struct way way = { .kind = WAY_DEVICE, .flow.oif = reader->device->link };

	if (!reader->device->link)
		return 0;
	snprintf(way.layers, sizeof(way.layers), "%s", layers);
	return ways_add(reader->ways, &way);
}

static int stacked_read(const struct reader *reader)
{
	return below_read(reader, "");
}

/* The kernel counts a SecTAG with SCI, whether or not it sends one (drivers/net/macsec.c, macsec_newlink()). */
static int macsec_read(const struct reader *reader)
{
	unsigned int icv = number_at(reader, IFLA_MACSEC_ICV_LEN);
	char layer[LAYER_NAME_SIZE] = "macsec";

	if (icv && icv != MACSEC_STD_ICV_LEN)
		snprintf(layer, sizeof(layer), "overhead:%u", MACSEC_TAG + icv);
	return below_read(reader, layer);
}

/*
 * FOU and GUE put UDP between IP and the tunnel's own header (include/uapi/linux/if_tunnel.h), GUE with
 * remote checksum offload two more words (net/ipv4/fou_core.c, gue_encap_hlen()).
 */
static const char *udp_layer(unsigned int type, unsigned int flags)
{
	if (type == TUNNEL_ENCAP_FOU)
		return "udp";
	if (type == TUNNEL_ENCAP_GUE)
		return flags & TUNNEL_ENCAP_FLAG_REMCSUM ? "gue/overhead:8" : "gue";
	return "";
}

/*
 * With "external", where a packet goes comes with it: the kernel does not know before. VXLAN has a number for
 * that, the others a flag.
 */
static bool is_external(const struct reader *reader, int attribute)
{
	const struct nlattr *data = reader->data[attribute];
	bool external = data && (!mnl_attr_get_payload_len(data) || number_at(reader, attribute));

	reader->ways->open |= external;
	return external;
}

/* Joins layers that are there by '/'. */
static void join(char *text, size_t size, const char *one, const char *two, const char *three)
{
	const char *const words[] = { one, two, three };

	*text = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (*words[i])
			snprintf(text + strlen(text), size - strlen(text), "%s%s", *text ? "/" : "", words[i]);
}

/* gre, gretap, ip6gre, ip6gretap: the same attributes. */
static int gre_read(const struct reader *reader)
{
	const char *kind = reader->device->kind;
	bool ip6 = !strncmp(kind, "ip6", 3), tap = strstr(kind, "tap");
	unsigned int flags = number_at(reader, IFLA_GRE_OFLAGS);
	bool limit = ip6 && !(number_at(reader, IFLA_GRE_FLAGS) & IP6_TNL_F_IGN_ENCAP_LIMIT);
	const struct flow flow = {
		.remote = address_at(reader, IFLA_GRE_REMOTE),
		.local = address_at(reader, IFLA_GRE_LOCAL),
		.mark = number_at(reader, IFLA_GRE_FWMARK),
		.oif = number_at(reader, IFLA_GRE_LINK),
		.protocol = IPPROTO_GRE,
	};
	char gre[LAYER_NAME_SIZE], layers[STACK_TEXT_SIZE];

	if (is_external(reader, IFLA_GRE_COLLECT_METADATA))
		return 0;
	snprintf(gre, sizeof(gre), "%s%s%s%s", tap ? "gretap" : "gre", flags & GRE_CSUM ? ":csum" : "",
		 flags & GRE_KEY ? ":key" : "", flags & GRE_SEQ ? ":seq" : "");
	join(layers, sizeof(layers), limit ? "encaplimit" : "",
	     udp_layer(number_at(reader, IFLA_GRE_ENCAP_TYPE), number_at(reader, IFLA_GRE_ENCAP_FLAGS)), gre);
	return way_to(reader, &flow, ip6 ? AF_INET6 : AF_INET, layers);
}

/* ipip, sit, ip6tnl: the same attributes, addresses as long as the family's. */
static int iptun_read(const struct reader *reader)
{
	bool ip6 = !strcmp(reader->device->kind, "ip6tnl");
	bool limit = ip6 && !(number_at(reader, IFLA_IPTUN_FLAGS) & IP6_TNL_F_IGN_ENCAP_LIMIT);
	const struct flow flow = {
		.remote = address_at(reader, IFLA_IPTUN_REMOTE),
		.local = address_at(reader, IFLA_IPTUN_LOCAL),
		.mark = number_at(reader, IFLA_IPTUN_FWMARK),
		.oif = number_at(reader, IFLA_IPTUN_LINK),
		.protocol = !strcmp(reader->device->kind, "sit") ? IPPROTO_IPV6 : IPPROTO_IPIP,
	};
	char layers[STACK_TEXT_SIZE];

	if (is_external(reader, IFLA_IPTUN_COLLECT_METADATA))
		return 0;
	join(layers, sizeof(layers), limit ? "encaplimit" : "",
	     udp_layer(number_at(reader, IFLA_IPTUN_ENCAP_TYPE), number_at(reader, IFLA_IPTUN_ENCAP_FLAGS)), "");
	return way_to(reader, &flow, ip6 ? AF_INET6 : AF_INET, layers);
}

/* The key marks the packets that the states are for (net/ipv4/ip_vti.c, vti_tunnel_xmit()). */
static int vti_read(const struct reader *reader)
{
	const struct xfrm_filter filter = {
		.mark = ntohl(number_at(reader, IFLA_VTI_OKEY)),
		.oif = number_at(reader, IFLA_VTI_LINK),
		.local = address_at(reader, IFLA_VTI_LOCAL),
		.remote = address_at(reader, IFLA_VTI_REMOTE),
	};

	return xfrm_tunnel_ways(reader->device, &filter, reader->ways);
}

static int xfrm_read(const struct reader *reader)
{
	const struct xfrm_filter filter = {
		.if_id = number_at(reader, IFLA_XFRM_IF_ID),
		.oif = number_at(reader, IFLA_XFRM_LINK),
	};

	if (is_external(reader, IFLA_XFRM_COLLECT_METADATA))
		return 0;
	return xfrm_tunnel_ways(reader->device, &filter, reader->ways);
}

struct neighbours {
	const struct reader *reader;
	unsigned int oif; /* of those that name no interface */
	struct flow *list;
	size_t count;
};

/* One entry of the forwarding database: where frames to some address go. */
static int neighbour_read(const struct nlmsghdr *message, void *context)
{
	const struct ndmsg *info = message_header(message, sizeof(*info));
	const struct nlattr *parts[NDA_MAX + 1] = {};
	struct neighbours *neighbours = context;
	struct flow *grown, flow;

	memset(&flow, 0, sizeof(flow)); /* compared as bytes */
	flow.protocol = IPPROTO_UDP;
	attributes_of_message(message, sizeof(*info), parts, NDA_MAX + 1);
	if (!info || (unsigned int)info->ndm_ifindex != neighbours->reader->device->ifindex || !parts[NDA_DST])
		return MNL_CB_OK;
	flow.remote = address_of(mnl_attr_get_payload(parts[NDA_DST]), mnl_attr_get_payload_len(parts[NDA_DST]));
	flow.oif = parts[NDA_IFINDEX] ? attribute_number(parts[NDA_IFINDEX]) : neighbours->oif;
	for (size_t i = 0; i < neighbours->count; i++)
		if (!memcmp(&neighbours->list[i], &flow, sizeof(flow)))
			return MNL_CB_OK;
	grown = reallocarray(neighbours->list, neighbours->count + 1, sizeof(*grown));
	if (!grown) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	neighbours->list = grown;
	grown[neighbours->count++] = flow;
	return MNL_CB_OK;
}

/* The remote ends of a VXLAN device are in its forwarding database, the default one with address zero. */
static int vxlan_read(const struct reader *reader)
{
	struct neighbours neighbours = { .reader = reader, .oif = number_at(reader, IFLA_VXLAN_LINK) };
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	/* The kernel tells an ifinfomsg by its length (net/core/rtnetlink.c, rtnl_fdb_dump()). */
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	bool ip6 = reader->data[IFLA_VXLAN_GROUP6] || reader->data[IFLA_VXLAN_LOCAL6];
	struct flow flow = { .oif = neighbours.oif, .protocol = IPPROTO_UDP };
	const char *layer = reader->data[IFLA_VXLAN_GPE] ? "udp/overhead:8" : "vxlan";
	int err;

	request->nlmsg_type = RTM_GETNEIGH;
	request->nlmsg_flags = NLM_F_DUMP;
	info->ifi_family = PF_BRIDGE;
	info->ifi_index = reader->device->ifindex;
	err = netlink_ask(NETLINK_ROUTE, request, neighbour_read, &neighbours);
	if (err)
		error("%s: cannot read its forwarding database: %s", reader->device->name, strerror(-err));
	for (size_t i = 0; i < neighbours.count && !err; i++) {
		struct flow *one = &neighbours.list[i];

		one->local = address_at(reader, one->remote.family == AF_INET6 ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL);
		err = way_to(reader, one, one->remote.family, layer);
	}
	free(neighbours.list);
	if (!err && !neighbours.count && !is_external(reader, IFLA_VXLAN_COLLECT_METADATA))
		err = way_to(reader, &flow, ip6 ? AF_INET6 : AF_INET, layer);
	return err;
}

static int geneve_read(const struct reader *reader)
{
	bool ip6 = reader->data[IFLA_GENEVE_REMOTE6];
	const struct flow flow = {
		.remote = address_at(reader, ip6 ? IFLA_GENEVE_REMOTE6 : IFLA_GENEVE_REMOTE),
		.protocol = IPPROTO_UDP,
	};
	/* "innerprotoinherit": IP packets without an Ethernet header. */
	const char *layer = reader->data[IFLA_GENEVE_INNER_PROTO_INHERIT] ? "udp/overhead:8" : "geneve";

	if (is_external(reader, IFLA_GENEVE_COLLECT_METADATA))
		return 0;
	return way_to(reader, &flow, ip6 ? AF_INET6 : AF_INET, layer);
}

static int wireguard_read(const struct reader *reader)
{
	return wireguard_ways(reader->device, reader->ways);
}

static int tun_read(const struct reader *reader)
{
	return wireguard_user_ways(reader->device, reader->ways);
}

/*
 * The kernel does not tell which of the PPPoE sessions is which device: all of them count, of which there
 * is mostly one. Without any, PPP runs over something else, and its MTU is all there is to know.
 */
static int ppp_read(const struct reader *reader)
{
	FILE *sessions = fopen("/proc/self/net/pppoe", "re");
	char line[256], name[IFNAMSIZ], previous[IFNAMSIZ] = "";
	struct device carrier;
	int err = 0;

	while (sessions && !err && fgets(line, sizeof(line), sessions)) {
		struct way way = { .kind = WAY_DEVICE, .layers = "pppoe" };

		if (sscanf(line, "%*x %*17[0-9a-fA-F:] %15s", name) != 1 || !strcmp(name, previous))
			continue;
		strcpy(previous, name);
		if (device_get(name, &carrier))
			continue;
		way.flow.oif = carrier.ifindex;
		err = ways_add(reader->ways, &way);
	}
	if (sessions)
		fclose(sessions);
	return err;
}

/* Ethernet devices of L2TPv3 have no kind. */
static int kindless_read(const struct reader *reader)
{
	return reader->device->arphrd == ARPHRD_ETHER ? l2tp_ways(reader->device, reader->ways) : 0;
}

static const struct {
	const char *kind;
	int (*read)(const struct reader *reader);
} kinds[] = {
	{ "", kindless_read },	     { "geneve", geneve_read }, { "gre", gre_read },
	{ "gretap", gre_read },	     { "ip6gre", gre_read },	{ "ip6gretap", gre_read },
	{ "ip6tnl", iptun_read },    { "ipip", iptun_read },	{ "ipvlan", stacked_read },
	{ "ipvtap", stacked_read },  { "macsec", macsec_read }, { "macvlan", stacked_read },
	{ "macvtap", stacked_read }, { "ppp", ppp_read },	{ "sit", iptun_read },
	{ "tun", tun_read },	     { "vlan", stacked_read },	{ "vti", vti_read },
	{ "vti6", vti_read },	     { "vxlan", vxlan_read },	{ "wireguard", wireguard_read },
	{ "xfrm", xfrm_read },
};

static int data_keep(const struct nlattr *data, void *context)
{
	struct reader *reader = context;

	if (data->nla_len > sizeof(reader->copy))
		return -EMSGSIZE;
	memcpy(reader->copy, data, data->nla_len);
	attributes_of_nest((const struct nlattr *)reader->copy, reader->data, DATA_MAX);
	return 0;
}

int ways_get(const struct device *device, struct ways *ways)
{
	struct reader reader = { .device = device, .ways = ways };

	*ways = (struct ways){};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int err;

		if (strcmp(kinds[i].kind, device->kind) != 0)
			continue;
		if (device->link_elsewhere) { /* what is below is not to be seen from here */
			ways->open = kinds[i].read != stacked_read;
			return 0;
		}
		err = device_data_get(device->ifindex, data_keep, &reader);
		if (err)
			error("%s: cannot read what it is made of: %s", device->name, strerror(-err));
		err = err ?: kinds[i].read(&reader);
		if (err)
			free(ways->list);
		return err;
	}
	return 0;
}
