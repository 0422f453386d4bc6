// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reads TCX programs and clsact filters of others. Asks only.
 */
#include "ahead.h"

#include "link.h"
#include "netlink.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_gact.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ahead_list {
	struct ahead *list;
	size_t count;
	unsigned int before; /* priority of our filter */
};

static int ahead_add(struct ahead_list *all, const struct ahead *one)
{
	struct ahead *grown = reallocarray(all->list, all->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	all->list = grown;
	grown[all->count++] = *one;
	return 0;
}

static void program_name(__u32 program_id, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(program_id);

	*name = '\0';
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &length))
		memcpy(name, info.name, BPF_OBJ_NAME_LEN - 1);
	name[BPF_OBJ_NAME_LEN - 1] = '\0';
	close(fd);
}

static int tcx_list(const struct mssbpf_key *key, __u32 program_id, struct ahead_list *all)
{
	__u32 ids[TCX_PROGRAMS_MAX];
	int count = tcx_programs(key, ids), err = 0;

	for (int i = 0; i < count && ids[i] != program_id && !err; i++) {
		struct ahead one = { .kind = AHEAD_PROGRAM, .tcx = true, .program_id = ids[i] };

		program_name(ids[i], one.name);
		err = ahead_add(all, &one);
	}
	return count < 0 ? count : err;
}

/* Where each kind of filter keeps its actions. */
static const struct {
	const char *kind;
	unsigned short actions;
} filter_kinds[] = {
	{ "basic", TCA_BASIC_ACT },  { "bpf", TCA_BPF_ACT },	       { "cgroup", TCA_CGROUP_ACT },
	{ "flow", TCA_FLOW_ACT },    { "flower", TCA_FLOWER_ACT },     { "fw", TCA_FW_ACT },
	{ "route", TCA_ROUTE4_ACT }, { "matchall", TCA_MATCHALL_ACT }, { "u32", TCA_U32_ACT },
};

enum { OPTIONS_MAX = 128 }; /* attributes of a filter's options */

/*
 * Tells whether the filters behind see what this one matches. A match ends the way unless its last action says
 * "continue" (net/sched/cls_api.c, tcf_exts_exec()); one without actions ends it.
 */
static bool actions_continue(const struct nlattr *actions)
{
	const struct nlattr *action, *parts[TCA_ACT_MAX + 1], *parameters[8];
	const struct tc_gact *gact;
	bool go_on = false;

	mnl_attr_for_each_nested(action, actions)
	{
		memset(parts, 0, sizeof(parts));
		memset(parameters, 0, sizeof(parameters));
		go_on = false;
		attributes_of_nest(action, parts, TCA_ACT_MAX + 1);
		if (!parts[TCA_ACT_OPTIONS] || strcmp(attribute_text(parts[TCA_ACT_KIND]), "gact"))
			continue;
		attributes_of_nest(parts[TCA_ACT_OPTIONS], parameters, 8);
		gact = attribute_bytes(parameters[TCA_GACT_PARMS], sizeof(*gact));
		go_on = gact && gact->action == TC_ACT_UNSPEC;
	}
	return go_on;
}

static bool protocol_is_ip(__be16 protocol)
{
	switch (ntohs(protocol)) {
	case ETH_P_ALL:
	case ETH_P_IP:
	case ETH_P_IPV6:
	case ETH_P_8021Q:
	case ETH_P_8021AD:
		return true;
	default:
		return false;
	}
}

/* A u32 filter with neither action nor class goes on; what has no selector is a table of filters. */
static bool u32_is_terminal(const struct nlattr *selector)
{
	const struct tc_u32_sel *sel = attribute_bytes(selector, sizeof(*sel));

	return sel && sel->flags & TC_U32_TERMINAL;
}

/* Reads the options of a filter. Returns false for what is no filter, or ends no packet's way. */
static bool options_read(const struct nlattr *const *parts, struct ahead *one)
{
	const struct nlattr *options[OPTIONS_MAX] = {}, *actions = NULL;

	attributes_of_nest(parts[TCA_OPTIONS], options, OPTIONS_MAX);
	if (!strcmp(one->what, "u32") && !u32_is_terminal(options[TCA_U32_SEL]))
		return false;
	if (!strcmp(one->what, "bpf")) {
		one->kind = AHEAD_PROGRAM;
		one->program_id = attribute_number(options[TCA_BPF_ID]);
		program_name(one->program_id, one->name);
		return true;
	}
	for (size_t i = 0; i < sizeof(filter_kinds) / sizeof(*filter_kinds); i++)
		if (!strcmp(one->what, filter_kinds[i].kind))
			actions = options[filter_kinds[i].actions];
	return !actions || !actions_continue(actions);
}

static int filter_note(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *tc = message_header(message, sizeof(*tc));
	const struct nlattr *parts[TCA_MAX + 1] = {};
	struct ahead_list *all = context;
	struct ahead one = { .kind = AHEAD_FILTER };

	/* Without a handle, it is the head of the list of a priority. */
	if (message->nlmsg_type != RTM_NEWTFILTER || !tc || !tc->tcm_handle || !protocol_is_ip(TC_H_MIN(tc->tcm_info)))
		return MNL_CB_OK;
	one.priority = TC_H_MAJ(tc->tcm_info) >> 16;
	if (one.priority >= all->before)
		return MNL_CB_OK;
	attributes_of_message(message, sizeof(*tc), parts, TCA_MAX + 1);
	if (!parts[TCA_OPTIONS] || attribute_number(parts[TCA_CHAIN]))
		return MNL_CB_OK;
	strncpy(one.what, attribute_text(parts[TCA_KIND]), sizeof(one.what) - 1);
	if (!options_read(parts, &one))
		return MNL_CB_OK;
	errno = ENOMEM;
	return ahead_add(all, &one) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int filters_list(const struct mssbpf_key *key, struct ahead_list *all)
{
	size_t count = all->count;
	int err;

	do { /* -EINTR: filters came or went meanwhile */
		all->count = count;
		err = clsact_dump(key->ifindex, clsact_minor(key), filter_note, all);
	} while (err == -EINTR);
	return err;
}

int ahead_list(const struct mssbpf_key *key, enum hook hook, __u32 program_id, struct ahead **list, size_t *count)
{
	struct ahead_list all = { .before = FILTER_PRIORITY };
	int err = 0;

	/* XDP comes before both. */
	if (!hook_mode(hook) && tcx_supported())
		err = tcx_list(key, hook == HOOK_TCX ? program_id : 0, &all);
	if (!err && hook == HOOK_CLSACT)
		err = filters_list(key, &all);
	if (err) {
		free(all.list);
		all = (struct ahead_list){};
	}
	*list = all.list;
	*count = all.count;
	return err;
}
