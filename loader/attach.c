// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two hooks, TCX and clsact, behind one table. Not a place that decides what to attach.
 */
#include "attach.h"

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

/* include/uapi/linux/bpf.h of Linux 6.6; Debian 12's headers and libbpf 1.1 are older. */
enum {
	TCX_INGRESS = 46,      /* BPF_TCX_INGRESS */
	TCX_EGRESS = 47,       /* BPF_TCX_EGRESS */
	LINK_TYPE_TCX = 11,    /* BPF_LINK_TYPE_TCX */
	TCX_PROGRAMS_MAX = 64, /* BPF_MPROG_MAX */
	TCX_BEFORE = 1U << 3,  /* BPF_F_BEFORE: with no relative, ahead of all others */
};

/* Our place among clsact filters: early, so that a verdict of another does not end the chain first. */
enum {
	FILTER_PRIORITY = 'M',
	FILTER_HANDLE = 'M' << 16 | 'S' << 8 | 'S',
};

#define PROGRAM_PREFIX "mssbpf_tc_"
#define LINK_PREFIX "link_"

/*
 * query: 0 and the program's id, -ENOENT when none of ours is there, -EEXIST when somebody else's is in
 * our place, another -errno when that could not be found out. The others: 0 or -errno.
 */
struct hook_calls {
	const char *name;
	int (*query)(const struct maps *maps, const struct mssbpf_key *key, __u32 *program_id);
	int (*create)(const struct maps *maps, const struct mssbpf_key *key, int program);
	int (*replace)(const struct maps *maps, const struct mssbpf_key *key, int program);
	int (*remove)(const struct maps *maps, const struct mssbpf_key *key);
};

/* TCX: a link, pinned beside the maps. */

struct link_path {
	char text[512];
};

static struct link_path link_path_of(const struct maps *maps, const struct mssbpf_key *key)
{
	struct link_path path;

	snprintf(path.text, sizeof(path.text), "%s/" LINK_PREFIX "%u_%s", maps->folder, key->ifindex,
		 direction_name(key->direction));
	return path;
}

static enum bpf_attach_type tcx_type(const struct mssbpf_key *key)
{
	return (enum bpf_attach_type)(key->direction == MSSBPF_EGRESS ? TCX_EGRESS : TCX_INGRESS);
}

/*
 * Reads a pinned link. Returns its fd, -ENOENT when there is none or it is no TCX link, or another -errno.
 */
static int link_open(const char *path, struct bpf_link_info *info)
{
	__u32 length = sizeof(*info);
	int err, fd = bpf_obj_get(path);

	if (fd < 0)
		return fd;
	*info = (struct bpf_link_info){};
	err = bpf_obj_get_info_by_fd(fd, info, &length);
	if (!err && info->type != LINK_TYPE_TCX)
		err = -ENOENT;
	if (err)
		close(fd);
	return err ?: fd;
}

/* The device of a TCX link, 0 when it is gone: laid out as the netns member, which old headers have. */
static __u32 link_ifindex(const struct bpf_link_info *info)
{
	return info->netns.netns_ino;
}

/* A link follows its device to another namespace: only the programs of the device here tell. */
static int tcx_query(const struct maps *maps, const struct mssbpf_key *key, __u32 *program_id)
{
	__u32 ids[TCX_PROGRAMS_MAX], count = TCX_PROGRAMS_MAX;
	struct bpf_link_info info;
	int err, fd = link_open(link_path_of(maps, key).text, &info);

	if (fd < 0)
		return fd;
	close(fd);
	if (link_ifindex(&info) != key->ifindex)
		return -ENOENT;
	err = bpf_prog_query(key->ifindex, tcx_type(key), 0, NULL, ids, &count);
	if (err)
		return err == -ENODEV ? -ENOENT : err;
	*program_id = info.prog_id;
	for (__u32 i = 0; i < count; i++)
		if (ids[i] == info.prog_id)
			return 0;
	return -ENOENT;
}

