// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the programs cost per packet, as BPF_PROG_TEST_RUN sees it, beside one of their type that does nothing.
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
	MSS_KIND = 2,
	CASES_MAX = 54,
	PATIENCE = 1000, /* milliseconds */

	TC_NEXT = -1,  /* TC_ACT_UNSPEC */
	XDP_GO_ON = 2, /* XDP_PASS */
};

struct work {
	char name[72];
	int program;
	int verdict;
	const struct work *baseline;
	struct packet packet;
	double ns[ROUNDS]; /* a turn */
};

/* Loaded programs, and how many interfaces their maps hold. */
struct loaded {
	unsigned int interfaces;
	struct object object;
	/* For TC and XDP: SYNs that must be counted in the end. */
	__u64 clamped[2], low[2];
};

struct bench {
	struct loaded loaded[3];
	struct work work[CASES_MAX];
	size_t works;
	int empty[2]; /* programs that do nothing: TC, XDP */
};

static int load(bool xdp, const struct bpf_insn *instructions, size_t count)
{
	/* As the program that is called on: the kernel wants them alike. */
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = xdp ? BPF_XDP : 0);

	return bpf_prog_load(xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, "bench", "GPL", instructions, count,
			     &options);
}

/* return TC_ACT_UNSPEC or XDP_PASS; */
static int load_empty(bool xdp)
{
	const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = xdp ? XDP_GO_ON : TC_NEXT },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load(xdp, instructions, ARRAY_SIZE(instructions));
}

/* Where the value of the SYN's MSS is, from the first byte of the packet: its options hold no other byte that is 2. */
static uint32_t mss_offset(const struct packet *packet)
{
	const uint8_t *options = packet->data + packet->tcp + 20;

	return (const uint8_t *)memchr(options, MSS_KIND, packet->length - packet->tcp - 20) + 2 - packet->data;
}

/* Two bytes as they are stored. */
static int two_bytes(const uint8_t *bytes)
{
	uint16_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* An array with the program, for tail calls. It lives as long as programs that call, or as this process. */
static int program_array(int program)
{
	int array = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "bench", sizeof(__u32), sizeof(__u32), 1, NULL);

	if (array < 0 || bpf_map_update_elem(array, &(__u32){ 0 }, &(__u32){ program }, BPF_ANY))
		return -errno;
	return array;
}

/*
 * As load_restoring(), where packets are written directly; and the checksum, too, which would come by all values in
 * time, those that pass for incomplete among them.
 */
static int load_restoring_xdp(int program, const struct packet *packet)
{
	const uint8_t *tcp = packet->data + packet->tcp;
	uint32_t mss = mss_offset(packet);
	int array = program_array(program);
	const struct bpf_insn instructions[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1, .off = 0 },
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_1, .off = 4 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = (int)packet->tcp },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_2 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_4, .imm = (int)(mss - packet->tcp) + 2 },
		{ .code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_3, .off = 6 },
		{ .code = BPF_ST | BPF_MEM | BPF_H, .dst_reg = BPF_REG_2, .off = 16, .imm = two_bytes(tcp + 16) },
		{ .code = BPF_ST | BPF_MEM | BPF_H,
		  .dst_reg = BPF_REG_2,
		  .off = mss - packet->tcp,
		  .imm = two_bytes(packet->data + mss) },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = array },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_GO_ON },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return array < 0 ? array : load(true, instructions, ARRAY_SIZE(instructions));
}

/* bpf_skb_store_bytes(skb, offset of the MSS, fp - 8, 2, 0), with skb in r1, and again there afterwards from r6. */
#define STORE_MSS(packet)                                                                                              \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = (int)mss_offset(packet) },                 \
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_10 },                  \
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_3, .imm = -8 },                              \
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = 2 },                               \
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_5, .imm = 0 },                               \
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_store_bytes },                                       \
	{                                                                                                              \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_6                        \
	}

/* bpf_skb_store_bytes(skb, offset, &mss, 2, 0); bpf_tail_call(skb, [program], 0); return TC_ACT_UNSPEC; */
static int load_restoring(int program, const struct packet *packet)
{
	const uint8_t *value = packet->data + mss_offset(packet);
	int array = program_array(program);
	const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = BPF_REG_10, .off = -8, .imm = value[0] },
		{ .code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = BPF_REG_10, .off = -7, .imm = value[1] },
		STORE_MSS(packet),
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = array },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return array < 0 ? array : load(false, instructions, ARRAY_SIZE(instructions));
}

/* TC on egress, XDP on ingress. */
static struct mssbpf_key key_of(bool xdp, unsigned int interface)
{
	return (struct mssbpf_key){ OBJECT_IFINDEX + interface, xdp ? MSSBPF_INGRESS : MSSBPF_EGRESS };
}

/*
 * What a clamped SYN takes of the kernel at least: finds the counters, writes an MSS, mends the checksum.
 * bpf_map_lookup_elem([counters], &key); bpf_skb_store_bytes(skb, offset, &mss, 2, 0);
 * bpf_l4_csum_replace(skb, checksum, 0, 1, 0); return TC_ACT_UNSPEC;
 */
