// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf monitor: a line for every SYN as it passes. Not a count: that is stats.
 */
#include "cli.h"
#include "event.h"
#include "listener.h"
#include "names.h"
#include "pins.h"
#include "privileges.h"
#include "report.h"
#include "words.h"
#include "selection.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	BUFFER_DEFAULT = 4096,	   /* KiB: about 65,000 events */
	BUFFER_MIN = 64,	   /* KiB: a page, wherever */
	BUFFER_LIMIT = 512 * 1024, /* KiB */
	BATCH = 4096,		   /* events, between looks at anything else */
	PAUSE = 20, /* ms, when there is no event: programs do not wake a listener, which would cost them */

	JSON_FLAGS = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
};

static const struct option_spec monitor_options[] = {
	{ "prefix", 'p', "PREFIX", "from or to addresses in PREFIX only: 192.0.2.0/24, 2001:db8::1", OPTION_TEXT,
	  .offset = offsetof(struct options, prefix) },
	{ "port", 0, "N", "from or to this TCP port only", OPTION_NUMBER, .offset = offsetof(struct options, port),
	  .min = 1, .max = 65535, .unit = "a port" },
	{ "result", 'r', "RESULT[,...]", "with these results only, as stats --json calls them: clamped,no_mss",
	  OPTION_TEXT, .offset = offsetof(struct options, results) },
	{ "count", 'c', "N", "end after N lines", OPTION_NUMBER, .offset = offsetof(struct options, count), .min = 1,
	  .max = 1000000000, .unit = "lines" },
	{ "buffer", 0, "N", "room for events that are not printed yet (default: 4096), in KiB", OPTION_NUMBER,
	  .offset = offsetof(struct options, buffer), .min = BUFFER_MIN, .max = BUFFER_LIMIT, .unit = "KiB" },
	{ "json", 'j', NULL, "as JSON, an object a line", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ 0 },
};

