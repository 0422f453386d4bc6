// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the programs cost per packet, as BPF_PROG_TEST_RUN sees it, beside a TC program that does nothing.
 * Not a test of what they do (../prog) and not what a packet costs on its whole way through the kernel.
 *
 * A run repeats a program on what its last turn left of the packet, so a SYN would be clamped only once.
 * There a small program goes before that puts the old MSS back and calls on; the same before the program
 * that does nothing is what to compare with. The counters afterwards tell whether each turn clamped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "../lib/object.h"
#include "../lib/packet.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	ROUNDS = 101,
	TURNS = 10000, /* of a program per round */
	LIMIT = 1360,
	MSS_OFFSET = 20 + 2, /* of the value, from the TCP header */
	CASES_MAX = 24,
};

struct work {
	char name[64];
	int program;
	const struct work *baseline;
	struct packet packet;
	double ns[ROUNDS]; /* a turn */
};

struct bench {
	struct object object;
	struct work work[CASES_MAX];
	size_t works;
	int empty;  /* program that does nothing */
	__u64 syns; /* that must be counted as clamped in the end, and as many as already low */
};

static int load(const struct bpf_insn *instructions, size_t count)
{
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bench", "GPL", instructions, count, NULL);
}

/* return TC_ACT_UNSPEC; */
static int load_empty(void)
{
	const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load(instructions, ARRAY_SIZE(instructions));
}

/* bpf_skb_store_bytes(skb, offset, &mss, 2, 0); bpf_tail_call(skb, [program], 0); return TC_ACT_UNSPEC; */
static int load_restoring(int program, size_t offset, uint16_t mss)
{
	const uint8_t value[2] = { mss >> 8, mss & 0xff };
	int array = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "bench", sizeof(__u32), sizeof(__u32), 1, NULL);
	const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = BPF_REG_10, .off = -8, .imm = value[0] },
		{ .code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = BPF_REG_10, .off = -7, .imm = value[1] },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = (int)offset },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_3, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = sizeof(value) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_5, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_store_bytes },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_6 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = array },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const __u32 index = 0, value_fd = program;

	if (array < 0 || bpf_map_update_elem(array, &index, &value_fd, BPF_ANY))
		return -errno;
	/* The array must live as long as the program, and no longer than this process. */
	return load(instructions, ARRAY_SIZE(instructions));
}

static struct work *add(struct bench *bench, const char *name, int program, const struct packet_spec *spec,
			enum packet_link link, const struct work *baseline)
{
	struct work *work = &bench->work[bench->works++];

	snprintf(work->name, sizeof(work->name), "%s, %s", link == PACKET_ETHERNET ? "Ethernet" : "no link header",
		 name);
	work->program = program;
	work->baseline = baseline;
	packet_build(&work->packet, spec, link);
	return work;
}

/* A SYN that is clamped in every turn, and the same without the clamp. */
static void add_clamped(struct bench *bench, const char *name, int program, const struct packet_spec *spec,
			enum packet_link link)
{
	struct packet packet;
	struct work *baseline;
	char restored[48];
	size_t offset;

	packet_build(&packet, spec, link);
	offset = packet.tcp + MSS_OFFSET;
	snprintf(restored, sizeof(restored), "%s, only restored", name);
	baseline = add(bench, restored, load_restoring(bench->empty, offset, 1460), spec, link, NULL);
	add(bench, name, load_restoring(program, offset, 1460), spec, link, baseline);
	bench->syns += ROUNDS * TURNS;
}

