// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf attach: clamp on these interfaces from now on, or change their limits. Not the hooks
 * themselves: those are attach.c's.
 */
#include "attach.h"
#include "cli.h"
#include "netlink.h"
#include "pins.h"
#include "privileges.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ranges and header sizes in bytes. */
enum {
	MTU_MIN = 576, /* what every IPv4 host takes, RFC 1122 3.3.2 */
	MTU_MAX = 65535,
	MTU_MIN_IPV6 = 1280,   /* RFC 8200 5 */
	IPV4_TCP_HEADERS = 40, /* without options, RFC 9293 3.7.1 */
	IPV6_TCP_HEADERS = 60,
	MSS_MAX = MTU_MAX - IPV4_TCP_HEADERS,
};

static const char *const direction_words[] = { "egress", "ingress", "both", NULL };
static const char *const hook_words[] = { "tc", "tcx", "clsact", NULL };

static const struct option_spec attach_options[] = {
	{ "mtu", 'm', "N", "MTU of the path, in bytes (default: the interface's)", OPTION_NUMBER,
	  .offset = offsetof(struct options, mtu), .min = MTU_MIN, .max = MTU_MAX, .unit = "bytes" },
	{ "mss4", 0, "N", "MSS limit over IPv4 (default: MTU - 40)", OPTION_NUMBER,
	  .offset = offsetof(struct options, mss4), .min = 1, .max = MSS_MAX, .unit = "bytes" },
	{ "mss6", 0, "N", "MSS limit over IPv6 (default: MTU - 60)", OPTION_NUMBER,
	  .offset = offsetof(struct options, mss6), .min = 1, .max = MSS_MAX, .unit = "bytes" },
	{ "direction", 'd', "egress|ingress|both", "which packets to clamp (default: egress)", OPTION_WORD,
	  .offset = offsetof(struct options, direction), .words = direction_words },
	{ "hook", 0, "tc|tcx|clsact", "where to attach (default: tc, which is tcx or else clsact)", OPTION_WORD,
	  .offset = offsetof(struct options, hook), .words = hook_words },
	{ "dry-run", 0, NULL, "count what would be clamped, change nothing", OPTION_FLAG,
	  .offset = offsetof(struct options, dry_run) },
	{ "max-entries", 0, "N", "size of new maps: interfaces times directions", OPTION_NUMBER,
	  .offset = offsetof(struct options, max_entries), .min = 1, .max = MAX_ENTRIES_LIMIT, .unit = "entries" },
	{ 0 },
};

static void warn_limits(const char *where, unsigned int mtu, const struct options *options)
{
	if (mtu < MTU_MIN_IPV6)
		warning("%s: MTU %u: IPv6 needs 1280 at least (RFC 8200); its packets do not fit this path", where,
			mtu);
	if (options->mss4 > mtu - IPV4_TCP_HEADERS)
		warning("%s: --mss4 %u: segments that large do not fit MTU %u, which leaves %u over IPv4", where,
			options->mss4, mtu, mtu - IPV4_TCP_HEADERS);
	if (options->mss6 > mtu - IPV6_TCP_HEADERS)
		warning("%s: --mss6 %u: segments that large do not fit MTU %u, which leaves %u over IPv6", where,
			options->mss6, mtu, mtu - IPV6_TCP_HEADERS);
}

/* Computes the limits for a device. Returns 0, or -ERANGE after saying what is wrong. */
static int limit_compute(const struct device *device, const struct options *options, struct mssbpf_limit *limit)
{
	unsigned int mtu = options->mtu ?: device->mtu;

	if ((mtu < MTU_MIN || mtu > MTU_MAX) && !(options->mss4 && options->mss6)) {
		error("%s: its MTU %u is not from %u to %u: give the path's with --mtu", device->name, mtu, MTU_MIN,
		      MTU_MAX);
		return -ERANGE;
	}
	*limit = (struct mssbpf_limit){
		.order =
			{
				.mss4 = options->mss4 ?: mtu - IPV4_TCP_HEADERS,
				.mss6 = options->mss6 ?: mtu - IPV6_TCP_HEADERS,
				.flags = options->dry_run ? MSSBPF_DRY_RUN : 0,
			},
		.mtu = mtu,
		.source = options->mtu || (options->mss4 && options->mss6) ? MSSBPF_SOURCE_GIVEN : MSSBPF_SOURCE_DEVICE,
	};
	if (!options->mtu && mtu >= MTU_MIN)
		warn_limits(device->name, mtu, options);
	return 0;
}

