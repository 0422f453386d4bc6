// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The loaded object as tests and benchmarks use it. Not the loader: sizes its maps for tests, pins
 * nothing.
 */
#include "object.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <abilities.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "mssbpf.skel.h"

enum {
	MAP_ENTRIES = 32768, /* the object's own number is a placeholder */
	LOG_STATISTICS = 4,
	LOG_SIZE = 64 * 1024,
};

const char *object_unavailable(void)
{
	if (geteuid() != 0)
		return "needs root";
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL) <= 0)
		return "this kernel or container lets no TC program be loaded";
	return NULL;
}

void object_need(const char *unavailable)
{
	if (!unavailable)
		return;
	print_message("SKIPPED: %s\n", unavailable);
	skip();
}

static unsigned int verified_instructions(const char *log)
{
	const char *line = strstr(log, "processed ");
	unsigned int count = 0;

	if (!line || sscanf(line, "processed %u insns", &count) != 1)
		return 0;
	return count;
}

static int load(struct object *object, struct bpf_program *const programs[OBJECT_PROGRAMS],
		const struct mssbpf_route_layout *layout)
{
	char *logs = calloc(OBJECT_PROGRAMS, LOG_SIZE);
	int err = -ENOMEM;

	if (!logs)
		return err;
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		bpf_program__set_log_level(programs[i], LOG_STATISTICS);
		bpf_program__set_log_buf(programs[i], logs + i * LOG_SIZE, LOG_SIZE);
	}
	object->skeleton->rodata->has_check_mtu = live_mtu_supported();
	object->skeleton->rodata->has_fib_mark = fib_mark_supported();
	object->skeleton->rodata->route_layout = *layout;
	bpf_map__set_max_entries(object->skeleton->maps.limits, MAP_ENTRIES);
	bpf_map__set_max_entries(object->skeleton->maps.counters, MAP_ENTRIES);
	bpf_map__set_max_entries(object->skeleton->maps.rules, MAP_ENTRIES);
	bpf_map__set_max_entries(object->skeleton->maps.orders, MAP_ENTRIES);
	bpf_map__set_max_entries(object->skeleton->maps.baseline, MAP_ENTRIES);
	err = mssbpf_bpf__load(object->skeleton);
	if (err)
		goto out;
	for (size_t i = 0; i < OBJECT_PROGRAMS; i++) {
		object->program[i].fd = bpf_program__fd(programs[i]);
		object->program[i].verified = verified_instructions(logs + i * LOG_SIZE);
	}
	object->limits = bpf_map__fd(object->skeleton->maps.limits);
	object->orders = bpf_map__fd(object->skeleton->maps.orders);
	object->slots = mmap(NULL, MAP_ENTRIES * sizeof(*object->slots), PROT_READ, MAP_SHARED, object->orders, 0);
	if (object->slots == MAP_FAILED)
		err = -errno;
	object->counters = bpf_map__fd(object->skeleton->maps.counters);
out:
	free(logs);
	return err;
}

int object_open(struct object *object)
{
	struct mssbpf_route_layout layout;

	route_layout_find(&layout);
	return object_open_with(object, &layout);
}

int object_open_with(struct object *object, const struct mssbpf_route_layout *layout)
{
	int err;

	*object = (struct object){ .program = {
					   { "mssbpf_tc_eth_egress", false, PACKET_ETHERNET, MSSBPF_EGRESS, -1, 0 },
					   { "mssbpf_tc_eth_ingress", false, PACKET_ETHERNET, MSSBPF_INGRESS, -1, 0 },
					   { "mssbpf_tc_l3_egress", false, PACKET_BARE, MSSBPF_EGRESS, -1, 0 },
					   { "mssbpf_tc_l3_ingress", false, PACKET_BARE, MSSBPF_INGRESS, -1, 0 },
					   { "mssbpf_xdp", true, PACKET_ETHERNET, MSSBPF_INGRESS, -1, 0 },
				   } };
	object->skeleton = mssbpf_bpf__open();
	if (!object->skeleton) {
		err = -errno;
	} else {
		struct bpf_program *const programs[OBJECT_PROGRAMS] = {
			object->skeleton->progs.mssbpf_tc_eth_egress, object->skeleton->progs.mssbpf_tc_eth_ingress,
			object->skeleton->progs.mssbpf_tc_l3_egress,  object->skeleton->progs.mssbpf_tc_l3_ingress,
			object->skeleton->progs.mssbpf_xdp,
		};

		err = load(object, programs, layout);
	}
	if (err) {
		fprintf(stderr, "the BPF object does not load: %s\n", strerror(-err));
		object_close(object);
	}
	return err;
}

