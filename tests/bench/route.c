// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a SYN costs with limits by route, beside fixed ones, as BPF_PROG_TEST_RUN sees it: with the route that the
 * packet carries (a stand-in for one), and with routes looked up in a small namespace. Not a test of what comes out.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <bpf/bpf.h>
#include <net/if.h>

#include "../lib/object.h"
#include "../lib/packet.h"
#include "../lib/standin.h"

enum {
	ROUNDS = 101,
	TURNS = 10000, /* of a program per round */
	LIVE = MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6,
};

static const char setup[] =
	"set -e; for d in in,198.51.100.1/24,2001:db8:1::1/64 out,203.0.113.1/24,2001:db8:2::1/64; do"
	"	IFS=,; set -- $d; unset IFS; ip link add $1 type veth peer name $1-peer; ip link set $1 up;"
	"	ip link set $1-peer up; ip address add $2 dev $1; ip address add $3 dev $1 nodad; done;"
	"ip route add default via 203.0.113.2; ip route add default via 2001:db8:2::2;"
	"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";

struct work {
	const char *name;
	uint32_t flags;
	bool carried;
	double ns[2][ROUNDS]; /* a turn; IPv4, IPv6 */
};

static struct work works[] = {
	{ "fixed limits", 0 },
	{ "--mtu auto", LIVE },
	{ "--mtu route, the packet's", LIVE | MSSBPF_ROUTE, .carried = true },
	{ "--mtu route, looked up", LIVE | MSSBPF_ROUTE },
	{ "--mtu route --both-ways, the packet's", LIVE | MSSBPF_ROUTE | MSSBPF_BOTH_WAYS, .carried = true },
	{ "--mtu route --both-ways, looked up", LIVE | MSSBPF_ROUTE | MSSBPF_BOTH_WAYS },
};

#define WORKS (sizeof(works) / sizeof(works[0]))

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static int measure(const struct object *object, struct standin *standin, struct work *work, uint8_t version,
		   size_t round)
{
	const struct packet_bytes low = BYTES(MSS(1220), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE);
	const struct packet_spec spec = { .version = version, .options = low };
	const struct object_program *program = &object->program[0];
	const struct mssbpf_key key = { if_nametoindex("out"), program->direction };
	const union mssbpf_order order = { .mss4 = 1360, .mss6 = 1340, .flags = work->flags };
	const struct __sk_buff metadata = {
		.ifindex = key.ifindex,
		.ingress_ifindex = if_nametoindex("in"),
		.tstamp = standin && work->carried ? standin_address(standin) : 0,
	};
	struct packet packet;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data, .ctx_in = &metadata,
		    .ctx_size_in = sizeof(metadata), .repeat = TURNS);
	double start;
	int err;

	packet_build(&packet, &spec, program->link);
	options.data_size_in = packet.length;
	if (standin) {
		standin_reset(standin, version == 4 ? AF_INET : AF_INET6, 1500);
		standin->metrics[1] = 1400;
	}
	err = object_set_limit(object, key, order);
	if (!err && !round)
		err = object_reset_counters(object, key);
	start = now();
	err = err ?: bpf_prog_test_run_opts(program->fd, &options);
	work->ns[version == 6][round] = (now() - start) / TURNS;
	return err;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void report(bool has_standin)
{
	printf("ns a SYN that is low already, %d rounds of %d turns each, all cases in every round\n", ROUNDS, TURNS);
	printf("%-40s %8s %8s %8s %8s %8s %8s\n", "", "IPv4 min", "median", "over", "IPv6 min", "median", "over");
	for (size_t i = 0; i < WORKS; i++) {
		struct work *work = &works[i];

		if (work->carried && !has_standin)
			continue;
		printf("%-40s", work->name);
		for (size_t family = 0; family < 2; family++) {
			qsort(work->ns[family], ROUNDS, sizeof(double), compare);
			printf(" %8.1f %8.1f %8.1f", work->ns[family][0], work->ns[family][ROUNDS / 2],
			       work->ns[family][ROUNDS / 2] - works[0].ns[family][ROUNDS / 2]);
		}
		printf("\n");
	}
}

int main(void)
{
	const char *unavailable = object_unavailable();
	struct mssbpf_route_layout layout = {};
	struct standin *standin;
	struct object object;
	int err;

	if (!unavailable && unshare(CLONE_NEWNET))
		unavailable = "no network namespaces here";
	if (unavailable) {
		printf("SKIPPED: %s\n", unavailable);
		return EXIT_SUCCESS;
	}
	standin = standin_make(&layout);
	err = system(setup) ? -1 : object_open_with(&object, &layout);
	if (err)
		return EXIT_FAILURE;
	for (size_t round = 0; round < ROUNDS && !err; round++)
		for (size_t i = 0; i < WORKS && !err; i++) {
			if (works[i].carried && !standin)
				continue;
			err = measure(&object, standin, &works[i], 4, round)
				      ?: measure(&object, standin, &works[i], 6, round);
		}
	if (err)
		fprintf(stderr, "a test run failed: %s\n", strerror(-err));
	else
		report(standin);
	object_close(&object);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
