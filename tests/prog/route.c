// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Limits by route: the loaded programs in a network namespace with routes. What a test run makes carries no route,
 * so most of this is about lookups; for the other way, a stand-in for a route lies in a map. Real ones are
 * ../e2e/test_route.py's.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <net/if.h>

#include <abilities.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "../lib/object.h"
#include "../lib/packet.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	FALLBACK = 1111, /* stands in the order, and must not count while it is live */
	LIVE = MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6,
	ROUTE = LIVE | MSSBPF_ROUTE,
	BOTH = ROUTE | MSSBPF_BOTH_WAYS,
	MARK = 7,
};

/* SYNs of packet.c's go from 8.0.23.1 and fd00:0:86dd::1701 to 192.0.2.7 and 2001:db8::207. */
static const char setup_namespace[] =
	"for d in in,1500,8.0.23.254/24,fd00:0:86dd::fe/64 out,1400,10.1.0.1/24,fd01::1/64"
	"	low,1300,10.2.0.1/24,fd02::1/64; do"
	"	IFS=,; set -- $d; unset IFS;"
	"	ip link add $1 mtu $2 type veth peer name ${1}-peer; ip link set $1 up; ip link set $1-peer up;"
	"	ip address add $3 dev $1; ip address add $4 dev $1 nodad noprefixroute;"
	"done;"
	"ip -6 route add fd01::/64 dev out; ip -6 route add fd02::/64 dev low;"
	"ip link set lo up";

/* Before every row: nothing but this. In few processes: where the processor is emulated, each takes its time. */
static const char setup_row[] =
	"remove() { printf '%s\n' 'rule del pref 9' 'rule del pref 9' 'route flush table 7' 'route flush table 8'"
	"		'address flush dev lo' \"$2\" | ip -$1 -force -batch - 2>/dev/null || true; };"
	"remove 4 'route del 192.0.2.0/24'; remove 6 'route del 2001:db8::/64';"
	"ip -4 route replace 8.0.23.0/24 dev in; ip -6 route replace fd00:0:86dd::/64 dev in;"
	"cd /proc/sys/net; set_one() { echo $2 >$1; };"
	"set_one ipv4/ip_forward 1; set_one ipv6/conf/all/forwarding 1; set_one ipv4/ip_forward_use_pmtu 0;"
	"to() { d=$1; n=$2; shift 2;"
	"	ip -4 route replace 192.0.2.0/24 via 10.$n.0.2 dev $d $*;"
	"	ip -6 route replace 2001:db8::/64 via fd0$n::2 dev $d $*; };"
	"back() { ip -4 route replace 8.0.23.0/24 $*; ip -6 route replace fd00:0:86dd::/64 $*; };"
	"rule() { ip -4 rule add pref 9 $*; ip -6 rule add pref 9 $*; };";

struct row {
	const char *name;
	const char *setup;
	int egress, ingress; /* the MTU that has to count, at `out` and at `in` */
	int egress4;	     /* if IPv4's differs */
	int ingress4;
	uint32_t flags; /* usually ROUTE */
	uint32_t mark;
	bool local; /* made by this machine: egress only */
	bool takes_mark;
};

