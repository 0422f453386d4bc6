// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf verify: proves what is attached, with test packets that nobody sees. Not a look at what is around it: that is
 * doctor.
 */
#include "attach.h"
#include "cli.h"
#include "pins.h"
#include "privileges.h"
#include "report.h"
#include "rule_sets.h"
#include "selection.h"
#include "verify.h"
#include "watch.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const struct option_spec verify_options[] = {
	{ "json", 'j', NULL, "as JSON", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ 0 },
};

/* What was found out about one entry. */
struct finding {
	struct device device;
	struct entry entry;
	enum hook hook;
	__u32 program_id;  /* 0: none is attached */
	char problem[256]; /* why no packet could be run, or "" */
	struct verification result;
};

struct verify {
	const struct maps *maps;
	const struct selection *selection;
	struct mssbpf_watch *watch;
	__u64 mark; /* of the packets */
	struct finding *findings;
	size_t count;
};

/* Tells whether a program uses a map: 0, 1 or -errno. */
static int program_uses(int program, int map)
{
	__u32 ids[64] = {}, program_length = sizeof(struct bpf_prog_info), map_length = sizeof(struct bpf_map_info);
	struct bpf_prog_info info = { .nr_map_ids = 64, .map_ids = (uintptr_t)ids };
	struct bpf_map_info wanted = {};
	int err = bpf_obj_get_info_by_fd(map, &wanted, &map_length);

	err = err ?: bpf_obj_get_info_by_fd(program, &info, &program_length);
	for (__u32 i = 0; i < info.nr_map_ids && i < 64 && !err; i++)
		if (ids[i] == wanted.id)
			return 1;
	return err;
}

static bool finding_is_good(const struct finding *finding)
{
	return !*finding->problem && !finding->result.failure_count;
}

/* Runs the packets. Returns 0 or -errno. */
static int program_verify(const struct verify *verify, int program, const struct rules *rules, struct finding *finding)
{
	struct verify_target target = {
		.program = program,
		.xdp = hook_mode(finding->hook),
		.ethernet = link_of_device(finding->device.arphrd) == MSSBPF_LINK_ETHERNET,
		.key = finding->entry.key,
		.rules = rules,
		.mark = verify->mark,
	};
	struct mssbpf_limit limit;
	struct device now;
	int err;

	for (int i = 0; i < 3; i++) {
		limit = finding->entry.limit;
		limit_update(&limit, finding->device.mtu);
		target.order = limit.order;
		free(finding->result.failures);
		err = verify_target_run(&target, &finding->result);
		/* Where limits follow the device's MTU, it may just have been changed. */
		if (err || !finding->result.failure_count || device_get(finding->device.name, &now) ||
		    now.mtu == finding->device.mtu)
			break;
		finding->device.mtu = now.mtu;
	}
	return err;
}

/* As entry_verify(), where a program is attached. */
static int attached_verify(const struct verify *verify, struct finding *finding)
{
	int program = bpf_prog_get_fd_by_id(finding->program_id), uses, err;
	struct rules rules = {};

	if (program < 0)
		return program;
	uses = program_uses(program, verify->maps->counters);
	err = uses < 0 ? uses : rule_set_get(verify->maps, finding->entry.key.ifindex, &rules);
	if (!err && !uses)
		snprintf(finding->problem, sizeof(finding->problem),
			 "the attached program obeys other maps than those in %s: 'mssbpf detach', then attach anew",
			 verify->maps->folder);
	else if (!err)
		err = program_verify(verify, program, &rules, finding);
	free(rules.list);
	close(program);
	return err;
}

/* Looks at one entry. What is wrong goes into *finding. */
static void entry_verify(const struct verify *verify, struct finding *finding)
{
	int err = attachment_query(verify->maps, &finding->entry.key, &finding->hook, &finding->program_id);
	bool attached = !err;

	if (attached)
		err = attached_verify(verify, finding);
	if (!attached && err == -ENOENT)
		snprintf(finding->problem, sizeof(finding->problem),
			 "no program of mssbpf is attached, though it was: 'mssbpf attach' does it again");
	else if (err == -EINVAL && attached && hook_mode(finding->hook))
		snprintf(finding->problem, sizeof(finding->problem),
			 "not verified: this kernel cannot run an XDP program on a packet of a device (Linux 5.15)");
	else if (err)
		snprintf(finding->problem, sizeof(finding->problem), "cannot be verified: %s", strerror(-err));
}

static const char *hook_text(const struct finding *finding, char text[32])
{
	const char *mode = hook_mode(finding->hook);

	snprintf(text, 32, "%s%s%s", hook_name(finding->hook), mode ? "-" : "", mode ?: "");
	return text;
}

static void packet_print(const char *what, const struct verify_packet *packet)
{
	printf("    %-10s", what);
	for (size_t i = 0; i < packet->length; i++)
		printf("%s%02x", i % 4 ? "" : " ", packet->data[i]);
	putchar('\n');
}

static void finding_print(const struct finding *finding)
{
	const struct verification *result = &finding->result;
	char hook[32], name[PRINTABLE_NAME_SIZE];

	printf("%s %s: ", name_printable(finding->device.name, name), direction_name(finding->entry.key.direction));
	if (*finding->problem) {
		printf("FAILED: %s\n", finding->problem);
		return;
	}
	if (result->failure_count)
		printf("FAILED: %zu of ", result->failure_count);
	else
		printf("ok: ");
	printf("%zu packets", result->packets);
	if (result->rules)
		printf(", %zu of %zu rules", result->rules_verified, result->rules);
	printf(" (%s, program %u)\n", hook_text(finding, hook), finding->program_id);
	for (size_t i = 0; i < result->failure_count; i++) {
		printf("  %s: %s\n", result->failures[i].packet, result->failures[i].problem);
		packet_print("sent", &result->failures[i].sent);
		packet_print("came out", &result->failures[i].came_out);
	}
}

