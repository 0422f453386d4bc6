/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small HTTP server, by libmicrohttpd, in one thread: pages that are made when they are asked for. Not what is in
 * them: that is cmd_exporter.c's.
 */
#ifndef MSSBPF_HTTP_H
#define MSSBPF_HTTP_H

#include <microhttpd.h>
#include <stdbool.h>
#include <sys/socket.h>

/*
 * Reads "ADDRESS:PORT", an IPv4 address or an IPv6 address in brackets (with %INTERFACE where it is link-local), and a
 * port from 1 to 65535. Returns 0 or -EINVAL.
 */
int address_parse(const char *text, struct sockaddr_storage *address, socklen_t *size);

/* Opens a socket that listens there. Returns it or -errno. */
int http_listen(const struct sockaddr_storage *address, socklen_t size);

struct http_page {
	const char *path;
	/*
	 * Returns the response, one that is kept for others or made anew (*once is set then), and in *status the HTTP
	 * status; NULL when memory is short. `gzip`: the client takes it compressed.
	 */
	struct MHD_Response *(*get)(bool gzip, unsigned int *status, bool *once);
};

/*
 * Serves the pages (path == NULL at the end) at the listening socket, until a signal can be read from `signals`
 * (signals.h). Returns 0, or -errno when it cannot.
 */
int http_serve(int listening, const struct http_page *pages, int signals);

#endif