static const struct row rows[] = {
	{ "the device's", "to out 1", 1400, 1400 },
	{ "a locked mtu", "to out 1 mtu lock 1350", 1350, 1350 },
	{ "an mtu that is not locked cannot be seen", "to out 1 mtu 1350", 1400, 1400 },
	{ "but with ip_forward_use_pmtu", "to out 1 mtu 1350; set_one ipv4/ip_forward_use_pmtu 1", 1400, 1400, 1350,
	  1350 },
	{ "never above the device's", "to out 1 mtu lock 9000", 1400, 1400 },
	{ "both ways, never above the device's", "to out 1; back dev low mtu lock 9000", 1300, 1300, .flags = BOTH },
	{ "by another device", "to low 2", 1300, 1300 },
	{ "by a larger device", "ip -4 route add 192.0.2.0/24 dev in; ip -6 route add 2001:db8::/64 dev in", 1400,
	  1500 },
	{ "no route", "true", 1400, 1500 },
	{ "blackhole", "ip -4 route add blackhole 192.0.2.0/24; ip -6 route add blackhole 2001:db8::/64", 1400, 1500 },
	{ "unreachable", "ip -4 route add unreachable 192.0.2.0/24; ip -6 route add unreachable 2001:db8::/64", 1400,
	  1500 },
	{ "prohibit", "ip -4 route add prohibit 192.0.2.0/24; ip -6 route add prohibit 2001:db8::/64", 1400, 1500 },
	{ "to this machine", "ip address add 192.0.2.7/32 dev lo; ip address add 2001:db8::207/128 dev lo nodad", 1400,
	  1500 },
	{ "forwarding is off", "to out 1 mtu lock 1350; set_one ipv4/ip_forward 0; set_one ipv6/conf/all/forwarding 0",
	  1400, 1500 },
	{ "a table by mark", "to out 1; rule fwmark 7 table 7; to out 1 mtu lock 1350 table 7", 1350, 1350,
	  .mark = MARK, .takes_mark = true },
	{ "another mark", "to out 1; rule fwmark 7 table 7; to out 1 mtu lock 1350 table 7", 1400, 1400,
	  .mark = MARK + 1 },
	{ "a table by incoming interface", "to out 1; rule iif in table 7; to out 1 mtu lock 1350 table 7", 1350,
	  1350 },
	{ "a table by another incoming interface", "to out 1; rule iif low table 7; to out 1 mtu lock 1350 table 7",
	  1400, 1400 },
	{ "a table by source",
	  "to out 1; ip -4 rule add pref 9 from 8.0.23.1 table 7; ip -6 rule add pref 9 from fd00:0:86dd::1701 table 7;"
	  "to out 1 mtu lock 1350 table 7",
	  1350, 1350 },
	{ "a table by port", "to out 1; rule ipproto tcp sport 50000 dport 80 table 7; to out 1 mtu lock 1350 table 7",
	  1350, 1350 },
	{ "of this machine", "to out 1 mtu lock 1350", 1350, .local = true },
	{ "of this machine, a table by incoming interface",
	  "to out 1; rule iif in table 7; to out 1 mtu lock 1350 table 7", 1400, .local = true },
	{ "of this machine, a table by mark", "to out 1; rule fwmark 7 table 7; to out 1 mtu lock 1350 table 7", 1350,
	  .mark = MARK, .local = true, .takes_mark = true },
	{ "of this machine, a table by the device it leaves by",
	  "to out 1; rule oif out table 7; to out 1 mtu lock 1350 table 7", 1350, .local = true },
	{ "of this machine, a table by that device as the incoming one",
	  "to out 1; rule iif out table 7; to out 1 mtu lock 1350 table 7", 1400, .local = true },
	{ "of this machine, both ways", "to out 1 mtu lock 1350", 1350, .flags = BOTH, .local = true },

	{ "one way, the way back does not count", "to out 1; back dev in mtu lock 1350", 1400, 1400 },
	{ "both ways", "to out 1; back dev in mtu lock 1350", 1350, 1350, .flags = BOTH },
	{ "both ways, the way there is smaller", "to out 1 mtu lock 1340; back dev in mtu lock 1350", 1340, 1340,
	  .flags = BOTH },
	{ "both ways, no way there", "back dev in mtu lock 1350", 1350, 1500, .flags = BOTH },
	{ "both ways, no way back",
	  "to out 1 mtu lock 1350; ip -4 route del 8.0.23.0/24; ip -6 route del fd00:0:86dd::/64", 1350, 1350,
	  .flags = BOTH },
	{ "both ways, the answer's incoming interface",
	  "to out 1; rule iif out table 8; back dev in table 8 mtu lock 1350", 1350, 1350, .flags = BOTH },
	{ "both ways, the SYN's does not count", "to out 1; rule iif in table 8; back dev in table 8 mtu lock 1350",
	  1400, 1400, .flags = BOTH },
	{ "both ways, a table by the answer's source",
	  "to out 1; ip -4 rule add pref 9 from 192.0.2.7 table 8; ip -6 rule add pref 9 from 2001:db8::207 table 8;"
	  "back dev in table 8 mtu lock 1350",
	  1350, 1350, .flags = BOTH },
	{ "both ways, a table by the answer's ports",
	  "to out 1; rule ipproto tcp sport 80 dport 50000 table 8; back dev in table 8 mtu lock 1350", 1350, 1350,
	  .flags = BOTH },
	{ "both ways, a table by mark", "to out 1; rule fwmark 7 table 8; back dev in table 8 mtu lock 1350", 1350,
	  1350, .flags = BOTH, .mark = MARK, .takes_mark = true },

	{ "not by route", "to out 1 mtu lock 1350", 1400, 1500, .flags = LIVE },
};

