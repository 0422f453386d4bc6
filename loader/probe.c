// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Probing a path with ICMP echo. Not the search: that is probe_search.c.
 *
 * DF is set and the cached path MTU ignored by IP_PMTUDISC_PROBE and IPV6_PMTUDISC_PROBE: the kernel refuses
 * (EMSGSIZE) only what is larger than the outgoing device's MTU, and says so in the socket's error queue, as
 * it does with the ICMP messages of hops (net/ipv4/ip_output.c, __ip_append_data(); net/ipv4/ip_sockglue.c).
 */
#include "probe.h"

#include "cli.h"
#include "route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	PACKET_MAX = 65535,
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	SENT_MAX = 256,	       /* how many requests are remembered; more than are sent within any round trip */
	WAIT_EXTRA_US = 20000, /* what a host may need to answer beside the round trip, and the scheduler here */
	WAIT_ROUND_TRIPS = 3,
};

/* What a request carries; ICMP and ICMPv6 echo have the same form. */
struct echo {
	uint8_t type, code;
	uint16_t checksum;
	__be16 id, sequence;
	uint64_t cookie; /* as it lies in memory */
} __attribute__((packed));

struct sent {
	uint16_t sequence;
	bool waiting; /* nothing came back yet */
	unsigned int size;
	uint64_t at_us;
};

struct probe {
	int fd;
	bool raw;
	struct sockaddr_storage address, local;
	__be16 id;
	uint16_t sequence; /* of the next request */
	uint64_t cookie;
	unsigned int timeout_us;
	uint64_t slowest_us; /* the longest round trip lately; 0: none yet */
	unsigned int slowest_size;
	struct probe_counts counts;
	struct sent sent[SENT_MAX];
	union {
		struct echo echo;
		uint8_t bytes[PACKET_MAX];
	} packet;
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static const void *address_bytes(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
					     : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;
}

static size_t address_size(int family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

static bool address_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	return a->ss_family == b->ss_family && !memcmp(address_bytes(a), address_bytes(b), address_size(a->ss_family));
}

int probe_device(const struct probe_target *target, struct device *device)
{
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&target->address;
	size_t size = address_size(target->address.ss_family);
	struct flow flow = { .remote = address_of(address_bytes(&target->address), size) };
	const struct device *found;
	struct devices devices;
	struct route route;
	int err;

	if (*target->interface)
		return device_get(target->interface, device);
	if (target->source.ss_family)
		flow.local = address_of(address_bytes(&target->source), size);
	if (ipv6->sin6_family == AF_INET6)
		flow.oif = ipv6->sin6_scope_id;
	err = route_get(&flow, &route) ?: devices_get(&devices);
	if (err)
		return err;
	found = devices_find(&devices, route.oif);
	if (found)
		*device = *found;
	devices_free(&devices);
	return found ? 0 : -ENODEV;
}

/* Makes the socket. Returns its descriptor, or -errno after saying why. */
static int socket_make(int family, bool *raw)
{
	int protocol = family == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6;
	int err, fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, protocol);

	*raw = fd < 0;
	if (fd < 0)
		fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd >= 0)
		return fd;
	err = -errno;
	if (err == -EPERM || err == -EACCES)
		error("probe: not permitted: this takes root, or CAP_NET_RAW, or a group of the user's within the "
		      "sysctl net.ipv4.ping_group_range, which opens ping sockets to it (for IPv6, too)");
	else
		error("probe: no ICMP socket for %s: %s", family == AF_INET ? "IPv4" : "IPv6", strerror(-err));
	return err;
}

/* DF, no cached path MTU, messages of hops; of raw sockets' input only echo replies. Returns 0 or -errno. */
static int socket_set_up(int fd, int family, bool raw)
{
	int probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE, on = 1;
	struct icmp6_filter only_replies6;
	uint32_t only_replies4 = ~(1u << ICMP_ECHOREPLY);
	int failed;

	if (family == AF_INET) {
		failed = setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4, sizeof(probe4)) ||
			 setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) ||
			 (raw && setsockopt(fd, SOL_RAW, ICMP_FILTER, &only_replies4, sizeof(only_replies4)));
	} else {
		memset(&only_replies6, 0xff, sizeof(only_replies6)); /* a set bit blocks, RFC 3542 3.2 */
		only_replies6.data[ICMPV6_ECHO_REPLY / 32] &= ~(1u << ICMPV6_ECHO_REPLY % 32);
		failed = setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof(probe6)) ||
			 setsockopt(fd, IPPROTO_IPV6, IPV6_DONTFRAG, &on, sizeof(on)) ||
			 setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)) ||
			 (raw && setsockopt(fd, IPPROTO_ICMPV6, ICMPV6_FILTER, &only_replies6, sizeof(only_replies6)));
	}
	return failed ? -errno : 0;
}

