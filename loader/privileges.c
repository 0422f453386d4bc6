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

int privileges_check(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	bool bpf, net;

	if (syscall(SYS_capget, &header, data))
		return 0;
	bpf = has(data, CAP_BPF) || has(data, CAP_SYS_ADMIN);
	net = has(data, CAP_NET_ADMIN);
	if (bpf && net)
		return 0;
	error("attaching and detaching take root, or the capabilities CAP_BPF and CAP_NET_ADMIN; missing here: %s%s%s",
	      bpf ? "" : "CAP_BPF", bpf || net ? "" : " and ", net ? "" : "CAP_NET_ADMIN");
	return -EPERM;
}
