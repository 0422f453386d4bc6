// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Asks the kernel what it offers the programs: by trying, and by its BTF. Loads nothing that stays.
 */
#include "abilities.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <endian.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

enum { FIB_LOOKUP_MARK = 1U << 5 }; /* BPF_FIB_LOOKUP_MARK, include/uapi/linux/bpf.h of Linux 6.10 */

bool live_mtu_supported(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_check_mtu, NULL) == 1;
}

/*
 * Runs bpf_fib_lookup() with the flag and address family 0. The kernel looks at the flags first: -EAFNOSUPPORT says
 * that it knows them, -EINVAL that it does not.
 */
bool fib_mark_supported(void)
{
	enum { LENGTH = sizeof(struct bpf_fib_lookup), WORDS = LENGTH / 8 };
	struct bpf_insn code[WORDS + 8], *next = code;
	unsigned char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet));
	int program;

	*next++ = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10 };
	*next++ = (struct bpf_insn){ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -LENGTH };
	for (int i = 0; i < WORDS; i++)
		*next++ = (struct bpf_insn){ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_2, .off = i * 8 };
	*next++ = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = LENGTH };
	*next++ =
		(struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = FIB_LOOKUP_MARK };
	*next++ = (struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_fib_lookup };
	*next++ = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NULL, "GPL", code, next - code, NULL);
	if (program < 0)
		return false;
	if (bpf_prog_test_run_opts(program, &run))
		run.retval = -EINVAL;
	close(program);
	return (int)run.retval == -EAFNOSUPPORT;
}

/*
 * Finds a member of a struct or union, also in its members without a name. Returns its type's id with its place and, of
 * a bit field, its size in bits; or 0.
 */
static __u32 member_find(const struct btf *btf, __u32 id, const char *name, __u32 *bits, __u32 *size)
{
	const struct btf_type *type = btf__type_by_id(btf, id);
	const struct btf_member *member;

	if (!type || !btf_is_composite(type))
		return 0;
	member = btf_members(type);
	for (__u32 i = 0; i < btf_vlen(type); i++, member++) {
		const char *called = btf__name_by_offset(btf, member->name_off);
		__u32 offset = btf_member_bit_offset(type, i), found = 0;

		if (!*called) {
			found = member_find(btf, member->type, name, bits, size);
			*bits += offset;
		} else if (!strcmp(called, name)) {
			found = member->type;
			*bits = offset;
			*size = btf_member_bitfield_size(type, i);
		}
		if (found)
			return found;
	}
	return 0;
}

/* Where the member is in the struct, in bytes; 0 when there is none, or when it is there. */
static __u16 offset_of(const struct btf *btf, __u32 structure, const char *name, __u32 *type)
{
	__u32 bits = 0, size = 0;

	*type = member_find(btf, structure, name, &bits, &size);
	return bits / 8;
}

static bool layout_read(const struct btf *btf, struct mssbpf_route_layout *layout)
{
	const struct {
		const char *structure, *member;
		__u16 *offset;
	} members[] = {
		{ "sk_buff", "_skb_refdst", &layout->skb_refdst }, { "dst_entry", "dev", &layout->dst_dev },
		{ "dst_entry", "ops", &layout->dst_ops },	   { "dst_entry", "_metrics", &layout->dst_metrics },
		{ "dst_entry", "expires", &layout->dst_expires },  { "dst_entry", "flags", &layout->dst_flags },
		{ "dst_ops", "family", &layout->ops_family },	   { "net_device", "mtu", &layout->device_mtu },
		{ "net_device", "ip6_ptr", &layout->device_ipv6 },
	};
	__u32 type, bits = 0, size = 0;
	__s32 structure;

	if (btf__pointer_size(btf) != 8)
		return false;
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		structure = btf__find_by_name_kind(btf, members[i].structure, BTF_KIND_STRUCT);
		*members[i].offset = structure < 0 ? 0 : offset_of(btf, structure, members[i].member, &type);
		if (structure < 0 || !type)
			return false;
	}
	structure = btf__find_by_name_kind(btf, "rtable", BTF_KIND_STRUCT);
	if (structure < 0 || !member_find(btf, structure, "rt_pmtu", &bits, &size) || size != 31)
		return false;
	layout->rtable_pmtu = bits / 32 * 4;
	layout->pmtu_shift = __BYTE_ORDER == __LITTLE_ENDIAN ? bits % 32 : 32 - bits % 32 - size;

	/* Absent where IPv6 is a module: then its MTU is taken to be the device's. */
	structure = btf__find_by_name_kind(btf, "inet6_dev", BTF_KIND_STRUCT);
	if (structure > 0)
		layout->ipv6_mtu = offset_of(btf, structure, "cnf", &type);
	if (layout->ipv6_mtu)
		layout->ipv6_mtu += offset_of(btf, type, "mtu6", &type);
	return layout->skb_refdst;
}

/* Loads a program that reads. libbpf's probe takes a helper that the kernel knows, but forbids, for one it offers. */
static bool kernel_read_supported(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NULL, "GPL", code, sizeof(code) / sizeof(*code), NULL);

	if (program >= 0)
		close(program);
	return program >= 0;
}

bool route_layout_find(struct mssbpf_route_layout *layout)
{
	struct btf *btf;
	bool found;

	*layout = (struct mssbpf_route_layout){};
	if (!kernel_read_supported())
		return false;
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return false;
	found = layout_read(btf, layout);
	btf__free(btf);
	if (!found)
		*layout = (struct mssbpf_route_layout){};
	return found;
}

bool xdp_frags_supported(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "probe", "GPL", pass, sizeof(pass) / sizeof(*pass), &options);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}
