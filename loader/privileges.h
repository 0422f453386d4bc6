/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a command is allowed to do. Not a substitute for the kernel's own checks: it names beforehand
 * what they would refuse.
 */
#ifndef MSSBPF_PRIVILEGES_H
#define MSSBPF_PRIVILEGES_H

/*
 * Returns 0 when the process may load and attach programs: CAP_BPF (or CAP_SYS_ADMIN) and CAP_NET_ADMIN;
 * else -EPERM after naming what is missing.
 */
int privileges_check(void);

#endif
