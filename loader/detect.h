/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The MTU that really fits through a device: its own, and that of everything below it. Not the kernel's
 * answers themselves: those are ways.h's; nor the arithmetic: that is overhead.h's.
 */
#ifndef MSSBPF_DETECT_H
#define MSSBPF_DETECT_H

#include "ways.h"

struct detection {
	char device[IFNAMSIZ];
	struct path path;		/* by the way that leaves least, down to the device's own MTU */
	unsigned int fits;		/* what that way carries, were the device's own MTU no limit; bytes */
	unsigned int advice;		/* the largest MTU for the device with which all it sends fits */
	size_t ways;			/* how many there were to choose from */
	char remote[ADDRESS_TEXT_SIZE]; /* where it leads, as text; "": no address is known */
};

/*
 * What a command knows of devices: each is looked at once, however many stand on it. Returns NULL after saying what is
 * wrong; search_end() releases it, and takes NULL.
 */
struct search *search_begin(void);
void search_end(struct search *search);

/*
 * Finds out what fits through a device: the worst of its ways counts, and the device's own MTU. Warns of
 * ways that cannot be told. Returns 0, or -errno after saying what is wrong.
 */
int device_detect(struct search *search, unsigned int ifindex, struct detection *detection);

/* Warns when the device's MTU is larger than what fits below it. */
void detection_warn(const struct detection *detection, const struct device *device);

#endif
