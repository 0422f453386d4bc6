// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Pinned BPF links, TCX and XDP. Not a place that decides what to attach.
 */
#include "link.h"

#include "netlink.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* include/uapi/linux/bpf.h of Linux 6.6; Debian 12's headers and libbpf 1.1 are older. */
enum {
	TCX_INGRESS = 46,      /* BPF_TCX_INGRESS */
	TCX_EGRESS = 47,       /* BPF_TCX_EGRESS */
	LINK_TYPE_TCX = 11,    /* BPF_LINK_TYPE_TCX */
	TCX_BEFORE = 1U << 3,  /* BPF_F_BEFORE: with no relative, ahead of all others */
};

#define LINK_PREFIX "link_"

struct link_path {
	char text[512];
};

static struct link_path link_path_of(const struct maps *maps, const struct mssbpf_key *key, enum hook hook)
{
	struct link_path path;

	snprintf(path.text, sizeof(path.text), "%s/" LINK_PREFIX "%u_%s", maps->folder, key->ifindex,
		 hook == HOOK_TCX ? direction_name(key->direction) : hook_mode(hook));
	return path;
}

/* XDP has no egress side. */
static bool hook_is_there(const struct mssbpf_key *key, enum hook hook)
{
	return hook == HOOK_TCX || key->direction == MSSBPF_INGRESS;
}

static enum bpf_attach_type tcx_type(const struct mssbpf_key *key)
{
	return (enum bpf_attach_type)(key->direction == MSSBPF_EGRESS ? TCX_EGRESS : TCX_INGRESS);
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

/*
 * Reads a pinned link. Returns its fd, -ENOENT when there is none or it is none of a device, or another -errno.
 */
static int link_open(const char *path, struct bpf_link_info *info)
{
	__u32 length = sizeof(*info);
	int err, fd = bpf_obj_get(path);

	if (fd < 0)
		return fd;
	*info = (struct bpf_link_info){};
	err = bpf_obj_get_info_by_fd(fd, info, &length);
	if (!err && info->type != LINK_TYPE_TCX && info->type != BPF_LINK_TYPE_XDP)
		err = -ENOENT;
	if (err)
		close(fd);
	return err ?: fd;
}

/* The device of a link, 0 when it is gone. TCX's, which old headers lack, is laid out as XDP's. */
static __u32 link_ifindex(const struct bpf_link_info *info)
{
	return info->xdp.ifindex;
}

int tcx_programs(const struct mssbpf_key *key, __u32 ids[TCX_PROGRAMS_MAX])
{
	__u32 count = TCX_PROGRAMS_MAX;

	return bpf_prog_query(key->ifindex, tcx_type(key), 0, NULL, ids, &count) ?: (int)count;
}

/* Tells whether the program is at the device's TCX hook: 0, -ENOENT or another -errno. */
static int tcx_has(const struct mssbpf_key *key, __u32 program_id)
{
	__u32 ids[TCX_PROGRAMS_MAX];
	int count = tcx_programs(key, ids);

	for (int i = 0; i < count; i++)
		if (ids[i] == program_id)
			return 0;
	return count < 0 && count != -ENODEV ? count : -ENOENT;
}

static int xdp_has(const struct mssbpf_key *key, enum hook hook, __u32 program_id)
{
	struct xdp_programs programs;
	int err = xdp_look(key->ifindex, &programs);

	if (err)
		return err == -ENODEV ? -ENOENT : err;
	return program_id == (hook == HOOK_XDP_NATIVE ? programs.native : programs.generic) ? 0 : -ENOENT;
}

int link_query(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, __u32 *program_id)
{
	struct bpf_link_info info;
	int fd = hook_is_there(key, hook) ? link_open(link_path_of(maps, key, hook).text, &info) : -ENOENT;

	if (fd < 0)
		return fd;
	close(fd);
	*program_id = info.prog_id;
	/* A link follows its device to another namespace: only the programs of the device here tell. */
	if (link_ifindex(&info) != key->ifindex)
		return -ENOENT;
	return hook == HOOK_TCX ? tcx_has(key, info.prog_id) : xdp_has(key, hook, info.prog_id);
}

int link_create(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, int program)
{
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = hook == HOOK_TCX	       ? TCX_BEFORE
			     : hook == HOOK_XDP_NATIVE ? XDP_FLAGS_DRV_MODE
						       : XDP_FLAGS_SKB_MODE);
	struct link_path path = link_path_of(maps, key, hook);
	int err, fd = bpf_link_create(program, key->ifindex, hook == HOOK_TCX ? tcx_type(key) : BPF_XDP, &options);

	if (fd < 0)
		return fd;
	unlink(path.text); /* of a device that is gone, and had this index */
	err = bpf_obj_pin(fd, path.text);
	close(fd);
	return err;
}

int link_replace(const struct maps *maps, const struct mssbpf_key *key, enum hook hook, int program)
{
	struct bpf_link_info info;
	int err, fd = link_open(link_path_of(maps, key, hook).text, &info);

	if (fd < 0)
		return fd;
	err = bpf_link_update(fd, program, NULL);
	close(fd);
	return err;
}

int link_remove(const struct maps *maps, const struct mssbpf_key *key, enum hook hook)
{
	struct link_path path = link_path_of(maps, key, hook);
	struct bpf_link_info info;
	int err = 0, fd = hook_is_there(key, hook) ? link_open(path.text, &info) : -ENOENT;

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

bool link_is_pinned(const struct maps *maps, const struct mssbpf_key *key)
{
	for (enum hook hook = 0; hook < HOOKS; hook++)
		if (hook != HOOK_CLSACT && hook_is_there(key, hook) &&
		    !access(link_path_of(maps, key, hook).text, F_OK))
			return true;
	return false;
}

bool link_is_name(const char *name)
{
	return !strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX));
}

bool link_is_alive(const char *folder, const char *name)
{
	struct bpf_link_info info;
	struct link_path path;
	int fd;

	snprintf(path.text, sizeof(path.text), "%s/%s", folder, name);
	fd = link_open(path.text, &info);
	if (fd < 0)
		return true;
	close(fd);
	return link_ifindex(&info);
}
