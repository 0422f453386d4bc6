// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf attach: clamp on these interfaces from now on, or change their limits. Not the hooks
 * themselves: those are attach.c's.
 */
#include "abilities.h"
#include "attached.h"
#include "cli.h"
#include "detect.h"
#include "pins.h"
#include "privileges.h"
#include "selection.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MSS_MAX = MSSBPF_MTU_MAX - MSSBPF_IPV4_HEADERS };

/*
 * Each TCX link waits for an RCU grace period with the kernel's lock on all network configuration held
 * (kernel/bpf/tcx.c, tcx_entry_sync()), 10 to 20 ms: this many take about a second, 10,000 some minutes.
 */
enum { TCX_AT_ONCE = 64 };

/* What --mtu may say besides a number. */
enum { MTU_AUTO, MTU_ROUTE, MTU_NONE };
static const char *const mtu_words[] = { [MTU_AUTO] = "auto", [MTU_ROUTE] = "route", [MTU_NONE] = "none", NULL };
static const char *const direction_words[] = { "egress", "ingress", "both", NULL };
static const char *const hook_words[] = { "tc", "tcx", "clsact", "xdp", NULL };
static const char *const add_words[] = { "default", "limit", NULL };
static const char *const xdp_mode_words[] = { "native", "generic", NULL };

static const struct option_spec attach_options[] = {
	{ "mtu", 'm', "N|auto|route|none",
	  "MTU of the path, in bytes; auto: the interface's, followed; route: each packet's; none: what rules say "
	  "(default: detected)",
	  OPTION_NUMBER, .offset = offsetof(struct options, mtu), .min = MSSBPF_MTU_MIN, .max = MSSBPF_MTU_MAX,
	  .unit = "bytes", .words = mtu_words },
	{ "both-ways", 0, NULL, "with --mtu route: count the route back to the source, too", OPTION_FLAG,
	  .offset = offsetof(struct options, both_ways) },
	{ "underlay-mtu", 'u', "N", "MTU of the link below the layers of --encap, in bytes", OPTION_NUMBER,
	  .offset = offsetof(struct options, link_mtu), .min = MSSBPF_MTU_MIN, .max = MSSBPF_MTU_MAX, .unit = "bytes" },
	{ "encap", 'e', "STACK", "layers around packets, from the link inwards: ipv4/wireguard", OPTION_TEXT,
	  .offset = offsetof(struct options, encap) },
	{ "mss4", 0, "N", "MSS limit over IPv4 (default: MTU - 40)", OPTION_NUMBER,
	  .offset = offsetof(struct options, mss4), .min = 1, .max = MSS_MAX, .unit = "bytes" },
	{ "mss6", 0, "N", "MSS limit over IPv6 (default: MTU - 60)", OPTION_NUMBER,
	  .offset = offsetof(struct options, mss6), .min = 1, .max = MSS_MAX, .unit = "bytes" },
	{ "direction", 'd', "egress|ingress|both", "which packets to clamp (default: egress; xdp: ingress)",
	  OPTION_WORD, .offset = offsetof(struct options, direction), .words = direction_words },
	{ "hook", 0, "tc|tcx|clsact|xdp", "where to attach (default: tc: tcx, for many or before Linux 6.6 clsact)",
	  OPTION_WORD, .offset = offsetof(struct options, hook), .words = hook_words },
	{ "xdp-mode", 0, "native|generic", "of --hook xdp (default: native, or else generic)", OPTION_WORD,
	  .offset = offsetof(struct options, xdp_mode), .words = xdp_mode_words },
	{ "add-missing", 0, "default|limit", "give SYNs without MSS one: 536 or 1220, or the limit", OPTION_WORD,
	  .bare = true, .offset = offsetof(struct options, add_missing), .words = add_words },
	{ "dry-run", 0, NULL, "count what would be clamped, change nothing", OPTION_FLAG,
	  .offset = offsetof(struct options, dry_run) },
	{ "max-entries", 0, "N", "size of new maps: interfaces times directions", OPTION_NUMBER,
	  .offset = offsetof(struct options, max_entries), .min = 1, .max = MAX_ENTRIES_LIMIT, .unit = "entries" },
	{ 0 },
};

