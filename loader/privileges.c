// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Capabilities of this process: which it has, and giving them up. Not a way to get them.
 */
#include "privileges.h"

#include "cli.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has(const struct __user_cap_data_struct *data, int capability)
{
	return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

int privileges_check(bool load)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	bool admin, bpf, net, perfmon;

	if (syscall(SYS_capget, &header, data))
		return 0;
	admin = has(data, CAP_SYS_ADMIN);
	bpf = admin || has(data, CAP_BPF);
	net = has(data, CAP_NET_ADMIN);
	perfmon = admin || !load || has(data, CAP_PERFMON);
	if (bpf && net && perfmon)
		return 0;
	error("not permitted: this takes root, or the capabilities CAP_BPF, CAP_NET_ADMIN%s; missing:%s%s%s",
	      load ? " and CAP_PERFMON" : "", bpf ? "" : " CAP_BPF", net ? "" : " CAP_NET_ADMIN",
	      perfmon ? "" : " CAP_PERFMON");
	return -EPERM;
}

enum { NOBODY = 65534 };

/* Sets of capabilities, a bit each. */
#define CAP_BIT(capability) (1ULL << (capability))

/* Returns those that this process may use. */
static __u64 capabilities_permitted(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	return syscall(SYS_capget, &header, data) ? 0 : (__u64)data[1].permitted << 32 | data[0].permitted;
}

/* Returns 0 or -errno. */
static int capabilities_set(__u64 effective, __u64 permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = effective, .permitted = permitted },
		{ .effective = effective >> 32, .permitted = permitted >> 32 },
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/*
 * Tells whether bpf(2) is closed to this process without CAP_BPF, as kernel.unprivileged_bpf_disabled makes it up to
 * Linux 5.18: then it is refused before the path is looked at.
 */
static bool bpf_is_closed(__u64 permitted)
{
	bool closed;

	if (capabilities_set(0, permitted))
		return false;
	closed = bpf_obj_get("") == -EPERM;
	capabilities_set(permitted, permitted);
	return closed;
}

/* What reading the pins takes, of what is permitted: as nobody, without a group that may, one capability for it. */
static __u64 capabilities_to_read(__u64 permitted, gid_t group)
{
	__u64 needed = bpf_is_closed(permitted) ? CAP_BIT(CAP_BPF) : 0;

	if (!geteuid() && !group)
		needed |= CAP_BIT(CAP_DAC_READ_SEARCH);
	return needed & permitted;
}

static int user_drop(gid_t group)
{
	return setgroups(1, &group) || setresgid(group, group, group) || setresuid(NOBODY, NOBODY, NOBODY) ? -errno : 0;
}

int privileges_drop(gid_t group)
{
	const __u64 kept = capabilities_to_read(capabilities_permitted(), group);
	int err = 0;

	/* Fails where the capability is not there; and behind the last one. */
	for (int capability = 0; !prctl(PR_CAPBSET_DROP, capability); capability++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	prctl(PR_SET_KEEPCAPS, kept != 0);
	/* Root without a group that may read, nor the capability, has to stay: the pins are root's. */
	if (!geteuid() && (group || kept & CAP_BIT(CAP_DAC_READ_SEARCH)))
		err = user_drop(group ?: NOBODY);
	err = err ?: capabilities_set(kept, kept);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (err)
		error("cannot give up privileges: %s", strerror(-err));
	return err;
}
