// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf probe: how large packets to a host may be, and the attach line that follows. Not how it is found
 * out: that is probe.c and probe_search.c.
 */
#include "cli.h"
#include "netlink.h"
#include "overhead.h"
#include "probe.h"
#include "report.h"
#include "shell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum {
	TIMEOUT_DEFAULT = 1000, /* milliseconds */
};

static const struct option_spec probe_options[] = {
	{ "source", 's', "ADDRESS", "send from this address of the host", OPTION_TEXT,
	  .offset = offsetof(struct options, source) },
	{ "interface", 'i', "IFACE", "send by this interface, whatever the routes say", OPTION_TEXT,
	  .offset = offsetof(struct options, interface) },
	{ "min", 0, "N", "smallest packet (default: 576, over IPv6 1280)", OPTION_NUMBER,
	  .offset = offsetof(struct options, min), .min = MTU_MIN_IPV4, .max = MSSBPF_MTU_MAX, .unit = "bytes" },
	{ "max", 0, "N", "largest packet (default: the interface's MTU)", OPTION_NUMBER,
	  .offset = offsetof(struct options, max), .min = MTU_MIN_IPV4, .max = MSSBPF_MTU_MAX, .unit = "bytes" },
	{ "timeout", 't', "MS", "wait for an answer at most (default: 1000)", OPTION_NUMBER,
	  .offset = offsetof(struct options, timeout), .min = 10, .max = 60000, .unit = "milliseconds" },
	{ "ipv4", '4', NULL, "probe over IPv4", OPTION_FLAG, .offset = offsetof(struct options, ipv4) },
	{ "ipv6", '6', NULL, "probe over IPv6", OPTION_FLAG, .offset = offsetof(struct options, ipv6) },
	{ "json", 'j', NULL, "as JSON, without progress", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ 0 },
};

/* All that the output is made of. */
struct probing {
	const struct options *options;
	const char *host;
	char address[INET6_ADDRSTRLEN];
	struct probe_target target;
	struct device device; /* the outgoing one */
	unsigned int min, max;
	struct probe *probe;
	struct probe_result result;
};

static bool is_ipv4(const struct probing *probing)
{
	return probing->target.address.ss_family == AF_INET;
}

static const char *family_name(const struct probing *probing)
{
	return is_ipv4(probing) ? "IPv4" : "IPv6";
}

/* Resolves a name or address. Returns getaddrinfo(3)'s result. */
static int resolve(const char *name, int family, int flags, struct sockaddr_storage *address)
{
	const struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_DGRAM, .ai_flags = flags };
	struct addrinfo *list;
	int problem = getaddrinfo(name, NULL, &hints, &list);

	if (problem)
		return problem;
	memset(address, 0, sizeof(*address));
	memcpy(address, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return 0;
}

static const char *problem_words(int problem)
{
	return problem == EAI_SYSTEM ? strerror(errno) : gai_strerror(problem);
}

/* Reads where from: --source, --interface, -4, -6. Returns an exit status; *family is AF_UNSPEC for either. */
static int source_read(struct probing *probing, int *family)
{
	const struct options *options = probing->options;
	struct probe_target *target = &probing->target;
	int problem, err;

	*family = options->ipv4 ? AF_INET : options->ipv6 ? AF_INET6 : AF_UNSPEC;
	if (options->source) {
		problem = resolve(options->source, *family, AI_NUMERICHOST, &target->source);
		if (problem)
			return usage_error(&verb_probe, "probe: --source '%s': not an %s address", options->source,
					   options->ipv4   ? "IPv4"
					   : options->ipv6 ? "IPv6"
							   : "IP");
		*family = target->source.ss_family;
	}
	if (!options->interface)
		return EXIT_DONE;
	err = device_get(options->interface, &probing->device);
	if (err)
		return error("--interface %s: %s", options->interface,
			     err == -ENODEV ? "no such interface" : strerror(-err));
	memcpy(target->interface, probing->device.name, sizeof(target->interface));
	return EXIT_DONE;
}

