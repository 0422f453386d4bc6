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

static int capabilities_set(bool bpf)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (bpf)
		data[CAP_TO_INDEX(CAP_BPF)].effective = data[CAP_TO_INDEX(CAP_BPF)].permitted = CAP_TO_MASK(CAP_BPF);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/*
 * Tells whether bpf(2) is closed to this process without CAP_BPF, as kernel.unprivileged_bpf_disabled makes it up to
 * Linux 5.18: then it is refused before the path is looked at.
 */
static bool bpf_is_closed(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {}, none[_LINUX_CAPABILITY_U32S_3];
	bool closed;

	if (syscall(SYS_capget, &header, data))
		return false;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none[i] = (struct __user_cap_data_struct){ .permitted = data[i].permitted };
	if (syscall(SYS_capset, &header, none))
		return false;
	closed = bpf_obj_get("") == -EPERM;
	syscall(SYS_capset, &header, data);
	return closed && data[CAP_TO_INDEX(CAP_BPF)].permitted & CAP_TO_MASK(CAP_BPF);
}

static int user_drop(gid_t group)
{
	return setgroups(1, &group) || setresgid(group, group, group) || setresuid(NOBODY, NOBODY, NOBODY) ? -errno : 0;
}

int privileges_drop(gid_t group)
{
	bool bpf = bpf_is_closed();
	int err = 0;

	/* Fails where the capability is not there; and behind the last one. */
	for (int capability = 0; !prctl(PR_CAPBSET_DROP, capability); capability++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	prctl(PR_SET_KEEPCAPS, bpf);
	if (!geteuid() && group)
		err = user_drop(group);
	err = err ?: capabilities_set(bpf);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (err)
		error("cannot give up privileges: %s", strerror(-err));
	return err;
}