static int tcx_create(const struct maps *maps, const struct mssbpf_key *key, int program)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = TCX_BEFORE);
	struct link_path path = link_path_of(maps, key);
	int err, fd = bpf_link_create(program, key->ifindex, tcx_type(key), &options);

	if (fd < 0)
		return fd;
	unlink(path.text); /* of a device that is gone, and had this index */
	err = bpf_obj_pin(fd, path.text);
	close(fd);
	return err;
}

static int tcx_replace(const struct maps *maps, const struct mssbpf_key *key, int program)
{
	struct bpf_link_info info;
	int err, fd = link_open(link_path_of(maps, key).text, &info);

	if (fd < 0)
		return fd;
	err = bpf_link_update(fd, program, NULL);
	close(fd);
	return err;
}

static int tcx_remove(const struct maps *maps, const struct mssbpf_key *key)
{
	struct link_path path = link_path_of(maps, key);
	struct bpf_link_info info;
	int err = 0, fd = link_open(path.text, &info);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (link_ifindex(&info))
		err = bpf_link_detach(fd); /* somebody else may hold the link open */
	close(fd);
	if (!err && unlink(path.text))
		err = -errno;
	return err;
}

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

static unsigned int clsact_minor(const struct mssbpf_key *key)
{
	return key->direction == MSSBPF_EGRESS ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS;
}

static int clsact_side_of(const struct mssbpf_key *key, struct clsact_side *side)
{
	return clsact_look(key->ifindex, clsact_minor(key), FILTER_PRIORITY, FILTER_HANDLE, PROGRAM_PREFIX, side);
}