static int load_helpers(int counters, struct mssbpf_key key, const struct packet *packet)
{
	const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -8, .imm = (int)key.ifindex },
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = (int)key.direction },
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = counters },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -8 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_6 },
		STORE_MSS(packet),
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = (int)packet->tcp + 16 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_5, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_l4_csum_replace },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_NEXT },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load(false, instructions, ARRAY_SIZE(instructions));
}

static struct work *add(struct bench *bench, const struct object_program *kind, const char *name, int program,
			const struct packet_spec *spec, const struct work *baseline)
{
	struct work *work = &bench->work[bench->works++];

	snprintf(work->name, sizeof(work->name), "%s, %s",
		 kind->xdp			 ? "XDP"
		 : kind->link == PACKET_ETHERNET ? "Ethernet"
						 : "no link header",
		 name);
	work->program = program;
	work->verdict = kind->xdp ? XDP_GO_ON : TC_NEXT;
	work->baseline = baseline;
	packet_build(&work->packet, spec, kind->link);
	return work;
}

/* A SYN that is clamped in every turn, and the same without the clamp. */
static void add_clamped(struct bench *bench, struct loaded *loaded, const struct object_program *program,
			const char *name, const struct packet_spec *spec)
{
	int (*restoring)(int, const struct packet *) = program->xdp ? load_restoring_xdp : load_restoring;
	struct packet packet;
	struct work *baseline;
	char restored[64];

	packet_build(&packet, spec, program->link);
	snprintf(restored, sizeof(restored), "%s, only restored", name);
	baseline = add(bench, program, restored, restoring(bench->empty[program->xdp], &packet), spec, NULL);
	add(bench, program, name, restoring(program->fd, &packet), spec, baseline);
	loaded->clamped[program->xdp] += ROUNDS * TURNS;
}

static void add_low(struct bench *bench, struct loaded *loaded, const struct object_program *program, const char *name,
		    const struct packet_spec *spec, const struct work *empty)
{
	add(bench, program, name, program->fd, spec, empty);
	loaded->low[program->xdp] += ROUNDS * TURNS;
}

static const struct packet_bytes low = BYTES(MSS(1300), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE);
static const struct packet_bytes first = BYTES(MSS(1460), SACK_PERMITTED, TIMESTAMPS, NOP, WSCALE);
static const struct packet_bytes last = BYTES(TIMESTAMPS, NOP, WSCALE, NOP, NOP, MSS(1460));

static void add_program(struct bench *bench, struct loaded *loaded, const struct object_program *program)
{
	static const struct packet_spec ack4 = { .version = 4, .flags = ACK, .payload = 100 };
	static const struct packet_spec ack6 = { .version = 6, .flags = ACK, .payload = 100 };
	static const struct packet_spec options4 = { .version = 4, .flags = ACK, .payload = 100, .ip_options = 8 };
	static const struct packet_spec hop6 = { .version = 6, .flags = ACK, .payload = 100, .extensions = "h" };
	struct packet_spec syn4 = { .version = 4, .options = low }, syn6 = { .version = 6, .options = low };
	const struct work *empty = add(bench, program, "empty program", bench->empty[program->xdp], &ack4, NULL);

	add(bench, program, "IPv4 no SYN", program->fd, &ack4, empty);
	add(bench, program, "IPv6 no SYN", program->fd, &ack6, empty);
	add(bench, program, "IPv4 no SYN, IP options", program->fd, &options4, empty);
	add(bench, program, "IPv6 no SYN, hop-by-hop", program->fd, &hop6, empty);
	add_low(bench, loaded, program, "IPv4 SYN already low", &syn4, empty);
	add_low(bench, loaded, program, "IPv6 SYN already low", &syn6, empty);
	syn4.options = first;
	syn6.options = first;
	add_clamped(bench, loaded, program, "IPv4 SYN clamped, MSS first", &syn4);
	add_clamped(bench, loaded, program, "IPv6 SYN clamped, MSS first", &syn6);
	if (!program->xdp) {
		struct packet packet;

		packet_build(&packet, &syn4, program->link);
		add(bench, program, "IPv4 SYN, only what the kernel does to clamp it",
		    load_helpers(loaded->object.counters, key_of(false, 0), &packet), &syn4, empty);
	}
	syn4.options = last;
	add_clamped(bench, loaded, program, "IPv4 SYN clamped, MSS last", &syn4);
}

/* The same SYN, while that many interfaces are attached. */
static void add_interfaces(struct bench *bench, struct loaded *loaded)
{
	const struct packet_spec syn4 = { .version = 4, .options = first };
	char name[48];

	snprintf(name, sizeof(name), "IPv4 SYN clamped, %u interfaces", loaded->interfaces);
	add_clamped(bench, loaded, &loaded->object.program[0], name, &syn4);
}

