// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf doctor: looks at the whole situation, and says what is wrong and the command that mends it. Not the checks
 * themselves: those are doctor_interface.c's and doctor_host.c's.
 */
#include "doctor.h"
#include "privileges.h"
#include "selection.h"
#include "shell.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Exit status by the worst finding; what could not be looked at counts as a warning. */
enum { EXIT_FINDINGS = EXIT_FAILED, EXIT_ERRORS = 3 };

static const char *const severity_names[SEVERITIES] = { "info", "warning", "error" };

static const struct option_spec doctor_options[] = {
	{ "json", 'j', NULL, "as JSON", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ 0 },
};

void doctor_fail(struct doctor *doctor, const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	error("%s", length < 0 ? strerror(ENOMEM) : text);
	if (length >= 0)
		free(text);
	doctor->failed = true;
}

/* Others had a hand in it: names of interfaces, tables, programs. */
static void make_printable(char **text)
{
	char *printable = *text ? text_printable(*text) : NULL;

	free(*text);
	*text = printable;
}

void finding_add(struct doctor *doctor, const struct check *check, const struct subject *subject, char *command,
		 const char *format, ...)
{
	struct finding *grown = reallocarray(doctor->findings, doctor->finding_count + 1, sizeof(*grown)), *finding;
	va_list arguments;

	if (!grown) {
		free(command);
		doctor_fail(doctor, "%s", strerror(ENOMEM));
		return;
	}
	doctor->findings = grown;
	finding = &grown[doctor->finding_count++];
	*finding = (struct finding){ .check = check, .command = command };
	if (subject)
		name_printable(subject->device.name, finding->interface);
	va_start(arguments, format);
	if (vasprintf(&finding->text, format, arguments) < 0)
		finding->text = NULL;
	va_end(arguments);
	make_printable(&finding->text);
	make_printable(&finding->command);
}

char *doctor_command_in(const struct doctor *doctor, char *command)
{
	char *outside = NULL, *whole = NULL;

	if (!doctor->options->netns || !command)
		return command;
	outside = command_of(WORDS("ip", "netns", "exec", doctor->options->netns));
	if (outside && asprintf(&whole, "%s %s", outside, command) < 0)
		whole = NULL;
	free(outside);
	free(command);
	return whole;
}

char *doctor_command(const struct doctor *doctor, const char *const *words)
{
	return doctor_command_in(doctor, command_of(words));
}

/* The interface's place among those that are looked at, or a new one. Returns NULL when memory is short. */
static struct subject *subject_add(struct doctor *doctor, const struct device *device)
{
	struct subject *grown;

	for (size_t i = doctor->subject_count; i > 0; i--) /* rows of one interface stand together */
		if (doctor->subjects[i - 1].device.ifindex == device->ifindex)
			return &doctor->subjects[i - 1];
		else if (i < doctor->subject_count)
			break;
	grown = reallocarray(doctor->subjects, doctor->subject_count + 1, sizeof(*grown));
	if (!grown) {
		doctor_fail(doctor, "%s", strerror(ENOMEM));
		return NULL;
	}
	doctor->subjects = grown;
	grown = &grown[doctor->subject_count++];
	*grown = (struct subject){ .device = *device };
	return grown;
}

/* Makes a list of all that is attached. */
static void subjects_attached(struct doctor *doctor)
{
	struct devices devices;
	int err = devices_get(&devices);

	if (err)
		doctor_fail(doctor, "cannot list the interfaces: %s", strerror(-err));
	for (size_t i = 0; i < doctor->report.count && !err; i++) {
		const struct report_row *row = &doctor->report.rows[i];
		const struct device *device = devices_find(&devices, row->entry.key.ifindex);
		struct subject *subject = device ? subject_add(doctor, device) : NULL;

		if (subject)
			subject->rows[row->entry.key.direction] = row;
	}
	devices_free(&devices);
}

