/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which interfaces the words of a command line mean: names, alternative names and shell-style patterns. Not
 * what is done with them.
 */
#ifndef MSSBPF_SELECTION_H
#define MSSBPF_SELECTION_H

#include "cli.h"
#include "netlink.h"

struct selected {
	struct device device;
	const char *name; /* the word that names it; its own name where a pattern matches it */
	bool by_pattern;  /* nobody named it: what is not for it is passed over, and no error */
	bool used;	  /* set by the verb: it was not passed over */
};

struct selection {
	struct selected *list; /* each once, by ascending ifindex */
	size_t count;
	const char **patterns;
	size_t pattern_count;
};

/*
 * Finds the interfaces that the words mean. A word is a name first, and a pattern (fnmatch(3)) of names only if no
 * interface has that name; no pattern matches the loopback interface. Returns an exit status: EXIT_FAILED after
 * saying which words mean no interface; the list has the others. selection_free() releases it.
 */
int selection_make(const struct options *options, struct selection *selection);
void selection_free(struct selection *selection);

/* The selected interface with this ifindex, or NULL. */
struct selected *selection_find(const struct selection *selection, unsigned int ifindex);

/*
 * Tells whether the words mean this interface: one that was found by its name, or, whether it was there then or not,
 * one that a pattern matches.
 */
bool selection_wants(const struct selection *selection, unsigned int ifindex, const char *name);

/*
 * Complains of each pattern that matches no interface that was used: "ppp*: COMPLAINT". Returns an exit status.
 */
int selection_check(const struct selection *selection, const char *complaint);

#endif