/* Binds and connects the socket, and learns the id of its requests. Returns 0, or -errno after saying why. */
static int socket_connect(struct probe *probe, const struct probe_target *target)
{
	socklen_t length = sizeof(probe->local);
	char text[INET6_ADDRSTRLEN] = "";
	int family = target->address.ss_family, err = 0;

	if (*target->interface &&
	    setsockopt(probe->fd, SOL_SOCKET, SO_BINDTODEVICE, target->interface, strlen(target->interface) + 1)) {
		err = -errno;
		error("--interface %s: %s", target->interface, strerror(-err));
	} else if (target->source.ss_family &&
		   bind(probe->fd, (const struct sockaddr *)&target->source, sizeof(target->source))) {
		err = -errno;
		inet_ntop(family, address_bytes(&target->source), text, sizeof(text));
		error("--source %s: %s", text, err == -EADDRNOTAVAIL ? "not an address of this host" : strerror(-err));
	} else if (connect(probe->fd, (const struct sockaddr *)&target->address, sizeof(target->address)) ||
		   getsockname(probe->fd, (struct sockaddr *)&probe->local, &length)) {
		err = -errno;
		inet_ntop(family, address_bytes(&target->address), text, sizeof(text));
		error("%s: %s", text, err == -ENETUNREACH ? "no route to it" : strerror(-err));
	}
	/* A ping socket's port is the id that the kernel writes (net/ipv4/ping.c). */
	if (!err && !probe->raw)
		probe->id = ((const struct sockaddr_in *)&probe->local)->sin_port;
	return err;
}

int probe_open(const struct probe_target *target, struct probe **probe)
{
	struct probe *made = calloc(1, sizeof(*made));
	uint64_t chance[2];
	int err = -ENOMEM;

	if (!made || getrandom(chance, sizeof(chance), 0) != sizeof(chance)) {
		error("probe: %s", strerror(made ? errno : ENOMEM));
		free(made);
		return err;
	}
	made->address = target->address;
	made->timeout_us = target->timeout_ms * 1000;
	made->cookie = chance[0];
	made->id = chance[1];
	made->fd = socket_make(target->address.ss_family, &made->raw);
	if (made->fd < 0) {
		err = made->fd;
		goto out;
	}
	err = socket_set_up(made->fd, target->address.ss_family, made->raw);
	if (err)
		error("probe: cannot set DF and ask for the messages of hops: %s", strerror(-err));
	else
		err = socket_connect(made, target);
	if (err)
		close(made->fd);
out:
	if (err)
		free(made);
	else
		*probe = made;
	return err;
}

void probe_close(struct probe *probe)
{
	close(probe->fd);
	free(probe);
}

struct probe_counts probe_counts(const struct probe *probe)
{
	return probe->counts;
}

uint32_t probe_seed(const struct probe *probe)
{
	return probe->cookie;
}