static struct object object;
static const char *unavailable;

static void shell(const char *first, const char *second)
{
	char command[4096];

	assert_in_range(snprintf(command, sizeof(command), "set -e; %s %s", first, second), 1, sizeof(command) - 1);
	if (system(command) != 0)
		fail_msg("failed: %s", second);
}

/* Sends a SYN that announces much through a program; what comes out has to announce `mss`, the checksum right. */
static void check(const struct object_program *program, const struct __sk_buff *metadata, uint8_t version,
		  uint32_t flags, uint16_t mss)
{
	const uint8_t before[] = { NOP, MSS(0xffff), NOP, NOP, NOP };
	const uint8_t after[] = { NOP, MSS(mss), NOP, NOP, NOP };
	const struct mssbpf_key key = { metadata->ifindex, program->direction };
	const union mssbpf_order order = { .mss4 = FALLBACK, .mss6 = FALLBACK, .flags = flags };
	struct packet_spec spec = { .version = version, .options = { before, sizeof(before) } };
	struct packet packet, wanted;
	struct object_outcome outcome;

	packet_build(&packet, &spec, program->link);
	spec.options.bytes = after;
	packet_build(&wanted, &spec, program->link);
	assert_int_equal(object_set_limit(&object, key, order), 0);
	assert_int_equal(object_reset_counters(&object, key), 0);
	assert_int_equal(object_run_as(program, &packet, metadata, 0, &outcome), 0);
	assert_int_equal(outcome.length, wanted.length);
	if (memcmp(outcome.data, wanted.data, wanted.length))
		fail_msg("%s, IPv%u: MSS %u instead of %u", program->name, version,
			 outcome.data[packet.tcp + 23] << 8 | outcome.data[packet.tcp + 24], mss);
}

static void test_row(void **state)
{
	const struct row *row = *state;

	object_need(unavailable);
	if (row->takes_mark && !fib_mark_supported()) {
		print_message("SKIPPED: this kernel's bpf_fib_lookup() takes no mark\n");
		skip();
	}
	shell(setup_row, row->setup);
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		const struct object_program *program = &object.program[i];
		bool egress = program->direction == MSSBPF_EGRESS;
		const struct __sk_buff metadata = {
			.ifindex = if_nametoindex(egress ? "out" : "in"),
			.ingress_ifindex = row->local ? 0 : if_nametoindex("in"),
			.mark = row->mark,
		};
		int mtu = egress ? row->egress : row->ingress, mtu4 = egress ? row->egress4 : row->ingress4;

		if (!egress && row->local)
			continue;
		if (program->xdp && row->takes_mark) /* there is none before TC */
			continue;
		check(program, &metadata, 4, row->flags ?: ROUTE, (mtu4 ?: mtu) - 40);
		check(program, &metadata, 6, row->flags ?: ROUTE, mtu - 60);
	}
}

static void test_families_apart(void **state)
{
	const struct object_program *program = &object.program[0];
	struct __sk_buff metadata = {};

	(void)state;
	object_need(unavailable);
	shell(setup_row, "to out 1 mtu lock 1350");
	metadata.ifindex = if_nametoindex("out");
	metadata.ingress_ifindex = if_nametoindex("in");
	check(program, &metadata, 4, MSSBPF_ROUTE | MSSBPF_LIVE_IPV4, 1350 - 40);
	check(program, &metadata, 6, MSSBPF_ROUTE | MSSBPF_LIVE_IPV4, FALLBACK);
	check(program, &metadata, 4, MSSBPF_ROUTE | MSSBPF_LIVE_IPV6, FALLBACK);
	check(program, &metadata, 6, MSSBPF_ROUTE | MSSBPF_LIVE_IPV6, 1350 - 60);
	check(program, &metadata, 4, ROUTE | MSSBPF_DRY_RUN, 0xffff);
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
		unavailable = "this kernel's bpf_fib_lookup() tells no MTU";
	else
		shell(setup_namespace, "");
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
	struct CMUnitTest tests[ARRAY_SIZE(rows) + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)&rows[i] };
	tests[ARRAY_SIZE(rows)] = (struct CMUnitTest)cmocka_unit_test(test_families_apart);
	return cmocka_run_group_tests_name("route", tests, setup, teardown);
}
