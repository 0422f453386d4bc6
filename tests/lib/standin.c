// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Makes the stand-in for a route. Not a test of it.
 */
#include "standin.h"

#include <abilities.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct mssbpf_route_layout fields = {
	.dst_dev = offsetof(struct standin, route.device) - offsetof(struct standin, route),
	.dst_ops = offsetof(struct standin, route.ops) - offsetof(struct standin, route),
	.dst_metrics = offsetof(struct standin, route.metrics) - offsetof(struct standin, route),
	.dst_expires = offsetof(struct standin, route.expires) - offsetof(struct standin, route),
	.dst_flags = offsetof(struct standin, route.flags) - offsetof(struct standin, route),
	.ops_family = offsetof(struct standin, ops.family) - offsetof(struct standin, ops),
	.rtable_pmtu = offsetof(struct standin, route.pmtu) - offsetof(struct standin, route),
	.pmtu_shift = 1,
	.device_mtu = offsetof(struct standin, device.mtu) - offsetof(struct standin, device),
	.device_ipv6 = offsetof(struct standin, device.ipv6) - offsetof(struct standin, device),
	.ipv6_mtu = offsetof(struct standin, ipv6.mtu) - offsetof(struct standin, ipv6),
};

/* Where `name` is in a struct of the kernel, in bytes, also within members without a name; -1 when it is not there. */
static int kernel_offset(const struct btf *btf, int id, const char *name)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	for (int i = 0; type && btf_is_composite(type) && i < btf_vlen(type); i++) {
		const struct btf_member *member = btf_members(type) + i;
		const char *called = btf__name_by_offset(btf, member->name_off);
		int inside = *called ? strcmp(called, name) ? -1 : 0 : kernel_offset(btf, member->type, name);

		if (inside >= 0)
			return inside + (int)btf_member_bit_offset(type, i) / 8;
	}
	return -1;
}

/* Maps an array whose value holds its own address in the kernel. */
static struct standin *memory_map(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "memory", 4, 4096, 1, &options), program;
	const struct bpf_insn code[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map },
		{ .code = 0 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	unsigned char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet));
	struct standin *made;

	program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "address", "GPL", code, sizeof(code) / sizeof(*code), NULL);
	if (map < 0 || program < 0 || bpf_prog_test_run_opts(program, &run))
		return NULL;
	made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	close(program);
	close(map);
	return made == MAP_FAILED ? NULL : made;
}

struct standin *standin_make(struct mssbpf_route_layout *layout)
{
	struct btf *btf = route_layout_find(layout) ? btf__load_vmlinux_btf() : NULL;
	int tstamp = btf ? kernel_offset(btf, btf__find_by_name_kind(btf, "sk_buff", BTF_KIND_STRUCT), "tstamp") : -1;

	btf__free(btf);
	*layout = fields;
	layout->skb_refdst = tstamp;
	return tstamp < 0 ? NULL : memory_map();
}

void standin_reset(struct standin *standin, uint16_t family, uint32_t device_mtu)
{
	uint64_t address = standin->address;

	*standin = (struct standin){
		.address = address,
		.route.device = address + offsetof(struct standin, device),
		.route.metrics = (address + offsetof(struct standin, metrics)) | 3,
		.route.ops = address + offsetof(struct standin, ops),
		.ops.family = family,
		.device = { .ipv6 = address + offsetof(struct standin, ipv6), .mtu = device_mtu },
		.ipv6.mtu = device_mtu,
	};
}

uint64_t standin_address(const struct standin *standin)
{
	return standin->address + offsetof(struct standin, route);
}