/* RFC 1071, in the byte order of this host, as it goes into the header. */
static uint16_t checksum(const uint8_t *bytes, size_t length)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i += 2) {
		uint16_t word = 0;

		memcpy(&word, bytes + i, i + 1 < length ? 2 : 1);
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

/* Sends a request. Returns 0, or -errno as send(2) gives it. */
static int echo_send(struct probe *probe, unsigned int size)
{
	bool ipv4 = probe->address.ss_family == AF_INET;
	size_t length = size - (ipv4 ? IPV4_HEADER : IPV6_HEADER);
	struct sent *sent = &probe->sent[probe->sequence % SENT_MAX];

	memset(probe->packet.bytes, 0, length);
	probe->packet.echo = (struct echo){ .type = ipv4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST,
					    .id = probe->id,
					    .sequence = htons(probe->sequence),
					    .cookie = probe->cookie };
	if (ipv4) /* ICMPv6's includes the addresses: the kernel computes it */
		probe->packet.echo.checksum = checksum(probe->packet.bytes, length);
	*sent = (struct sent){ .sequence = probe->sequence, .waiting = true, .size = size, .at_us = now_us() };
	if (send(probe->fd, probe->packet.bytes, length, 0) < 0) {
		sent->waiting = false;
		return -errno;
	}
	probe->sequence++;
	probe->counts.sent++;
	probe->counts.lost++; /* until something comes back */
	return 0;
}

/* Finds which request an echo header belongs to, and counts it as heard of. NULL: none, or not the first time. */
static const struct sent *sent_find(struct probe *probe, const struct echo *echo, bool quoted)
{
	bool ipv4 = probe->address.ss_family == AF_INET;
	unsigned int request = ipv4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST;
	unsigned int reply = ipv4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY;
	struct sent *sent = &probe->sent[ntohs(echo->sequence) % SENT_MAX];

	if (echo->type != (quoted ? request : reply) || echo->id != probe->id || !sent->waiting ||
	    sent->sequence != ntohs(echo->sequence))
		return NULL;
	sent->waiting = false;
	probe->counts.lost--;
	return sent;
}

static void event_date(const struct probe *probe, const struct sent *sent, struct probe_event *event)
{
	event->size = sent->size;
	event->age = (uint16_t)(probe->sequence - 1 - sent->sequence);
}

/*
 * Reads what was answered. Returns true when it is an event. Some hosts shorten their answers: that the request
 * arrived is what counts, and the size is that of the request.
 */
static bool reply_read(struct probe *probe, struct probe_event *event)
{
	struct sockaddr_storage from = {};
	socklen_t from_length = sizeof(from);
	ssize_t length = recvfrom(probe->fd, probe->packet.bytes, sizeof(probe->packet.bytes), MSG_DONTWAIT,
				  (struct sockaddr *)&from, &from_length);
	ssize_t start = probe->raw && from.ss_family == AF_INET ? (probe->packet.bytes[0] & 0x0f) * 4 : 0;
	struct echo echo;
	const struct sent *sent;
	uint64_t round_trip;

	if (length < start + (ssize_t)sizeof(echo) || !address_same(&from, &probe->address))
		return false;
	memcpy(&echo, probe->packet.bytes + start, sizeof(echo));
	if (echo.cookie != probe->cookie)
		return false;
	sent = sent_find(probe, &echo, false);
	if (!sent)
		return false;
	round_trip = now_us() - sent->at_us;
	probe->slowest_us /= 2; /* forgets soon: the first one may have waited for ARP */
	if (round_trip >= probe->slowest_us) {
		probe->slowest_us = round_trip;
		probe->slowest_size = sent->size;
	}
	*event = (struct probe_event){ .kind = PROBE_ANSWERED, .rtt_us = round_trip };
	event_date(probe, sent, event);
	return true;
}

/* What an ICMP message other than "too big" says (IANA's ICMP parameters); NULL: nothing that is of interest. */
static const char *icmp_words(int family, unsigned int type, unsigned int code)
{
	static const char *const unreachable4[] = {
		"network unreachable",
		"host unreachable",
		"protocol unreachable",
		"port unreachable",
		"fragmentation needed",
		"source route failed",
		"network unknown",
		"host unknown",
		"host isolated",
		"network administratively prohibited",
		"host administratively prohibited",
		"network unreachable for this type of service",
		"host unreachable for this type of service",
		"administratively prohibited",
		"host precedence violation",
		"precedence cutoff",
	};
	static const char *const unreachable6[] = {
		"no route to the host",
		"administratively prohibited",
		"beyond the scope of the source address",
		"address unreachable",
		"port unreachable",
		"source address failed policy",
		"the route rejects it",
	};

	if (family == AF_INET && type == ICMP_DEST_UNREACH)
		return code < sizeof(unreachable4) / sizeof(*unreachable4) ? unreachable4[code] : "unreachable";
	if (family == AF_INET6 && type == ICMPV6_DEST_UNREACH)
		return code < sizeof(unreachable6) / sizeof(*unreachable6) ? unreachable6[code] : "unreachable";
	if (type == (family == AF_INET ? ICMP_TIME_EXCEEDED : ICMPV6_TIME_EXCEED))
		return code ? "fragments did not arrive in time" : "time to live exceeded: a routing loop?";
	if (type == (family == AF_INET ? ICMP_PARAMETERPROB : ICMPV6_PARAMPROB))
		return "parameter problem";
	return NULL;
}

/* Makes an event of an entry of the error queue. Returns false when it is none. */
static bool message_read(const struct probe *probe, const struct sock_extended_err *entry, struct probe_event *event)
{
	int family = probe->address.ss_family;
	unsigned int unreachable = family == AF_INET ? ICMP_DEST_UNREACH : ICMPV6_DEST_UNREACH;
	unsigned int no_neighbour = family == AF_INET ? ICMP_HOST_UNREACH : ICMPV6_ADDR_UNREACH;
	bool too_big = family == AF_INET ? entry->ee_type == ICMP_DEST_UNREACH && entry->ee_code == ICMP_FRAG_NEEDED
					 : entry->ee_type == ICMPV6_PKT_TOOBIG;
	struct sockaddr_storage from = {};

	if (entry->ee_origin == SO_EE_ORIGIN_LOCAL) {
		if (entry->ee_errno != EMSGSIZE)
			return false;
		event->kind = PROBE_TOO_BIG_HERE;
		event->mtu = entry->ee_info;
		return true;
	}
	event->kind = too_big ? PROBE_TOO_BIG : PROBE_REFUSED;
	event->mtu = too_big ? entry->ee_info : 0;
	event->says = too_big ? NULL : icmp_words(family, entry->ee_type, entry->ee_code);
	memcpy(&from, SO_EE_OFFENDER(entry),
	       family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	if (!address_same(&from, &probe->local))
		inet_ntop(family, address_bytes(&from), event->from, sizeof(event->from));
	else if (event->kind == PROBE_REFUSED && entry->ee_type == unreachable && entry->ee_code == no_neighbour)
		event->says = "unreachable: the next hop does not answer ARP or neighbour discovery";
	return too_big || event->says;
}

/* Reads one entry of the error queue. Returns 1 when it is an event, 0 when not, -errno when there is none. */
static int error_read(struct probe *probe, unsigned int size, struct probe_event *event)
{
	char control[512] __attribute__((aligned(8)));
	struct echo echo = {};
	struct iovec place = { &echo, sizeof(echo) };
	struct msghdr message = {
		.msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	ssize_t length = recvmsg(probe->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	const struct sock_extended_err *entry = NULL;
	const struct sent *sent;

	if (length < 0)
		return -errno;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part))
		if ((part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
		    (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR))
			entry = (const struct sock_extended_err *)CMSG_DATA(part);
	*event = (struct probe_event){ .size = size };
	if (!entry || !message_read(probe, entry, event)) {
		*event = (struct probe_event){ .size = size };
		return 0;
	}
	if (event->kind == PROBE_TOO_BIG_HERE)
		return 1;
	sent = length >= (ssize_t)offsetof(struct echo, cookie) ? sent_find(probe, &echo, true) : NULL;
	if (sent)
		event_date(probe, sent, event);
	return sent != NULL;
}

/* Takes the next event that is there already. */
static bool event_take(struct probe *probe, unsigned int size, struct probe_event *event)
{
	struct pollfd ready = { .fd = probe->fd, .events = POLLIN };
	socklen_t length = sizeof(int);
	int found, pending;

	while (poll(&ready, 1, 0) > 0) {
		if (ready.revents & POLLERR) {
			/* The error is also the socket's, and the next send() would fail with it. */
			getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &pending, &length);
			while ((found = error_read(probe, size, event)) >= 0)
				if (found)
					return true;
		}
		if (ready.revents & POLLIN && reply_read(probe, event))
			return true;
	}
	return false;
}

/* How long to wait for the answer to a request of this size: larger packets may take longer in proportion. */
static uint64_t wait_us(const struct probe *probe, unsigned int size)
{
	uint64_t wait;

	if (!probe->slowest_us)
		return probe->timeout_us / 2;
	wait = probe->slowest_us * WAIT_ROUND_TRIPS;
	if (size > probe->slowest_size)
		wait = wait * size / probe->slowest_size;
	wait += WAIT_EXTRA_US;
	return wait < probe->timeout_us ? wait : probe->timeout_us;
}

void probe_attempt(struct probe *probe, unsigned int size, struct probe_event *event)
{
	struct pollfd ready = { .fd = probe->fd, .events = POLLIN };
	uint64_t now, end;
	int err = echo_send(probe, size);

	if (err && event_take(probe, size, event))
		return;
	if (err) /* maybe that of an earlier message, and taken with it now */
		err = echo_send(probe, size);
	if (err && event_take(probe, size, event))
		return;
	*event = (struct probe_event){ .kind = PROBE_REFUSED, .size = size, .says = strerror(-err) };
	if (err == -EPERM) /* netfilter's (net/netfilter/core.c, nf_hook_slow()) */
		event->says = "a firewall rule of its own drops it";
	if (err && err != -ENOBUFS) /* a full queue is loss */
		return;
	for (now = now_us(), end = now + wait_us(probe, size); now < end; now = now_us()) {
		struct timespec left = { (end - now) / 1000000, (end - now) % 1000000 * 1000 };

		if (ppoll(&ready, 1, &left, NULL) > 0 && event_take(probe, size, event))
			return;
	}
	*event = (struct probe_event){ .kind = PROBE_SILENT, .size = size };
}
