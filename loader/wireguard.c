// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The peers of a WireGuard device, from the kernel (generic netlink) or from a program behind a TUN device
 * (its configuration socket). Asks only.
 */
#include "ways.h"

#include "cli.h"
#include "genetlink.h"
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Where programs listen, as wg(8) expects it. */
#define USER_SOCKETS "/var/run/wireguard"

enum {
	ANSWER_MS = 5000,      /* for a whole answer */
	ANSWER_MAX = 16 << 20, /* bytes of one: some 10,000 peers with their addresses */
	ERRNO_MAX = 4095,      /* MAX_ERRNO of include/linux/err.h */
};

/* The last peer seen is `way`, if pending; what belongs to the device is for all peers. */
struct reader {
	struct ways *ways;
	struct way way;
	bool pending;
	unsigned char key[WG_KEY_LEN];
	unsigned int mark;
	unsigned short port;
};

/* Completes the peer that was begun. A peer without an endpoint may come from anywhere: it counts as IPv6. */
static int peer_end(struct reader *reader)
{
	struct way *way = &reader->way;
	bool pending = reader->pending;

	if (!way->flow.remote.family)
		way->kind = WAY_ROAMING;
	way->flow.protocol = IPPROTO_UDP;
	way->flow.mark = reader->mark;
	way->flow.sport = reader->port;
	snprintf(way->layers, sizeof(way->layers), "%s/wireguard",
		 way->flow.remote.family == AF_INET ? "ipv4" : "ipv6");
	reader->pending = false;
	return pending ? ways_add(reader->ways, way) : 0;
}

static int peer_begin(struct reader *reader)
{
	int err = peer_end(reader);

	reader->way = (struct way){ .kind = WAY_ROUTED };
	reader->pending = true;
	return err;
}

/* An IPv4 address mapped into IPv6 goes out as IPv4. */
static void endpoint_set(struct flow *flow, const struct sockaddr *endpoint)
{
	const struct sockaddr_in6 *v6 = (const void *)endpoint;
	const struct sockaddr_in *v4 = (const void *)endpoint;

	if (endpoint->sa_family == AF_INET)
		flow->remote = address_of(&v4->sin_addr, sizeof(v4->sin_addr));
	else if (endpoint->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		flow->remote = address_of(&v6->sin6_addr.s6_addr[12], sizeof(v4->sin_addr));
	else if (endpoint->sa_family == AF_INET6)
		flow->remote = address_of(&v6->sin6_addr, sizeof(v6->sin6_addr));
	flow->dport = ntohs(v4->sin_port); /* the same place in both */
	if (endpoint->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
		flow->oif = v6->sin6_scope_id;
}

/* A peer with many addresses goes on in the next message, with its key but without its endpoint. */
static int kernel_peer_read(const struct nlattr *nest, struct reader *reader)
{
	const struct nlattr *parts[WGPEER_A_MAX + 1] = {};
	const struct sockaddr *endpoint;
	const unsigned char *key;
	int err;

	attributes_of_nest(nest, parts, WGPEER_A_MAX + 1);
	key = attribute_bytes(parts[WGPEER_A_PUBLIC_KEY], WG_KEY_LEN);
	if (!key || (reader->pending && !memcmp(key, reader->key, WG_KEY_LEN)))
		return 0;
	err = peer_begin(reader);
	memcpy(reader->key, key, WG_KEY_LEN);
	endpoint = attribute_bytes(parts[WGPEER_A_ENDPOINT], sizeof(struct sockaddr_in));
	if (endpoint && endpoint->sa_family == AF_INET6)
		endpoint = attribute_bytes(parts[WGPEER_A_ENDPOINT], sizeof(struct sockaddr_in6));
	if (endpoint)
		endpoint_set(&reader->way.flow, endpoint);
	return err;
}

static int kernel_read(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *parts[WGDEVICE_A_MAX + 1] = {}, *peer;
	struct reader *reader = context;

	attributes_of_message(message, sizeof(struct genlmsghdr), parts, WGDEVICE_A_MAX + 1);
	if (parts[WGDEVICE_A_FWMARK])
		reader->mark = attribute_number(parts[WGDEVICE_A_FWMARK]);
	if (parts[WGDEVICE_A_LISTEN_PORT])
		reader->port = attribute_number(parts[WGDEVICE_A_LISTEN_PORT]);
	if (!parts[WGDEVICE_A_PEERS])
		return MNL_CB_OK;
	mnl_attr_for_each_nested(peer, parts[WGDEVICE_A_PEERS])
	{
		if (kernel_peer_read(peer, reader)) {
			errno = ENOMEM;
			return MNL_CB_ERROR;
		}
	}
	return MNL_CB_OK;
}

int wireguard_ways(const struct device *device, struct ways *ways)
{
	struct reader reader;
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request;
	int err, family = genetlink_family(WG_GENL_NAME);

	if (family >= 0) {
		request = genetlink_dump(buffer, family, WG_CMD_GET_DEVICE, WG_GENL_VERSION);
		mnl_attr_put_u32(request, WGDEVICE_A_IFINDEX, device->ifindex);
	}
	do { /* -EINTR: peers came or went meanwhile */
		reader = (struct reader){ .ways = ways };
		ways->count = 0;
		err = family < 0 ? family : netlink_ask(NETLINK_GENERIC, request, kernel_read, &reader);
	} while (err == -EINTR);
	err = err ?: peer_end(&reader);
	if (err)
		error("%s: cannot read its peers: %s%s", device->name, strerror(-err),
		      err == -EPERM ? "; this takes CAP_NET_ADMIN" : "");
	return err;
}

/* Tells whether who listens is known to be in another network namespace, where devices have these names too. */
static bool listener_elsewhere(int fd)
{
	struct ucred listener;
	socklen_t length = sizeof(listener);
	char path[64];
	struct stat namespace;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &length))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", listener.pid);
	return !stat(path, &namespace) && namespace.st_ino != netns_inode();
}

