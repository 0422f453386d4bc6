/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A stand-in for the route that a packet carries, which no test run can give it: laid out by us in the kernel's
 * memory, that is in a map, and pointed at from the packet's time stamp. Not what real routes look like.
 */
#ifndef MSSBPF_TESTS_STANDIN_H
#define MSSBPF_TESTS_STANDIN_H

#include <mssbpf/abi.h>
#include <stdint.h>

/* What stands in for dst_entry, rtable, dst_ops, net_device, inet6_dev and the metrics. */
struct standin {
	uint64_t address; /* of all this in the kernel */
	struct {
		uint64_t unused, device, metrics, expires, ops;
		uint16_t flags;
		uint32_t pmtu; /* above its lowest bit */
	} route;
	struct {
		uint32_t unused;
		uint16_t family;
	} ops;
	struct {
		uint64_t ipv6;
		uint32_t unused, mtu;
	} device;
	struct {
		uint32_t unused, mtu;
	} ipv6;
	uint32_t metrics[2] __attribute__((aligned(8)));
};

/*
 * Makes one, and the layout by which programs find it from the time stamp. Returns NULL when programs cannot read a
 * packet's route on this kernel.
 */
struct standin *standin_make(struct mssbpf_route_layout *layout);

/*
 * Fills it in: a route of the family over a device of this MTU. All other fields are zero.
 */
void standin_reset(struct standin *standin, uint16_t family, uint32_t device_mtu);

/* The time stamp of a packet that carries the route. */
uint64_t standin_address(const struct standin *standin);

#endif
