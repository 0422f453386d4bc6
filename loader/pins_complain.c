// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is wrong with pins and programs, in words. Not where it is found out.
 */
#include "pins_complain.h"

#include "cli.h"
#include "pins_share.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <mssbpf/abi.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

int pins_complain(const char *folder, int err)
{
	if (err == -ENOENT)
		error("%s: not whole, somebody removed pins: 'rm -r %s' removes the rest and takes off what is "
		      "attached by TCX; then attach anew",
		      folder, folder);
	else if (err == -EPROTO)
		error("%s: pinned maps of another layout than this program's (%d): left alone; 'mssbpf detach --all' "
		      "of the version that made them removes them",
		      folder, MSSBPF_ABI);
	else if (err)
		error("%s: cannot read the pinned maps: %s%s", folder, strerror(-err),
		      err == -EACCES  ? "; this takes root, or to read alone, the group " PINS_GROUP
		      : err == -EPERM ? "; this takes root, or CAP_BPF"
				      : "");
	return err;
}

void programs_complain(const char *where, int err)
{
	struct utsname system = {};
	unsigned int major, minor;
	bool locks = false; /* maps are locked memory (Linux 5.10) */

	if (!uname(&system) && sscanf(system.release, "%u.%u", &major, &minor) == 2)
		locks = major * 1000 + minor < 5011;
	if (err == -EPERM)
		error("%s: loading the BPF programs: %s; this takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON%s", where,
		      strerror(-err),
		      locks ? ", and on this kernel memory that may be locked: CAP_SYS_RESOURCE, or 'ulimit -l unlimited'"
			    : "");
	else if (err == -ENOMEM)
		error("%s: loading the BPF programs: the system or this control group has too little memory for them or new "
		      "maps: attach again when there is more; for new maps, --max-entries takes less of it",
		      where);
	else if (err == -ENOSYS)
		error("%s: loading the BPF programs: this kernel (%s) has no bpf(), CONFIG_BPF_SYSCALL", where,
		      system.release);
	else if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL) == 0)
		error("%s: loading the BPF programs: this kernel (%s) has no TC programs, CONFIG_NET_CLS_ACT and "
		      "CONFIG_NET_CLS_BPF",
		      where, system.release);
	else
		error("%s: loading the BPF programs: %s; Linux 5.10 or later is needed, this is %s; --verbose shows more",
		      where, strerror(-err), system.release);
}