/* Finds the host's address. Returns an exit status. */
static int host_resolve(struct probing *probing, int family)
{
	struct probe_target *target = &probing->target;
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&target->address;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&target->address;
	int problem = resolve(probing->host, family, 0, &target->address);
	bool multicast;

	if (problem)
		return error("%s: no %saddress found for it: %s", probing->host,
			     family == AF_INET	  ? "IPv4 "
			     : family == AF_INET6 ? "IPv6 "
						  : "",
			     problem_words(problem));
	if (is_ipv4(probing)) {
		inet_ntop(AF_INET, &ipv4->sin_addr, probing->address, sizeof(probing->address));
		multicast = IN_MULTICAST(ntohl(ipv4->sin_addr.s_addr));
	} else {
		inet_ntop(AF_INET6, &ipv6->sin6_addr, probing->address, sizeof(probing->address));
		multicast = IN6_IS_ADDR_MULTICAST(&ipv6->sin6_addr);
	}
	if (multicast)
		return error("%s: a multicast address has no path of its own: probe one host", probing->host);
	return EXIT_DONE;
}

/* Sets the range of sizes for the family and the outgoing device. Returns an exit status. */
static int range_set(struct probing *probing)
{
	const struct options *options = probing->options;
	unsigned int least = is_ipv4(probing) ? MTU_MIN_IPV4 : MTU_MIN_IPV6;
	unsigned int usual = is_ipv4(probing) ? MSSBPF_MTU_MIN : MTU_MIN_IPV6;
	unsigned int device_max = probing->device.mtu < MSSBPF_MTU_MAX ? probing->device.mtu : MSSBPF_MTU_MAX;

	if (options->min && options->min < least)
		return usage_error(&verb_probe,
				   "probe: --min %u: from %u to %u over IPv6, where every hop takes 1280 (RFC 8200)",
				   options->min, least, MSSBPF_MTU_MAX);
	if (options->max && options->max < least)
		return usage_error(&verb_probe,
				   "probe: --max %u: from %u to %u over IPv6, where every hop takes 1280 (RFC 8200)",
				   options->max, least, MSSBPF_MTU_MAX);
	probing->max = options->max ?: device_max;
	probing->min = options->min ?: probing->max < usual ? least : usual;
	if (probing->min > probing->max || probing->min > device_max)
		return error("probe: packets of %u bytes at least do not leave by %s, whose MTU is %u%s", probing->min,
			     probing->device.name, probing->device.mtu, options->min ? ": lower --min" : "");
	return EXIT_DONE;
}

/* "192.0.2.1" or "this host" */
static const char *who(const struct probe_event *event)
{
	return *event->from ? event->from : "this host";
}

static void print_too_big(const struct probe_event *event)
{
	printf("%s says: too big, ", who(event));
	if (!event->mtu)
		printf("but not what fits\n");
	else if (event->mtu < event->size)
		printf("%u fits\n", event->mtu);
	else
		printf("and yet that %u fits\n", event->mtu);
}

static void print_step(void *context, const struct probe_step *step)
{
	const struct probing *probing = context;
	char name[PRINTABLE_NAME_SIZE];

	printf("%6u  ", step->size);
	switch (step->event.kind) {
	case PROBE_ANSWERED:
		printf("answered, %.3f ms", step->event.rtt_us / 1000.0);
		printf(step->probes > 1 ? " (%u probes)\n" : "\n", step->probes);
		break;
	case PROBE_TOO_BIG:
		print_too_big(&step->event);
		break;
	case PROBE_TOO_BIG_HERE:
		printf("too big for the interface %s, %u fits\n", name_printable(probing->device.name, name),
		       step->event.mtu);
		break;
	default:
		printf("no answer to %u probes, while %u bytes were answered %u times\n", step->probes,
		       step->control_size, step->controls_answered);
	}
	fflush(stdout);
}

/* Says why nothing was found. Returns the exit status. */
static int explain(const struct probing *probing)
{
	const struct probe_step *step = &probing->result.step;
	const char *host = probing->host, *address = probing->address;

	switch (probing->result.end) {
	case PROBE_NEVER_ANSWERED:
		return error("%s (%s): never answered: %u probes of %u bytes, %u ms each; is it up? ICMP echo may be "
			     "filtered there or on the way: probe another host behind the same path",
			     host, address, step->probes, step->size, probing->target.timeout_ms / 2);
	case PROBE_MINIMUM_TOO_BIG:
		if (!step->event.mtu)
			return error("%s (%s): %s says: %u bytes are too big, but not what fits%s", host, address,
				     who(&step->event), step->size, is_ipv4(probing) ? ": lower --min" : "");
		return error("%s (%s): %s says: %u bytes are too big, %u fits: %s", host, address, who(&step->event),
			     step->size, step->event.mtu,
			     is_ipv4(probing) || step->size > MTU_MIN_IPV6 ? "lower --min"
									   : "IPv6 cannot use this path (RFC 8200)");
	case PROBE_END_REFUSED:
		return error("%s (%s): %s says: %s, to a probe of %u bytes", host, address, who(&step->event),
			     step->event.says, step->event.size);
	case PROBE_PATH_CHANGED:
		return error("%s (%s): the path changed meanwhile: %s says that %u bytes are too big, which were "
			     "answered before; probe again",
			     host, address, who(&step->event), step->event.size);
	default:
		return error("%s (%s): no answer to %u probes of %u bytes, and only %u answers to %u of %u bytes: "
			     "too much is lost to tell size from loss; try again later",
			     host, address, step->probes, step->size, step->controls_answered, step->controls,
			     step->control_size);
	}
}

