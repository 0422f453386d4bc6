// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From words to interfaces. Not a parser of options: that is cli.c.
 */
#include "selection.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/if_arp.h>
#include <stdlib.h>
#include <string.h>

static int selection_add(struct selection *selection, const struct device *device, const char *word)
{
	/* The list doubles whenever its length is a power of two. */
	if (!(selection->count & (selection->count - 1))) {
		size_t room = selection->count ? selection->count * 2 : 1;
		struct selected *grown = reallocarray(selection->list, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		selection->list = grown;
	}
	selection->list[selection->count++] = (struct selected){ .device = *device, .name = word, .by_pattern = !word };
	return 0;
}

static bool is_pattern(const char *word)
{
	return strpbrk(word, "*?[\\");
}

/* Adds the interface of this name, or keeps the word as a pattern. Returns an exit status. */
static int word_resolve(struct selection *selection, const char *word, bool quiet)
{
	struct device device;
	int err = device_get(word, &device);

	if (err == -ENODEV && is_pattern(word)) {
		selection->patterns[selection->pattern_count++] = word;
		return EXIT_DONE;
	}
	if (err == -ENODEV && quiet)
		return EXIT_DONE;
	err = err ?: selection_add(selection, &device, word);
	return err ? error("%s: %s", word, err == -ENODEV ? "no such interface" : strerror(-err)) : EXIT_DONE;
}

static bool pattern_matches(const char *pattern, const struct device *device)
{
	return device->arphrd != ARPHRD_LOOPBACK && !fnmatch(pattern, device->name, 0);
}

/* Adds what a pattern matches. Returns an exit status. */
static int pattern_resolve(struct selection *selection, const struct devices *devices, const char *pattern, bool quiet)
{
	bool found = false;

	for (size_t i = 0; i < devices->count; i++) {
		const struct device *device = &devices->list[i];

		if (!pattern_matches(pattern, device))
			continue;
		found = true;
		if (selection_add(selection, device, NULL))
			return error("%s: %s", pattern, strerror(ENOMEM));
	}
	return found || quiet ? EXIT_DONE : error("%s: no interface has a name that matches", pattern);
}

static int selected_compare(const void *one, const void *other)
{
	const struct selected *a = one, *b = other;

	if (a->device.ifindex != b->device.ifindex)
		return a->device.ifindex < b->device.ifindex ? -1 : 1;
	return a->by_pattern - b->by_pattern;
}

/* Sorts, and leaves of several for one interface the first: one that names it, if there is one. */
static void selection_sort(struct selection *selection)
{
	size_t kept = 0;

	if (selection->count)
		qsort(selection->list, selection->count, sizeof(*selection->list), selected_compare);
	for (size_t i = 0; i < selection->count; i++) {
		struct selected *selected = &selection->list[i];

		if (kept && selection->list[kept - 1].device.ifindex == selected->device.ifindex)
			continue;
		selection->list[kept++] = *selected;
	}
	selection->count = kept;
	for (size_t i = 0; i < kept; i++)
		if (selection->list[i].by_pattern)
			selection->list[i].name = selection->list[i].device.name;
}

int selection_make(const struct options *options, struct selection *selection)
{
	struct devices devices = {};
	int status = EXIT_DONE, err = 0;

	*selection = (struct selection){};
	selection->patterns = calloc(options->interface_count + 1, sizeof(*selection->patterns));
	if (!selection->patterns)
		return error("%s", strerror(ENOMEM));
	for (int i = 0; i < options->interface_count; i++)
		if (word_resolve(selection, options->interfaces[i], options->quiet))
			status = EXIT_FAILED;
	if (selection->pattern_count)
		err = devices_get(&devices);
	if (err)
		status = error("cannot list the interfaces: %s", strerror(-err));
	for (size_t i = 0; i < selection->pattern_count && !err; i++)
		if (pattern_resolve(selection, &devices, selection->patterns[i], options->quiet))
			status = EXIT_FAILED;
	devices_free(&devices);
	selection_sort(selection);
	return status;
}

void selection_free(struct selection *selection)
{
	free(selection->list);
	free(selection->patterns);
	*selection = (struct selection){};
}

struct selected *selection_find(const struct selection *selection, unsigned int ifindex)
{
	size_t low = 0, high = selection->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct selected *selected = &selection->list[middle];

		if (selected->device.ifindex == ifindex)
			return selected;
		if (selected->device.ifindex < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool selection_wants(const struct selection *selection, unsigned int ifindex, const char *name)
{
	const struct selected *selected = selection_find(selection, ifindex);

	if (selected && !selected->by_pattern)
		return true;
	for (size_t i = 0; i < selection->pattern_count; i++)
		if (!fnmatch(selection->patterns[i], name, 0))
			return true;
	return false;
}

int selection_check(const struct selection *selection, const char *complaint)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < selection->pattern_count; i++) {
		const char *pattern = selection->patterns[i];
		bool matched = false, used = false;

		for (size_t at = 0; at < selection->count && !used; at++) {
			const struct selected *selected = &selection->list[at];

			if (!pattern_matches(pattern, &selected->device))
				continue;
			matched = true;
			used = selected->used;
		}
		if (matched && !used) /* one that matches nothing was told before */
			status = error("%s: %s", pattern, complaint);
	}
	return status;
}