/* Makes a list of the interfaces that are asked for: of a pattern, those that are attached. */
static void subjects_selected(struct doctor *doctor)
{
	struct selection selection;

	if (selection_make(doctor->options, &selection))
		doctor->failed = true;
	for (size_t i = 0; i < selection.count; i++) {
		struct selected *selected = &selection.list[i];
		struct subject *subject = NULL;

		for (size_t at = 0; at < doctor->report.count; at++) {
			const struct report_row *row = &doctor->report.rows[at];

			if (row->entry.key.ifindex != selected->device.ifindex)
				continue;
			subject = subject_add(doctor, &selected->device);
			if (subject)
				subject->rows[row->entry.key.direction] = row;
		}
		if (!subject && !selected->by_pattern)
			subject = subject_add(doctor, &selected->device);
		selected->used = subject;
	}
	if (selection_check(&selection, "none of the interfaces that match is attached"))
		doctor->failed = true;
	selection_free(&selection);
}

/* Finds out what fits through each. What cannot be told, is said on the way. */
static void subjects_detect(struct doctor *doctor)
{
	struct search *search = doctor->subject_count ? search_begin() : NULL;

	if (!search && doctor->subject_count)
		doctor->failed = true;
	for (size_t i = 0; i < doctor->subject_count && search; i++) {
		struct subject *subject = &doctor->subjects[i];

		subject->detected = !device_detect(search, subject->device.ifindex, &subject->detection);
		if (!subject->detected)
			doctor->failed = true;
	}
	search_end(search);
}

static void doctor_look(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->subject_count; i++)
		for (const struct check *check = interface_checks; check->name; check++)
			check->look_at(doctor, check, &doctor->subjects[i]);
	for (const struct check *check = host_checks; check->name; check++)
		check->look(doctor, check);
}

static void findings_text(const struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->finding_count; i++) {
		const struct finding *finding = &doctor->findings[i];

		printf("%s%s%s: %s [%s]\n", finding->interface, *finding->interface ? ": " : "",
		       severity_names[finding->check->severity], finding->text ?: "", finding->check->name);
		if (finding->command)
			printf("    %s\n", finding->command);
	}
	if (!doctor->finding_count && !doctor->failed)
		printf("nothing found; %zu interface%s looked at\n", doctor->subject_count,
		       doctor->subject_count == 1 ? "" : "s");
}

static void findings_json(const struct doctor *doctor)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < doctor->finding_count; i++) {
		const struct finding *finding = &doctor->findings[i];
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "severity",
				       json_object_new_string(severity_names[finding->check->severity]));
		json_object_object_add(object, "finding", json_object_new_string(finding->check->name));
		json_object_object_add(object, "interface",
				       *finding->interface ? json_object_new_string(finding->interface) : NULL);
		json_object_object_add(object, "text", json_object_new_string(finding->text ?: ""));
		json_object_object_add(object, "command",
				       finding->command ? json_object_new_string(finding->command) : NULL);
		json_object_array_add(array, object);
	}
	if (doctor->finding_count) {
		report_print_json(array);
		return;
	}
	puts("[]");
	json_object_put(array);
}

static int doctor_status(const struct doctor *doctor)
{
	enum severity worst = doctor->failed ? SEVERITY_WARNING : SEVERITY_INFO;

	for (size_t i = 0; i < doctor->finding_count; i++)
		if (doctor->findings[i].check->severity > worst)
			worst = doctor->findings[i].check->severity;
	return worst == SEVERITY_ERROR ? EXIT_ERRORS : worst == SEVERITY_WARNING ? EXIT_FINDINGS : EXIT_DONE;
}

static int doctor_run(const struct options *options)
{
	const struct options everything = {};
	struct doctor doctor = { .options = options };
	int status;

	if (privileges_check(false))
		return EXIT_FAILED;
	if (report_collect(&everything, &doctor.report))
		return EXIT_FAILED;
	options->interface_count ? subjects_selected(&doctor) : subjects_attached(&doctor);
	subjects_detect(&doctor);
	netfilter_read(&doctor.firewall, doctor.unread, &doctor.unread_count);
	doctor_look(&doctor);
	options->json ? findings_json(&doctor) : findings_text(&doctor);
	status = doctor_status(&doctor);

	for (size_t i = 0; i < doctor.finding_count; i++) {
		free(doctor.findings[i].text);
		free(doctor.findings[i].command);
	}
	free(doctor.findings);
	firewall_free(&doctor.firewall);
	free(doctor.subjects);
	report_free(&doctor.report);
	return status;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.arguments = "[IFACE|PATTERN...]",
	.summary = "find what is wrong here, and how to mend it",
	.options = doctor_options,
	.completion = "interfaces",
	.run = doctor_run,
};