/* The limit, as JSON has it. A maximum that is the interface's MTU is the interface's. */
static const char *limit_name(const struct probing *probing)
{
	static const char *const names[] = {
		[PROBE_LIMIT_MAXIMUM] = "maximum",
		[PROBE_LIMIT_INTERFACE] = "interface",
		[PROBE_LIMIT_HOP] = "hop",
		[PROBE_LIMIT_BLACK_HOLE] = "black_hole",
	};

	if (probing->result.limit == PROBE_LIMIT_MAXIMUM && probing->result.mtu == probing->device.mtu)
		return names[PROBE_LIMIT_INTERFACE];
	return names[probing->result.limit];
}

/* The command that clamps for this path, for the caller to free; NULL where attach has nothing to do, or without
 * memory. */
static char *attach_command(const struct probing *probing)
{
	const char *netns = probing->options->netns, *name = probing->device.name;
	unsigned int mtu = probing->result.mtu;
	bool by_mtu = mtu >= MSSBPF_MTU_MIN;
	char *command, *printable, limit[12];

	if (probing->device.arphrd == ARPHRD_LOOPBACK)
		return NULL;
	snprintf(limit, sizeof(limit), "%u", by_mtu ? mtu : mtu - MSSBPF_IPV4_HEADERS);
	if (netns)
		command = command_of(
			WORDS("mssbpf", "attach", "--netns", netns, name, by_mtu ? "--mtu" : "--mss4", limit));
	else
		command = command_of(WORDS("mssbpf", "attach", name, by_mtu ? "--mtu" : "--mss4", limit));
	printable = command ? text_printable(command) : NULL;
	free(command);
	return printable;
}

static void print_limit(const struct probing *probing)
{
	const struct probe_result *result = &probing->result;
	const char *hop = who(&result->hop);
	char name[PRINTABLE_NAME_SIZE];

	printf("path MTU %u, ", result->mtu);
	if (!strcmp(limit_name(probing), "interface"))
		printf("limited by the interface %s of this host\n", name_printable(probing->device.name, name));
	else if (result->limit == PROBE_LIMIT_MAXIMUM)
		printf("the largest size that was to be tried\n");
	else if (result->limit == PROBE_LIMIT_BLACK_HOLE)
		printf("limited by a hop that drops larger packets and does not say so: a PMTU black hole; TCP needs "
		       "the clamp\n");
	else if (result->hop.mtu == result->mtu)
		printf("limited by %s, which says so: path MTU discovery works\n", hop);
	else if (!result->hop.mtu)
		printf("limited by %s, which says so but not what fits: path MTU discovery has to guess; TCP needs the "
		       "clamp\n",
		       hop);
	else
		printf("limited by %s, which says that %u fits: path MTU discovery %s\n", hop, result->hop.mtu,
		       result->hop.mtu < result->mtu ? "works, with smaller packets than necessary"
						     : "fails; TCP needs the clamp");
}

static void print_result(const struct probing *probing)
{
	unsigned int mtu = probing->result.mtu;
	char *command = attach_command(probing);

	print_limit(probing);
	if (mtu >= MTU_MIN_IPV6)
		printf("MSS %u (IPv4), %u (IPv6)\n", mtu - MSSBPF_IPV4_HEADERS, mtu - MSSBPF_IPV6_HEADERS);
	else
		printf("MSS %u (IPv4); IPv6 needs an MTU of 1280 and does not fit this path\n",
		       mtu - MSSBPF_IPV4_HEADERS);
	puts(command ?: "nothing to attach to: the way is the loopback interface");
	free(command);
}