/* Finds the device and how its packets begin. Returns an enum mssbpf_link, or -errno after saying why. */
static int device_find(const char *name, const struct options *options, struct device *device)
{
	int link, err = device_get(name, device);

	if (err) {
		error("%s: %s", name, err == -ENODEV ? "no such interface" : strerror(-err));
		return err;
	}
	if (device->arphrd == ARPHRD_LOOPBACK) {
		error("%s: the loopback interface: nothing to clamp for, its packets go nowhere", name);
		return -EOPNOTSUPP;
	}
	if (device->outer_header) {
		error("%s: GRE without a fixed remote: its packets begin with the outer header, which this program "
		      "does not read; attach to the interface where they come from, --direction ingress",
		      name);
		return -EOPNOTSUPP;
	}
	if (device->redirected)
		warning("%s: an ifb passes on what is redirected to it; packets from devices without an Ethernet header "
			"are not read right there: attach where they come from",
			name);
	if (options->direction != CHOOSE_EGRESS && !ingress_is_readable(device->arphrd)) {
		error("%s: packets that arrive by an IP tunnel cannot be read before Linux 5.14: use --direction egress",
		      name);
		return -EOPNOTSUPP;
	}
	link = link_of_device(device->arphrd);
	if (link < 0)
		error("%s: link type %u (ARPHRD) carries no IP that this program can read", name, device->arphrd);
	return link;
}

/* Says why an attachment failed. */
static void attach_explain(const struct maps *maps, const char *name, enum hook hook, int err)
{
	if (err == -E2BIG)
		error("%s: the maps are full with %u entries, one for each interface and direction; to raise that: "
		      "'mssbpf detach --all', then attach with --max-entries N (at most %u)",
		      name, maps->max_entries, MAX_ENTRIES_LIMIT);
	else if (err == -ENODEV)
		error("%s: gone while it was being attached", name);
	else if (err == -EEXIST)
		error("%s: another program's filter has our priority and handle in clsact: 'tc filter show dev %s' "
		      "shows it",
		      name, name);
	else if (err == -EBUSY && hook == HOOK_CLSACT)
		error("%s: an 'ingress' qdisc of somebody else stands in the place of clsact and has no egress side: "
		      "'tc qdisc show dev %s' shows it",
		      name, name);
	else if (err == -EINVAL && hook == HOOK_CLSACT)
		error("%s: clsact refuses our filter; maybe somebody else's is at priority 77 for another protocol: "
		      "'tc filter show dev %s egress' shows it",
		      name, name);
	else
		error("%s: cannot attach at %s: %s", name, hook_name(hook), strerror(-err));
}

/* The hook to attach at: the one that is asked for; else where it is; else the best the kernel has. */
static enum hook hook_choose(const struct options *options, bool attached, enum hook current)
{
	if (options->hook == CHOOSE_TCX)
		return HOOK_TCX;
	if (options->hook == CHOOSE_CLSACT)
		return HOOK_CLSACT;
	return attached ? current : tcx_supported() ? HOOK_TCX : HOOK_CLSACT;
}

/* Attaches in one direction, or changes the limits there. What fails leaves all as it was, and is told. */
static int attach_direction(const struct maps *maps, const struct device *device, enum mssbpf_link link,
			    enum mssbpf_direction direction, const struct options *options)
{
	const struct mssbpf_key key = { device->ifindex, direction };
	struct mssbpf_limit limit, old;
	enum hook wanted, current;
	__u32 program_id;
	int found, known, owner, err = limit_compute(device, options, &limit);

