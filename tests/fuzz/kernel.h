/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stands in for loader/netlink_socket.c: requests are answered from bytes that a fuzzer made up. No kernel is asked.
 */
#ifndef TESTS_KERNEL_H
#define TESTS_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/*
 * The answers to the requests from now on, one behind the other. Each begins with a byte: an errno if it is not more
 * than KERNEL_ERRNO_MAX, else KERNEL_ERRNO_MAX and how many messages follow; each of these is its type and the length
 * of its payload (16 bits, host order), and the payload. Where the bytes end, answers are empty.
 */
enum { KERNEL_ERRNO_MAX = 120 };

void kernel_answers(const uint8_t *bytes, size_t size);

#endif
