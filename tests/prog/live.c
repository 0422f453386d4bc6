// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Limits that follow the device's MTU: the loaded programs on a device whose MTU the test changes, the
 * loopback of a network namespace of its own. All that does not depend on the device is in programs.c.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <net/if.h>

#include "../lib/object.h"
#include "../lib/packet.h"

enum {
	FALLBACK = 1111, /* stands in the order, and must not count while it is live */
	BOTH = MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6,
};

static struct object object;
static const char *unavailable;

static void set_mtu(int mtu)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_mtu = mtu };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &request), 0);
	close(fd);
}

/* Sends a SYN with this MSS through each program; the MSS has to come out as `expected`, the checksum right. */
static void check(uint8_t version, uint32_t flags, uint16_t mss, uint16_t expected)
{
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		const struct object_program *program = &object.program[i];
		const uint8_t before[] = { NOP, MSS(mss), NOP, NOP, NOP };
		const uint8_t after[] = { NOP, MSS(expected), NOP, NOP, NOP };
		const struct mssbpf_key key = { OBJECT_IFINDEX, program->direction };
		const union mssbpf_order order = { .mss4 = FALLBACK, .mss6 = FALLBACK, .flags = flags };
		struct packet_spec spec = { .version = version, .options = { before, sizeof(before) }, .payload = 3 };
		struct object_outcome outcome;
		struct packet packet, wanted;

		packet_build(&packet, &spec, program->link);
		spec.options.bytes = after;
		packet_build(&wanted, &spec, program->link);
		assert_int_equal(object_set_limit(&object, key, order), 0);
		assert_int_equal(object_reset_counters(&object, key), 0);
		assert_int_equal(object_run(program, &packet, 0, &outcome), 0);
		assert_int_equal(outcome.length, wanted.length);
		assert_memory_equal(outcome.data, wanted.data, wanted.length);
	}
}

static void test_follows(void **state)
{
	static const int mtus[] = { 1500, 1280, 1420, 9000, 576, 577, 65535 };

	(void)state;
	object_need(unavailable);
	for (size_t i = 0; i < sizeof(mtus) / sizeof(*mtus); i++) {
		set_mtu(mtus[i]);
		check(4, BOTH, 0xffff, mtus[i] - 40);
		check(4, BOTH, mtus[i] - 39, mtus[i] - 40);
		check(4, BOTH, mtus[i] - 40, mtus[i] - 40);
		check(4, BOTH, 1, 1);
		if (mtus[i] < 1280) /* IPv6 is off on such a device, and the kernel runs no program on its packets */
			continue;
		check(6, BOTH, 0xffff, mtus[i] - 60);
		check(6, BOTH, mtus[i] - 59, mtus[i] - 60);
		check(6, BOTH, mtus[i] - 60, mtus[i] - 60);
	}
}

/* A packet larger than the device's MTU is what the helper is made to tell: no matter here. */
static void test_packet_larger_than_the_device(void **state)
{
	(void)state;
	object_need(unavailable);
	set_mtu(60);
	check(4, BOTH, 1460, 576 - 40);
}

static void test_range(void **state)
{
	(void)state;
	object_need(unavailable);
	set_mtu(100);
	check(4, BOTH, 1460, 576 - 40);
	set_mtu(1 << 20);
	check(4, BOTH, 0xffff, 65535 - 40);
	check(6, BOTH, 0xffff, 65535 - 60);
}

static void test_families_apart(void **state)
{
	(void)state;
	object_need(unavailable);
	set_mtu(1400);
	check(4, MSSBPF_LIVE_IPV4, 1460, 1360);
	check(6, MSSBPF_LIVE_IPV4, 1460, FALLBACK);
	check(4, MSSBPF_LIVE_IPV6, 1460, FALLBACK);
	check(6, MSSBPF_LIVE_IPV6, 1460, 1340);
}

static void test_dry_run(void **state)
{
	(void)state;
	object_need(unavailable);
	set_mtu(1400);
	check(4, BOTH | MSSBPF_DRY_RUN, 1460, 1460);
	check(6, BOTH | MSSBPF_DRY_RUN, 1460, 1460);
}

static int setup(void **state)
{
	(void)state;
	unavailable = object_unavailable();
	if (unavailable)
		return 0;
	if (unshare(CLONE_NEWNET))
		unavailable = "no network namespaces here";
	else if (object_open(&object))
		return -1;
	else if (!object_has_check_mtu(&object))
		unavailable = "this kernel has no bpf_check_mtu()";
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
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follows), cmocka_unit_test(test_packet_larger_than_the_device),
		cmocka_unit_test(test_range),	cmocka_unit_test(test_families_apart),
		cmocka_unit_test(test_dry_run),
	};

	return cmocka_run_group_tests_name("live MTU", tests, setup, teardown);
}
