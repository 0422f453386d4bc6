/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `mssbpf doctor` looks at, and what it finds. A check is a row of a table: its id, how bad it is, and a function
 * that looks. Not the verb: that is cmd_doctor.c.
 */
#ifndef MSSBPF_DOCTOR_H
#define MSSBPF_DOCTOR_H

#include "detect.h"
#include "netfilter.h"
#include "report.h"
#include "shell.h"

enum severity {
	SEVERITY_INFO,	  /* good to know; nothing is wrong */
	SEVERITY_WARNING, /* some traffic may suffer, or the clamp may not do what it is for */
	SEVERITY_ERROR,	  /* the clamp does not do what it is for */
	SEVERITIES,
};

/* An interface that is looked at. */
struct subject {
	struct device device;
	const struct report_row *rows[MSSBPF_DIRECTIONS]; /* NULL: not attached */
	bool detected;					  /* what fits through it is known */
	struct detection detection;
};

struct check;

struct finding {
	const struct check *check;
	char interface[PRINTABLE_NAME_SIZE]; /* "": the host, or rather the network namespace */
	char *text;
	char *command; /* that mends it; NULL: there is none */
};

struct doctor {
	const struct options *options;
	struct report report; /* all that is attached */
	struct subject *subjects;
	size_t subject_count;
	struct firewall firewall;
	struct unread unread[UNREAD_MAX]; /* rule sets */
	size_t unread_count;
	bool own_errors_lost; /* ICMP that says that this host's own packets are too big is dropped */
	struct finding *findings;
	size_t finding_count;
	bool failed; /* something could not be looked at; it was said what */
};

struct check {
	const char *name;
	enum severity severity;
	/* One of the two: for each interface, or once. */
	void (*look_at)(struct doctor *doctor, const struct check *check, const struct subject *subject);
	void (*look)(struct doctor *doctor, const struct check *check);
};

/* Each ends with a row without a name. */
extern const struct check interface_checks[], host_checks[];

/* Notes a finding; subject NULL: about the host. The command is the finding's then. */
__attribute__((format(printf, 5, 6))) void finding_add(struct doctor *doctor, const struct check *check,
						       const struct subject *subject, char *command, const char *format,
						       ...);

/* Says that something could not be looked at. */
__attribute__((format(printf, 2, 3))) void doctor_fail(struct doctor *doctor, const char *format, ...);

/*
 * A command of these words, to be given where doctor was: behind "ip netns exec" for another network namespace.
 * Returns NULL when memory is short.
 */
char *doctor_command(const struct doctor *doctor, const char *const *words);

/* The same for a command that is text already, and frees it. */
char *doctor_command_in(const struct doctor *doctor, char *command);

/*
 * The `mssbpf attach` that sets an interface's limits to an MTU in these directions (a bit each), and leaves the rest
 * as it is in `like`, if that is not NULL. mtu 0: the limits as well.
 */
char *attach_command(const struct doctor *doctor, const struct subject *subject, unsigned int directions,
		     const struct report_row *like, unsigned int mtu);

#endif