/* The limits that are asked for, as far as they are the same for all interfaces. */
struct order {
	const struct options *options;
	unsigned int mtu; /* bytes; 0: each interface's own */
	enum mssbpf_source source;
	bool live;   /* follow each interface's MTU */
	__u32 flags; /* MSSBPF_ROUTE, MSSBPF_BOTH_WAYS */
	bool many;   /* more than TCX_AT_ONCE are to be attached */
	char origin[MSSBPF_ORIGIN_SIZE];
	struct search *search; /* for what fits through each interface, if order_detects() */
};

static void warn_limits(const char *where, unsigned int mtu, const struct options *options)
{
	if (mtu < MTU_MIN_IPV6)
		warning("%s: MTU %u: IPv6 needs 1280 at least (RFC 8200); its packets do not fit this path", where,
			mtu);
	if (options->mss4 > mtu - MSSBPF_IPV4_HEADERS)
		warning("%s: --mss4 %u: segments that large do not fit MTU %u, which leaves %u over IPv4", where,
			options->mss4, mtu, mtu - MSSBPF_IPV4_HEADERS);
	if (options->mss6 > mtu - MSSBPF_IPV6_HEADERS)
		warning("%s: --mss6 %u: segments that large do not fit MTU %u, which leaves %u over IPv6", where,
			options->mss6, mtu, mtu - MSSBPF_IPV6_HEADERS);
}

/* Computes the MTU from --underlay-mtu and --encap. Returns an exit status. */
static int order_compute(struct order *order)
{
	const struct options *options = order->options;
	char why[WHY_SIZE];
	struct stack stack;
	struct path path;

	path_begin(&path, "", options->link_mtu);
	if (stack_parse(options->encap, &stack, why) || path_enter(&path, &stack, why))
		return usage_error(&verb_attach, "attach: --encap: %s", why);
	order->mtu = path_mtu(&path);
	order->source = MSSBPF_SOURCE_COMPUTED;
	path_describe(&path, order->origin);
	if (order->mtu < MSSBPF_MTU_MIN)
		return usage_error(&verb_attach, "attach: --encap: %s leaves an MTU of %u; %u is the least",
				   options->encap, order->mtu, MSSBPF_MTU_MIN);
	return EXIT_DONE;
}

/* Reads the limits that are asked for. Returns an exit status, after saying what contradicts what. */
static int order_read(const struct options *options, struct order *order)
{
	int status = EXIT_DONE;

	*order = (struct order){ .options = options };
	if (!options->encap != !options->link_mtu)
		return usage_error(&verb_attach, "attach: --underlay-mtu and --encap go together");
	if (options->encap && options->mtu)
		return usage_error(&verb_attach, "attach: --mtu, or --underlay-mtu with --encap: not both");
	if (options->mtu > MSSBPF_MTU_MAX && options->mss4 && options->mss6)
		return usage_error(&verb_attach,
				   "attach: with both --mss4 and --mss6, --mtu '%s' has nothing left to say",
				   mtu_words[NUMBER_WORD(options->mtu)]);
	if (options->both_ways && options->mtu != NUMBER_WORD(MTU_ROUTE))
		return usage_error(&verb_attach, "attach: --both-ways goes with --mtu route only");
	if (options->encap) {
		status = order_compute(order);
	} else if (options->mtu == NUMBER_WORD(MTU_AUTO)) {
		order->source = MSSBPF_SOURCE_DEVICE;
		order->live = true;
	} else if (options->mtu == NUMBER_WORD(MTU_ROUTE)) {
		order->source = MSSBPF_SOURCE_ROUTE;
		order->live = true;
		order->flags = MSSBPF_ROUTE | (options->both_ways ? MSSBPF_BOTH_WAYS : 0);
	} else if (options->mtu == NUMBER_WORD(MTU_NONE)) {
		order->source = MSSBPF_SOURCE_NONE;
	} else {
		order->mtu = options->mtu;
		order->source = MSSBPF_SOURCE_GIVEN;
	}
	if (!status && order->mtu)
		warn_limits("attach", order->mtu, options);
	return status;
}

/* Tells whether it has to be found out what fits through each interface. */
static bool order_detects(const struct order *order)
{
	return !order->mtu && order->source == MSSBPF_SOURCE_GIVEN && !(order->options->mss4 && order->options->mss6);
}

