// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The pinned state: maps and programs. Not a place that attaches anything, nor reads entries.
 */
#include "pins.h"

#include "abilities.h"
#include "bpffs.h"
#include "cli.h"
#include "mssbpf.skel.h"
#include "netns.h"
#include "pins_complain.h"
#include "pins_folder.h"
#include "pins_share.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct maps nothing = { .lock = -1,
				     .limits = -1,
				     .counters = -1,
				     .orders = -1,
				     .baseline = -1,
				     .rules = -1,
				     .events = -1,
				     .watch = -1,
				     .abilities = ~0U }; /* of no program yet */

/* The maps, in the skeleton and in the folder; `meta` is opened only to be read or written. */
static const struct {
	const char *name;
	size_t fd;	 /* in struct maps */
	size_t skeleton; /* in struct mssbpf_bpf */
	__u32 type;
	__u32 key_size, value_size; /* bytes */
	bool by_entry;		    /* holds --max-entries entries */
	bool readable;		    /* pins_read() takes it */
} map_kinds[] = {
	{ "limits", offsetof(struct maps, limits), offsetof(struct mssbpf_bpf, maps.limits), BPF_MAP_TYPE_HASH,
	  sizeof(struct mssbpf_key), sizeof(struct mssbpf_limit), true, true },
	{ "counters", offsetof(struct maps, counters), offsetof(struct mssbpf_bpf, maps.counters),
	  BPF_MAP_TYPE_PERCPU_HASH, sizeof(struct mssbpf_key), sizeof(struct mssbpf_counters), true, true },
	{ "orders", offsetof(struct maps, orders), offsetof(struct mssbpf_bpf, maps.orders), BPF_MAP_TYPE_ARRAY,
	  sizeof(__u32), sizeof(__u64), true, false },
	{ "baseline", offsetof(struct maps, baseline), offsetof(struct mssbpf_bpf, maps.baseline), BPF_MAP_TYPE_HASH,
	  sizeof(struct mssbpf_key), sizeof(struct mssbpf_counters), true, true },
	{ "rules", offsetof(struct maps, rules), offsetof(struct mssbpf_bpf, maps.rules), BPF_MAP_TYPE_ARRAY_OF_MAPS,
	  sizeof(__u32), sizeof(__u32), true, false },
	{ "events", offsetof(struct maps, events), offsetof(struct mssbpf_bpf, maps.events), BPF_MAP_TYPE_ARRAY_OF_MAPS,
	  sizeof(__u32), sizeof(__u32), false, false },
	{ "watch", offsetof(struct maps, watch), offsetof(struct mssbpf_bpf, maps.bss), BPF_MAP_TYPE_ARRAY,
	  sizeof(__u32), sizeof(struct mssbpf_watch), false, false },
};

/* Where each program is, in the skeleton and in the folder. Those of one kind and direction are loaded together. */
static const struct {
	unsigned int kind; /* enum mssbpf_link or a PROGRAMS_ */
	enum mssbpf_direction direction;
	const char *name, *pin;
} programs[] = {
	{ MSSBPF_LINK_ETHERNET, MSSBPF_EGRESS, "mssbpf_tc_eth_egress", "mssbpf_tc_eth_egress" },
	/* For devmaps of others, never attached: it obeys the same entries. */
	{ MSSBPF_LINK_ETHERNET, MSSBPF_EGRESS, "mssbpf_xdp_egress", "mssbpf_xdp_egress" },
	{ MSSBPF_LINK_ETHERNET, MSSBPF_INGRESS, "mssbpf_tc_eth_ingress", "mssbpf_tc_eth_ingress" },
	{ MSSBPF_LINK_NONE, MSSBPF_EGRESS, "mssbpf_tc_l3_egress", "mssbpf_tc_l3_egress" },
	{ MSSBPF_LINK_NONE, MSSBPF_INGRESS, "mssbpf_tc_l3_ingress", "mssbpf_tc_l3_ingress" },
	{ PROGRAMS_XDP, MSSBPF_INGRESS, "mssbpf_xdp", "mssbpf_xdp" },
	{ PROGRAMS_CHANGE, 0, "mssbpf_change", "change" },
};

