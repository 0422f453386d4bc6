// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The route that a packet carries, as the loaded programs read it from a stand-in. Real routes are
 * ../e2e/test_route.py's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <net/if.h>

#include <abilities.h>

#include "../lib/object.h"
#include "../lib/packet.h"
#include "../lib/standin.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	NOROUTE = 2000, /* the device's MTU: what remains without a route */
	FAKE_RTABLE = 0x10,
	METADATA = 0x80,
};

#define NEVER (1ULL << 62) /* jiffies that are long in coming */
#define PAST 1ULL

struct row {
	const char *name;
	uint8_t version;
	int expected;
	uint32_t metric, pmtu, device, ipv6;
	uint64_t expires;
	uint16_t flags;
	uint8_t family;	  /* usually the version's */
	uint64_t address; /* what is in the packet instead of the address of the route */
	bool uncounted;	  /* SKB_DST_NOREF */
};

static const struct row rows[] = {
	{ "the device's MTU", 4, 1900, .device = 1900, .ipv6 = 1890 },
	{ "IPv6's own MTU at the device", 6, 1890, .device = 1900, .ipv6 = 1890 },
	{ "the route's", 4, 1800, .metric = 1800, .device = 1900, .ipv6 = 1890 },
	{ "the route's over IPv6", 6, 1800, .metric = 1800, .device = 1900, .ipv6 = 1890 },
	{ "learned", 4, 1700, .metric = 1800, .pmtu = 1700, .expires = NEVER, .device = 1900 },
	{ "learned and expired", 4, 1800, .metric = 1800, .pmtu = 1700, .expires = PAST, .device = 1900 },
	{ "learned and expired, without one of the route", 4, 1900, .pmtu = 1700, .expires = PAST, .device = 1900 },
	{ "expires, but nothing is learned", 4, 1800, .metric = 1800, .expires = NEVER, .device = 1900 },
	{ "what is not learned over IPv6", 6, 1800, .metric = 1800, .pmtu = 1700, .expires = NEVER, .device = 1900 },
	{ "larger than the device's", 4, NOROUTE, .metric = 9000, .device = 9000 },
	{ "no route", 4, NOROUTE, .metric = 1800, .address = 1 },
	{ "an address where nothing is", 4, NOROUTE, .metric = 1800, .address = 0xdead000000000100 },
	{ "another family's", 4, NOROUTE, .metric = 1800, .family = AF_INET6 },
	{ "another family's over IPv6", 6, NOROUTE, .metric = 1800, .family = AF_INET },
	{ "a bridge's", 4, NOROUTE, .metric = 1800, .flags = FAKE_RTABLE },
	{ "a bridge's, once", 4, NOROUTE, .metric = 1800, .flags = 0x40 },
	{ "a tunnel's metadata", 4, NOROUTE, .metric = 1800, .flags = METADATA },
	{ "other flags", 4, 1800, .metric = 1800, .flags = 0xff2f },
	{ "a pointer that is not counted", 4, 1800, .metric = 1800, .uncounted = true },
};

static struct object object;
static struct standin *standin;
static const char *unavailable;

static void test_row(void **state)
{
	const struct row *row = *state;
	const struct object_program *program = &object.program[0];
	const uint8_t before[] = { NOP, MSS(0xffff), NOP, NOP, NOP };
	const struct mssbpf_key key = { OBJECT_IFINDEX, program->direction };
	const union mssbpf_order order = { .flags = MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6 | MSSBPF_ROUTE };
	struct packet_spec spec = { .version = row->version, .options = { before, sizeof(before) } };
	struct __sk_buff metadata = { .ifindex = OBJECT_IFINDEX };
	struct object_outcome outcome;
	struct packet packet;

	object_need(unavailable);
	metadata.tstamp = row->address ?: standin_address(standin) + row->uncounted;
	standin_reset(standin, row->family ?: row->version == 4 ? AF_INET : AF_INET6, row->device);
	standin->route.expires = row->expires;
	standin->route.flags = row->flags;
	standin->route.pmtu = row->pmtu << 1 | 1;
	standin->ipv6.mtu = row->ipv6;
	standin->metrics[1] = row->metric;
	packet_build(&packet, &spec, program->link);
	assert_int_equal(object_set_limit(&object, key, order), 0);
	assert_int_equal(object_reset_counters(&object, key), 0);
	assert_int_equal(object_run_as(program, &packet, &metadata, 0, &outcome), 0);
	assert_int_equal(outcome.data[packet.tcp + 23] << 8 | outcome.data[packet.tcp + 24],
			 row->expected - (row->version == 4 ? 40 : 60));
}

static int set_mtu(int mtu)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_mtu = mtu };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = fd < 0 ? -1 : ioctl(fd, SIOCSIFMTU, &request);

	close(fd);
	return err;
}

static int setup(void **state)
{
	struct mssbpf_route_layout layout;

	(void)state;
	unavailable = object_unavailable();
	if (unavailable)
		return 0;
	standin = standin_make(&layout);
	if (!standin || !live_mtu_supported())
		unavailable = "programs cannot read a packet's route on this kernel";
	else if (unshare(CLONE_NEWNET))
		unavailable = "no network namespaces here";
	else if (set_mtu(NOROUTE) || object_open_with(&object, &layout))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	object_close(&object);
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(rows)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)&rows[i] };
	return cmocka_run_group_tests_name("carried route", tests, setup, teardown);
}
