// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two hooks, TCX and clsact, behind one table. Not a place that decides what to attach.
 */
#include "attach.h"

#include "netlink.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* include/uapi/linux/bpf.h of Linux 6.6; Debian 12's headers and libbpf 1.1 are older. */
enum {
	TCX_INGRESS = 46,     /* BPF_TCX_INGRESS */
	TCX_EGRESS = 47,      /* BPF_TCX_EGRESS */
	LINK_TYPE_TCX = 11,   /* BPF_LINK_TYPE_TCX */
	TCX_BEFORE = 1U << 3, /* BPF_F_BEFORE: with no relative, ahead of all others */
};

/* Our place among clsact filters: early, so that a verdict of another does not end the chain first. */
enum {
	FILTER_PRIORITY = 'M',
	FILTER_HANDLE = 'M' << 16 | 'S' << 8 | 'S',
};

#define PROGRAM_PREFIX "mssbpf_tc_"

/*
 * query: 0 and the program's id, -ENOENT when none of ours is there, -EEXIST when somebody else's is in
 * our place, another -errno when that could not be found out. The others: 0 or -errno.
 */
struct hook_calls {
	const char *name;
	int (*query)(const struct maps *maps, const struct mssbpf_key *key, __u32 *program_id);
	int (*create)(const struct maps *maps, const struct mssbpf_key *key, int program);
	int (*replace)(const struct maps *maps, const struct mssbpf_key *key, int program);
	void (*remove)(const struct maps *maps, const struct mssbpf_key *key);
};

/* TCX: a link, pinned beside the maps. */

struct link_path {
	char text[128];
};

static struct link_path link_path_of(const struct maps *maps, const struct mssbpf_key *key)
{
	struct link_path path;

	snprintf(path.text, sizeof(path.text), "%s/link_%u_%s", maps->folder, key->ifindex,
		 direction_name(key->direction));
	return path;
}

static int tcx_type(const struct mssbpf_key *key)
{
	return key->direction == MSSBPF_EGRESS ? TCX_EGRESS : TCX_INGRESS;
}

/* Opens our link if it still holds its device: the kernel sets the index to 0 when the device goes. */
static int tcx_open(const struct maps *maps, const struct mssbpf_key *key, struct bpf_link_info *info)
{
	__u32 length = sizeof(*info);
	int fd = bpf_obj_get(link_path_of(maps, key).text);

	if (fd < 0)
		return fd;
	*info = (struct bpf_link_info){};
	/* The tcx member (ifindex, attach_type) is laid out as the netns one, which old headers have. */
	if (bpf_obj_get_info_by_fd(fd, info, &length) || info->type != LINK_TYPE_TCX ||
	    info->netns.netns_ino != key->ifindex || info->netns.attach_type != (__u32)tcx_type(key)) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

static int tcx_query(const struct maps *maps, const struct mssbpf_key *key, __u32 *program_id)
{
	struct bpf_link_info info;
	int fd = tcx_open(maps, key, &info);

	if (fd < 0)
		return fd;
	*program_id = info.prog_id;
	close(fd);
	return 0;
}

static int tcx_create(const struct maps *maps, const struct mssbpf_key *key, int program)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = TCX_BEFORE);
	struct link_path path = link_path_of(maps, key);
	int err, fd = bpf_link_create(program, key->ifindex, (enum bpf_attach_type)tcx_type(key), &options);

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
	int err, fd = tcx_open(maps, key, &info);

	if (fd < 0)
		return fd;
	err = bpf_link_update(fd, program, NULL);
	close(fd);
	return err;
}

static void tcx_remove(const struct maps *maps, const struct mssbpf_key *key)
{
	struct link_path path = link_path_of(maps, key);
	int fd = bpf_obj_get(path.text);

	if (fd >= 0) {
		bpf_link_detach(fd); /* somebody else may hold the link open */
		close(fd);
	}
	unlink(path.text);
}

/* clsact: a filter with our handle and priority. */

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