/*
 * Connects to the program behind a device. Returns a socket, or -1 when there is none, or when it cannot be asked:
 * then ways->open is set, after a warning or where the listener is in another namespace.
 */
static int user_open(const struct device *device, struct ways *ways)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int refused;

	if (fd < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), USER_SOCKETS "/%s.sock", device->name);
	refused = connect(fd, (const struct sockaddr *)&address, sizeof(address)) ? errno : 0;
	if (refused && refused != ENOENT && refused != ECONNREFUSED)
		warning("%s: cannot ask who is behind it at %s: %s; if that is WireGuard, what it adds is not counted%s",
			device->name, address.sun_path, strerror(refused),
			refused == EACCES ? ": this takes root" : "");
	if (!refused && !listener_elsewhere(fd))
		return fd;
	ways->open |= !refused;
	close(fd);
	return -1;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/*
 * Asks for the configuration and reads the answer, which an empty line ends, into a text that the caller frees. The
 * other side may be anything: it gets so much time and room, and no more. Returns 0 or -errno.
 */
static int user_answer_read(int fd, char **text)
{
	static const char question[] = "get=1\n\n";
	int64_t end = now_ms() + ANSWER_MS;
	size_t used = 0, room = 0;

	*text = NULL;
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question))
		return -errno;
	do {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int64_t left = end - now_ms();
		ssize_t length;

		if (used + 1 >= room) {
			char *grown = room < ANSWER_MAX ? realloc(*text, room = room * 2 + 4096) : NULL;

			if (!grown)
				return room < ANSWER_MAX ? -ENOMEM : -EMSGSIZE;
			*text = grown;
		}
		if (left <= 0 || poll(&wait, 1, left) == 0)
			return -ETIMEDOUT;
		length = recv(fd, *text + used, room - used - 1, 0);
		if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
			return length ? -errno : -EPROTO;
		used += length > 0 ? length : 0;
		(*text)[used] = '\0';
	} while (used < 2 || strcmp(*text + used - 2, "\n\n") != 0);
	return 0;
}

/* "192.0.2.1:51820" or "[fe80::1%eth0]:51820", or the interface's number. */
static void user_endpoint_read(const char *text, struct flow *flow)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	char host[64], scope[16] = "";
	struct device zone;
	unsigned short port;

	if (sscanf(text, "[%63[^]%%]%%%15[^]]]:%hu", host, scope, &port) == 3 ||
	    sscanf(text, "[%63[^]]]:%hu", host, &port) == 2) {
		v6.sin6_port = htons(port);
		v6.sin6_scope_id = *scope && !device_get(scope, &zone) ? zone.ifindex : strtoul(scope, NULL, 10);
		if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
			endpoint_set(flow, (const struct sockaddr *)&v6);
	} else if (sscanf(text, "%63[^:]:%hu", host, &port) == 2) {
		v4.sin_port = htons(port);
		if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
			endpoint_set(flow, (const struct sockaddr *)&v4);
	}
}

/* One line of the answer, "key=value". Returns 0 or -errno. */
static int user_line_read(struct reader *reader, char *line)
{
	char *value = strchr(line, '=');
	unsigned int number;

	if (!value)
		return -EPROTO;
	*value++ = '\0';
	if (!strcmp(line, "errno"))
		return number_parse(value, 0, ERRNO_MAX, &number) ? -EPROTO : -(int)number;
	if (!strcmp(line, "public_key"))
		return peer_begin(reader);
	if (!strcmp(line, "fwmark"))
		reader->mark = strtoul(value, NULL, 10);
	if (!strcmp(line, "listen_port"))
		reader->port = strtoul(value, NULL, 10);
	if (!strcmp(line, "endpoint"))
		user_endpoint_read(value, &reader->way.flow);
	return 0;
}

int wireguard_text_ways(char *text, struct ways *ways)
{
	struct reader reader = { .ways = ways };
	char *line;
	int err = 0;

	while (!err && (line = strsep(&text, "\n")) && *line)
		err = user_line_read(&reader, line);
	return err ?: peer_end(&reader);
}

int wireguard_user_ways(const struct device *device, struct ways *ways)
{
	int err, fd = user_open(device, ways);
	char *text;

	if (fd < 0)
		return 0;
	err = user_answer_read(fd, &text) ?: wireguard_text_ways(text, ways);
	close(fd);
	free(text);
	if (err)
		error("%s: cannot read its peers from " USER_SOCKETS "/%s.sock: %s", device->name, device->name,
		      strerror(-err));
	return err;
}