#define PROGRAM_DRAFT "program_new"
#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))

/* FNV-1a over the embedded object: tells builds apart. */
static uint64_t build_hash(void)
{
	uint64_t hash = 0xcbf29ce484222325;
	const unsigned char *bytes;
	size_t size;

	bytes = mssbpf_bpf__elf_bytes(&size);
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}

static int map_info(int fd, struct bpf_map_info *info)
{
	__u32 length = sizeof(*info);

	*info = (struct bpf_map_info){};
	return bpf_obj_get_info_by_fd(fd, info, &length);
}

/*
 * Opens a pinned map if it has the given make; flags: BPF_F_RDONLY or 0. Returns its fd, -EPROTO for another make, or
 * -errno.
 */
static int map_open(const char *folder, const char *name, __u32 type, __u32 key_size, __u32 value_size, __u32 flags)
{
	LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = flags);
	struct bpf_map_info info;
	int err, fd = bpf_obj_get_opts(path_of(folder, name).text, &options);

	if (fd < 0)
		return -errno;
	err = map_info(fd, &info);
	if (!err && (info.type != type || info.key_size != key_size || info.value_size != value_size))
		err = -EPROTO;
	if (err)
		close(fd);
	return err ?: fd;
}

static int meta_read(const char *folder, struct mssbpf_meta *meta, __u32 flags)
{
	int err, fd = map_open(folder, "meta", BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(*meta), flags);

	if (fd < 0)
		return fd;
	err = bpf_map_lookup_elem(fd, &(__u32){ 0 }, meta);
	close(fd);
	return err ?: meta->abi == MSSBPF_ABI ? 0 : -EPROTO;
}

static int meta_write(const char *folder, unsigned int abilities, uint64_t build)
{
	struct mssbpf_meta meta = { .abi = MSSBPF_ABI, .abilities = abilities, .build = build };
	int err, fd = bpf_obj_get(path_of(folder, "meta").text);

	if (fd < 0)
		return -errno;
	err = bpf_map_update_elem(fd, &(__u32){ 0 }, &meta, BPF_ANY);
	close(fd);
	return err;
}

static int *map_fd(struct maps *maps, size_t kind)
{
	return (int *)((char *)maps + map_kinds[kind].fd);
}

static struct bpf_map *skeleton_map(const struct mssbpf_bpf *skeleton, size_t kind)
{
	return *(struct bpf_map **)((const char *)skeleton + map_kinds[kind].skeleton);
}

/*
 * Opens the maps in the folder, all or with BPF_F_RDONLY the readable ones. Returns 0 or -errno; what is open by then
 * is the caller's to close.
 */
static int maps_open(struct maps *maps, const char *folder, __u32 flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(map_kinds); i++) {
		int fd;

		if (flags & BPF_F_RDONLY && !map_kinds[i].readable)
			continue;
		fd = map_open(folder, map_kinds[i].name, map_kinds[i].type, map_kinds[i].key_size,
			      map_kinds[i].value_size, flags);
		if (fd < 0)
			return fd;
		*map_fd(maps, i) = fd;
	}
	return 0;
}

int pins_peek(struct maps *maps)
{
	struct mssbpf_meta meta;
	int err = meta_read(maps->folder, &meta, BPF_F_RDONLY);

	if (err)
		return err;
	maps->limits = map_open(maps->folder, "limits", BPF_MAP_TYPE_HASH, sizeof(struct mssbpf_key),
				sizeof(struct mssbpf_limit), BPF_F_RDONLY);
	return maps->limits < 0 ? maps->limits : 0;
}

