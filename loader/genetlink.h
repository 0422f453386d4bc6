/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Questions to families of generic netlink. Not about any of them.
 */
#ifndef MSSBPF_GENETLINK_H
#define MSSBPF_GENETLINK_H

#include "netlink.h"

/*
 * The number of a family, by its name; it is looked for in the list of all, because a question by name would
 * load its module. Returns -ENOENT when the kernel does not have it, or another -errno.
 */
int genetlink_family(const char *name);

/* Writes the header of a dump of a family's objects into the buffer; attributes may follow. */
struct nlmsghdr *genetlink_dump(char *buffer, int family, unsigned char command, unsigned char version);

#endif