static struct json_object *packet_json(const struct verify_packet *packet)
{
	char text[2 * VERIFY_PACKET_MAX + 1] = "";

	for (size_t i = 0; i < packet->length; i++)
		snprintf(text + 2 * i, 3, "%02x", packet->data[i]);
	return json_object_new_string(text);
}

static struct json_object *failure_json(const struct verify_failure *failure)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "packet", json_object_new_string(failure->packet));
	json_object_object_add(object, "problem", json_object_new_string(failure->problem));
	json_object_object_add(object, "sent", packet_json(&failure->sent));
	json_object_object_add(object, "came_out", packet_json(&failure->came_out));
	return object;
}

static struct json_object *finding_json(const struct finding *finding)
{
	struct json_object *object = json_object_new_object(), *failures = json_object_new_array();
	const struct verification *result = &finding->result;
	bool attached = finding->program_id;
	char name[PRINTABLE_NAME_SIZE];

	for (size_t i = 0; i < result->failure_count; i++)
		json_object_array_add(failures, failure_json(&result->failures[i]));
	json_object_object_add(object, "interface", json_object_new_string(name_printable(finding->device.name, name)));
	json_object_object_add(object, "ifindex", json_object_new_uint64(finding->entry.key.ifindex));
	json_object_object_add(object, "direction",
			       json_object_new_string(direction_name(finding->entry.key.direction)));
	json_object_object_add(object, "hook", attached ? json_object_new_string(hook_name(finding->hook)) : NULL);
	json_object_object_add(object, "program_id", attached ? json_object_new_uint64(finding->program_id) : NULL);
	json_object_object_add(object, "ok", json_object_new_boolean(finding_is_good(finding)));
	json_object_object_add(object, "problem", *finding->problem ? json_object_new_string(finding->problem) : NULL);
	json_object_object_add(object, "packets", json_object_new_uint64(result->packets));
	json_object_object_add(object, "rules", json_object_new_uint64(result->rules));
	json_object_object_add(object, "rules_verified", json_object_new_uint64(result->rules_verified));
	json_object_object_add(object, "failures", failures);
	return object;
}

/* Prints everything. Returns an exit status. */
static int verify_print(const struct verify *verify, bool json)
{
	struct json_object *array = json ? json_object_new_array() : NULL;
	int status = EXIT_DONE;

	for (size_t i = 0; i < verify->count; i++) {
		if (json)
			json_object_array_add(array, finding_json(&verify->findings[i]));
		else
			finding_print(&verify->findings[i]);
		if (!finding_is_good(&verify->findings[i]))
			status = EXIT_FAILED;
	}
	if (json)
		report_print_json(array);
	return status;
}

/* Looks at the entries of the selected interfaces, or at all when no word selects any. Returns 0 or -errno. */
static int entries_verify(struct verify *verify, const struct options *options)
{
	struct devices devices = {};
	struct entry *entries = NULL;
	size_t count = 0;
	int err = maps_entries(verify->maps, &entries, &count) ?: devices_get(&devices);

	if (!err) {
		verify->findings = calloc(count + 1, sizeof(*verify->findings));
		err = verify->findings ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < count && !err; i++) {
		const struct device *device = devices_find(&devices, entries[i].key.ifindex);
		struct selected *selected = selection_find(verify->selection, entries[i].key.ifindex);

		if (!device || (options->interface_count && !selected)) /* what is gone has nothing to be right */
			continue;
		if (selected)
			selected->used = true;
		verify->findings[verify->count] = (struct finding){ .device = *device, .entry = entries[i] };
		entry_verify(verify, &verify->findings[verify->count++]);
	}
	free(entries);
	devices_free(&devices);
	return err;
}

/*
 * Runs all while the programs know the mark of the packets. Signals that would end this process have to wait: the mark
 * that they left would cost every SYN a comparison. Returns 0 or -errno.
 */
static int marked_verify(struct verify *verify, const struct options *options)
{
	sigset_t ends, before;
	int err;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	while (!verify->mark)
		if (getrandom(&verify->mark, sizeof(verify->mark), 0) < 0)
			return -errno;
	verify->watch = watch_map(verify->maps);
	if (!verify->watch)
		return -errno;
	sigprocmask(SIG_BLOCK, &ends, &before);
	watch_set(&verify->watch->verify, verify->mark);
	err = entries_verify(verify, options);
	watch_set(&verify->watch->verify, 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	watch_unmap(verify->watch);
	return err;
}

static int verify_run(const struct options *options)
{
	struct selection selection;
	struct maps maps;
	struct verify verify = { .maps = &maps, .selection = &selection };
	int status, err;

	if (privileges_check(false) || pins_open(&maps))
		return EXIT_FAILED;
	status = selection_make(options, &selection);
	err = maps.lock < 0 ? 0 : marked_verify(&verify, options);
	pins_close(&maps); /* printing may take its time */
	if (err)
		status = error("verify: cannot list what is attached: %s", strerror(-err));
	else if (report_check(&selection))
		status = EXIT_FAILED;
	if (!options->interface_count && !verify.count && !err)
		status = error("verify: nothing is attached: 'mssbpf attach' does that");
	if (!err && verify_print(&verify, options->json))
		status = EXIT_FAILED;
	for (size_t i = 0; i < verify.count; i++)
		free(verify.findings[i].result.failures);
	free(verify.findings);
	selection_free(&selection);
	return status;
}

const struct verb verb_verify = {
	.name = "verify",
	.arguments = "[IFACE|PATTERN...]",
	.summary = "prove with test packets that what is attached clamps",
	.options = verify_options,
	.completion = "attached",
	.run = verify_run,
};
