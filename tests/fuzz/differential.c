// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Runs the loaded programs on generated packets, and compares what comes out, what they return and all counters with
 * the reference. A packet that differs is made small and printed as a row of ../prog/bytes.c. Knows nothing about
 * packets itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <rule_sets.h>

#include "../lib/object.h"
#include "generator.h"
#include "mssbpf.skel.h"
#include "reference.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	BATCH = 64,		  /* packets under one order, between two looks at the counters */
	DEVICE_FOR = 128 * BATCH, /* packets that pass while the device has the same rules and MTU */
	TC_NEXT = -1,
	XDP_GO_ON = 2,
	REPORTS_MAX = 10,
	TEST_SKB_CHECKSUM_COMPLETE = 1 << 2, /* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, Linux 6.16 */
};

#define RESULT(name) [name] = #name
static const char *const results[MSSBPF_RESULTS + 1] = {
	RESULT(MSSBPF_AH),     RESULT(MSSBPF_NO_MSS),	 RESULT(MSSBPF_ALREADY_LOW),	   RESULT(MSSBPF_CLAMPED),
	RESULT(MSSBPF_TCP_AO), RESULT(MSSBPF_MALFORMED), RESULT(MSSBPF_TRUNCATED),	   RESULT(MSSBPF_UNWRITABLE),
	RESULT(MSSBPF_ADDED),  RESULT(MSSBPF_EXEMPT),	 [MSSBPF_RESULTS] = "not counted",
};
static const char *const kinds[] = { RESULT(MSSBPF_SYN), RESULT(MSSBPF_SYN_ACK), RESULT(MSSBPF_UNREADABLE) };
static const char *const families[] = { RESULT(MSSBPF_IPV4), RESULT(MSSBPF_IPV6) };

/* One program, and what its packets came to. */
struct tried {
	const struct object_program *program;
	uint64_t answers[MSSBPF_RESULTS + 1]; /* the last: not counted */
};

/* All that is counted. */
struct totals {
	struct mssbpf_counters direction[MSSBPF_DIRECTIONS];
};

/* What a packet is run under. */
struct setting {
	union mssbpf_order order;
	struct generated_rules rules;
	uint32_t flags; /* of the test run */
};

