// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf complete: the words that may stand at the end of a command line, one a line, for the shell's
 * completion. Not a parser: what it does not understand, it leaves to the verb to refuse.
 */
#include "cli.h"
#include "netlink.h"
#include "report.h"
#include "words.h"

#include <dirent.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec complete_options[] = { { 0 } };

static void list_interfaces(void)
{
	struct devices devices;

	if (devices_get(&devices))
		return;
	for (size_t i = 0; i < devices.count; i++)
		if (devices.list[i].arphrd != ARPHRD_LOOPBACK)
			puts(devices.list[i].name);
	devices_free(&devices);
}

static void list_attached(void)
{
	struct report report;

	report_read(&(struct options){}, &report);
	for (size_t i = 0; i < report.count; i++)
		puts(report.rows[i].interface);
	report_free(&report);
}

static void list_namespaces(void)
{
	const struct dirent *file;
	DIR *directory = opendir("/run/netns");

	while (directory && (file = readdir(directory)))
		if (*file->d_name != '.')
			puts(file->d_name);
	if (directory)
		closedir(directory);
}

/* Lists what may follow an option; returns false when it takes no value. */
static bool list_values(const struct option_spec *spec)
{
	if (!spec->value || spec->bare)
		return false;
	for (const char *const *word = spec->words; word && *word; word++)
		puts(*word);
	if (!strcmp(spec->name, "netns"))
		list_namespaces();
	if (!strcmp(spec->name, "interface"))
		list_interfaces();
	for (size_t i = 0; i < MSSBPF_RESULTS && !strcmp(spec->name, "result"); i++)
		puts(results[i].key);
	return true;
}

static const struct option_spec *find_option(const struct option_spec *specs, const char *word)
{
	for (const struct option_spec *spec = specs; spec->name; spec++)
		if (!strncmp(word, "--", 2) && !strcmp(word + 2, spec->name))
			return spec;
	return NULL;
}

static void complete_verb(const struct verb *verb, const char *before, bool first)
{
	const struct option_spec *spec = find_option(verb->options, before) ?: find_option(common_options, before);

	if (spec && list_values(spec))
		return;
	for (spec = verb->options; spec->name; spec++)
		printf("--%s\n", spec->name);
	for (spec = common_options; spec->name; spec++)
		printf("--%s\n", spec->name);
	for (const char *const *action = first ? verb->actions : NULL; action && *action; action++)
		puts(*action);
	if (verb->completion && !(first && verb->actions))
		strcmp(verb->completion, "attached") ? list_interfaces() : list_attached();
}

static int complete_run(const struct options *options)
{
	int words = options->interface_count;

	for (const struct verb *const *verb = verbs; *verb; verb++) {
		if (words < 2)
			puts((*verb)->name);
		else if (!strcmp((*verb)->name, options->interfaces[0]))
			complete_verb(*verb, options->interfaces[words - 2], words == 2);
	}
	return EXIT_DONE;
}

const struct verb verb_complete = {
	.name = "complete",
	.arguments = "-- WORD...",
	.summary = "words that may end a command line, for shell completion",
	.options = complete_options,
	.run = complete_run,
};
