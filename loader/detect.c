// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Follows a device's ways down to the links that carry them, and back up through the layers. Not where the
 * ways come from.
 */
#include "detect.h"

#include "cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is known of a device by now, or being found out: each is looked at once. */
struct known {
	bool busy;
	int err;
	struct detection detection;
};

struct search {
	struct devices devices;
	struct known **known; /* one for each of the devices, NULL: not looked at yet */
	size_t depth;	      /* of devices that are being looked at */
	bool looped;	      /* what is known of some leaves out ways back to the one that was looked at first */
};

static int device_search(struct search *search, const struct device *device, const struct detection **found);

/* Where a peer is that may be anywhere: behind the default route. Addresses that no narrower route is for. */
static int roaming_route_get(const struct way *way, struct route *route)
{
	static const unsigned char anywhere6[16] = { 0x20, [15] = 1 }; /* the first global unicast addresses */
	static const unsigned char anywhere4[4] = { 192, 0, 0, 8 };    /* RFC 7600 4.8: nobody has it */
	struct flow flow = way->flow;
	int err;

	flow.remote = address_of(anywhere6, sizeof(anywhere6));
	err = route_get(&flow, route);
	if (!err)
		return 0;
	flow.remote = address_of(anywhere4, sizeof(anywhere4));
	return route_get(&flow, route);
}

/* Finds the device that a way leaves by. Says what is wrong. */
static int way_route_get(const struct device *device, const struct way *way, struct route *route)
{
	char text[ADDRESS_TEXT_SIZE];
	int err = 0;

	*route = (struct route){ .oif = way->flow.oif };
	if (way->kind == WAY_DEVICE)
		return 0;
	if (way->kind == WAY_ROAMING)
		err = roaming_route_get(way, route);
	else
		err = route_get(&way->flow, route);
	if (err && way->kind == WAY_ROAMING)
		error("%s: a peer without an endpoint, and no default route that it could be behind: give the MTU with "
		      "--mtu",
		      device->name);
	else if (err)
		error("%s: no route to its remote end %s: %s; mend that ('ip route get %s'), or give the MTU with --mtu",
		      device->name, address_text(&way->flow.remote, text), strerror(-err), text);
	return err;
}

/*
 * WireGuard pads to 16 bytes, but not beyond its device's MTU (drivers/net/wireguard/send.c,
 * calculate_skb_padding()): only where that is too large, padding costs.
 */
static bool pads(const struct way *way, const struct device *device, const struct path *path)
{
	static const char name[] = "/wireguard";
	size_t length = strlen(way->layers);

	return length >= strlen(name) && !strcmp(way->layers + length - strlen(name), name) &&
	       device->mtu > path_mtu(path);
}

static int layers_enter(struct path *path, const char *layers, const struct device *device)
{
	char why[WHY_SIZE];
	struct stack stack;
	int err = stack_parse(layers, &stack, why) ?: path_enter(path, &stack, why);

	if (err)
		error("%s: %s: %s", device->name, layers, why);
	return err;
}

/* Finds what one of a device's ways carries; without padding that a smaller device MTU saves: *advice. */
static int way_search(struct search *search, const struct device *device, const struct way *way, struct path *path,
		      unsigned int *advice)
{
	const struct detection *below;
	const struct device *carrier;
	char layers[STACK_TEXT_SIZE + 8];
	struct route route;
	struct path outside;
	int err = way_route_get(device, way, &route);

	if (err)
		return err;
	carrier = devices_find(&search->devices, route.oif);
	if (!carrier) {
		error("%s: what carries it (interface %u) is gone", device->name, route.oif);
		return -ENODEV;
	}
	err = device_search(search, carrier, &below);
	if (err)
		return err;
	*path = below->path;
	if (route.mtu && path_lower(path, STEP_ROUTE, "route", route.mtu))
		return -E2BIG;
	outside = *path;
	err = layers_enter(path, way->layers, device);
	*advice = path_mtu(path);
	if (err || !pads(way, device, path))
		return err;
	*path = outside;
	snprintf(layers, sizeof(layers), "%s:padded", way->layers);
	return layers_enter(path, layers, device);
}

/* Takes the worst of a device's ways. A way that leads back to the device itself cannot be followed. */
static int ways_search(struct search *search, const struct device *device, const struct ways *ways,
		       struct detection *worst)
{
	bool looped = false;