struct monitor {
	const struct options *options;
	struct event_filter filter;
	struct selection selection;
	struct names names;
	struct listener listener;
	__s64 offset;	    /* of CLOCK_REALTIME to CLOCK_MONOTONIC, ns */
	unsigned int batch; /* events since the last look at anything else */
	__u64 printed;	    /* lines */
	__u64 lost_told;    /* events */
	time_t lost_when;   /* it was told */
	bool done;	    /* nothing more is to be printed */
	int broken;	    /* errno of standard output */
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* The first signal ends it when all is printed, the second at once: the reader may never read it. */
static void signals_catch(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction once = { .sa_handler = stop, .sa_flags = SA_RESTART | SA_RESETHAND };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		sigaction(ends[i], &once, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static __s64 clock_offset(void)
{
	struct timespec real, monotonic;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	return (real.tv_sec - monotonic.tv_sec) * 1000000000LL + (real.tv_nsec - monotonic.tv_nsec);
}

/* Notes what a call of stdio's says of standard output. */
static void output_check(struct monitor *monitor, int result)
{
	if (result == EOF) {
		monitor->broken = errno;
		monitor->done = true;
	}
}

/* Prints one event if it is asked for. Returns 0, or -EAGAIN to do something else first. */
static int event_print(void *context, void *data, size_t size)
{
	const struct mssbpf_event *event = data;
	struct monitor *monitor = context;
	char text[EVENT_TEXT_SIZE], unknown[IFNAMSIZ], printable[PRINTABLE_NAME_SIZE];
	const char *name;

	if (monitor->done || size < sizeof(*event) || !event_matches(&monitor->filter, event))
		goto out;
	name = names_find(&monitor->names, event->ifindex);
	if (!name) {
		snprintf(unknown, sizeof(unknown), "if%u", event->ifindex);
		name = unknown;
	}
	if (monitor->options->interface_count && !selection_wants(&monitor->selection, event->ifindex, name))
		goto out;
	name_printable(name, printable);
	if (monitor->options->json) {
		struct json_object *object = event_json(event, printable, monitor->offset);

		output_check(monitor, puts(json_object_to_json_string_ext(object, JSON_FLAGS)));
		json_object_put(object);
	} else {
		output_check(monitor, puts(event_text(event, printable, monitor->offset, text)));
	}
	monitor->done |= ++monitor->printed == monitor->options->count;
out:
	return monitor->done || ++monitor->batch % BATCH == 0 ? -EAGAIN : 0;
}

/* Says how many events were lost: when there are more of them, once a second at most; and at last in any case. */
static void lost_tell(struct monitor *monitor, bool last)
{
	__u64 lost = listener_lost(&monitor->listener);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (last ? !lost : lost == monitor->lost_told || now.tv_sec == monitor->lost_when)
		return;
	monitor->lost_told = lost;
	monitor->lost_when = now.tv_sec;
	warning("monitor: %llu events lost%s: they came faster than they were read; --buffer gives more room", lost,
		last ? "" : " so far");
}

/* Prints what there is. Returns 0 or -errno. */
static int monitor_print(struct monitor *monitor)
{
	int err = names_update(&monitor->names);

	monitor->offset = clock_offset();
	if (!err)
		err = listener_read(&monitor->listener);
	if (err != -EAGAIN)
		output_check(monitor, fflush(stdout));
	return err;
}

/* Waits for a while, or for news of interfaces. Returns whether the reader has closed the pipe. */
static bool monitor_wait(const struct monitor *monitor)
{
	struct pollfd files[] = {
		{ .fd = mnl_socket_get_fd(monitor->names.socket), .events = POLLIN },
		{ .fd = STDOUT_FILENO },
	};

	return poll(files, 2, PAUSE) > 0 && files[1].revents & POLLERR;
}

/* Prints until an end comes. Returns an exit status. */
static int monitor_follow(struct monitor *monitor)
{
	int status = EXIT_DONE, err = 0;

	while (!stopped && !monitor->done) {
		err = monitor_print(monitor);
		lost_tell(monitor, false);
		if (err && err != -EAGAIN) {
			status = error("monitor: %s", strerror(-err));
			break;
		}
		if (listener_slept())
			warning("monitor: was kept from running: events of the meantime are missing");
		if (listener_is_orphan(&monitor->listener)) {
			status = error("monitor: nothing is attached any more");
			break;
		}
		if (!err && monitor_wait(monitor))
			break;
	}
	listener_end(&monitor->listener);
	if (stopped && isatty(STDOUT_FILENO))
		putchar('\n'); /* it may show ^C on the line of the cursor */
	while (!monitor->done && monitor_print(monitor) == -EAGAIN)
		;
	lost_tell(monitor, true);
	if (monitor->broken == EPIPE) { /* the reader has enough: nothing is wrong */
		__fpurge(stdout);
		clearerr(stdout);
	}
	return status;
}

/* Tells which of the selected interfaces are attached. Returns an exit status. */
static int selection_mark(const struct selection *selection, const struct maps *maps)
{
	for (size_t i = 0; i < selection->count; i++) {
		for (__u32 direction = 0; direction < MSSBPF_DIRECTIONS; direction++) {
			const struct mssbpf_key key = { selection->list[i].device.ifindex, direction };
			struct mssbpf_limit limit;

			if (!maps_entry_get(maps, &key, &limit))
				selection->list[i].used = true;
		}
	}
	return report_check(selection);
}

/* Reads which events are asked for. Returns an exit status. */
static int filter_read(const struct options *options, struct event_filter *filter)
{
	const char *rest = options->results ?: "";
	char keys[RESULT_KEYS_SIZE], why[WHY_SIZE];

	*filter = (struct event_filter){ .by_prefix = options->prefix, .port = options->port };
	if (options->prefix && prefix_parse(options->prefix, &filter->prefix, why))
		return usage_error(&verb_monitor, "monitor: --prefix: %s", why);
	while (options->results) {
		const char *comma = strchrnul(rest, ',');
		int result = result_find(rest, comma - rest);

		if (result < 0)
			return usage_error(&verb_monitor, "monitor: --result '%.*s': not one of %s",
					   (int)(comma - rest), rest, result_keys(keys));
		filter->results |= 1U << result;
		if (!*comma)
			break;
		rest = comma + 1;
	}
	return EXIT_DONE;
}

/* The next power of two, in bytes. */
static size_t buffer_size(unsigned int kilobytes)
{
	size_t size = BUFFER_MIN * 1024;

	while (size < (size_t)kilobytes * 1024)
		size *= 2;
	return size;
}

/* Begins to listen. Returns an exit status. */
static int monitor_begin(struct monitor *monitor, const struct maps *maps)
{
	size_t size = buffer_size(monitor->options->buffer ?: BUFFER_DEFAULT);
	int err;

	if (maps->lock < 0)
		return error("monitor: nothing is attached: 'mssbpf attach' does that");
	if (selection_make(monitor->options, &monitor->selection) || selection_mark(&monitor->selection, maps))
		return EXIT_FAILED;
	err = names_open(&monitor->names);
	if (err)
		return error("monitor: cannot list the interfaces: %s", strerror(-err));
	signals_catch();
	err = listener_begin(&monitor->listener, maps, size, event_print, monitor);
	if (err == -EWOULDBLOCK)
		return error("monitor: another one runs in this network namespace; events go to one at a time");
	if (err)
		return error("monitor: cannot make a ring buffer of %zu KiB: %s%s", size / 1024, strerror(-err),
			     err == -ENOMEM   ? "; --buffer takes less"
			     : err == -EINVAL ? "; kernels before Linux 5.8 have none"
					      : "");
	return EXIT_DONE;
}

static int monitor_run(const struct options *options)
{
	struct monitor monitor = { .options = options, .listener = { .folder = -1, .events = -1, .ring = -1 } };
	int status = filter_read(options, &monitor.filter);
	struct maps maps;

	if (status)
		return status;
	if (privileges_check(false) || pins_open(&maps))
		return EXIT_FAILED;
	status = monitor_begin(&monitor, &maps);
	pins_close(&maps);
	if (!status)
		status = monitor_follow(&monitor);
	listener_release(&monitor.listener);
	names_close(&monitor.names);
	selection_free(&monitor.selection);
	return status;
}

const struct verb verb_monitor = {
	.name = "monitor",
	.arguments = "[IFACE|PATTERN...]",
	.summary = "a line for every SYN as it passes",
	.options = monitor_options,
	.completion = "attached",
	.run = monitor_run,
};
