/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a command is allowed to do. Not a substitute for the kernel's own checks: it names beforehand
 * what they would refuse.
 */
#ifndef MSSBPF_PRIVILEGES_H
#define MSSBPF_PRIVILEGES_H

#include <stdbool.h>

/*
 * Returns 0 when the process may attach and detach, CAP_BPF and CAP_NET_ADMIN, and for `load` also load
 * programs with pointer arithmetic, CAP_PERFMON (CAP_SYS_ADMIN stands for the first and the last); else
 * -EPERM after naming what is missing.
 */
int privileges_check(bool load);

#endif