	if (err)
		return err;
	found = attachment_query(maps, &key, &current, &program_id);
	known = maps_entry_get(maps, &key, &old);
	owner = clsact_owner(maps, key.ifindex);
	err = found && found != -ENOENT ? found : known && known != -ENOENT ? known : owner < 0 ? owner : 0;
	if (err) {
		error("%s: cannot find out what is attached: %s", device->name, strerror(-err));
		return err;
	}
	limit.clsact = owner;
	wanted = hook_choose(options, !found, current);

	err = maps_entry_set(maps, &key, &limit) ?: attachment_set(maps, &key, wanted, link);
	if (!err)
		return 0;
	if (known == -ENOENT)
		attachment_remove(maps, &key);
	else
		maps_entry_set(maps, &key, &old);
	attach_explain(maps, device->name, wanted, err);
	return err;
}

/* Attaches in the directions that are asked for: in all, or when one fails in none that is new. */
static int attach_interface(const struct maps *maps, const char *name, const struct options *options)
{
	struct mssbpf_key fresh[MSSBPF_DIRECTIONS];
	size_t fresh_count = 0;
	struct device device;
	int link = device_find(name, options, &device);
	int err = link < 0 ? link : 0;

	for (enum mssbpf_direction direction = 0; direction < MSSBPF_DIRECTIONS && !err; direction++) {
		const struct mssbpf_key key = { device.ifindex, direction };
		struct mssbpf_limit old;
		bool known = maps_entry_get(maps, &key, &old) != -ENOENT;

		if (options->direction != CHOOSE_BOTH && options->direction != (unsigned int)direction)
			continue;
		err = attach_direction(maps, &device, link, direction, options);
		if (!err && !known)
			fresh[fresh_count++] = key;
	}
	while (err && fresh_count)
		attachment_remove(maps, &fresh[--fresh_count]);
	return err;
}

/* Puts this build's programs where those of another are attached. */
static int programs_upgrade(struct maps *maps)
{
	struct devices devices;
	struct entry *entries = NULL;
	size_t count = 0;
	int err = devices_get(&devices);

	err = err ?: maps_entries(maps, &entries, &count);
	for (size_t i = 0; i < count && !err; i++) {
		const struct device *device = devices_find(&devices, entries[i].key.ifindex);
		int link = device ? link_of_device(device->arphrd) : -ENODEV;
		__u32 program_id;
		enum hook hook;

		if (link < 0) /* gone, or nothing on it is readable any more */
			continue;
		err = attachment_query(maps, &entries[i].key, &hook, &program_id);
		err = err == -ENOENT ? 0 : err ?: attachment_set(maps, &entries[i].key, hook, link);
	}
	free(entries);
	devices_free(&devices);
	err = err ?: pins_settle(maps);
	if (err)
		error("cannot replace the attached programs: %s; the old ones go on", strerror(-err));
	return err;
}

static int attach_run(const struct options *options)
{
	int err, status = EXIT_DONE;
	struct maps maps;

	if (!options->interface_count)
		return usage_error(&verb_attach, "attach: name one interface at least");
	if (privileges_check(true))
		return EXIT_FAILED;
	if (options->hook == CHOOSE_TCX && !tcx_supported())
		return error(
			"--hook tcx: this kernel has no TCX (it came with Linux 6.6): --hook clsact does the same");
	if (options->mtu)
		warn_limits("attach", options->mtu, options);
	if (pins_create(&maps, options->max_entries))
		return EXIT_FAILED;
	err = attachments_reap(&maps);
	if (err)
		status = error("cannot clean up after interfaces that are gone: %s", strerror(-err));
	if (maps.outdated && programs_upgrade(&maps))
		status = EXIT_FAILED;
	for (int i = 0; i < options->interface_count; i++)
		if (attach_interface(&maps, options->interfaces[i], options))
			status = EXIT_FAILED;
	pins_close(&maps);
	return status;
}

const struct verb verb_attach = {
	.name = "attach",
	.arguments = "IFACE...",
	.summary = "clamp SYNs on interfaces, or change their limits",
	.options = attach_options,
	.completion = "interfaces",
	.run = attach_run,
};
