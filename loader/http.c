// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A small HTTP server for pages. It has to outlive clients that are slow, broken or hostile: everything that one of
 * them may take is bounded here.
 */
#include "http.h"

#include "cli.h"
#include "signals.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 128,
	CONNECTIONS_PER_ADDRESS = 32, /* from one address */
	IDLE_MAX = 10,		      /* seconds without a byte */
	REQUEST_MAX = 30,	      /* seconds from the end of one request to the end of the next */
	HEADERS_MAX = 8192,	      /* bytes; what MHD keeps of a connection */
	BACKLOG = 128,
};

/* A connection that is open, to be shut when its request takes too long; MHD itself only sees that it is idle. */
struct connection {
	int fd; /* -1: none */
	time_t since;
};

static struct connection connections[CONNECTIONS_MAX];

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

int address_parse(const char *text, struct sockaddr_storage *address, socklen_t *size)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(text, ':');
	char host[128];
	struct addrinfo *found;
	unsigned int port;
	size_t length;

	if (!colon || number_parse(colon + 1, 1, 65535, &port) || colon - text >= (long)sizeof(host))
		return -EINVAL;
	length = colon - text;
	if (*text == '[' && text[length - 1] == ']') {
		snprintf(host, sizeof(host), "%.*s", (int)length - 2, text + 1);
		if (!strchr(host, ':'))
			return -EINVAL;
	} else {
		snprintf(host, sizeof(host), "%.*s", (int)length, text);
		if (inet_pton(AF_INET, host, &(struct in_addr){}) != 1)
			return -EINVAL;
	}
	if (getaddrinfo(host, colon + 1, &hints, &found))
		return -EINVAL;
	memcpy(address, found->ai_addr, found->ai_addrlen);
	*size = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

int http_listen(const struct sockaddr_storage *address, socklen_t size)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, (const struct sockaddr *)address, size) && !listen(fd, BACKLOG))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static enum MHD_Result reply(struct MHD_Connection *request, unsigned int status, const char *text, const char *allow)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	result = MHD_queue_response(request, status, response);
	MHD_destroy_response(response);
	return result;
}

/* Tells whether "gzip" is in the list, and not with a weight of 0. */
static bool gzip_accepted(const char *list)
{
	const char *found = list ? strstr(list, "gzip") : NULL, *weight;

	if (!found)
		return false;
	weight = found + strlen("gzip");
	weight += strspn(weight, " ");
	if (*weight != ';')
		return true;
	weight += 1 + strspn(weight + 1, " ");
	return strncmp(weight, "q=0", 3) || strcspn(weight + 3, "123456789") < strcspn(weight + 3, ",");
}

/* Looks the page up and sends it. */
static enum MHD_Result page_reply(const struct http_page *pages, struct MHD_Connection *request, const char *path)
{
	const char *encodings = MHD_lookup_connection_value(request, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT_ENCODING);
	unsigned int status = MHD_HTTP_OK;
	struct MHD_Response *response;
	enum MHD_Result result;
	bool once;

	while (pages->path && strcmp(path, pages->path))
		pages++;
	if (!pages->path)
		return reply(request, MHD_HTTP_NOT_FOUND, "no such page; there are /metrics and /healthz\n", NULL);
	response = pages->get(gzip_accepted(encodings), &status, &once);
	if (!response)
		return MHD_NO;
	result = MHD_queue_response(request, status, response);
	if (once)
		MHD_destroy_response(response);
	return result;
}

static bool has_header(struct MHD_Connection *request, const char *name)
{
	return MHD_lookup_connection_value(request, MHD_HEADER_KIND, name);
}

/*
 * Called when the headers are there, when an answer ends the connection, and again when nothing is left to read. No
 * body is waited for.
 */
static enum MHD_Result answer(void *pages, struct MHD_Connection *request, const char *path, const char *method,
			      const char *version, const char *body, size_t *body_size, void **state)
{
	static char headers_seen;

	(void)version;
	(void)body;
	(void)body_size;
	if (*state)
		return page_reply(pages, request, path);
	*state = &headers_seen;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return reply(request, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n", "GET, HEAD");
	if (has_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH) ||
	    has_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING))
		return reply(request, MHD_HTTP_CONTENT_TOO_LARGE, "no request may have a body here\n", NULL);
	return MHD_YES;
}

static void connection_note(void *context, struct MHD_Connection *handle, void **place,
			    enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct connection *connection = *place;

	(void)context;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (connection)
			connection->fd = -1;
		return;
	}
	info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
	for (size_t i = 0; i < CONNECTIONS_MAX && info; i++) {
		if (connections[i].fd >= 0)
			continue;
		connections[i] = (struct connection){ info->connect_fd, seconds_now() };
		*place = &connections[i];
		return;
	}
}

static void request_end(void *context, struct MHD_Connection *handle, void **state,
			enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *connection = info ? info->socket_context : NULL;

	(void)context;
	(void)state;
	(void)code;
	if (connection)
		connection->since = seconds_now();
}

/* Shuts the connections whose request takes too long; MHD then finds them at their end. */
static void connections_expire(void)
{
	time_t now = seconds_now();

	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (connections[i].fd >= 0 && now - connections[i].since > REQUEST_MAX)
			shutdown(connections[i].fd, SHUT_RDWR);
}

/* Runs the daemon until a signal comes. */
static int loop(struct MHD_Daemon *daemon, int signals)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd fds[] = { { info->epoll_fd, POLLIN, 0 }, { signals, POLLIN, 0 } };

	for (;;) {
		MHD_UNSIGNED_LONG_LONG wait = 1000;

		if (MHD_get_timeout(daemon, &wait) != MHD_YES || wait > 1000)
			wait = 1000;
		if (poll(fds, 2, (int)wait) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents && signals_take(signals))
			return 0;
		MHD_run(daemon);
		connections_expire();
	}
}

int http_serve(int listening, const struct http_page *pages, int signals)
{
	struct MHD_Daemon *daemon;
	int err;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		connections[i].fd = -1;
	daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, answer, (void *)pages, MHD_OPTION_LISTEN_SOCKET, listening,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned int)CONNECTIONS_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX, MHD_OPTION_NOTIFY_CONNECTION, connection_note,
		NULL, MHD_OPTION_NOTIFY_COMPLETED, request_end, NULL, MHD_OPTION_END);
	if (!daemon) {
		close(listening);
		return -ENOMEM;
	}
	err = loop(daemon, signals);
	MHD_stop_daemon(daemon);
	return err;
}