static struct object object;
static struct maps maps; /* of the object */
static struct generated_rules device_rules;
static unsigned int device_mtu;
static uint16_t rules_place; /* where they are: see union mssbpf_order */
static bool sums_up;	     /* this kernel runs TC programs on packets with CHECKSUM_COMPLETE */
static unsigned int reports;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *what, int err)
{
	fprintf(stderr, "differential: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void set_order(const struct tried *tried, union mssbpf_order order)
{
	int err = object_set_limit(&object, (struct mssbpf_key){ OBJECT_IFINDEX, tried->program->direction }, order);

	if (err)
		fail("limits", err);
}

static struct reference_hook hook_of(const struct object_program *program, const struct generated_rules *rules,
				     const uint8_t *data)
{
	return (struct reference_hook){ .xdp = program->xdp,
					.ethernet = program->link == PACKET_ETHERNET,
					.egress = program->direction == MSSBPF_EGRESS,
					.mtu = device_mtu,
					.protocol = data[12] << 8 | data[13],
					.rules = rules->list,
					.rule_count = rules->count };
}

static void answer_of(const struct tried *tried, const struct setting *setting, const struct generated *packet,
		      struct reference_answer *answer)
{
	struct reference_hook hook = hook_of(tried->program, &setting->rules, packet->data);

	reference_clamp(&hook, &setting->order, packet->data, packet->length, answer);
}

static void totals_add(struct totals *totals, const struct tried *tried, const struct reference_answer *answer)
{
	reference_count(answer, &totals->direction[tried->program->direction]);
}

static void totals_read(struct totals *totals)
{
	for (int direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
		const struct mssbpf_key key = { OBJECT_IFINDEX, direction };
		int err = object_read_counters(&object, key, &totals->direction[direction]);

		if (err)
			fail("counters", err);
	}
}

/* Runs the program; returns NULL if what comes out is what the answer says, or what is wrong. */
static const char *run(const struct tried *tried, const struct setting *setting, const struct generated *generated,
		       const struct reference_answer *answer, struct object_outcome *outcome)
{
	static struct packet packet;
	uint32_t flags = setting->flags;
	int err;

	outcome->length = 0;
	/* The kernel gives up its sum of a packet that grows, and compares all the same. */
	if (answer->length != generated->length)
		flags = 0;
	packet.length = generated->length;
	memcpy(packet.data, generated->data, generated->length);
	err = object_run(tried->program, &packet, flags, outcome);
	if (err == -EPROTO)
		return "metadata of the packet changed";
	if (err == -EBADMSG)
		return "the kernel's sum over the packet is wrong now";
	if (err)
		return strerror(-err);
	if (outcome->returned != (tried->program->xdp ? XDP_GO_ON : TC_NEXT))
		return "returned something else";
	return reference_agrees(answer, outcome->data, outcome->length) ? NULL : "another packet came out";
}

/* What one packet did. */
struct trial {
	struct reference_answer answer;
	struct object_outcome outcome;
	struct totals before, after;
};

/* Likewise, with the counters. */
static const char *run_alone(const struct tried *tried, const struct setting *setting, const struct generated *packet,
			     struct trial *trial)
{
	struct totals expected;
	const char *wrong;

	answer_of(tried, setting, packet, &trial->answer);
	totals_read(&trial->before);
	wrong = run(tried, setting, packet, &trial->answer, &trial->outcome);
	totals_read(&trial->after);
	expected = trial->before;
	totals_add(&expected, tried, &trial->answer);
	if (!wrong && memcmp(&expected, &trial->after, sizeof(expected)) != 0)
		wrong = "counted as something else";
	return wrong;
}

static bool is_wrong(const struct tried *tried, const struct setting *setting, const struct generated *packet)
{
	static struct trial trial;

	return run_alone(tried, setting, packet, &trial) && trial.outcome.length != 0;
}

/* Makes the packet shorter, and its bytes zero, as long as something is wrong with it. */
static void minimize(const struct tried *tried, const struct setting *setting, struct generated *packet)
{
	for (size_t step = packet->length / 2; step; step /= 2)
		while (packet->length > step) {
			packet->length -= step;
			if (!is_wrong(tried, setting, packet)) {
				packet->length += step;
				break;
			}
		}
	for (size_t i = 0; i < packet->length; i++) {
		uint8_t byte = packet->data[i];

		packet->data[i] = 0;
		if (!is_wrong(tried, setting, packet))
			packet->data[i] = byte;
	}
}

static void print_hex(const char *name, const uint8_t *data, size_t length)
{
	printf("\t  .%s = ", name);
	for (size_t i = 0; i < length; i++)
		printf("%s%02x%s", i % 48 == 0 ? "\"" : "", data[i],
		       i == length - 1 ? "\""
		       : i % 48 == 47  ? "\"\n\t\t     "
				       : "");
}

static void print_row(const struct tried *tried, const struct setting *setting, const struct generated *packet,
		      const struct reference_answer *answer)
{
	printf("\t{ \"\",\n\t  \"%s\",\n\t  { .mss4 = %u, .mss6 = %u, .flags = %#x },\n", tried->program->name,
	       setting->order.mss4, setting->order.mss6, setting->order.flags);
	if (answer->counted)
		printf("\t  %s,\n\t  %s,\n\t  %s,\n", families[answer->family], kinds[answer->kind],
		       results[answer->result]);
	else
		printf("\t  .result = NOT_COUNTED,\n");
	print_hex("packet", packet->data, packet->length);
	printf(",\n");
	print_hex("becomes", answer->data, answer->length);
	printf(" },\n");
}

static void print_counted(const struct mssbpf_counters *before, const struct mssbpf_counters *after)
{
	for (int i = 0; i < MSSBPF_FAMILIES * MSSBPF_KINDS * MSSBPF_RESULTS; i++) {
		int family = i / MSSBPF_RESULTS / MSSBPF_KINDS, kind = i / MSSBPF_RESULTS % MSSBPF_KINDS;
		int result = i % MSSBPF_RESULTS;

		if (after->packets[family][kind][result] != before->packets[family][kind][result])
			printf(" %s %s %s", families[family], kinds[kind], results[result]);
	}
	for (int family = 0; family < MSSBPF_FAMILIES; family++)
		if (after->announced_bytes[family] != before->announced_bytes[family])
			printf(", MSS %llu", after->announced_bytes[family] - before->announced_bytes[family]);
}

static void print_outcome(const struct trial *trial)
{
	printf("The program returned %d, and counted", trial->outcome.returned);
	for (int direction = 0; direction < MSSBPF_DIRECTIONS; direction++)
		print_counted(&trial->before.direction[direction], &trial->after.direction[direction]);
	printf("%s\n", memcmp(&trial->before, &trial->after, sizeof(trial->before)) == 0 ? " nothing" : "");
	print_hex("becomes", trial->outcome.data, trial->outcome.length);
	printf("\n");
}

/* What a row cannot say. */
static void print_rules(const struct generated_rules *rules)
{
	if (rules->count)
		printf("It is wrong under rules only:\n");
	for (size_t i = 0; i < rules->count; i++) {
		const struct reference_rule *rule = &rules->list[i];

		printf("\t%s ", families[rule->family]);
		for (int byte = 0; byte < 16; byte++)
			printf("%02x", rule->address[byte]);
		printf("/%u, MSS %u\n", rule->length, rule->mss);
	}
}

/* Returns whether anything is wrong with the packet alone. */
static bool report(const struct tried *tried, const struct setting *setting, const struct generated *packet,
		   uint64_t seed, uint64_t number)
{
	static struct generated small;
	static struct trial trial;
	const char *wrong = run_alone(tried, setting, packet, &trial);
	const union mssbpf_order order = setting->order;
	struct setting plain = *setting;

	if (!wrong)
		return false;
	small = *packet;
	/* Without rules, if it is as wrong then. */
	plain.rules.count = plain.order.rules = 0;
	set_order(tried, plain.order);
	if (is_wrong(tried, &plain, &small))
		setting = &plain;
	else
		set_order(tried, setting->order);
	minimize(tried, setting, &small);
	wrong = run_alone(tried, setting, &small, &trial);
	printf("%s, packet %" PRIu64 " of seed %" PRIu64 ", the device's MTU %u%s: %s.\n", tried->program->name, number,
	       seed, device_mtu, setting->flags ? ", CHECKSUM_COMPLETE" : "", wrong);
	print_outcome(&trial);
	printf("If the reference is right, this row belongs into tests/prog/bytes.c:\n");
	print_row(tried, setting, &small, &trial.answer);
	print_rules(&setting->rules);
	set_order(tried, order);
	reports++;
	return true;
}

/*
 * Gives the device other rules, by the loader's own functions: they sort them, make ranges of them and put these into
 * the maps. That takes the kernel some milliseconds.
 */
static void change_rules(uint64_t seed)
{
	struct rules rules = {};
	int err = 0;

	generate_rules(seed, &device_rules);
	for (size_t i = 0; i < device_rules.count && !err; i++) {
		const struct reference_rule *from = &device_rules.list[i];
		struct rule rule = { .family = from->family, .length = from->length, .mss = from->mss };

		for (int byte = 0; byte < 16; byte++)
			rule.first.half[byte / 8] |= (uint64_t)from->address[byte] << (7 - byte % 8) * 8;
		err = rules_set(&rules, &rule);
	}
	err = err ?: rule_set_put(&maps, OBJECT_IFINDEX, &rules) ?: maps_rules_get(&maps, OBJECT_IFINDEX, &rules_place);
	free(rules.list);
	if (err)
		fail("rules", err);
}

/* Gives the loopback device, of a network namespace of our own, another MTU. */
static void change_mtu(uint64_t seed)
{
	static const unsigned int mtus[] = { 68, 575, 576, 577, 1280, 1400, 1500, 9000, 65534, 65535, 65536, 70000 };
	struct ifreq device = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	device_mtu = seed % 2 ? mtus[seed / 2 % ARRAY_SIZE(mtus)] : 576 + seed / 2 % 1000;
	device.ifr_mtu = device_mtu;
	if (fd < 0 || ioctl(fd, SIOCSIFMTU, &device))
		fail("the loopback's MTU", -errno);
	close(fd);
}

static void change_device(uint64_t seed)
{
	change_rules(seed);
	change_mtu(generator_mix(seed, 0));
}

static struct setting choose_setting(const struct tried *tried, uint64_t seed)
{
	struct setting setting = { .order = generate_order(seed) };

	if (!object_has_check_mtu(&object))
		setting.order.flags &= ~(MSSBPF_LIVE_IPV4 | MSSBPF_LIVE_IPV6);

	if (seed / 4 % 2) {
		setting.rules = device_rules;
		setting.order.rules = rules_place;
	}
	/* A test run sums up from byte 14 on, also where the IP header begins at 0. */
	if (sums_up && !tried->program->xdp && tried->program->link == PACKET_ETHERNET && seed % 4 == 0)
		setting.flags = TEST_SKB_CHECKSUM_COMPLETE;
	return setting;
}

static void run_batch(struct tried *tried, uint64_t seed, uint64_t first)
{
	static struct generated packets[BATCH];
	static struct reference_answer answer;
	static struct totals totals, expected;
	uint64_t batch_seed = generator_mix(generator_mix(seed, tried->program - object.program), first);
	struct setting setting = choose_setting(tried, batch_seed);
	struct object_outcome outcome;
	bool wrong[BATCH] = {}, any = false;

	set_order(tried, setting.order);
	for (int i = 0; i < BATCH; i++) {
		generate_packet(generator_mix(batch_seed, i), tried->program->link == PACKET_ETHERNET, &setting.order,
				&setting.rules, &packets[i]);
		answer_of(tried, &setting, &packets[i], &answer);
		if (run(tried, &setting, &packets[i], &answer, &outcome))
			wrong[i] = any = true;
		tried->answers[answer.counted ? answer.result : MSSBPF_RESULTS]++;
		totals_add(&expected, tried, &answer);
	}
	totals_read(&totals);
	if (!any && memcmp(&totals, &expected, sizeof(totals)) == 0)
		return;
	for (int i = 0; i < BATCH; i++)
		if (reports < REPORTS_MAX && (!any || wrong[i]) &&
		    report(tried, &setting, &packets[i], seed, first + i))
			wrong[0] = true;
	if (!any && !wrong[0]) {
		printf("%s, packets %" PRIu64 " to %" PRIu64 " of seed %" PRIu64 ": counted wrong, but none alone\n",
		       tried->program->name, first, first + BATCH - 1, seed);
		reports++;
	}
	totals_read(&expected);
}

static int prepare(struct tried programs[OBJECT_PROGRAMS])
{
	static const struct packet udp = { .length = 64, .data = { [12] = 0x08, [14] = 0x45, [23] = 17 } };
	static const union mssbpf_order none = { .mss4 = 1, .mss6 = 1 };
	static struct object_outcome outcome;
	int err = unshare(CLONE_NEWNET) ? -errno : object_open(&object);

	if (err)
		return err;
	maps = (struct maps){ .lock = -1,
			      .limits = object.limits,
			      .counters = object.counters,
			      .baseline = bpf_map__fd(object.skeleton->maps.baseline),
			      .rules = bpf_map__fd(object.skeleton->maps.rules),
			      .programs[PROGRAMS_CHANGE][0] = bpf_program__fd(object.skeleton->progs.mssbpf_change),
			      .max_entries = OBJECT_PROGRAMS };
	for (int i = 0; i < OBJECT_PROGRAMS; i++)
		programs[i].program = &object.program[i];
	sums_up = object_run(&object.program[0], &udp, TEST_SKB_CHECKSUM_COMPLETE, &outcome) == 0;
	for (int direction = 0; !err && direction < MSSBPF_DIRECTIONS; direction++) {
		/* Another interface's limits, for a program that obeys the wrong ones to show. */
		err = object_set_limit(&object, (struct mssbpf_key){ OBJECT_IFINDEX + 1, direction }, none);
		if (!err)
			err = object_set_limit(&object, (struct mssbpf_key){ OBJECT_IFINDEX, direction }, none)
				      ?: object_reset_counters(&object,
							       (struct mssbpf_key){ OBJECT_IFINDEX, direction });
	}
	return err;
}

static void print_summary(const struct tried programs[OBJECT_PROGRAMS], uint64_t count, uint64_t seed, double seconds)
{
	printf("%-22s", "packets by result");
	for (int result = 0; result <= MSSBPF_RESULTS; result++)
		printf(" %11s", results[result] + (result < MSSBPF_RESULTS ? strlen("MSSBPF_") : 0));
	for (int i = 0; i < OBJECT_PROGRAMS; i++) {
		printf("\n%-22s", programs[i].program->name);
		for (int result = 0; result <= MSSBPF_RESULTS; result++)
			printf(" %11" PRIu64, programs[i].answers[result]);
	}
	printf("\n%" PRIu64 " packets through each of %d programs in %.0f s, seed %" PRIu64 ": %u wrong\n", count,
	       OBJECT_PROGRAMS, seconds, seed, reports);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-') {
		fprintf(stderr, "differential: not a number: %s\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	uint64_t count = 0, seconds = 10, seed = 1, first = 0, at;
	struct tried programs[OBJECT_PROGRAMS] = {};
	const char *unavailable = object_unavailable();
	double begin;
	int option;

	while ((option = getopt(argc, argv, "n:t:s:f:")) != -1) {
		if (option == '?') {
			fprintf(stderr, "usage: %s [-n PACKETS | -t SECONDS] [-s SEED] [-f FIRST]\n", argv[0]);
			return 2;
		}
		*(option == 'n' ? &count : option == 't' ? &seconds : option == 's' ? &seed : &first) = number(optarg);
	}
	if (unavailable) {
		fprintf(stderr, "differential: %s\n", unavailable);
		return 1;
	}
	if (prepare(programs))
		return 1;
	first -= first % BATCH;
	begin = now();
	for (at = 0; (count ? at < count : now() < begin + seconds) && reports < REPORTS_MAX; at += BATCH) {
		if (at == 0 || (first + at) % DEVICE_FOR == 0)
			change_device(generator_mix(~seed, (first + at) / DEVICE_FOR));
		for (int i = 0; i < OBJECT_PROGRAMS; i++)
			run_batch(&programs[i], seed, first + at);
	}
	print_summary(programs, at, seed, now() - begin);
	object_close(&object);
	return reports != 0;
}
