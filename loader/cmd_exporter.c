// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf exporter: the metrics of stats --prometheus over HTTP. Not a server: that is http.c. All it can do once it
 * serves is to read the pins and to answer.
 */
#include "cli.h"
#include "http.h"
#include "metrics.h"
#include "pins.h"
#include "pins_share.h"
#include "privileges.h"
#include "signals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#define LISTEN_DEFAULT "127.0.0.1:9817"

static const struct option_spec exporter_options[] = {
	{ "listen", 'l', "ADDRESS:PORT", "where to listen, " LISTEN_DEFAULT " by default", OPTION_TEXT,
	  .offset = offsetof(struct options, listen) },
	{ 0 },
};

enum {
	KEEP_TIMES = 10,   /* a page is kept for ten times the time it took to make: making takes a tenth at most */
	KEEP_MAX = 1,	   /* seconds */
	KEEP_FAILURE = 5,  /* seconds; each is told on stderr */
	RESPONSES_MAX = 8, /* pages in memory: clients who read slowly hold old ones */
};

/* The page of metrics that was made last. */
static struct {
	struct MHD_Response *plain, *gzip;
	const char *text; /* of `plain` */
	size_t length;	  /* bytes */
	bool failed;	  /* it says that there is nothing to say */
	double until;	  /* seconds: it is kept to then */
} page;

static unsigned int responses; /* with a page's text, in memory */

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void text_free(void *text)
{
	responses--;
	free(text);
}

/* Makes a response that owns the text. Frees it and returns NULL when memory is short. */
static struct MHD_Response *response_of(char *text, size_t length)
{
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(length, text, text_free);

	if (!response) {
		free(text);
		return NULL;
	}
	responses++;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
	MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
	return response;
}

/* Compresses, fast rather than well: the text repeats itself. Returns NULL when memory is short. */
static struct MHD_Response *response_compress(const char *text, size_t length)
{
	enum { GZIP = 16 + MAX_WBITS, MEMORY_LEVEL = 8 };
	struct MHD_Response *response = NULL;
	z_stream stream = {};
	size_t room;
	char *bytes;

	if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	room = deflateBound(&stream, length);
	bytes = malloc(room);
	stream.next_in = (unsigned char *)text;
	stream.avail_in = length;
	stream.next_out = (unsigned char *)bytes;
	stream.avail_out = room;
	if (bytes && deflate(&stream, Z_FINISH) == Z_STREAM_END) {
		char *fitting = realloc(bytes, stream.total_out);

		response = response_of(fitting ?: bytes, stream.total_out);
		if (response)
			MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	} else {
		free(bytes);
	}
	deflateEnd(&stream);
	return response;
}

/* Who is still being sent a page has a part in it; the last one frees it. */
static void page_drop(void)
{
	if (page.plain)
		MHD_destroy_response(page.plain);
	if (page.gzip)
		MHD_destroy_response(page.gzip);
	page.plain = page.gzip = NULL;
}

static int page_write(struct metrics *metrics)
{
	struct report report;
	int err;

	report_read(&(struct options){}, &report);
	err = report.complete ? metrics_write(metrics, &report) : -EIO;
	report_free(&report);
	return err;
}

static void page_make(void)
{
	static const char failure[] = "cannot read what is attached; the exporter's messages say why\n";
	struct metrics metrics = {};

	page_drop();
	page.failed = page_write(&metrics);
	if (page.failed) {
		free(metrics.text);
		metrics = (struct metrics){ .text = strdup(failure), .length = sizeof(failure) - 1 };
	}
	page.text = metrics.text;
	page.length = metrics.length;
	page.plain = metrics.text ? response_of(metrics.text, metrics.length) : NULL;
}

static struct MHD_Response *metrics_get(bool gzip, unsigned int *status, bool *once)
{
	double begin = seconds_now(), took;
	bool old = begin >= page.until && (responses < RESPONSES_MAX || page.failed);

	*once = false;
	if (old || !page.plain)
		page_make();
	if (gzip && !page.gzip && page.plain && !page.failed)
		page.gzip = response_compress(page.text, page.length);
	took = seconds_now() - begin;
	if (old)
		page.until = begin + (page.failed		     ? KEEP_FAILURE
				      : took * KEEP_TIMES < KEEP_MAX ? took * KEEP_TIMES
								     : KEEP_MAX);
	*status = page.failed ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
	return gzip && page.gzip ? page.gzip : page.plain;
}

/* Fine as long as the pins can be read, or nothing is pinned. */
static struct MHD_Response *health_get(bool gzip, unsigned int *status, bool *once)
{
	static const char good[] = "ok\n", bad[] = "cannot read the pins; the exporter's messages say why\n";
	struct MHD_Response *response;
	const char *text = good;
	struct maps maps;

	(void)gzip;
	*once = true;
	if (page.failed && seconds_now() < page.until) {
		text = bad;
	} else if (pins_read(&maps)) {
		page_drop();
		page.failed = true;
		page.until = seconds_now() + KEEP_FAILURE;
		text = bad;
	} else {
		pins_release(&maps);
	}
	*status = text == bad ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
	response = MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
	return response;
}

static const struct http_page pages[] = { { "/metrics", metrics_get }, { "/healthz", health_get }, {} };

/* Opens the socket. Returns it, or -1 after saying what is wrong. */
static int exporter_listen(const char *where, const struct sockaddr_storage *address, socklen_t size)
{
	int fd = http_listen(address, size);

	if (fd >= 0)
		return fd;
	error("--listen %s: %s%s", where, strerror(-fd),
	      fd == -EADDRINUSE	     ? "; another exporter runs, or another program listens there: choose another port"
	      : fd == -EADDRNOTAVAIL ? "; no interface of this network namespace has it"
	      : fd == -EACCES	     ? "; a port below 1024 takes root, or CAP_NET_BIND_SERVICE"
				     : "");
	return -1;
}

static int exporter_run(const struct options *options)
{
	const char *where = options->listen ?: LISTEN_DEFAULT;
	struct sockaddr_storage address;
	struct maps maps = {};
	int listening, signals, err;
	socklen_t size;

	if (address_parse(where, &address, &size))
		return usage_error(&verb_exporter,
				   "exporter: --listen '%s': not an IPv4 address or an IPv6 address in brackets, a "
				   "colon and a port from 1 to 65535, as in " LISTEN_DEFAULT " or [::1]:9817; "
				   "0.0.0.0 and [::] are all addresses",
				   where);
	listening = exporter_listen(where, &address, size);
	if (listening < 0)
		return EXIT_FAILED;
	pins_share_own();
	if (privileges_drop(pins_group()))
		return EXIT_FAILED;
	/* What keeps it from reading now is told at once; it may be mended while it runs. */
	if (!pins_read(&maps))
		pins_release(&maps);
	signals = signals_open(false);
	if (signals < 0)
		return error("cannot wait for signals: %s", strerror(-signals));
	err = http_serve(listening, pages, signals);
	page_drop();
	return err ? error("cannot serve HTTP: %s", strerror(-err)) : EXIT_DONE;
}

const struct verb verb_exporter = {
	.name = "exporter",
	.arguments = "",
	.summary = "serve the metrics to Prometheus over HTTP",
	.options = exporter_options,
	.run = exporter_run,
};
