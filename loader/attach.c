// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hooks, TCX, clsact and XDP, behind one table. Not a place that decides what to attach.
 */
#include "attach.h"

#include "link.h"
#include "netlink.h"
#include "pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { FILTER_HANDLE = 'M' << 16 | 'S' << 8 | 'S' }; /* of ours in clsact */

#define PROGRAM_PREFIX "mssbpf_tc_"

/*
 * query: 0 and the program's id, -ENOENT when none of ours is there, -EEXIST when somebody else's is in
 * our place, another -errno when that could not be found out. The others: 0 or -errno.
 */
struct hook_calls {
	const char *name, *mode;
	int (*query)(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, __u32 *program_id);
	int (*create)(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, int program);
	int (*replace)(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, int program);
	int (*remove)(const struct maps *maps, const struct mssbpf_key *key, enum hook hook);
};

/* clsact: a filter with our handle and priority. */

int clsact_owner(const struct maps *maps, unsigned int ifindex)
{
	int owner = MSSBPF_CLSACT_FOREIGN;

	for (__u32 direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
		struct mssbpf_limit limit;
		int err = maps_entry_get(maps, &(struct mssbpf_key){ ifindex, direction }, &limit);

		if (err && err != -ENOENT)
			return err;
		if (!err && limit.clsact > owner)
			owner = limit.clsact;
	}
	return owner;
}

/* Makes every entry of the device say so. */
static int clsact_own(const struct maps *maps, unsigned int ifindex, __u8 owner)
{
	int err = 0;

	for (__u32 direction = 0; direction < MSSBPF_DIRECTIONS && !err; direction++) {
		const struct mssbpf_key key = { ifindex, direction };
		struct mssbpf_limit limit;

		err = maps_entry_get(maps, &key, &limit);
		if (err == -ENOENT) {
			err = 0;
		} else if (!err && limit.clsact != owner) {
			limit.clsact = owner;
			err = maps_entry_set(maps, &key, &limit);
		}
	}
	return err;
}

static struct bpf_tc_hook clsact_hook(const struct mssbpf_key *key)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = key->ifindex,
		.attach_point = key->direction == MSSBPF_EGRESS ? BPF_TC_EGRESS : BPF_TC_INGRESS,
	};
}

static struct bpf_tc_opts clsact_filter(int program, __u32 flags)
{
	return (struct bpf_tc_opts){
		.sz = sizeof(struct bpf_tc_opts),
		.handle = FILTER_HANDLE,
		.priority = FILTER_PRIORITY,
		.prog_fd = program,
		.flags = flags,
	};
}

unsigned int clsact_minor(const struct mssbpf_key *key)
{
	return key->direction == MSSBPF_EGRESS ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS;
}

static int clsact_side_of(const struct mssbpf_key *key, struct clsact_side *side)
{
	return clsact_look(key->ifindex, clsact_minor(key), FILTER_PRIORITY, FILTER_HANDLE, PROGRAM_PREFIX, side);
}

static int clsact_query(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, __u32 *program_id)
{
	struct clsact_side side;
	int kind = key->direction == MSSBPF_EGRESS ? clsact_find(key->ifindex) : CLSACT_QDISC;
	int err = kind == CLSACT_INGRESS ? -ENOENT : clsact_side_of(key, &side);

	(void)maps;
	(void)hook;
	if (err)
		return err;
	*program_id = side.program;
	return !side.taken ? -ENOENT : side.ours ? 0 : -EEXIST;
}

int clsact_peek(const struct entry *entries, size_t count, __u32 *ids)
{
	struct clsact_place *places = calloc(count ?: 1, sizeof(*places));
	int err = places ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++)
		places[i] = (struct clsact_place){ .ifindex = entries[i].key.ifindex,
						   .minor = clsact_minor(&entries[i].key) };
	err = err ?: clsact_programs(places, count, FILTER_PRIORITY, FILTER_HANDLE);
	for (size_t i = 0; i < count && !err; i++)
		ids[i] = places[i].program;
	free(places);
	return err;
}

/* Tells whether the qdisc is there for the sake of our filter at `key` alone: 0, 1 or -errno. */
static int clsact_is_idle(const struct mssbpf_key *key)
{
	const struct mssbpf_key other = { key->ifindex, !key->direction };
	struct clsact_side near, far;
	int err = clsact_side_of(key, &near) ?: clsact_side_of(&other, &far);

	return err ?: !near.others && (near.ours || !near.taken) && !far.others && !far.taken;
}

static int clsact_create(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, int program)
{
	struct bpf_tc_hook place = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(program, 0);
	int err, kind = clsact_find(key->ifindex);

	(void)hook;
	if (kind < 0)
		return kind;
	/* An ingress qdisc takes filters for egress too, and runs them on ingress. */
	if (kind == CLSACT_INGRESS && key->direction == MSSBPF_EGRESS)
		return -EBUSY;
	if (kind != CLSACT_NONE)
		return bpf_tc_attach(&place, &filter);

	/* Said before it is so: we may be killed between. */
	err = clsact_own(maps, key->ifindex, MSSBPF_CLSACT_CREATING) ?: bpf_tc_hook_create(&place);
	if (err == -EEXIST) /* somebody else was faster */
		return clsact_own(maps, key->ifindex, MSSBPF_CLSACT_FOREIGN) ?: bpf_tc_attach(&place, &filter);
	err = err ?: bpf_tc_attach(&place, &filter);
	return err ?: clsact_own(maps, key->ifindex, MSSBPF_CLSACT_OURS);
}

