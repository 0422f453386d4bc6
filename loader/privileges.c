// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Capabilities of this process. Not a way to change them.
 */
#include "privileges.h"

#include "cli.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
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