/* Finds out the MTU of one interface: as ordered, else its own, else what fits through it. Says what is wrong. */
static int mtu_find(const struct order *order, const struct device *device, struct mssbpf_limit *limit)
{
	struct detection detection;
	int err;

	limit->source = order->source;
	limit->mtu = order->mtu ?: device->mtu;
	memcpy(limit->origin, order->origin, sizeof(limit->origin));
	if (order->mtu > device->mtu)
		warning("%s: MTU %u is larger than its own, %u: larger packets never leave by it", device->name,
			order->mtu, device->mtu);
	if (!order_detects(order))
		return 0;
	if (!order->search) /* said before */
		return -ENOMEM;
	err = device_detect(order->search, device->ifindex, &detection);
	if (err)
		return err;
	detection_warn(&detection, device);
	limit->mtu = path_mtu(&detection.path);
	limit->source = detection.ways ? MSSBPF_SOURCE_COMPUTED : MSSBPF_SOURCE_DEVICE;
	if (detection.ways)
		path_describe(&detection.path, limit->origin);
	return 0;
}

static __u16 order_flags(const struct order *order)
{
	const struct options *options = order->options;

	return order->flags | (options->dry_run ? MSSBPF_DRY_RUN : 0) |
	       (options->add_missing ? MSSBPF_ADD_MISSING : 0) |
	       (options->add_missing == CHOOSE_ADD_LIMIT ? MSSBPF_ADD_LIMIT : 0) |
	       (order->live && !options->mss4 ? MSSBPF_LIVE_IPV4 : 0) |
	       (order->live && !options->mss6 ? MSSBPF_LIVE_IPV6 : 0);
}

/* Computes the limits for a device. Returns 0, or -errno after saying what is wrong. */
static int limit_compute(const struct order *order, const struct device *device, struct mssbpf_limit *limit)
{
	const struct options *options = order->options;
	int err;

	*limit = (struct mssbpf_limit){};
	if (order->source == MSSBPF_SOURCE_NONE) {
		limit->source = MSSBPF_SOURCE_NONE;
		limit->order.mss4 = options->mss4 ?: MSSBPF_MSS_NONE;
		limit->order.mss6 = options->mss6 ?: MSSBPF_MSS_NONE;
		limit->order.flags = order_flags(order);
		return 0;
	}
	err = mtu_find(order, device, limit);
	if (err)
		return err;
	if ((limit->mtu < MSSBPF_MTU_MIN || limit->mtu > MSSBPF_MTU_MAX) && !(options->mss4 && options->mss6)) {
		error("%s: its MTU %u is not from %u to %u: give the path's with --mtu", device->name, limit->mtu,
		      MSSBPF_MTU_MIN, MSSBPF_MTU_MAX);
		return -ERANGE;
	}
	limit->order.mss4 = options->mss4 ?: limit->mtu - MSSBPF_IPV4_HEADERS;
	limit->order.mss6 = options->mss6 ?: limit->mtu - MSSBPF_IPV6_HEADERS;
	limit->order.flags = order_flags(order);
	if (!order->mtu && limit->mtu >= MSSBPF_MTU_MIN)
		warn_limits(device->name, limit->mtu, options);
	return 0;
}

/* A bond runs native XDP on its ports, and the program sees their indexes. */
static bool is_bond(const struct device *device)
{
	return !strcmp(device->kind, "bond");
}

/* Tells whether packets of this direction are asked for. */
static bool direction_wanted(const struct options *options, enum mssbpf_direction direction)
{
	if (!options->direction)
		return direction == (options->hook == CHOOSE_XDP ? MSSBPF_INGRESS : MSSBPF_EGRESS);
	return options->direction == CHOOSE_BOTH ||
	       options->direction == (direction == MSSBPF_EGRESS ? CHOOSE_EGRESS : CHOOSE_INGRESS);
}

/* Why XDP is not for this device, or NULL. */
static const char *xdp_refused(const struct device *device, const struct options *options)
{
	if (link_of_device(device->arphrd) == MSSBPF_LINK_NONE)
		return "XDP sees packets with an Ethernet header, and on this device they have none: --hook tc";
	if (device->redirected)
		return "what is redirected to an ifb does not pass XDP there: --hook tc";
	if (is_bond(device) && options->xdp_mode == CHOOSE_NATIVE)
		return "a bond runs native XDP on its ports, which counts as theirs: attach to them, or say "
		       "--xdp-mode generic";
	return NULL;
}

