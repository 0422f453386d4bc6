/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a command is allowed to do, and to do no more. Not a substitute for the kernel's own checks: it names beforehand
 * what they would refuse.
 */
#ifndef MSSBPF_PRIVILEGES_H
#define MSSBPF_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Returns 0 when the process may attach and detach, CAP_BPF and CAP_NET_ADMIN, and for `load` also load
 * programs with pointer arithmetic, CAP_PERFMON (CAP_SYS_ADMIN stands for the first and the last); else
 * -EPERM after naming what is missing.
 */
int privileges_check(bool load);

/*
 * Gives up all that reading pinned maps does not take, for good: capabilities (but CAP_BPF on kernels before 5.19 that
 * let no one else call bpf(2)), what programs that are run might gain, and for root the user and the groups but
 * `group`, which may read. Where there is none (0), it keeps CAP_DAC_READ_SEARCH; root that has not got that stays root.
 * Returns 0, or -errno after saying what is wrong.
 */
int privileges_drop(gid_t group);

#endif