/* The bytes of the map `orders`, of which the kernel maps whole pages. */
static size_t slots_size(const struct maps *maps)
{
	return maps->max_entries * sizeof(*maps->slots);
}

static bool program_is(size_t i, unsigned int kind, enum mssbpf_direction direction)
{
	return programs[i].kind == kind && programs[i].direction == direction;
}

/* Opens the first program of this kind and direction, which is pinned. Returns an fd or -errno. */
static int program_get(const struct maps *maps, unsigned int kind, enum mssbpf_direction direction)
{
	size_t i = 0;

	while (!program_is(i, kind, direction))
		i++;
	return bpf_obj_get(path_of(maps->folder, programs[i].pin).text);
}

/* Opens the maps in the folder, which is there. Says what is wrong. */
static int folder_open(struct maps *maps)
{
	struct mssbpf_meta meta;
	struct bpf_map_info info;
	int *change = maps->programs[PROGRAMS_CHANGE];
	int err = meta_read(maps->folder, &meta, 0);

	err = err ?: maps_open(maps, maps->folder, 0);
	if (!err && (*change = program_get(maps, PROGRAMS_CHANGE, 0)) < 0)
		err = *change;
	err = err ?: map_info(maps->limits, &info);
	if (err)
		return pins_complain(maps->folder, err);
	maps->max_entries = info.max_entries;
	maps->slots = mmap(NULL, slots_size(maps), PROT_READ, MAP_SHARED, maps->orders, 0);
	if (maps->slots == MAP_FAILED) {
		maps->slots = NULL;
		return pins_complain(maps->folder, -errno);
	}
	maps->abilities = meta.abilities;
	maps->outdated = meta.build != build_hash();
	return 0;
}

/* Notes which folder is this namespace's. Says what is wrong. */
static int folder_find(struct maps *maps)
{
	unsigned long inode = netns_inode();

	*maps = nothing;
	if (!inode) {
		error("/proc/self/ns/net: cannot tell which network namespace this is: is /proc mounted?");
		return -ENOENT;
	}
	snprintf(maps->folder, sizeof(maps->folder), PINS_TOP "/%lu", inode);
	return 0;
}

/* Locks; leaves maps->lock at -1 when nothing is pinned for this namespace. Says what is wrong. */
static int pins_lock(struct maps *maps, bool create)
{
	int err = folder_find(maps);
	struct stat status = {};

	if (err)
		return err;
	err = top_lock(create, &maps->lock);
	if (err) {
		error(PINS_TOP ": cannot open and lock: %s%s", strerror(-err),
		      err == -EPERM || err == -EACCES ? "; this takes root, or rights to " BPFFS : "");
		return err;
	}
	if (maps->lock < 0)
		return 0;
	if (fstat(maps->lock, &status) || (status.st_uid && status.st_uid != geteuid()) ||
	    status.st_mode & (S_IWGRP | S_IWOTH)) {
		error(PINS_TOP
		      ": user %u made it or may write to it, and could take pins away: remove it, and attach anew",
		      status.st_uid);
		pins_release(maps);
		return -EPERM;
	}
	folder_remove(folder_beside(maps->folder, "_new").text);
	folder_remove(folder_beside(maps->folder, "_old").text);
	unlink(path_of(maps->folder, PROGRAM_DRAFT).text);
	return 0;
}

void pins_release(struct maps *maps)
{
	for (size_t i = 0; i < ARRAY_SIZE(map_kinds); i++)
		if (*map_fd(maps, i) >= 0)
			close(*map_fd(maps, i));
	if (maps->slots)
		munmap((void *)maps->slots, slots_size(maps));
	if (maps->lock >= 0)
		close(maps->lock);
	for (unsigned int kind = 0; kind < PROGRAM_KINDS; kind++)
		for (__u32 direction = 0; direction < MSSBPF_DIRECTIONS; direction++)
			if (maps->programs[kind][direction] > 0)
				close(maps->programs[kind][direction]);
	*maps = nothing;
}

