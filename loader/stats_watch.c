// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf stats --watch: the same again and again, with rates; on a terminal in its place, else as lines. Not a curses
 * program: it needs no more of a terminal than ECMA-48's cursor home and erase.
 */
#include "counts.h"
#include "signals.h"
#include "stats.h"
#include "table.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define CURSOR_HOME "\033[H"
#define ERASE_LINE_END "\033[K"
#define ERASE_SCREEN_END "\033[J"

enum { LINES_LEAST = 4 }; /* of a terminal: the head, one more, how many there would be, and the cursor's */

struct sample {
	struct report report;
	double time; /* seconds, monotonic */
	time_t clock;
};

struct watch {
	const struct options *options;
	struct sample before, now;
	bool first;    /* there is no sample before */
	bool terminal; /* stdout is one, and shows what is not JSON */
	int signals;   /* descriptor, signals.h */
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

bool terminal_size(int *width, int *height)
{
	struct winsize size = {};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		return false;
	*width = size.ws_col ?: WIDTH_DEFAULT; /* 0: the terminal does not know */
	*height = size.ws_row ?: 24;
	return true;
}

static int row_compare(const void *one, const void *other)
{
	const struct report_row *a = one, *b = other;

	return key_compare(&a->entry.key, &b->entry.key);
}

/* The same interface and direction in the sample before, or NULL. */
static const struct report_row *row_before(const struct watch *watch, const struct report_row *row)
{
	const struct report *before = &watch->before.report;
	const struct report_row *found =
		before->count ? bsearch(row, before->rows, before->count, sizeof(*row), row_compare) : NULL;

	return found && !strcmp(found->interface, row->interface) ? found : NULL;
}

/* Which columns a terminal shows: the usual ones, and those with a number that is not 0. */
static void columns_choose(const struct watch *watch, bool shown[COUNT_COLUMNS])
{
	for (size_t column = 0; column < COUNT_COLUMNS; column++)
		shown[column] = !watch->terminal || column < MSSBPF_UNREADABLE + 1;
	for (size_t i = 0; i < watch->now.report.count; i++) {
		struct totals both = {};

		for (size_t family = 0; family < MSSBPF_FAMILIES; family++)
			totals_add(&both, watch->now.report.rows[i].counters, family);
		for (size_t column = 0; column < COUNT_COLUMNS; column++)
			shown[column] |= !!count_value(&both, column);
	}
}

static void heads_add(struct table *table, const bool shown[COUNT_COLUMNS], bool terminal)
{
	/* Lines do not wait for those to come: rates have room. */
	const char *rate = terminal ? "/s" : "      /s";

	if (!terminal)
		table_add(table, "TIME");
	table_add(table, "INTERFACE");
	table_add(table, "DIRECTION");
	table_add(table, "FAMILY");
	for (size_t column = 0; column < COUNT_COLUMNS; column++) {
		if (!shown[column])
			continue;
		table_add(table, "%s", count_head(column));
		table_add(table, "%s", rate);
	}
}

/* Adds a total and its rate; `before` is NULL where there is none yet. */
static void number_add(struct table *table, const struct watch *watch, __u64 now, const __u64 *before)
{
	table_add(table, "%llu", now);
	if (!before)
		table_add(table, "-");
	else /* after a reset it is smaller than before, and all of it is new */
		table_add(table, "%.1f",
			  (now < *before ? now : now - *before) / (watch->now.time - watch->before.time));
}

static void row_add(struct table *table, const struct watch *watch, const struct report_row *row,
		    const struct count_name *family, const bool shown[COUNT_COLUMNS])
{
	const struct report_row *before = row_before(watch, row);
	struct totals totals = {}, totals_before = {};

	totals_add(&totals, row->counters, family->index);
	if (before)
		totals_add(&totals_before, before->counters, family->index);
	table_add(table, "%s", row->interface);
	table_add(table, "%s", direction_name(row->entry.key.direction));
	table_add(table, "%s", family->head);
	for (size_t column = 0; column < COUNT_COLUMNS; column++) {
		__u64 number = count_value(&totals_before, column);

		if (shown[column])
			number_add(table, watch, count_value(&totals, column), before ? &number : NULL);
	}
}

static void watch_table(const struct watch *watch, FILE *file)
{
	struct table table = { .words = watch->terminal ? 7 : 15, .headless = !watch->terminal && !watch->first };
	bool shown[COUNT_COLUMNS];
	char clock[32];

	strftime(clock, sizeof(clock), "%Y-%m-%dT%H:%M:%SZ", gmtime(&watch->now.clock));
	columns_choose(watch, shown);
	table.columns = watch->terminal ? 3 : 4;
	for (size_t column = 0; column < COUNT_COLUMNS; column++)
		table.columns += shown[column] ? 2 : 0;
	heads_add(&table, shown, watch->terminal);
	for (size_t i = 0; i < watch->now.report.count * MSSBPF_FAMILIES; i++) {
		if (!watch->terminal)
			table_add(&table, "%s", clock);
		row_add(&table, watch, &watch->now.report.rows[i / MSSBPF_FAMILIES], &family_names[i % MSSBPF_FAMILIES],
			shown);
	}
	table_write(&table, file);
}

static void watch_text(const struct watch *watch, FILE *file, int width)
{
	if (watch->options->histogram)
		stats_histogram(file, &watch->now.report, width);
	else
		watch_table(watch, file);
	if (watch->terminal && !watch->now.report.count)
		fprintf(file, "nothing is attached\n");
}

/* How many places of a terminal the text takes up to the end of its line: names may be UTF-8. */
static int line_width(const char *line)
{
	int width = 0;

	for (; *line && *line != '\n'; line++)
		width += ((unsigned char)*line & 0xc0) != 0x80;
	return width;
}

/* Puts the lines over those that the terminal shows, as far as it has room. */
static void screen_print(const char *text, int width, int height)
{
	int lines = 0, widest = 0, room;

	for (const char *at = text; *at; at = strchr(at, '\n') + 1, lines++)
		if (line_width(at) > widest)
			widest = line_width(at);
	printf(CURSOR_HOME);
	if (widest > width || height < LINES_LEAST) {
		printf("terminal too small: %d columns and %d lines, this takes %d and %d" ERASE_SCREEN_END, width,
		       height, widest, LINES_LEAST);
		return;
	}
	/* The last line stays free for the cursor. */
	room = lines < height ? lines : height - 2;
	for (int line = 0; line < room; line++, text = strchr(text, '\n') + 1)
		printf("%.*s" ERASE_LINE_END "\n", (int)(strchr(text, '\n') - text), text);
	if (room < lines)
		printf("%d more lines: make it higher, or name interfaces" ERASE_LINE_END "\n", lines - room);
	printf(ERASE_SCREEN_END);
}

/* Returns 0 or -errno of stdout. */
static int watch_print(const struct watch *watch)
{
	int width = WIDTH_DEFAULT, height = 0;
	char *text = NULL;
	size_t size;
	FILE *file;

	if (watch->options->json) {
		stats_json_line(&watch->now.report);
	} else if (!watch->terminal) {
		watch_text(watch, stdout, width);
	} else {
		terminal_size(&width, &height);
		file = open_memstream(&text, &size);
		if (!file)
			return -errno;
		fprintf(file, "every %u s, Ctrl-C ends\n", watch->options->watch);
		watch_text(watch, file, width);
		if (fclose(file))
			return -errno;
		screen_print(text, width, height);
		free(text);
	}
	return fflush(stdout) ? -errno : 0;
}

static int watch_collect(struct watch *watch)
{
	struct options options = *watch->options;

	report_free(&watch->before.report);
	watch->before = watch->now;
	watch->now = (struct sample){ .clock = time(NULL), .time = seconds_now() };
	options.quiet = !watch->first; /* interfaces come and go */
	return report_read(&options, &watch->now.report);
}

enum wait {
	WAIT_OVER,
	WAIT_RESIZED, /* the terminal has another size */
	WAIT_END,     /* a signal says so, or nobody reads any more */
};

static enum wait watch_wait(const struct watch *watch, double until)
{
	struct pollfd fds[] = { { watch->signals, POLLIN, 0 }, { STDOUT_FILENO, 0, 0 } };
	double left;