static struct json_object *json_text(const char *text)
{
	return text && *text ? json_object_new_string(text) : NULL;
}

static void print_json(const struct probing *probing)
{
	const struct probe_result *result = &probing->result;
	struct probe_counts counts = probe_counts(probing->probe);
	struct json_object *object = json_object_new_object();
	bool hop = result->limit == PROBE_LIMIT_HOP;
	char *command = attach_command(probing), name[PRINTABLE_NAME_SIZE];

	json_object_object_add(object, "host", json_object_new_string(probing->host));
	json_object_object_add(object, "address", json_object_new_string(probing->address));
	json_object_object_add(object, "family", json_object_new_string(is_ipv4(probing) ? "ipv4" : "ipv6"));
	json_object_object_add(object, "mtu", json_object_new_uint64(result->mtu));
	json_object_object_add(object, "mss4", json_object_new_uint64(result->mtu - MSSBPF_IPV4_HEADERS));
	json_object_object_add(object, "mss6",
			       result->mtu < MTU_MIN_IPV6 ? NULL
							  : json_object_new_uint64(result->mtu - MSSBPF_IPV6_HEADERS));
	json_object_object_add(object, "interface", json_object_new_string(name_printable(probing->device.name, name)));
	json_object_object_add(object, "limited_by", json_object_new_string(limit_name(probing)));
	json_object_object_add(object, "hop", hop ? json_text(result->hop.from) : NULL);
	json_object_object_add(object, "hop_mtu", hop ? json_object_new_uint64(result->hop.mtu) : NULL);
	json_object_object_add(object, "min", json_object_new_uint64(probing->min));
	json_object_object_add(object, "max", json_object_new_uint64(probing->max));
	json_object_object_add(object, "sent", json_object_new_uint64(counts.sent));
	json_object_object_add(object, "lost", json_object_new_uint64(counts.lost));
	json_object_object_add(object, "attach", json_text(command));
	free(command);
	report_print_json(object);
}

static void attempt(void *context, unsigned int size, struct probe_event *event)
{
	const struct probing *probing = context;

	probe_attempt(probing->probe, size, event);
}

/* Finds the way, then the size. The socket is open. Returns an exit status. */
static int probe_path(struct probing *probing)
{
	const struct probe_path path = { .attempt = attempt,
					 .progress = probing->options->json ? NULL : print_step,
					 .context = probing };
	int status, err = probe_device(&probing->target, &probing->device);

	if (err)
		return error("%s (%s): no route to it: %s", probing->host, probing->address, strerror(-err));
	status = range_set(probing);
	if (status)
		return status;
	if (!probing->options->json) {
		printf("probing %s (%s), %s, %u to %u bytes\n", probing->host, probing->address, family_name(probing),
		       probing->min, probing->max);
		fflush(stdout);
	}
	probe_search(&path, probing->min, probing->max, probe_seed(probing->probe), &probing->result);
	if (probing->result.end != PROBE_FOUND)
		return explain(probing);
	if (probing->options->json)
		print_json(probing);
	else
		print_result(probing);
	return EXIT_DONE;
}

static int probe_run(const struct options *options)
{
	struct probing probing = { .options = options };
	int status, family;

	if (!options->interface_count)
		return usage_error(&verb_probe, "probe: which host? A name or an address is missing");
	if (options->interface_count > 1)
		return usage_error(&verb_probe, "probe: one host at a time: '%s' is one too many",
				   options->interfaces[1]);
	if (options->ipv4 && options->ipv6)
		return usage_error(&verb_probe, "probe: --ipv4 and --ipv6 exclude each other");
	if (options->min && options->max && options->min > options->max)
		return usage_error(&verb_probe, "probe: --min %u is larger than --max %u", options->min, options->max);
	probing.host = options->interfaces[0];
	probing.target.timeout_ms = options->timeout ?: TIMEOUT_DEFAULT;
	status = source_read(&probing, &family) ?: host_resolve(&probing, family);
	if (status || probe_open(&probing.target, &probing.probe))
		return status ?: EXIT_FAILED;
	status = probe_path(&probing);
	probe_close(probing.probe);
	return status;
}

const struct verb verb_probe = {
	.name = "probe",
	.arguments = "HOST",
	.summary = "find the path MTU to a host, and the attach line for it",
	.options = probe_options,
	.run = probe_run,
};
