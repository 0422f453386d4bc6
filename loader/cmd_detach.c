// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf detach: clamp no more on these interfaces, and leave nothing of ours there. Not a clean-up of
 * what others attached.
 */
#include "attached.h"
#include "cli.h"
#include "netlink.h"
#include "pins.h"
#include "privileges.h"
#include "selection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec detach_options[] = {
	{ "all", 'a', NULL, "from every interface of the network namespace", OPTION_FLAG,
	  .offset = offsetof(struct options, all) },
	{ 0 },
};

static int detach_key(const struct maps *maps, const struct mssbpf_key *key, const char *name)
{
	int err = attachment_remove(maps, key);

	return err ? error("%s: cannot detach, %s: %s", name, direction_name(key->direction), strerror(-err))
		   : EXIT_DONE;
}

/* Also takes off a program of ours that no entry knows of: somebody may have removed the pins. */
static int detach_interface(const struct maps *maps, struct selected *selected)
{
	int status = EXIT_DONE, err;

	for (__u32 direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
		const struct mssbpf_key key = { selected->device.ifindex, direction };
		struct mssbpf_limit limit;
		__u32 program_id;
		enum hook hook;

		err = maps_entry_get(maps, &key, &limit);
		if (err == -ENOENT)
			err = attachment_query(maps, &key, &hook, &program_id);
		if (err == -ENOENT)
			continue;
		selected->used = true;
		if (detach_key(maps, &key, selected->name))
			status = EXIT_FAILED;
	}
	if (!selected->used && !selected->by_pattern)
		status = error("%s: not attached; 'mssbpf show' lists what is", selected->name);
	return status;
}

/*
 * Interfaces that came last go first: the kernel searches a list of all clsact qdiscs for each, and the last one
 * made is the first in it (net/core/flow_offload.c, flow_indr_dev_setup_offload()).
 */
static int detach_selected(const struct maps *maps, const struct options *options)
{
	struct selection selection;
	int status = selection_make(options, &selection);

	for (size_t i = selection.count; i-- > 0;)
		if (detach_interface(maps, &selection.list[i]))
			status = EXIT_FAILED;
	if (selection_check(&selection, "none of the interfaces that match is attached; 'mssbpf show' lists what is"))
		status = EXIT_FAILED;
	selection_free(&selection);
	return status;
}

static int detach_all(const struct maps *maps)
{
	struct devices devices = {};
	struct entry *entries = NULL;
	int status = EXIT_DONE;
	size_t count = 0;
	int err = devices_get(&devices) ?: maps_entries(maps, &entries, &count);

	if (err) {
		count = 0;
		status = error("cannot list what is attached: %s", strerror(-err));
	}
	while (count-- > 0) { /* the last first, as above */
		const struct device *device = devices_find(&devices, entries[count].key.ifindex);

		if (detach_key(maps, &entries[count].key, device ? device->name : "?"))
			status = EXIT_FAILED;
	}
	free(entries);
	devices_free(&devices);
	return status;
}

static int detach_run(const struct options *options)
{
	int err, status = EXIT_DONE;
	struct maps maps;

	if (options->all == !!options->interface_count)
		return usage_error(&verb_detach, "detach: name interfaces, or say --all");
	if (privileges_check(false) || pins_open(&maps))
		return EXIT_FAILED;
	err = attachments_reap(&maps);
	if (err)
		status = error("cannot clean up after interfaces that are gone: %s", strerror(-err));
	if (options->all ? detach_all(&maps) : detach_selected(&maps, options))
		status = EXIT_FAILED;
	err = pins_close(&maps);
	if (err)
		status = error("cannot remove the pins: %s; the same command again tries again", strerror(-err));
	return status;
}

const struct verb verb_detach = {
	.name = "detach",
	.arguments = "IFACE|PATTERN... | --all",
	.summary = "stop clamping on interfaces",
	.options = detach_options,
	.completion = "attached",
	.run = detach_run,
};
