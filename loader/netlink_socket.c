// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sends requests over netlink and hands on the messages of their answers, by libmnl. Knows no message.
 */
#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>

/* A socket for each bus, opened at the first question and kept: one for each would cost as much as the answer. */
static struct mnl_socket *sockets[MAX_LINKS];
static unsigned int sequence; /* number of the last request */

/* What the kernel puts into one datagram of a dump: 32 KiB at most (net/netlink/af_netlink.c, netlink_dump()). */
static union {
	struct nlmsghdr first;
	char bytes[32768];
} answer;

/* The socket of a bus, or NULL and errno. */
static struct mnl_socket *socket_get(int bus)
{
	struct mnl_socket *socket = sockets[bus] ?: mnl_socket_open2(bus, SOCK_CLOEXEC);

	if (socket && !sockets[bus] && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = errno;

		mnl_socket_close(socket);
		errno = err;
		return NULL;
	}
	return sockets[bus] = socket;
}

/* Forgets a socket that the rest of an answer may still arrive at. */
static void socket_drop(int bus)
{
	mnl_socket_close(sockets[bus]);
	sockets[bus] = NULL;
}

int netlink_ask(int bus, struct nlmsghdr *request, mnl_cb_t each, void *context)
{
	struct mnl_socket *socket = socket_get(bus);
	bool complete = false;
	ssize_t length;
	int err = 0;

	if (!socket)
		return -errno;
	/* Some questions have no answer (the qdisc of a device without one): the ACK ends those. */
	request->nlmsg_flags |= NLM_F_REQUEST | (request->nlmsg_flags & NLM_F_DUMP ? 0 : NLM_F_ACK);
	request->nlmsg_seq = ++sequence;
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	do {
		length = mnl_socket_recvfrom(socket, &answer, sizeof(answer));
		if (length <= 0)
			break;
		if (answer.first.nlmsg_seq != sequence) /* the ACK of a question whose answer was enough */
			continue;
		complete = answer.first.nlmsg_type == NLMSG_ERROR;
		length = mnl_cb_run(&answer, length, sequence, mnl_socket_get_portid(socket), each, context);
	} while (length > 0);
	if (length < 0)
		err = -errno;
	if (err && !complete)
		socket_drop(bus);
	return err;
}

int netlink_ask_all(int bus, struct nlmsghdr *requests, size_t count, netlink_each each, void *context)
{
	struct mnl_socket *socket = socket_get(bus);
	struct nlmsghdr *request = requests;
	size_t answered = 0;
	unsigned int first = sequence + 1;

	if (!socket)
		return -errno;
	for (size_t i = 0; i < count; i++) {
		request->nlmsg_flags |= NLM_F_REQUEST;
		request->nlmsg_seq = ++sequence;
		request = (void *)((char *)request + MNL_ALIGN(request->nlmsg_len));
	}
	if (mnl_socket_sendto(socket, requests, (char *)request - (char *)requests) < 0)
		return -errno;
	while (answered < count) {
		ssize_t length = mnl_socket_recvfrom(socket, &answer, sizeof(answer));

		if (length < 0) {
			int err = -errno;

			socket_drop(bus);
			return err;
		}
		if (answer.first.nlmsg_seq - first >= count)
			continue;
		answered++;
		if (answer.first.nlmsg_type != NLMSG_ERROR)
			each(answer.first.nlmsg_seq - first, &answer.first, context);
	}
	return 0;
}