	while ((left = until - seconds_now()) > 0) {
		if (poll(fds, 2, left * 1000 + 1) < 0 && errno != EINTR)
			return WAIT_END;
		if (fds[1].revents & (POLLERR | POLLHUP))
			return WAIT_END;
		if (fds[0].revents)
			return signals_take(watch->signals) == SIGWINCH ? WAIT_RESIZED : WAIT_END;
	}
	return WAIT_OVER;
}

/* Prints what was collected last until it is time to look again. Returns 0, or -errno of stdout; -EPIPE to end. */
static int watch_show(const struct watch *watch, double until)
{
	enum wait wait;
	int err;

	do {
		err = watch_print(watch);
		wait = err ? WAIT_END : watch_wait(watch, until);
	} while (wait == WAIT_RESIZED);
	return err ?: wait == WAIT_END ? -EPIPE : 0;
}

int stats_watch(const struct options *options)
{
	struct watch watch = { .options = options, .first = true, .signals = signals_open(true) };
	int status = EXIT_DONE, err = 0;
	double next = seconds_now();

	if (watch.signals < 0)
		return error("cannot wait for signals: %s", strerror(-watch.signals));
	watch.terminal = isatty(STDOUT_FILENO) && !options->json;
	while (!err) {
		status = watch_collect(&watch);
		if (status && (watch.first || !watch.now.report.complete))
			break;
		status = EXIT_DONE;
		/* Regular, but for what could not be kept: not twice in a row. */
		next += options->watch;
		if (next < seconds_now())
			next = seconds_now() + options->watch;
		err = watch_show(&watch, next);
		watch.first = false;
	}
	report_free(&watch.before.report);
	report_free(&watch.now.report);
	close(watch.signals);
	if (watch.terminal && !watch.first)
		putchar('\n');					 /* it may show ^C on the line of the cursor */
	if (err == -EPIPE && !freopen("/dev/null", "w", stdout)) /* what nobody reads is no error at the end */
		status = EXIT_FAILED;
	return err && err != -EPIPE ? EXIT_FAILED : status;
}
