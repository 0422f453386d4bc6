// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a SYN costs with rules for prefixes: without, with few, and with 100,000; when it is always the same peer, whose
 * way through the set is in the caches and known to the processor, and when it is another one each time. As
 * BPF_PROG_TEST_RUN sees it. Not a test of what comes out.
 *
 * A run repeats a program on one packet. For other peers, a small program goes before that writes a random address and
 * calls on; the same before no rules is what to compare with.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <rule_sets.h>

#include "../lib/object.h"
#include "../lib/packet.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	ROUNDS = 31,
	TURNS = 10000, /* of a program per round */
	SETS = 4,
};

/* How many rules for each family; none: no set. */
static const unsigned int sizes[SETS] = { 0, 10, 1000, 100000 };

struct work {
	const char *name;
	uint8_t version;
	bool syn;
	bool others; /* another peer each time */
	double ns[SETS][ROUNDS];
};

static struct work works[] = {
	{ "IPv4 SYN, one peer", 4, true },
	{ "IPv6 SYN, one peer", 6, true },
	{ "IPv4 SYN, any peer", 4, true, true },
	{ "IPv6 SYN, any peer", 6, true, true },
	{ "IPv4 no SYN", 4 },
	{ "IPv6 no SYN", 6 },
};

struct bench {
	struct object object;
	struct maps maps;
	__u16 place[SETS]; /* of each set, as in union mssbpf_order */
	int scattering[2]; /* programs: IPv4, IPv6 */
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/*
 * Prefixes all over the addresses: /24 of IPv4, and /48 of an eighth of IPv6's, 2000::/3. Each with another limit than
 * its neighbours have, so that no two ranges are one. In the order of a set.
 */
static int rules_make(unsigned int count, struct rules *rules)
{
	*rules = (struct rules){ calloc(2 * count, sizeof(*rules->list)), 2 * count };
	if (!rules->list)
		return -ENOMEM;
	for (unsigned int i = 0; i < rules->count; i++) {
		unsigned int at = i % count;
		struct rule *rule = &rules->list[i];

		rule->mss = 1360 + i % 2;
		rule->family = i < count ? MSSBPF_IPV4 : MSSBPF_IPV6;
		rule->length = i < count ? 24 : 48;
		if (i < count)
			rule->first.half[0] = (at * ((1ULL << 24) / count)) << 40;
		else
			rule->first.half[0] = 1ULL << 61 | at * ((1ULL << 45) / count) << 16;
	}
	return 0;
}

/* A set for an interface that is not there: its place is what counts. */
static int set_make(struct bench *bench, size_t set)
{
	const __u32 ifindex = 1000 + set;
	struct rules rules;
	int err;

	if (!sizes[set])
		return 0;
	err = object_set_limit(&bench->object, (struct mssbpf_key){ ifindex, MSSBPF_EGRESS },
			       (union mssbpf_order){ .mss4 = 1360 });
	err = err ?: rules_make(sizes[set], &rules);
	if (err)
		return err;
	err = rule_set_put(&bench->maps, ifindex, &rules) ?: maps_rules_get(&bench->maps, ifindex, &bench->place[set]);
	free(rules.list);
	return err;
}

/*
 * Two random words, of which IPv6's address begins with 0b001: bpf_skb_store_bytes(skb, offset, words, length, 0);
 * bpf_tail_call(skb, [program], 0).
 */
static int load_scattering(int program, uint8_t version)
{
	int array = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "bench", sizeof(__u32), sizeof(__u32), 1, NULL);
	LIBBPF_OPTS(bpf_prog_load_opts, options);
	const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32 },
		{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_0, .off = -8 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32 },
		{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_0, .off = -4 },
		{ .code = BPF_LDX | BPF_MEM | BPF_B, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10, .off = -8 },
		{ .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = BPF_REG_1, .imm = version == 4 ? 0xff : 0x1f },
		{ .code = BPF_ALU64 | BPF_OR | BPF_K, .dst_reg = BPF_REG_1, .imm = version == 4 ? 0 : 0x20 },
		{ .code = BPF_STX | BPF_MEM | BPF_B, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_1, .off = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_6 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 14 + (version == 4 ? 16 : 24) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_3, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = version == 4 ? 4 : 8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_5, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_store_bytes },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_6 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = array },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	if (array < 0 || bpf_map_update_elem(array, &(__u32){ 0 }, &(__u32){ program }, BPF_ANY))
		return -errno;
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bench", "GPL", instructions, ARRAY_SIZE(instructions), &options);
}

static int measure(struct bench *bench, struct work *work, size_t set, size_t round)
{
	const struct packet_bytes low = BYTES(MSS(1220), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE);
	const struct packet_spec spec = {
		.version = work->version, .options = low, .flags = work->syn ? SYN : ACK, .payload = work->syn ? 0 : 100
	};
	const struct object_program *program = &bench->object.program[0];
	const struct mssbpf_key key = { OBJECT_IFINDEX, program->direction };
	const union mssbpf_order order = { .mss4 = 1360, .mss6 = 1340, .rules = bench->place[set] };
	struct packet packet;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data, .repeat = TURNS);
	double start;
	int err;

	packet_build(&packet, &spec, program->link);
	options.data_size_in = packet.length;
	err = object_set_limit(&bench->object, key, order);
	start = now();
	err = err
		      ?: bpf_prog_test_run_opts(work->others ? bench->scattering[work->version == 6] : program->fd,
						&options);
	work->ns[set][round] = (now() - start) / TURNS;
	return err ?: (int)options.retval == -1 ? 0 : -EPROTO;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void report(void)
{
	printf("ns a packet, %d rounds of %d turns each, all cases in every round: median (min)\n", ROUNDS, TURNS);
	printf("%-20s", "");
	for (size_t set = 0; set < SETS; set++)
		printf("  %8u rules", sizes[set]);
	printf("\n");
	for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
		printf("%-20s", works[i].name);
		for (size_t set = 0; set < SETS; set++) {
			qsort(works[i].ns[set], ROUNDS, sizeof(double), compare);
			printf("  %6.1f (%5.1f)", works[i].ns[set][ROUNDS / 2], works[i].ns[set][0]);
		}
		printf("\n");
	}
}

int main(void)
{
	static struct bench bench;
	const char *unavailable = object_unavailable();
	const struct mssbpf_key key = { OBJECT_IFINDEX, MSSBPF_EGRESS };
	int err;

	if (unavailable) {
		printf("SKIPPED: %s\n", unavailable);
		return EXIT_SUCCESS;
	}
	err = object_open(&bench.object);
	if (err)
		return EXIT_FAILURE;
	bench.maps = object_maps(&bench.object);
	for (size_t family = 0; family < 2; family++) {
		bench.scattering[family] = load_scattering(bench.object.program[0].fd, family ? 6 : 4);
		err = err ?: bench.scattering[family] < 0 ? bench.scattering[family] : 0;
	}
	for (size_t set = 0; set < SETS && !err; set++)
		err = set_make(&bench, set);
	err = err ?: object_reset_counters(&bench.object, key);
	for (size_t round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_SIZE(works); i++)
			for (size_t set = 0; set < SETS && !err; set++)
				err = measure(&bench, &works[i], set, round);
	if (err)
		fprintf(stderr, "a test run failed: %s\n", strerror(-err));
	else
		report();
	object_close(&bench.object);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