static bool program_is_ours(__u32 id)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);
	int err, fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return false;
	err = bpf_obj_get_info_by_fd(fd, &info, &length);
	close(fd);
	return !err && !strncmp(info.name, PROGRAM_PREFIX, strlen(PROGRAM_PREFIX));
}

static int clsact_query(const struct maps *maps, const struct mssbpf_key *key, __u32 *program_id)
{
	struct bpf_tc_hook hook = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(0, 0);
	int err = bpf_tc_query(&hook, &filter);

	(void)maps;
	if (err) /* -EINVAL: there is no such qdisc (net/sched/cls_api.c, __tcf_qdisc_find()) */
		return err == -EINVAL || err == -ENODEV ? -ENOENT : err;
	*program_id = filter.prog_id;
	return program_is_ours(filter.prog_id) ? 0 : -EEXIST;
}

static int clsact_create(const struct maps *maps, const struct mssbpf_key *key, int program)
{
	struct bpf_tc_hook hook = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(program, 0);
	int err = bpf_tc_hook_create(&hook);

	(void)maps;
	return err && err != -EEXIST ? err : bpf_tc_attach(&hook, &filter);
}

static int clsact_replace(const struct maps *maps, const struct mssbpf_key *key, int program)
{
	struct bpf_tc_hook hook = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(program, BPF_TC_F_REPLACE);

	(void)maps;
	return bpf_tc_attach(&hook, &filter);
}

static void clsact_remove(const struct maps *maps, const struct mssbpf_key *key)
{
	struct bpf_tc_hook hook = clsact_hook(key);
	struct bpf_tc_opts filter = clsact_filter(0, 0);
	__u32 program_id;

	if (!clsact_query(maps, key, &program_id))
		bpf_tc_detach(&hook, &filter);
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

int attachment_query(const struct maps *maps, const struct mssbpf_key *key, enum hook *hook, __u32 *program_id)
{
	for (*hook = 0; *hook < HOOKS; (*hook)++) {
		int err = hooks[*hook].query(maps, key, program_id);

		if (err != -ENOENT && err != -EEXIST)
			return err;
	}
	return -ENOENT;
}

int attachment_set(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, enum mssbpf_link link)
{
	int program = maps->programs[link][key->direction];
	__u32 program_id;
	int err = hooks[hook].query(maps, key, &program_id);

	if (err == -ENOENT)
		err = hooks[hook].create(maps, key, program);
	else if (!err)
		err = hooks[hook].replace(maps, key, program);
	if (err)
		return err;
	for (enum hook other = 0; other < HOOKS; other++)
		if (other != hook)
			hooks[other].remove(maps, key);
	return 0;
}

/*
 * Removes the clsact qdisc that we created, unless a filter is in it; the entry of the device's other
 * direction, if there is one, then remembers whose it is.
 */
static void clsact_release(const struct maps *maps, const struct mssbpf_key *key)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = key->ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct mssbpf_key other = { key->ifindex, !key->direction };
	struct mssbpf_limit limit;

	if (clsact_in_use(key->ifindex) == 0) {
		bpf_tc_hook_destroy(&hook);
	} else if (!maps_entry_get(maps, &other, &limit)) {
		limit.clsact_owned = true;
		maps_entry_set(maps, &other, &limit);
	}
}

void attachment_remove(const struct maps *maps, const struct entry *entry)
{
	for (enum hook hook = 0; hook < HOOKS; hook++)
		hooks[hook].remove(maps, &entry->key);
	if (entry->limit.clsact_owned)
		clsact_release(maps, &entry->key);
	maps_entry_remove(maps, &entry->key);
}

int attachments_reap(const struct maps *maps)
{
	struct entry *entries;
	size_t count;
	int err = maps_entries(maps, &entries, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		__u32 program_id;
		enum hook hook;

		if (attachment_query(maps, &entries[i].key, &hook, &program_id) == -ENOENT)
			attachment_remove(maps, &entries[i]);
	}
	free(entries);
	return 0;
}
