// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From entries to what is attached, in few calls for many. Not a place that attaches.
 */
#include "attached.h"

#include "listener.h"
#include "pins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Ids of programs that attachment_query() found in clsact, for each direction. */
struct known_programs {
	__u32 ids[MSSBPF_DIRECTIONS][MSSBPF_LINKS];
	unsigned int next;
};

/*
 * Like attachment_query(), which costs a few calls: saves them where the program in our place in clsact, if any, is
 * one that it found there before, on another interface.
 */
static int attachment_look(const struct maps *maps, __u32 peeked, struct known_programs *known,
			   struct attachment *attachment)
{
	const struct mssbpf_key *key = &attachment->entry.key;
	__u32 *ids = known->ids[key->direction];
	int err;

	for (size_t i = 0; i < MSSBPF_LINKS && peeked; i++) {
		if (ids[i] == peeked) {
			attachment->hook = HOOK_CLSACT;
			attachment->program_id = peeked;
			return 0;
		}
	}
	err = attachment_query(maps, key, &attachment->hook, &attachment->program_id);
	if (!err && attachment->hook == HOOK_CLSACT)
		ids[known->next++ % MSSBPF_LINKS] = attachment->program_id;
	return err;
}

/* Puts those of the entries that are attached into the list, and removes the others. */
static int entries_sift(const struct maps *maps, const struct entry *entries, size_t entry_count, const __u32 *peeked,
			struct attachment *list, size_t *count)
{
	struct known_programs known = {};

	*count = 0;
	for (size_t i = 0; i < entry_count; i++) {
		struct attachment *attachment = &list[*count];
		int err;

		attachment->entry = entries[i];
		err = attachment_look(maps, peeked[i], &known, attachment);
		if (!err)
			++*count;
		else if (err == -ENOENT)
			err = attachment_remove(maps, &entries[i].key);
		if (err)
			return err;
	}
	return 0;
}

int attachments_get(const struct maps *maps, struct attachment **list, size_t *count)
{
	struct entry *entries;
	size_t entry_count;
	int err = maps_entries(maps, &entries, &entry_count);
	__u32 *peeked = calloc(entry_count + 1, sizeof(*peeked));

	*count = 0;
	*list = calloc(entry_count + 1, sizeof(**list));
	if (!err && (!*list || !peeked))
		err = -ENOMEM;
	if (!err && clsact_peek(entries, entry_count, peeked))
		memset(peeked, 0, entry_count * sizeof(*peeked)); /* then all are looked at closely */
	err = err ?: listener_reap(maps);
	err = err ?: maps_reap(maps, entries, entry_count);
	err = err ?: entries_sift(maps, entries, entry_count, peeked, *list, count);
	free(peeked);
	free(entries);
	if (err) {
		free(*list);
		*list = NULL;
		*count = 0;
	}
	pins_reap_folders(maps, folder_is_dead);
	return err;
}

int attachments_reap(const struct maps *maps)
{
	struct attachment *list;
	size_t count;
	int err = attachments_get(maps, &list, &count);

	free(list);
	return err;
}