int pins_open(struct maps *maps)
{
	bool mounted;
	int err;

	*maps = nothing;
	err = bpffs_find(false, &mounted);
	if (err || !mounted)
		return err;
	err = pins_lock(maps, false);
	if (err || maps->lock < 0)
		return err;
	if (access(maps->folder, F_OK) && errno == ENOENT) {
		rmdir(PINS_TOP);
		pins_release(maps);
		return 0;
	}
	err = folder_open(maps);
	if (err)
		pins_release(maps);
	return err;
}

/*
 * Opens what is readable in the folder that is there now, whole: a command may rename it away and take it apart at any
 * time. Returns 0, also when there is none, -EAGAIN when it was taken apart meanwhile, or another -errno.
 */
static int folder_read(struct maps *maps)
{
	int err, fd = open(maps->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat opened, named;
	struct mssbpf_meta meta;
	char folder[32];

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	snprintf(folder, sizeof(folder), "/proc/self/fd/%d", fd);
	err = meta_read(folder, &meta, BPF_F_RDONLY) ?: maps_open(maps, folder, BPF_F_RDONLY);
	if (err == -ENOENT && !fstat(fd, &opened) && (stat(maps->folder, &named) || named.st_ino != opened.st_ino))
		err = -EAGAIN;
	close(fd);
	if (!err)
		maps->abilities = meta.abilities;
	return err;
}

int pins_read(struct maps *maps)
{
	bool mounted;
	int err;

	*maps = nothing;
	err = bpffs_find(false, &mounted);
	if (err || !mounted)
		return err;
	do {
		pins_release(maps);
		err = folder_find(maps) ?: folder_read(maps);
	} while (err == -EAGAIN);
	if (err && *maps->folder)
		pins_complain(maps->folder, err);
	if (err)
		pins_release(maps);
	return err;
}

static struct bpf_program *skeleton_program(const struct mssbpf_bpf *skeleton, size_t program)
{
	return bpf_object__find_program_by_name(skeleton->obj, programs[program].name);
}

/* libbpf leaves names out when its probe of them fails; by its name a filter is known to be ours. */
static int programs_check_names(const struct mssbpf_bpf *skeleton)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const struct bpf_program *program = skeleton_program(skeleton, i);
		struct bpf_prog_info info = {};
		__u32 length = sizeof(info);
		int err;

		if (!bpf_program__autoload(program))
			continue;
		err = bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length);
		if (err || !*info.name)
			return err ?: -ENOMEM;
	}
	return 0;
}

/*
 * Tells the programs what they can do on this kernel, of what those before them can. Returns enum mssbpf_abilities. The
 * kernel is asked once a command: its BTF takes longer to read than a program to verify.
 */
static unsigned int skeleton_enable(struct mssbpf_bpf *skeleton, unsigned int abilities)
{
	static struct mssbpf_route_layout layout;
	static unsigned int offered;
	static bool asked;

	if (!asked)
		offered = (route_layout_find(&layout) ? MSSBPF_READS_ROUTE : 0) |
			  (fib_mark_supported() ? MSSBPF_GIVES_MARK : 0);
	asked = true;
	abilities &= offered;
	skeleton->rodata->has_check_mtu = live_mtu_supported();
	skeleton->rodata->has_fib_mark = abilities & MSSBPF_GIVES_MARK;
	if (abilities & MSSBPF_READS_ROUTE)
		skeleton->rodata->route_layout = layout;
	return abilities;
}

/*
 * Loads this build's programs of a kind and direction, with the maps that are open in *maps or with new ones, and notes
 * in maps->abilities what all can do. Says what is wrong, with `where` in front.
 */
static int skeleton_load(struct maps *maps, const char *where, unsigned int max_entries, unsigned int kind,
			 enum mssbpf_direction direction, struct mssbpf_bpf **loaded)
{
	struct mssbpf_bpf *skeleton = mssbpf_bpf__open();
	int err;

