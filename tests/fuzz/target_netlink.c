// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer: answers of the kernel through everything that decodes them. The first byte picks what is asked, the second
 * the kind of the device that it is asked about; the rest are the answers, see kernel.h.
 */
#include <ahead.h>
#include <detect.h>

#include <linux/if_arp.h>
#include <linux/pkt_sched.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum { IFINDEX = 7, LINK = 3 };

/* Those that loader/tunnel.c knows. */
static const char *const kinds[] = {
	"",	   "geneve", "gre",  "gretap", "ip6gre", "ip6gretap", "ip6tnl",	   "ipip", "ipvlan", "macsec",
	"macvlan", "sit",    "vlan", "vti",    "vti6",	 "vxlan",     "wireguard", "xfrm", "other",
};

static void ask_device(const char *kind)
{
	struct device device;

	(void)kind;
	if (device_get("eth0", &device) == 0 && (!device.ifindex || !memchr(device.name, '\0', sizeof(device.name))))
		abort();
}

static void ask_devices(const char *kind)
{
	struct devices devices;

	(void)kind;
	if (devices_get(&devices))
		return;
	for (size_t i = 0; i < devices.count; i++)
		if (!devices_find(&devices, devices.list[i].ifindex))
			abort();
	devices_free(&devices);
}

static void ask_filters(const char *kind)
{
	struct clsact_place places[40] = {};
	struct clsact_side side;

	(void)kind;
	clsact_find(IFINDEX);
	clsact_look(IFINDEX, TC_H_MIN_EGRESS, 77, 0x4d5353, "mssbpf_", &side);
	clsact_programs(places, ARRAY_SIZE(places), 77, 0x4d5353);
}

static void ask_xdp(const char *kind)
{
	struct xdp_programs programs;

	(void)kind;
	xdp_look(IFINDEX, &programs);
}

static void ask_ways(const char *kind)
{
	struct device device = {
		.ifindex = IFINDEX, .mtu = 1500, .arphrd = ARPHRD_ETHER, .link = LINK, .name = "eth0"
	};
	struct ways ways;

	strcpy(device.kind, kind);
	if (ways_get(&device, &ways) == 0)
		free(ways.list);
}

static void ask_route(const char *kind)
{
	static const struct flow flow = { .remote = { .family = AF_INET, .bytes = { 192, 0, 2, 1 } } };
	struct route route;

	(void)kind;
	if (route_get(&flow, &route) == 0 && !route.oif)
		abort();
}

static void ask_all(const char *kind)
{
	struct search *search = search_begin();
	struct detection detection;

	(void)kind;
	if (search && device_detect(search, IFINDEX, &detection) == 0 &&
	    path_mtu(&detection.path) > detection.path.link_mtu)
		abort();
	search_end(search);
}

/* The programs that it asks the kernel for beside are those of the loopback interface. */
static void ask_ahead(const char *kind)
{
	static const struct mssbpf_key key = { 1, MSSBPF_EGRESS };
	struct ahead *list;
	size_t count;

	(void)kind;
	if (ahead_list(&key, HOOK_CLSACT, 0, &list, &count) == 0)
		free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const questions[])(const char *kind) = { ask_device, ask_devices, ask_filters, ask_xdp,
							       ask_ways,   ask_route,	ask_all,     ask_ahead };

	if (size < 2)
		return -1;
	kernel_answers(data + 2, size - 2);
	questions[data[0] % ARRAY_SIZE(questions)](kinds[data[1] % ARRAY_SIZE(kinds)]);
	return 0;
}
