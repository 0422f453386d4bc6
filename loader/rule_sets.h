/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rules of interfaces in the map that the programs read. Not what rules are: that is rules.h's.
 */
#ifndef MSSBPF_RULE_SETS_H
#define MSSBPF_RULE_SETS_H

#include "maps.h"
#include "rules.h"

/*
 * Reads the rules of an interface, which may be none, into a list that the caller frees. Returns 0 or -errno: -EPERM
 * where the kernel gives no map away by its id, which takes CAP_SYS_ADMIN.
 */
int rule_set_get(const struct maps *maps, __u32 ifindex, struct rules *rules);

/* Counts the rules in the element of the map `rules`, counted from 1 as in union mssbpf_order. As rule_set_get(). */
int rule_set_count(const struct maps *maps, __u16 place, size_t *count);

/*
 * Puts these in the place of an attached interface's rules: every packet sees all of the old or all of the new ones.
 * Returns 0, -ENOSPC when too many interfaces have rules, or another -errno; then the old ones stay.
 */
int rule_set_put(const struct maps *maps, __u32 ifindex, const struct rules *rules);

#endif