	if (!skeleton) {
		err = -errno;
		goto out;
	}
	maps->abilities = skeleton_enable(skeleton, maps->abilities);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		bpf_program__set_autoload(skeleton_program(skeleton, i), program_is(i, kind, direction));
	if (xdp_frags_supported())
		bpf_program__set_flags(skeleton->progs.mssbpf_xdp, BPF_F_XDP_HAS_FRAGS);
	for (size_t i = 0; i < ARRAY_SIZE(map_kinds); i++) {
		struct bpf_map *map = skeleton_map(skeleton, i);

		err = map_kinds[i].by_entry ? bpf_map__set_max_entries(map, max_entries) : 0;
		if (!err && maps->limits >= 0)
			err = bpf_map__reuse_fd(map, *map_fd(maps, i));
		if (err)
			goto out;
	}
	err = mssbpf_bpf__load(skeleton) ?: programs_check_names(skeleton);
out:
	if (err) {
		mssbpf_bpf__destroy(skeleton); /* makes room for the questions that follow */
		programs_complain(where, err);
		return err;
	}
	*loaded = skeleton;
	return 0;
}

/* Pins what was loaded, in the place of what is there. */
static int programs_pin(const char *folder, const struct mssbpf_bpf *skeleton)
{
	struct pins_path draft = path_of(folder, PROGRAM_DRAFT);
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(programs) && !err; i++) {
		struct bpf_program *program = skeleton_program(skeleton, i);

		if (!bpf_program__autoload(program))
			continue;
		err = bpf_program__pin(program, draft.text);
		if (!err && rename(draft.text, path_of(folder, programs[i].pin).text)) {
			err = -errno;
			unlink(draft.text);
		}
	}
	return err;
}

/* Makes the folder from nothing: complete beside its place, then renamed into it. */
static int folder_make(struct maps *maps, unsigned int max_entries)
{
	struct pins_path draft = folder_beside(maps->folder, "_new");
	struct mssbpf_bpf *skeleton;
	int err = skeleton_load(maps, maps->folder, max_entries, PROGRAMS_CHANGE, 0, &skeleton);

	if (err)
		return err;
	err = mkdir(draft.text, 0700) ? -errno : 0;
	for (size_t i = 0; i < ARRAY_SIZE(map_kinds) && !err; i++)
		err = bpf_map__pin(skeleton_map(skeleton, i), path_of(draft.text, map_kinds[i].name).text);
	err = err ?: bpf_map__pin(skeleton->maps.meta, path_of(draft.text, "meta").text);
	err = err ?: programs_pin(draft.text, skeleton);
	err = err ?: meta_write(draft.text, maps->abilities, build_hash());
	pins_share(draft.text);
	if (!err && rename(draft.text, maps->folder))
		err = -errno;
	if (err) {
		folder_remove(draft.text);
		error("%s: cannot pin maps and a program: %s", maps->folder, strerror(-err));
	}
	mssbpf_bpf__destroy(skeleton);
	return err;
}

/*
 * Before a program is pinned: notes what all can do with it, and when others are of another build, that they are of no
 * one build. pins_settle() may never be reached.
 */
static int meta_prepare(const struct maps *maps)
{
	struct mssbpf_meta meta;

	return meta_read(maps->folder, &meta, 0) ?:
	       meta_write(maps->folder, meta.abilities & maps->abilities, maps->outdated ? 0 : build_hash());
}

/* Loads and pins this build's programs of a kind and direction. Says what is wrong. */
static int programs_load(struct maps *maps, const char *where, unsigned int kind, enum mssbpf_direction direction)
{
	struct mssbpf_bpf *skeleton;
	int err = skeleton_load(maps, where, maps->max_entries, kind, direction, &skeleton);

	if (err)
		return err;
	err = meta_prepare(maps) ?: programs_pin(maps->folder, skeleton);
	if (err)
		error("%s: cannot pin a program in %s: %s", where, maps->folder, strerror(-err));
	mssbpf_bpf__destroy(skeleton);
	return err;
}