/* Tells whether a device cannot be clamped, and writes why. */
static bool device_refused(const struct device *device, const struct options *options, char why[WHY_SIZE])
{
	const char *reason = NULL;

	if (device->arphrd == ARPHRD_LOOPBACK)
		reason = "the loopback interface: nothing to clamp for, its packets go nowhere";
	else if (device->outer_header)
		reason = "GRE without a fixed remote: its packets begin with the outer header, which this program does "
			 "not read; attach to the interface where they come from, --direction ingress";
	else if (options->hook == CHOOSE_XDP)
		reason = xdp_refused(device, options);
	else if (direction_wanted(options, MSSBPF_INGRESS) && !ingress_is_readable(device->arphrd))
		reason = "packets that arrive by an IP tunnel cannot be read before Linux 5.14: use --direction egress";
	if (reason)
		snprintf(why, WHY_SIZE, "%s", reason);
	else if (link_of_device(device->arphrd) < 0)
		snprintf(why, WHY_SIZE, "link type %u (ARPHRD) carries no IP that this program can read",
			 device->arphrd);
	else
		return false;
	return true;
}

/* Says why XDP was refused, by others' programs or by the driver. */
static void xdp_explain(const struct device *device, enum hook hook, int err)
{
	struct xdp_occupant occupant;

	if ((err == -EBUSY || err == -EEXIST) && !xdp_occupant_find(device->ifindex, &occupant) && occupant.program_id)
		error("%s: another XDP program is there, %s, id %u, %s: left in place; a device runs one: "
		      "--hook tc runs beside it",
		      device->name, *occupant.name ? occupant.name : "without a name", occupant.program_id,
		      occupant.mode);
	else if (err == -EBUSY || err == -EEXIST)
		error("%s: an XDP program is on a device above it: 'ip link' shows it; --hook tc runs beside it",
		      device->name);
	else if (hook == HOOK_XDP_NATIVE)
		error("%s: its driver refuses native XDP: %s%s; --xdp-mode generic, or --hook tc", device->name,
		      strerror(-err), err == -ERANGE || err == -EINVAL ? " (perhaps for its MTU)" : "");
	else
		error("%s: cannot attach at xdp, generic mode: %s", device->name, strerror(-err));
}