static int clsact_replace(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, int program)
{
	struct bpf_tc_hook place = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(program, BPF_TC_F_REPLACE);

	(void)maps;
	(void)hook;
	return bpf_tc_attach(&place, &filter);
}

/*
 * Tells whether the qdisc is ours and there for the sake of our filter at `key` alone: 0, 1 or -errno.
 * While our filter is in it, it is the one that we created; without, it may be somebody else's by now,
 * unless we were killed before the filter was in.
 */
static int clsact_is_ours_alone(const struct maps *maps, const struct mssbpf_key *key, bool attached)
{
	int owner = clsact_owner(maps, key->ifindex), kind;

	if (owner < 0)
		return owner;
	if (owner == MSSBPF_CLSACT_FOREIGN || (owner == MSSBPF_CLSACT_OURS && !attached))
		return 0;
	kind = clsact_find(key->ifindex);
	if (kind != CLSACT_QDISC)
		return kind < 0 && kind != -ENODEV ? kind : 0; /* it goes with its device */
	return clsact_is_idle(key);
}

/* Removes our filter; and with it the qdisc, if that is ours and nothing else is in it. */
static int clsact_remove(const struct maps *maps, const struct mssbpf_key *key, enum hook hook)
{
	LIBBPF_OPTS(bpf_tc_hook, qdisc, .ifindex = key->ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	const struct mssbpf_key other = { key->ifindex, !key->direction };
	struct bpf_tc_hook place = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(0, 0);
	__u32 program_id;
	int alone, err = clsact_query(maps, key, hook, &program_id);
	bool attached = !err;

	if (err && err != -ENOENT)
		return err == -EEXIST ? 0 : err;
	alone = clsact_is_ours_alone(maps, key, attached);
	if (alone < 0)
		return alone;
	if (alone)
		err = bpf_tc_hook_destroy(&qdisc);
	else
		err = attached ? bpf_tc_detach(&place, &filter) : 0;
	/* Without a filter of ours in it, a qdisc may be replaced unseen: it is ours no more. */
	if (!err && !alone)
		err = clsact_query(maps, &other, hook, &program_id);
	else if (!err)
		err = -ENOENT;
	return err == -ENOENT || err == -EEXIST ? clsact_own(maps, key->ifindex, MSSBPF_CLSACT_FOREIGN) : err;
}

static const struct hook_calls hooks[HOOKS] = {
	[HOOK_TCX] = { "tcx", NULL, link_query, link_create, link_replace, link_remove },
	[HOOK_CLSACT] = { "clsact", NULL, clsact_query, clsact_create, clsact_replace, clsact_remove },
	[HOOK_XDP_NATIVE] = { "xdp", "native", link_query, link_create, link_replace, link_remove },
	[HOOK_XDP_GENERIC] = { "xdp", "generic", link_query, link_create, link_replace, link_remove },
};

const char *hook_name(enum hook hook)
{
	return hooks[hook].name;
}

const char *hook_mode(enum hook hook)
{
	return hooks[hook].mode;
}

int link_of_device(unsigned short arphrd)
{
	static const struct {
		unsigned short arphrd;
		enum mssbpf_link link;
	} types[] = {
		{ ARPHRD_ETHER, MSSBPF_LINK_ETHERNET }, { ARPHRD_NONE, MSSBPF_LINK_NONE }, /* WireGuard, TUN, xfrm */
		{ ARPHRD_PPP, MSSBPF_LINK_NONE },     /* its header is added behind the hook */
		{ ARPHRD_TUNNEL, MSSBPF_LINK_NONE },  /* IPIP, VTI */
		{ ARPHRD_TUNNEL6, MSSBPF_LINK_NONE }, /* ip6tnl, VTI6 */
		{ ARPHRD_SIT, MSSBPF_LINK_NONE },	{ ARPHRD_IPGRE, MSSBPF_LINK_NONE },
		{ ARPHRD_IP6GRE, MSSBPF_LINK_NONE },	{ ARPHRD_RAWIP, MSSBPF_LINK_NONE }, /* modems */
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i].arphrd == arphrd)
			return types[i].link;
	return -EOPNOTSUPP;
}

bool ingress_is_readable(unsigned short arphrd)
{
	unsigned int major, minor;
	struct utsname system;

	switch (arphrd) {
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		if (uname(&system) || sscanf(system.release, "%u.%u", &major, &minor) != 2)
			return false;
		return major > 5 || (major == 5 && minor >= 14);
	default:
		return true;
	}
}

