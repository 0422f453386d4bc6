/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rules: an MSS limit for each of many prefixes, as text, as a sorted list, and as the ranges that longest match makes
 * of it. Not about interfaces or maps: that is rule_sets.h's.
 */
#ifndef MSSBPF_RULES_H
#define MSSBPF_RULES_H

#include "overhead.h"

#include <mssbpf/abi.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	RULES_MAX = 500000,	 /* in a set */
	RULE_LINE_MAX = 255,	 /* bytes of a line, without its end */
	RULE_TEXT_SIZE = 80,	 /* of a rule or prefix as text, with the NUL */
	RULES_FILE_MAX = 1 << 28 /* bytes */
};

struct rule {
	struct mssbpf_address first; /* of the prefix: its other bits are zero */
	__u8 family;		     /* enum mssbpf_family */
	__u8 length;		     /* bits */
	__u16 mss;		     /* bytes, or MSSBPF_MSS_NONE */
	bool by_mtu;		     /* it was given as an MTU; not known of rules in the kernel */
	unsigned int line;	     /* where it stands in the file, 0 if in none */
};

/* Each prefix once; IPv4's first, each family by ascending address, shorter ones first. */
struct rules {
	struct rule *list;
	size_t count;
};

/* Addresses from `first` to the next range's, or to the last there is. */
struct rule_range {
	struct mssbpf_address first;
	__u16 mss; /* bytes, MSSBPF_MSS_NONE, or MSSBPF_MSS_OWN where no rule is for them */
};

/*
 * Reads a prefix, ADDRESS/LENGTH or an address alone; *rule gets it, without limit. Returns 0, or -EINVAL after writing
 * why.
 */
int prefix_parse(const char *text, struct rule *rule, char why[WHY_SIZE]);

/* Tells whether an address lies in a prefix; it is in network order, IPv4's in the first four bytes. */
bool prefix_holds(const struct rule *prefix, enum mssbpf_family family, const __u8 address[16]);

/* Writes the first address of a prefix as prefix_holds() takes it. */
void prefix_address(const struct rule *prefix, __u8 address[16]);

/* Writes a prefix as prefix_parse() reads it. */
void prefix_format(const struct rule *rule, char text[RULE_TEXT_SIZE]);

/* Writes a rule as a line of a file, without its end. */
void rule_format(const struct rule *rule, char text[RULE_TEXT_SIZE]);

/* The MSS that an MTU leaves, and the other way round, bytes. */
unsigned int rule_mss_of_mtu(enum mssbpf_family family, unsigned int mtu);
unsigned int rule_mtu(const struct rule *rule);

/* The largest MSS that a rule may give; the smallest is 1. */
unsigned int rule_mss_max(enum mssbpf_family family);

/*
 * Reads the text of a whole file, `length` bytes, which need no NUL behind: a rule on each line, PREFIX and `mtu N`,
 * `mss N` or `off`; empty lines and what follows a # are passed over, and a line may end in CR LF. Returns 0, or
 * -EINVAL or -ENOMEM after writing why; the caller frees rules->list after 0.
 */
int rules_parse(const char *text, size_t length, struct rules *rules, char why[WHY_SIZE]);

/* The rule for exactly this prefix, or NULL. */
struct rule *rules_find(const struct rules *rules, const struct rule *prefix);

/* Adds a rule, or puts it in the place of the one for its prefix. Returns 0 or -ENOMEM. */
int rules_set(struct rules *rules, const struct rule *rule);

/* Takes out what rules_find() found. */
void rules_remove(struct rules *rules, struct rule *rule);

/*
 * Makes of the rules of one family the ranges of longest match, by ascending `first`, the first of all beginning at
 * zero; neighbours differ. Returns their list, for the caller to free, or NULL without memory.
 */
struct rule_range *rules_flatten(const struct rules *rules, enum mssbpf_family family, size_t *count);

#endif
