/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the running kernel offers the programs beyond what all kernels do, for their read-only flags. Not what this
 * user may do: that is privileges.h.
 */
#ifndef MSSBPF_ABILITIES_H
#define MSSBPF_ABILITIES_H

#include <mssbpf/abi.h>
#include <stdbool.h>

/*
 * Programs can read a device's MTU and that of a route as a packet passes: bpf_check_mtu() and the MTU that
 * bpf_fib_lookup() tells came together, with Linux 5.12.
 */
bool live_mtu_supported(void);

/* An XDP program can see frames in several buffers (Linux 5.18): then jumbo ports take it. */
bool xdp_frags_supported(void);

/* bpf_fib_lookup() takes a mark (Linux 6.10). */
bool fib_mark_supported(void);

/*
 * Finds out where the kernel keeps what a packet's route says. Returns false, with all zero, when programs cannot read
 * it: the kernel has no BTF, is one of 32 bits, or is locked down against bpf_probe_read_kernel().
 */
bool route_layout_find(struct mssbpf_route_layout *layout);

#endif