int xdp_occupant_find(unsigned int ifindex, struct xdp_occupant *occupant)
{
	struct xdp_programs programs;
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);
	int err = xdp_look(ifindex, &programs), fd;

	*occupant = (struct xdp_occupant){};
	if (err)
		return err;
	occupant->program_id = programs.native ?: programs.generic ?: programs.offloaded;
	occupant->mode = programs.native ? "native" : programs.generic ? "generic" : "offloaded";
	fd = occupant->program_id ? bpf_prog_get_fd_by_id(occupant->program_id) : -ENOENT;
	if (fd < 0)
		return 0;
	if (!bpf_obj_get_info_by_fd(fd, &info, &length))
		memcpy(occupant->name, info.name, sizeof(occupant->name) - 1);
	close(fd);
	return 0;
}

int attachment_query(const struct maps *maps, const struct mssbpf_key *key, enum hook *hook, __u32 *program_id)
{
	for (*hook = 0; *hook < HOOKS; (*hook)++) {
		int err = hooks[*hook].query(maps, key, *hook, program_id);

		if (err != -ENOENT && err != -EEXIST)
			return err;
	}
	return -ENOENT;
}

/* Tells whether our program is surely at another hook than this one. */
static bool attached_elsewhere(const struct maps *maps, const struct mssbpf_key *key, enum hook hook)
{
	__u32 program_id;

	for (enum hook other = 0; other < HOOKS; other++)
		if (other != hook && !hooks[other].query(maps, key, other, &program_id))
			return true;
	return false;
}

int attachment_program(struct maps *maps, const struct mssbpf_key *key, enum hook hook, const struct device *device)
{
	return pins_program(maps, device->name, hooks[hook].mode ? PROGRAMS_XDP : link_of_device(device->arphrd),
			    key->direction);
}

/* As attachment_set(), where no other mode of XDP is in the way. */
static int attachment_put(struct maps *maps, const struct mssbpf_key *key, enum hook current, enum hook hook,
			  const struct device *device)
{
	int err = 0, program = attachment_program(maps, key, hook, device);
	bool fresh, created = false;
	__u32 program_id;

	if (program < 0)
		return program;
	/* At another hook than this it may still be here, too: the command that moved it was killed. */
	if (current != hook)
		err = current == HOOKS ? -ENOENT : hooks[hook].query(maps, key, hook, &program_id);
	fresh = err == -ENOENT;
	if (fresh) {
		err = hooks[hook].create(maps, key, hook, program);
		created = !err;
	} else if (!err) {
		err = hooks[hook].replace(maps, key, hook, program);
	}
	for (enum hook other = 0; other < HOOKS && !err; other++)
		if (other != hook)
			err = hooks[other].remove(maps, key, other);
	/* If the other one went before something failed, this one has to stay. */
	if (err && fresh && (!created || current == HOOKS || attached_elsewhere(maps, key, hook)))
		hooks[hook].remove(maps, key, hook);
	return err;
}

int attachment_set(struct maps *maps, const struct mssbpf_key *key, enum hook current, enum hook hook,
		   const struct device *device)
{
	enum hook between = current;
	int err;

	if (current == HOOKS || current == hook || !hooks[hook].mode)
		return attachment_put(maps, key, current, hook, device);

	/*
	 * A device has one mode of XDP at a time: TC clamps while it changes. A command that was killed may have left
	 * the other mode there beside TC.
	 */
	if (hooks[current].mode)
		between = tcx_supported() ? HOOK_TCX : HOOK_CLSACT;
	err = attachment_put(maps, key, current, between, device) ?: attachment_put(maps, key, between, hook, device);
	if (err)
		attachment_put(maps, key, between, current, device);
	return err;
}

int attachment_remove(const struct maps *maps, const struct mssbpf_key *key)
{
	int owner = clsact_owner(maps, key->ifindex);
	/* The entry of the other direction, if there is one, has to know after this one is gone. */
	int err = owner < 0 ? owner : clsact_own(maps, key->ifindex, owner);

	for (enum hook hook = 0; hook < HOOKS && !err; hook++)
		err = hooks[hook].remove(maps, key, hook);
	return err ?: maps_entry_remove(maps, key);
}

/* Tells whether a folder has an entry without a link, so perhaps with a filter; or cannot be read. */
static bool folder_has_filters(const char *folder)
{
	struct maps other = { .limits = -1 };
	struct entry *entries = NULL;
	size_t count = 0;
	bool found;

	snprintf(other.folder, sizeof(other.folder), "%s", folder);
	found = pins_peek(&other) || maps_entries(&other, &entries, &count);
	for (size_t i = 0; i < count && !found; i++)
		found = !link_is_pinned(&other, &entries[i].key);
	free(entries);
	if (other.limits >= 0)
		close(other.limits);
	return found;
}

bool folder_is_dead(const char *folder)
{
	const struct dirent *file;
	DIR *directory = opendir(folder);
	bool dead = false, alive = false;

	while (directory && !alive && (file = readdir(directory))) {
		if (!link_is_name(file->d_name))
			continue;
		alive = link_is_alive(folder, file->d_name);
		dead = true;
	}
	if (directory)
		closedir(directory);
	return dead && !alive && !folder_has_filters(folder);
}
