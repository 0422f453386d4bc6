/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's types and constants as the data path needs them, for the BPF compiler and for native
 * tests. Not a copy of the uapi headers: types come from vmlinux.h (BPF) or the system (native).
 */
#ifndef MSSBPF_UAPI_H
#define MSSBPF_UAPI_H

#include <stdbool.h>

#ifdef __bpf__

#include "vmlinux.h"

/* Macros, which BTF does not carry: include/uapi/linux/{if_ether,pkt_cls}.h, include/linux/socket.h. */
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88a8
#define ETH_P_PPP_SES 0x8864
#define TC_ACT_UNSPEC (-1)
#define AF_INET 2
#define AF_INET6 10

#else

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>

#endif

#include <bpf/bpf_endian.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/*
 * Makes the compiler store a variable and read it back. What a program reads from stack bytes other
 * than the first of an aligned 8-byte slot, the verifier takes for unknown: ways that led here with
 * different values look alike from here on, and the rest is verified once instead of once for each.
 * So in the structs given to it the first byte is unused, or what is in such a place is not read afterwards;
 * and since zero bytes are known to be zero, what they hold starts as something else.
 */
#define forget(variable) asm volatile("" : : "r"(&(variable)) : "memory")

/* The same once more for all that was given to forget() before in the function: takes no instruction by itself. */
#define forget_again() asm volatile("" : : : "memory")

/*
 * Makes the compiler know nothing of a number any more: what it computes with it is computed anew, so that what the
 * verifier learns of that stays apart.
 */
#define conceal(number) asm("" : "+r"(number))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