/* Says why an attachment failed. */
static void attach_explain(const struct maps *maps, const struct device *device, enum hook hook, int err)
{
	const char *name = device->name;

	if (err == -E2BIG)
		error("%s: the maps are full with %u entries, one for each interface and direction; to raise that: "
		      "'mssbpf detach --all', then attach with --max-entries N (at most %u)",
		      name, maps->max_entries, MAX_ENTRIES_LIMIT);
	else if (err == -ENODEV)
		error("%s: gone while it was being attached", name);
	else if (hook_mode(hook))
		xdp_explain(device, hook, err);
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

/*
 * The hook to attach at: the one that is asked for; else where it is; else the best the kernel has. That is not TCX
 * when there are many to attach, unless somebody is there already, who would otherwise run ahead and may end the chain.
 */
static enum hook hook_choose(const struct order *order, const struct device *device, const struct mssbpf_key *key,
			     bool attached, enum hook current)
{
	const struct options *options = order->options;

	switch (options->hook) {
	case CHOOSE_TCX:
		return HOOK_TCX;
	case CHOOSE_CLSACT:
		return HOOK_CLSACT;
	case CHOOSE_XDP:
		if (options->xdp_mode)
			return options->xdp_mode == CHOOSE_NATIVE ? HOOK_XDP_NATIVE : HOOK_XDP_GENERIC;
		if (attached && hook_mode(current))
			return current;
		return is_bond(device) ? HOOK_XDP_GENERIC : HOOK_XDP_NATIVE;
	}
	if (attached && !(options->hook == CHOOSE_TC && hook_mode(current)))
		return current;
	return tcx_supported() && (!order->many || tcx_in_use(key)) ? HOOK_TCX : HOOK_CLSACT;
}

/* Tells whether generic XDP may do what native XDP did not: not when the place is taken, or the device gone. */
static bool generic_may_do(const struct options *options, enum hook hook, int err)
{
	return hook == HOOK_XDP_NATIVE && !options->xdp_mode && err != -EBUSY && err != -EEXIST && err != -ENODEV &&
	       err != -ENOEXEC;
}

/* An interface that a pattern matched and that is gone by now: there is nothing to clamp, and nothing failed. */
static bool is_no_loss(const struct selected *selected, int err)
{
	return selected->by_pattern && err == -ENODEV;
}

/* Notes what the device has counted by now; if that cannot be told, more than it ever will. */
static void passed_note(const struct device *device, __u64 passed[MSSBPF_DIRECTIONS])
{
	struct device_packets packets;

	if (device_packets_get(device->ifindex, &packets))
		packets = (struct device_packets){ UINT64_MAX, UINT64_MAX };
	passed[MSSBPF_EGRESS] = packets.sent;
	passed[MSSBPF_INGRESS] = packets.received;
}

/* What is there for one direction of an interface, and where its program is to be. */
struct target {
	struct mssbpf_key key;
	struct mssbpf_limit old;
	int known; /* 0, or -ENOENT: there is no entry yet */
	enum hook current, wanted;
};

/* Looks, and gets the program, before anything is changed. What fails is told. */
static int target_prepare(struct maps *maps, const struct selected *selected, enum mssbpf_direction direction,
			  const struct order *order, struct target *target)
{
	const struct device *device = &selected->device;
	__u32 program_id;
	int found, err;

	target->key = (struct mssbpf_key){ device->ifindex, direction };
	found = attachment_query(maps, &target->key, &target->current, &program_id);
	target->known = maps_entry_get(maps, &target->key, &target->old);
	err = found && found != -ENOENT ? found : target->known && target->known != -ENOENT ? target->known : 0;
	if (err) {
		if (!is_no_loss(selected, err))
			error("%s: cannot find out what is attached: %s", device->name, strerror(-err));
		return err;
	}
	target->wanted = hook_choose(order, device, &target->key, !found, target->current);
	if (found)
		target->current = HOOKS;
	err = attachment_program(maps, &target->key, target->wanted, device);
	return err < 0 ? err : 0;
}

/* Attaches in one direction, or changes the limits there. What fails leaves all as it was, and is told. */
static int attach_direction(struct maps *maps, const struct selected *selected, const struct target *target,
			    struct mssbpf_limit limit, const struct order *order)
{
	const struct device *device = &selected->device;
	const struct mssbpf_key *key = &target->key;
	enum hook hook = target->wanted;
	int owner = clsact_owner(maps, key->ifindex);
	int err = owner < 0 ? owner : maps_rules_get(maps, key->ifindex, &limit.order.rules);

	if (err) {
		error("%s: cannot find out its rules and qdisc: %s", device->name, strerror(-err));
		return err;
	}
	limit.clsact = owner;
	if (target->known)
		passed_note(device, limit.passed);
	else
		memcpy(limit.passed, target->old.passed, sizeof(limit.passed));
	err = maps_entry_set(maps, key, &limit);
	if (!err) {
		err = attachment_set(maps, key, target->current, hook, device);
		if (err && generic_may_do(order->options, hook, err)) {
			hook = HOOK_XDP_GENERIC;
			err = attachment_set(maps, key, target->current, hook, device);
		}
	}
	if (!err)
		return 0;
	if (target->known)
		attachment_remove(maps, key);
	else
		maps_entry_set(maps, key, &target->old);
	if (err != -ENOEXEC && !is_no_loss(selected, err))
		attach_explain(maps, device, hook, err);
	return err;
}

/* Attaches in the directions that are asked for: in all, or when one fails in none that is new. */
static int attach_interface(struct maps *maps, const struct selected *selected, const struct order *order)
{
	struct target targets[MSSBPF_DIRECTIONS];
	struct mssbpf_limit limit;
	size_t count = 0, done = 0;
	int err = limit_compute(order, &selected->device, &limit);

	for (enum mssbpf_direction direction = 0; direction < MSSBPF_DIRECTIONS && !err; direction++)
		if (direction_wanted(order->options, direction))
			err = target_prepare(maps, selected, direction, order, &targets[count++]);
	while (!err && done < count) {
		err = attach_direction(maps, selected, &targets[done], limit, order);
		done += !err;
	}
	while (err && done--)
		if (targets[done].known)
			attachment_remove(maps, &targets[done].key);
	return err;
}

/* Tells whether more is to be attached than TCX can take in a moment. */
static bool order_is_many(const struct maps *maps, const struct selection *selection, const struct options *options)
{
	size_t fresh = 0;

	for (size_t i = 0; i < selection->count && fresh <= TCX_AT_ONCE; i++) {
		for (enum mssbpf_direction direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
			const struct mssbpf_key key = { selection->list[i].device.ifindex, direction };
			struct mssbpf_limit limit;

			fresh += direction_wanted(options, direction) && maps_entry_get(maps, &key, &limit) == -ENOENT;
		}
	}
	return fresh > TCX_AT_ONCE;
}

/*
 * Attaches to all selected interfaces; one that fails does not stop the others. Returns an exit status, after saying
 * what is wrong, and what a pattern matches in vain.
 */
static int attach_selected(struct maps *maps, const struct selection *selection, const struct order *order)
{
	char why[WHY_SIZE], first_why[WHY_SIZE];
	const char *first = NULL;
	int status = EXIT_DONE;
	size_t left_out = 0;

	for (size_t i = 0; i < selection->count; i++) {
		struct selected *selected = &selection->list[i];
		bool refused = device_refused(&selected->device, order->options, why);
		int err;

		if (refused && selected->by_pattern) {
			if (!left_out++) {
				first = selected->name;
				memcpy(first_why, why, sizeof(first_why));
			}
			continue;
		}
		selected->used = true;
		if (refused) {
			status = error("%s: %s", selected->name, why);
			continue;
		}
		if (selected->device.redirected)
			warning("%s: an ifb passes on what is redirected to it; packets from devices without an Ethernet "
				"header are not read right there: attach where they come from",
				selected->name);
		err = attach_interface(maps, selected, order);
		if (err && !is_no_loss(selected, err))
			status = EXIT_FAILED;
	}
	if (left_out)
		warning("left out %zu of the interfaces that match, which cannot be clamped: %s%s: %s", left_out, first,
			left_out > 1 ? " and others" : "", first_why);
	return selection_check(selection, "none of the interfaces that match can be clamped") ?: status;
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
		__u32 program_id;
		enum hook hook;

		if (!device || link_of_device(device->arphrd) < 0) /* gone, or nothing on it is readable any more */
			continue;
		err = attachment_query(maps, &entries[i].key, &hook, &program_id);
		err = err == -ENOENT ? 0 : err ?: attachment_set(maps, &entries[i].key, hook, hook, device);
	}
	free(entries);
	devices_free(&devices);
	err = err ?: pins_settle(maps);
	if (err)
		error("cannot replace the attached programs: %s; the old ones go on",
		      err == -ENOEXEC ? "there are no new ones" : strerror(-err));
	return err;
}