static void add_program(struct bench *bench, const struct object_program *program)
{
	const struct packet_bytes low = BYTES(MSS(1360), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE);
	const struct packet_bytes high = BYTES(MSS(1460), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE);
	static const struct packet_spec ack4 = { .version = 4, .flags = ACK, .payload = 100 };
	static const struct packet_spec ack6 = { .version = 6, .flags = ACK, .payload = 100 };
	static const struct packet_spec options4 = { .version = 4, .flags = ACK, .payload = 100, .ip_options = 8 };
	static const struct packet_spec hop6 = { .version = 6, .flags = ACK, .payload = 100, .extensions = "h" };
	struct packet_spec syn4 = { .version = 4, .options = low }, syn6 = { .version = 6, .options = low };
	enum packet_link link = program->link;
	const struct work *empty = add(bench, "empty program", bench->empty, &ack4, link, NULL);

	add(bench, "IPv4 no SYN", program->fd, &ack4, link, empty);
	add(bench, "IPv6 no SYN", program->fd, &ack6, link, empty);
	add(bench, "IPv4 no SYN, IP options", program->fd, &options4, link, empty);
	add(bench, "IPv6 no SYN, hop-by-hop", program->fd, &hop6, link, empty);
	add(bench, "IPv4 SYN already low", program->fd, &syn4, link, empty);
	add(bench, "IPv6 SYN already low", program->fd, &syn6, link, empty);
	syn4.options = high;
	syn6.options = high;
	add_clamped(bench, "IPv4 SYN clamped", program->fd, &syn4, link);
	add_clamped(bench, "IPv6 SYN clamped", program->fd, &syn6, link);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* The kernel's own figure is whole nanoseconds; the clock around all turns says it finer. */
static int measure(struct work *work, size_t round)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = work->packet.data, .data_size_in = work->packet.length,
		    .repeat = TURNS);
	double start = now();
	int err = bpf_prog_test_run_opts(work->program, &options);

	work->ns[round] = (now() - start) / TURNS;
	if (err)
		return err;
	return (int)options.retval == -1 ? 0 : -EPROTO;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void report(struct bench *bench)
{
	printf("ns a packet, %d rounds of %d turns each, all cases in every round\n", ROUNDS, TURNS);
	printf("%-50s %8s %8s %8s %10s\n", "", "min", "median", "max", "over empty");
	for (size_t i = 0; i < bench->works; i++) {
		struct work *work = &bench->work[i];
		double median;

		qsort(work->ns, ROUNDS, sizeof(work->ns[0]), compare);
		median = work->ns[ROUNDS / 2];
		printf("%-50s %8.1f %8.1f %8.1f", work->name, work->ns[0], median, work->ns[ROUNDS - 1]);
		if (work->baseline)
			printf(" %10.1f", median - work->baseline->ns[ROUNDS / 2]);
		printf("\n");
	}
}

static int run(struct bench *bench)
{
	for (size_t round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < bench->works; i++) {
			int err = measure(&bench->work[i], round);

			if (err) {
				fprintf(stderr, "%s: %s\n", bench->work[i].name, strerror(-err));
				return err;
			}
		}
	return 0;
}

/* Did every turn do what its name says? */
static int check_counters(const struct bench *bench, struct mssbpf_key key)
{
	struct mssbpf_counters counters;
	__u64 clamped, low;
	int err = object_read_counters(&bench->object, key, &counters);

	if (err)
		return err;
	clamped = counters.packets[MSSBPF_IPV4][MSSBPF_SYN][MSSBPF_CLAMPED] +
		  counters.packets[MSSBPF_IPV6][MSSBPF_SYN][MSSBPF_CLAMPED];
	low = counters.packets[MSSBPF_IPV4][MSSBPF_SYN][MSSBPF_ALREADY_LOW] +
	      counters.packets[MSSBPF_IPV6][MSSBPF_SYN][MSSBPF_ALREADY_LOW];
	if (clamped == bench->syns && low == bench->syns)
		return 0;
	fprintf(stderr, "measured something else: %llu SYNs clamped and %llu already low instead of %llu each\n",
		clamped, low, bench->syns);
	return -EPROTO;
}

int main(void)
{
	static struct bench bench;
	const struct mssbpf_key key = { OBJECT_IFINDEX, MSSBPF_EGRESS };
	const char *unavailable = object_unavailable();
	int err;

	if (unavailable) {
		printf("SKIPPED: %s\n", unavailable);
		return EXIT_SUCCESS;
	}
	err = object_open(&bench.object);
	if (err)
		return EXIT_FAILURE;
	bench.empty = load_empty();
	err = object_set_limit(&bench.object, key, (union mssbpf_order){ .mss4 = LIMIT, .mss6 = LIMIT });
	if (!err)
		err = object_reset_counters(&bench.object, key);
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++)
		if (bench.object.program[i].direction == MSSBPF_EGRESS)
			add_program(&bench, &bench.object.program[i]);
	if (!err)
		err = run(&bench);
	if (!err)
		err = check_counters(&bench, key);
	if (!err)
		report(&bench);
	object_close(&bench.object);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