void object_close(struct object *object)
{
	mssbpf_bpf__destroy(object->skeleton);
	object->skeleton = NULL;
}

struct maps object_maps(const struct object *object)
{
	return (struct maps){ .lock = -1,
			      .limits = object->limits,
			      .counters = object->counters,
			      .orders = object->orders,
			      .slots = object->slots,
			      .baseline = bpf_map__fd(object->skeleton->maps.baseline),
			      .rules = bpf_map__fd(object->skeleton->maps.rules),
			      .programs[PROGRAMS_CHANGE][0] = bpf_program__fd(object->skeleton->progs.mssbpf_change),
			      .max_entries = MAP_ENTRIES };
}

bool object_has_check_mtu(const struct object *object)
{
	return object->skeleton->rodata->has_check_mtu;
}

/* Tests have few interfaces of small numbers: each entry has a slot of its own. */
static __u32 slot_of(struct mssbpf_key key)
{
	return (key.ifindex * MSSBPF_DIRECTIONS + key.direction) % MAP_ENTRIES;
}

int object_set_limit(const struct object *object, struct mssbpf_key key, union mssbpf_order order)
{
	const struct mssbpf_limit limit = { .order = order, .slot = slot_of(key), .mtu = 1400 };
	int err = bpf_map_update_elem(object->limits, &key, &limit, BPF_ANY);

	return err ?: bpf_map_update_elem(object->orders, &limit.slot, &order, BPF_ANY);
}

int object_delete_limit(const struct object *object, struct mssbpf_key key)
{
	return object_set_limit(object, key, (union mssbpf_order){ .word = 0 });
}

int object_reset_counters(const struct object *object, struct mssbpf_key key)
{
	int cpus = libbpf_num_possible_cpus(), err;
	struct mssbpf_counters *zeros = calloc(cpus, sizeof(*zeros));

	for (int i = 0; i < cpus && zeros; i++)
		zeros[i].slot = slot_of(key);
	err = zeros ? bpf_map_update_elem(object->counters, &key, zeros, BPF_ANY) : -ENOMEM;
	free(zeros);
	return err;
}

int object_delete_counters(const struct object *object, struct mssbpf_key key)
{
	return bpf_map_delete_elem(object->counters, &key);
}

int object_read_counters(const struct object *object, struct mssbpf_key key, struct mssbpf_counters *sum)
{
	enum { CELLS = sizeof(*sum) / sizeof(__u64) };
	int cpus = libbpf_num_possible_cpus();
	struct mssbpf_counters *counters = calloc(cpus, sizeof(*counters));
	int err = counters ? bpf_map_lookup_elem(object->counters, &key, counters) : -ENOMEM;

	memset(sum, 0, sizeof(*sum));
	for (int i = 0; !err && i < cpus * CELLS; i++)
		((__u64 *)sum)[i % CELLS] += ((const __u64 *)counters)[i];
	sum->slot = 0;
	free(counters);
	return err;
}

int object_run(const struct object_program *program, const struct packet *packet, uint32_t flags,
	       struct object_outcome *outcome)
{
	const struct __sk_buff metadata = {
		.ifindex = OBJECT_IFINDEX, .mark = 0x4d535331, .priority = 6, .cb = { 1, 2, 3, 4, 5 }
	};

	return object_run_as(program, packet, &metadata, flags, outcome);
}

int object_run_as(const struct object_program *program, const struct packet *packet, const struct __sk_buff *metadata,
		  uint32_t flags, struct object_outcome *outcome)
{
	const struct xdp_md before_xdp = { .data_end = packet->length, .ingress_ifindex = metadata->ifindex };
	const struct __sk_buff before = *metadata;
	struct __sk_buff after = {};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet->data, .data_size_in = packet->length,
		    .data_out = outcome->data, .data_size_out = sizeof(outcome->data), .repeat = 1, .flags = flags);
	int err;

	if (program->xdp && metadata->ifindex != OBJECT_IFINDEX) { /* the default; kernels before 5.15 take no other */
		options.ctx_in = &before_xdp;
		options.ctx_size_in = sizeof(before_xdp);
	} else if (!program->xdp) {
		options.ctx_in = &before;
		options.ctx_size_in = sizeof(before);
		options.ctx_out = &after;
		options.ctx_size_out = sizeof(after);
	}
	err = bpf_prog_test_run_opts(program->fd, &options);
	if (err)
		return err;
	outcome->length = options.data_size_out;
	outcome->returned = (int)options.retval;
	if (program->xdp)
		return 0;
	if (after.ifindex != before.ifindex || after.mark != before.mark || after.priority != before.priority ||
	    memcmp(after.cb, before.cb, sizeof(before.cb)) != 0)
		return -EPROTO;
	return 0;
}