	for (size_t i = 0; i < ways->count; i++) {
		struct path path;
		unsigned int advice;
		int err = way_search(search, device, &ways->list[i], &path, &advice);

		if (err == -ELOOP) {
			looped = true;
			continue;
		}
		if (err)
			return err;
		if (!worst->ways || path_mtu(&path) < path_mtu(&worst->path)) {
			worst->path = path;
			*worst->remote = '\0';
			if (ways->list[i].kind == WAY_ROUTED)
				address_text(&ways->list[i].flow.remote, worst->remote);
		}
		if (!worst->ways || advice < worst->advice)
			worst->advice = advice;
		worst->ways++;
	}
	if (looped)
		warning("%s: the route to its remote end goes through itself here (in another network namespace it may "
			"not): what carries it is not known",
			device->name);
	return 0;
}

static int device_follow(struct search *search, const struct device *device, struct detection *detection)
{
	struct ways ways;
	int err = ways_get(device, &ways);

	if (err)
		return err;
	if (ways.open)
		warning("%s: where its packets go is decided for each, or in another network namespace: what carries "
			"them is not known, its own MTU %u counts",
			device->name, device->mtu);
	*detection = (struct detection){};
	memcpy(detection->device, device->name, sizeof(detection->device));
	path_begin(&detection->path, device->name, device->mtu);
	detection->advice = device->mtu;
	err = ways_search(search, device, &ways, detection);
	free(ways.list);
	if (err)
		return err;
	detection->fits = path_mtu(&detection->path);
	if (path_lower(&detection->path, STEP_DEVICE, device->name, device->mtu)) {
		error("%s: stands on too many devices to follow", device->name);
		return -E2BIG;
	}
	return 0;
}

static int device_search(struct search *search, const struct device *device, const struct detection **found)
{
	struct known **place = &search->known[device - search->devices.list], *known = *place;

	if (known) {
		*found = &known->detection;
		search->looped |= known->busy;
		if (!known->busy && known->err)
			error("%s: what fits through it is not known, as said above", device->name);
		return known->busy ? -ELOOP : known->err;
	}
	if (search->depth == PATH_STEPS_MAX) { /* its path would be too long, and the stack is not endless */
		error("%s: stands below %d other devices, too many to follow", device->name, PATH_STEPS_MAX);
		return -E2BIG;
	}
	known = calloc(1, sizeof(*known));
	if (!known) {
		error("%s: %s", device->name, strerror(ENOMEM));
		return -ENOMEM;
	}
	*place = known;
	known->busy = true;
	search->depth++;
	known->err = device_follow(search, device, &known->detection);
	search->depth--;
	known->busy = false;
	*found = &known->detection;
	return known->err;
}

struct search *search_begin(void)
{
	struct search *search = calloc(1, sizeof(*search));
	int err = search ? devices_get(&search->devices) : -ENOMEM;

	if (!err) {
		search->known = calloc(search->devices.count + 1, sizeof(*search->known));
		err = search->known ? 0 : -ENOMEM;
	}
	if (!err)
		return search;
	error("cannot list the interfaces: %s", strerror(-err));
	search_end(search);
	return NULL;
}

static void search_forget(struct search *search)
{
	for (size_t i = 0; search->known && i < search->devices.count; i++) {
		free(search->known[i]);
		search->known[i] = NULL;
	}
	search->looped = false;
}

void search_end(struct search *search)
{
	if (!search)
		return;
	search_forget(search);
	free(search->known);
	devices_free(&search->devices);
	free(search);
}

int device_detect(struct search *search, unsigned int ifindex, struct detection *detection)
{
	const struct device *device = devices_find(&search->devices, ifindex);
	const struct detection *found;
	int err;

	if (!device) {
		error("interface %u: gone while it was looked at", ifindex);
		return -ENODEV;
	}
	err = device_search(search, device, &found);
	if (!err)
		*detection = *found;
	if (search->looped)
		search_forget(search);
	return err;
}

void detection_warn(const struct detection *detection, const struct device *device)
{
	if (device->mtu > detection->fits)
		warning("%s: its MTU %u is larger than what fits below it, %u: larger packets are fragmented or lost; "
			"'ip link set %s mtu %u' mends it",
			device->name, device->mtu, detection->fits, device->name, detection->advice);
}