static int attach_run(const struct options *options)
{
	struct selection selection;
	struct order order;
	struct maps maps;
	int err, status;

	if (!options->interface_count)
		return usage_error(&verb_attach, "attach: name one interface at least");
	if (options->hook == CHOOSE_XDP && (options->direction == CHOOSE_EGRESS || options->direction == CHOOSE_BOTH))
		return usage_error(&verb_attach,
				   "attach: --hook xdp sees only packets that arrive: --direction ingress");
	if (options->xdp_mode && options->hook != CHOOSE_XDP)
		return usage_error(&verb_attach, "attach: --xdp-mode goes with --hook xdp");
	status = order_read(options, &order);
	if (status)
		return status;
	if (privileges_check(true))
		return EXIT_FAILED;
	if (options->hook == CHOOSE_TCX && !tcx_supported())
		return error(
			"--hook tcx: this kernel has no TCX (it came with Linux 6.6): --hook clsact does the same");
	if (order.flags & MSSBPF_ROUTE && !live_mtu_supported())
		return error(
			"--mtu route: this kernel cannot tell the programs a route's MTU (bpf_fib_lookup() does since Linux "
			"5.12): give the path's with --mtu N");
	if (order.live && !live_mtu_supported()) {
		warning("--mtu auto: this kernel cannot tell the programs a device's MTU (bpf_check_mtu() came with Linux "
			"5.12): the MTU of now counts; attach anew when it changes");
		order.live = false;
	}
	if (pins_create(&maps, options->max_entries))
		return EXIT_FAILED;
	status = selection_make(options, &selection);
	err = attachments_reap(&maps);
	if (err)
		status = error("cannot clean up after interfaces that are gone: %s", strerror(-err));
	if (maps.outdated && programs_upgrade(&maps))
		status = EXIT_FAILED;
	order.many = order_is_many(&maps, &selection, options);
	order.search = order_detects(&order) ? search_begin() : NULL;
	if (attach_selected(&maps, &selection, &order))
		status = EXIT_FAILED;
	search_end(order.search);
	selection_free(&selection);
	pins_close(&maps);
	return status;
}

const struct verb verb_attach = {
	.name = "attach",
	.arguments = "IFACE|PATTERN...",
	.summary = "clamp SYNs on interfaces, or change their limits",
	.options = attach_options,
	.completion = "interfaces",
	.run = attach_run,
};