static int clsact_query(const struct maps *maps, const struct mssbpf_key *key, __u32 *program_id)
{
	struct clsact_side side;
	int kind = key->direction == MSSBPF_EGRESS ? clsact_find(key->ifindex) : CLSACT_QDISC;
	int err = kind == CLSACT_INGRESS ? -ENOENT : clsact_side_of(key, &side);

	(void)maps;
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

static int clsact_create(const struct maps *maps, const struct mssbpf_key *key, int program)
{
	struct bpf_tc_hook hook = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(program, 0);
	int err, kind = clsact_find(key->ifindex);

	if (kind < 0)
		return kind;
	/* An ingress qdisc takes filters for egress too, and runs them on ingress. */
	if (kind == CLSACT_INGRESS && key->direction == MSSBPF_EGRESS)
		return -EBUSY;
	if (kind != CLSACT_NONE)
		return bpf_tc_attach(&hook, &filter);

	/* Said before it is so: we may be killed between. */
	err = clsact_own(maps, key->ifindex, MSSBPF_CLSACT_CREATING) ?: bpf_tc_hook_create(&hook);
	if (err == -EEXIST) /* somebody else was faster */
		return clsact_own(maps, key->ifindex, MSSBPF_CLSACT_FOREIGN) ?: bpf_tc_attach(&hook, &filter);
	err = err ?: bpf_tc_attach(&hook, &filter);
	return err ?: clsact_own(maps, key->ifindex, MSSBPF_CLSACT_OURS);
}

static int clsact_replace(const struct maps *maps, const struct mssbpf_key *key, int program)
{
	struct bpf_tc_hook hook = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(program, BPF_TC_F_REPLACE);

	(void)maps;
	return bpf_tc_attach(&hook, &filter);
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
		return kind < 0 ? kind : 0;
	return clsact_is_idle(key);
}

/* Removes our filter; and with it the qdisc, if that is ours and nothing else is in it. */
static int clsact_remove(const struct maps *maps, const struct mssbpf_key *key)
{
	LIBBPF_OPTS(bpf_tc_hook, qdisc, .ifindex = key->ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	const struct mssbpf_key other = { key->ifindex, !key->direction };
	struct bpf_tc_hook hook = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(0, 0);
	__u32 program_id;
	int alone, err = clsact_query(maps, key, &program_id);
	bool attached = !err;

	if (err && err != -ENOENT)
		return err == -EEXIST ? 0 : err;
	alone = clsact_is_ours_alone(maps, key, attached);
	if (alone < 0)
		return alone;
	if (alone)
		err = bpf_tc_hook_destroy(&qdisc);
	else
		err = attached ? bpf_tc_detach(&hook, &filter) : 0;
	/* Without a filter of ours in it, a qdisc may be replaced unseen: it is ours no more. */
	if (!err && !alone)
		err = clsact_query(maps, &other, &program_id);
	else if (!err)
		err = -ENOENT;
	return err == -ENOENT || err == -EEXIST ? clsact_own(maps, key->ifindex, MSSBPF_CLSACT_FOREIGN) : err;
}

static const struct hook_calls hooks[HOOKS] = {
	[HOOK_TCX] = { "tcx", tcx_query, tcx_create, tcx_replace, tcx_remove },
	[HOOK_CLSACT] = { "clsact", clsact_query, clsact_create, clsact_replace, clsact_remove },
};

const char *hook_name(enum hook hook)
{
	return hooks[hook].name;
}

const char *direction_name(unsigned int direction)
{
	return direction == MSSBPF_EGRESS ? "egress" : "ingress";
}

bool tcx_supported(void)
{
	__u32 count = 0;

	/* The loopback's index in every namespace: a kernel without TCX does not know the attach type. */
	return bpf_prog_query(1, (enum bpf_attach_type)TCX_EGRESS, 0, NULL, NULL, &count) != -EINVAL;
}

bool tcx_in_use(const struct mssbpf_key *key)
{
	__u32 count = 0;

	return !bpf_prog_query(key->ifindex, tcx_type(key), 0, NULL, NULL, &count) && count;
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

int attachment_query(const struct maps *maps, const struct mssbpf_key *key, enum hook *hook, __u32 *program_id)
{
	for (*hook = 0; *hook < HOOKS; (*hook)++) {
		int err = hooks[*hook].query(maps, key, program_id);

		if (err != -ENOENT && err != -EEXIST)
			return err;
	}
	return -ENOENT;
}

int attachment_set(const struct maps *maps, const struct mssbpf_key *key, enum hook current, enum hook hook,
		   enum mssbpf_link link)
{
	int program = maps->programs[link][key->direction];
	__u32 program_id;
	bool fresh;
	int err = 0;

	/* At another hook than this it may still be here, too: the command that moved it was killed. */
	if (current != hook)
		err = current == HOOKS ? -ENOENT : hooks[hook].query(maps, key, &program_id);
	fresh = err == -ENOENT;
	if (fresh)
		err = hooks[hook].create(maps, key, program);
	else if (!err)
		err = hooks[hook].replace(maps, key, program);
	for (enum hook other = 0; other < HOOKS && !err; other++)
		if (other != hook)
			err = hooks[other].remove(maps, key);
	if (err && fresh)
		hooks[hook].remove(maps, key);
	return err;
}

int attachment_remove(const struct maps *maps, const struct mssbpf_key *key)
{
	int owner = clsact_owner(maps, key->ifindex);
	/* The entry of the other direction, if there is one, has to know after this one is gone. */
	int err = owner < 0 ? owner : clsact_own(maps, key->ifindex, owner);

	for (enum hook hook = 0; hook < HOOKS && !err; hook++)
		err = hooks[hook].remove(maps, key);
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
		found = access(link_path_of(&other, &entries[i].key).text, F_OK);
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
		struct bpf_link_info info;
		struct link_path path;
		int fd;

		if (strncmp(file->d_name, LINK_PREFIX, strlen(LINK_PREFIX)))
			continue;
		snprintf(path.text, sizeof(path.text), "%s/%s", folder, file->d_name);
		fd = link_open(path.text, &info);
		alive = fd < 0 || link_ifindex(&info);
		dead = true;
		if (fd >= 0)
			close(fd);
	}
	if (directory)
		closedir(directory);
	return dead && !alive && !folder_has_filters(folder);
}