/* Opens a program, after loading what is not there of its kind and direction. Returns an fd or -errno, and says why. */
static int program_open(struct maps *maps, const char *where, unsigned int kind, enum mssbpf_direction direction)
{
	bool there = !maps->outdated;
	int err = 0, fd;

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (program_is(i, kind, direction) && access(path_of(maps->folder, programs[i].pin).text, F_OK))
			there = false;
	if (!there)
		err = programs_load(maps, where, kind, direction);
	if (err)
		return err;
	fd = program_get(maps, kind, direction);
	if (fd < 0)
		error("%s: cannot open a pinned program in %s: %s", where, maps->folder, strerror(-fd));
	return fd;
}

int pins_program(struct maps *maps, const char *where, unsigned int kind, enum mssbpf_direction direction)
{
	int *program = &maps->programs[kind][direction];

	if (*program < 0)
		error("%s: there is no program for it, as said above", where);
	if (!*program)
		*program = program_open(maps, where, kind, direction);
	return *program < 0 ? -ENOEXEC : *program;
}

int pins_create(struct maps *maps, unsigned int max_entries)
{
	int *change = maps->programs[PROGRAMS_CHANGE];
	bool mounted;
	int err;

	*maps = nothing;
	err = bpffs_find(true, &mounted) ?: pins_lock(maps, true);
	if (err)
		return err;
	if (access(maps->folder, F_OK) && errno == ENOENT)
		err = folder_make(maps, max_entries ?: MAX_ENTRIES_DEFAULT);
	else
		pins_share(maps->folder);
	err = err ?: folder_open(maps);
	if (!err && maps->outdated) {
		maps->abilities = nothing.abilities;
		close(*change);
		*change = 0;
		err = pins_program(maps, maps->folder, PROGRAMS_CHANGE, 0) < 0 ? *change : 0;
	}
	if (!err && max_entries && max_entries != maps->max_entries)
		warning("--max-entries %u: the maps are there with %u; 'mssbpf detach --all' first, to make them anew",
			max_entries, maps->max_entries);
	if (err)
		pins_close(maps);
	return err;
}

int pins_settle(struct maps *maps)
{
	int err = 0;

	/* What this build did not attach is loaded when it is needed. */
	for (size_t i = 0; i < ARRAY_SIZE(programs) && !err; i++)
		if (!maps->programs[programs[i].kind][programs[i].direction] &&
		    unlink(path_of(maps->folder, programs[i].pin).text) && errno != ENOENT)
			err = -errno;
	err = err ?: meta_write(maps->folder, maps->abilities, build_hash());
	if (!err)
		maps->outdated = false;
	return err;
}

int pins_close(struct maps *maps)
{
	struct pins_path old = folder_beside(maps->folder, "_old");
	struct mssbpf_key first;
	int err = 0;

	if (maps->limits >= 0 && bpf_map_get_next_key(maps->limits, NULL, &first) == -ENOENT)
		err = rename(maps->folder, old.text) ? -errno : folder_remove(old.text);
	if (maps->lock >= 0)
		rmdir(PINS_TOP); /* unless it is in use */
	pins_release(maps);
	return err;
}

void pins_reap_folders(const struct maps *maps, bool (*dead)(const char *folder))
{
	DIR *directory = maps->lock < 0 ? NULL : opendir(PINS_TOP);
	const struct dirent *file;

	while (directory && (file = readdir(directory))) {
		struct pins_path path = path_of(PINS_TOP, file->d_name);

		if (*file->d_name != '.' && strcmp(path.text, maps->folder) && dead(path.text))
			folder_remove(path.text);
	}
	if (directory)
		closedir(directory);
}