/* Nanoseconds of processor time: what other work takes of the machine meanwhile does not count. */
static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/*
 * The kernel's own figure is whole nanoseconds; the clock around all turns says it finer. Not for XDP: the kernel
 * patches its dispatcher before and after a run of many turns, which takes longer than they do.
 */
static int measure(struct work *work, size_t round)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = work->packet.data, .data_size_in = work->packet.length,
		    .repeat = TURNS);
	double start = now();
	int err = bpf_prog_test_run_opts(work->program, &options);

	work->ns[round] = work->verdict == XDP_GO_ON ? options.duration : (now() - start) / TURNS;
	if (err)
		return err;
	return (int)options.retval == work->verdict ? 0 : -EPROTO;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void report(struct bench *bench)
{
	printf("ns a packet, %d rounds of %d turns each, all cases in every round\n", ROUNDS, TURNS);
	printf("%-64s %8s %8s %8s %10s %8s\n", "", "min", "median", "max", "over empty", "by min");
	for (size_t i = 0; i < bench->works; i++) {
		struct work *work = &bench->work[i];
		double median;

		qsort(work->ns, ROUNDS, sizeof(work->ns[0]), compare);
		median = work->ns[ROUNDS / 2];
		printf("%-64s %8.1f %8.1f %8.1f", work->name, work->ns[0], median, work->ns[ROUNDS - 1]);
		if (work->baseline)
			printf(" %10.1f %8.1f", median - work->baseline->ns[ROUNDS / 2],
			       work->ns[0] - work->baseline->ns[0]);
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
static int check_counters(const struct loaded *loaded, struct mssbpf_key key, bool xdp)
{
	struct mssbpf_counters counters;
	__u64 clamped, low;
	int err = object_read_counters(&loaded->object, key, &counters);

	if (err)
		return err;
	clamped = counters.packets[MSSBPF_IPV4][MSSBPF_SYN][MSSBPF_CLAMPED] +
		  counters.packets[MSSBPF_IPV6][MSSBPF_SYN][MSSBPF_CLAMPED];
	low = counters.packets[MSSBPF_IPV4][MSSBPF_SYN][MSSBPF_ALREADY_LOW] +
	      counters.packets[MSSBPF_IPV6][MSSBPF_SYN][MSSBPF_ALREADY_LOW];
	if (clamped == loaded->clamped[xdp] && low == loaded->low[xdp])
		return 0;
	fprintf(stderr, "measured something else: SYNs %llu clamped, %llu already low instead of %llu, %llu\n", clamped,
		low, loaded->clamped[xdp], loaded->low[xdp]);
	return -EPROTO;
}

/* Adds an interface to the maps. The kernel sets memory for entries aside a little later than they ask for it. */
static int add_interface(const struct object *object, struct mssbpf_key key)
{
	const union mssbpf_order order = { .mss4 = LIMIT, .mss6 = LIMIT };
	int err = -ENOMEM;

	for (int i = 0; i < PATIENCE && err == -ENOMEM; i++) {
		err = object_set_limit(object, key, order);
		err = err ? err : object_reset_counters(object, key);
		if (err == -ENOMEM)
			usleep(1000);
	}
	return err;
}

static int load_all(struct bench *bench)
{
	int err = 0;

	for (struct loaded *loaded = bench->loaded; loaded < bench->loaded + ARRAY_SIZE(bench->loaded) && !err;
	     loaded++) {
		err = object_open(&loaded->object);
		for (unsigned int i = 0; i < loaded->interfaces && !err; i++)
			for (int xdp = 0; xdp < 2 && !err; xdp++)
				err = add_interface(&loaded->object, key_of(xdp, i));
	}
	return err;
}

static void add_all(struct bench *bench)
{
	const struct object *object = &bench->loaded[0].object;

	for (int xdp = 0; xdp < 2; xdp++)
		bench->empty[xdp] = load_empty(xdp);
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++)
		if (object->program[i].xdp || object->program[i].direction == MSSBPF_EGRESS)
			add_program(bench, &bench->loaded[0], &object->program[i]);
	for (size_t i = 1; i < ARRAY_SIZE(bench->loaded); i++)
		add_interfaces(bench, &bench->loaded[i]);
}

int main(void)
{
	static struct bench bench = { .loaded = { { 1 }, { 100 }, { 10000 } } };
	const char *unavailable = object_unavailable();
	int err;

	if (unavailable) {
		printf("SKIPPED: %s\n", unavailable);
		return EXIT_SUCCESS;
	}
	err = load_all(&bench);
	if (err) {
		fprintf(stderr, "cannot load or fill the maps: %s\n", strerror(-err));
	} else {
		add_all(&bench);
		err = run(&bench);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bench.loaded) && !err; i++)
		for (int xdp = 0; xdp < 2 && !err; xdp++)
			err = check_counters(&bench.loaded[i], key_of(xdp, 0), xdp);
	if (!err)
		report(&bench);
	for (size_t i = 0; i < ARRAY_SIZE(bench.loaded); i++)
		if (bench.loaded[i].object.skeleton)
			object_close(&bench.loaded[i].object);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
