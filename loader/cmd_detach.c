// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf detach: clamp no more on these interfaces, and leave nothing of ours there. Not a clean-up of
 * what others attached.
 */
#include "attach.h"
#include "cli.h"
#include "netlink.h"
#include "privileges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec detach_options[] = {
	{ "all", 'a', NULL, "from every interface of the network namespace", OPTION_FLAG,
	  .offset = offsetof(struct options, all) },
	{ 0 },
};

static int detach_interface(const struct maps *maps, const char *name)
{
	struct entry entry = {};
	struct device device;
	bool found = false;
	int err = device_get(name, &device);

	if (err)
		return error("%s: %s", name, err == -ENODEV ? "no such interface" : strerror(-err));
	entry.key.ifindex = device.ifindex;
	for (entry.key.direction = 0; entry.key.direction < MSSBPF_DIRECTIONS; entry.key.direction++) {
		if (maps->limits < 0 || maps_entry_get(maps, &entry.key, &entry.limit))
			continue;
		attachment_remove(maps, &entry);
		found = true;
	}
	return found ? EXIT_DONE : error("%s: not attached; 'mssbpf show' lists what is", name);
}

static int detach_all(const struct maps *maps)
{
	struct entry *entries;
	size_t count;
	int err = maps_entries(maps, &entries, &count);

	if (err)
		return error("cannot list what is attached: %s", strerror(-err));
	for (size_t i = 0; i < count; i++)
		attachment_remove(maps, &entries[i]);
	free(entries);
	return EXIT_DONE;
}

static int detach_run(const struct options *options)
{
	int status = EXIT_DONE;
	struct maps maps;

	if (options->all == !!options->interface_count)
		return usage_error(&verb_detach, "detach: name interfaces, or say --all");
	if (privileges_check(false) || maps_open(&maps))
		return EXIT_FAILED;
	attachments_reap(&maps);
	if (options->all)
		status = detach_all(&maps);
	for (int i = 0; i < options->interface_count; i++)
		if (detach_interface(&maps, options->interfaces[i]))
			status = EXIT_FAILED;
	maps_close(&maps);
	return status;
}

const struct verb verb_detach = {
	.name = "detach",
	.arguments = "IFACE... | --all",
	.summary = "stop clamping on interfaces",
	.options = detach_options,
	.completion = "attached",
	.run = detach_run,
};
