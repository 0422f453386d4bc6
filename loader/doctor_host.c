// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What doctor looks at once: the firewall, the kernel's settings, the traffic that no clamp helps. Not what belongs to
 * an interface: that is doctor_interface.c.
 */
#include "doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_nothing(struct doctor *doctor, const struct check *check)
{
	char *command = NULL;

	if (doctor->subject_count || doctor->report.count)
		return;
	if (doctor->options->netns)
		asprintf(&command, "mssbpf attach --netns %s IFACE --direction both", doctor->options->netns);
	else
		command = strdup("mssbpf attach IFACE --direction both");
	finding_add(
		doctor, check, NULL, command,
		"nothing is attached in this network namespace; IFACE is the tunnel's interface, or the one that packets "
		"leave by");
}

static void check_unread(struct doctor *doctor, const struct check *check)
{
	for (size_t i = 0; i < doctor->unread_count; i++) {
		const struct unread *unread = &doctor->unread[i];

		if (unread->err == -ENOENT)
			finding_add(
				doctor, check, NULL, NULL,
				"there are %s rules, and no program to read them by, %s: whether they clamp, too, or "
				"drop ICMP, is not known",
				unread->what, unread->program);
		else
			doctor_fail(doctor, "cannot read the %s rules by %s: %s", unread->what, unread->program,
				    unread->err == -EIO		? "it failed"
				    : unread->err == -EINVAL	? "what it prints is not understood"
				    : unread->err == -EFBIG	? "it prints more than 32 MiB"
				    : unread->err == -ETIMEDOUT ? "it takes more than 30 seconds"
								: strerror(-unread->err));
	}
}

/* The messages, and how rules of either tool let them pass. */
static const struct {
	const char *name, *nft, *iptables;
} messages[] = {
	[PACKET_TOO_BIG4] = { "ICMP \"fragmentation needed\"",
			      "icmp type destination-unreachable icmp code frag-needed accept",
			      "-p icmp --icmp-type fragmentation-needed -j ACCEPT" },
	[PACKET_TOO_BIG6] = { "ICMPv6 \"packet too big\"", "icmpv6 type packet-too-big accept",
			      "-p icmpv6 --icmpv6-type packet-too-big -j ACCEPT" },
};

/* The command that lets the message pass a chain, before all else; NULL where the chain cannot be named. */
static char *pass_command(const struct doctor *doctor, const struct fw_chain *chain, enum probe_packet packet)
{
	bool nft = !strcmp(chain->program, "nft");
	char *where = command_of(nft ? WORDS("nft", "insert", "rule", chain->family, chain->table, chain->name)
				     : WORDS(chain->program, "-t", chain->table, "-I", chain->name));
	char *command = NULL;
	bool named = !nft || (nft_takes_name(chain->table) && nft_takes_name(chain->name));

	if (where && named &&
	    asprintf(&command, "%s %s", where, nft ? messages[packet].nft : messages[packet].iptables) < 0)
		command = NULL;
	free(where);
	return doctor_command_in(doctor, command);
}

/* Tries both messages on all base chains, and tells of those that are dropped, or of those up to a rate. */
static void check_icmp(struct doctor *doctor, const struct check *check, bool limited)
{
	for (size_t i = 0; i < doctor->firewall.count; i++) {
		const struct fw_chain *base = doctor->firewall.chains[i];

		if (base->stage == STAGE_NONE || base->nat || base->hidden)
			continue;
		for (enum probe_packet packet = PACKET_TOO_BIG4; packet <= PACKET_TOO_BIG6; packet++) {
			struct fw_fate fate = firewall_fate(&doctor->firewall, base, packet);

			if (!(limited ? fate.limited : fate.dropped))
				continue;
			if (base->stage == STAGE_INPUT || base->stage == STAGE_PREROUTING)
				doctor->own_errors_lost = true;
			finding_add(
				doctor, check, NULL, pass_command(doctor, base, packet),
				"%s is %s here (%s, family %s, table %s, chain %s, %s): %s not learn that packets are "
				"too big",
				messages[packet].name, limited ? "let through only up to a rate" : "dropped",
				base->program, base->family, base->table, fate.by->name,
				fate.rule ? "by a rule" : "by its policy",
				base->stage == STAGE_INPUT ? "this host does" : "hosts do");
		}
	}
}

static void check_icmp_dropped(struct doctor *doctor, const struct check *check)
{
	check_icmp(doctor, check, false);
}

/* Reads a setting into the text, without its newline. Returns false when there is none. */
static bool setting_read(const char *name, char *text, size_t size)
{
	char path[128], *c;
	FILE *file;
	bool there;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	for (c = path + strlen("/proc/sys/"); *c; c++)
		if (*c == '.')
			*c = '/';
	file = fopen(path, "re");
	there = file && fgets(text, size, file);
	if (file)
		fclose(file);
	if (there)
		text[strcspn(text, "\n")] = '\0';
	return there;
}

static int setting_number(const char *name)
{
	char text[32];

	return setting_read(name, text, sizeof(text)) ? atoi(text) : 0;
}

/* Tells whether a list of ranges, "0-1,3-127", has the number. */
static bool ranges_have(const char *ranges, unsigned int number)
{
	while (*ranges) {
		unsigned int low, high;
		int length = strcspn(ranges, ",");
		int found = sscanf(ranges, "%u-%u", &low, &high);

		if (found && number >= low && number <= (found == 2 ? high : low))
			return true;
		ranges += length + (ranges[length] == ',');
	}
	return false;
}

/*
 * The kernel's own limits: never over IPv4 (net/ipv4/icmp.c, icmpv4_mask_allow()), whatever net.ipv4.icmp_ratelimit
 * says; over IPv6 only when type 2 is in the mask, which it is not by default (net/ipv6/icmp.c, icmpv6_mask_allow()).
 */
static void check_icmp_limited(struct doctor *doctor, const struct check *check)
{
	static const char mask_name[] = "net.ipv6.icmp.ratemask";
	char mask[256];
	int limit = setting_number("net.ipv6.icmp.ratelimit");

	check_icmp(doctor, check, true);
	if (limit <= 0 || !setting_read(mask_name, mask, sizeof(mask)) || !ranges_have(mask, 2))
		return;
	finding_add(doctor, check, NULL,
		    doctor_command(doctor, WORDS("sysctl", "-w", "net.ipv6.icmp.ratemask=0-1,3-127")),
		    "%s is %s: the kernel sends ICMPv6 \"packet too big\" (type 2) only once every %d ms to a host",
		    mask_name, mask, limit);
}

static void check_no_pmtu_disc(struct doctor *doctor, const struct check *check)
{
	static const char name[] = "net.ipv4.ip_no_pmtu_disc";
	int mode = setting_number(name);

	if (mode != 1 && mode != 2) /* 3 is discovery with stricter checks */
		return;
	finding_add(
		doctor, check, NULL, doctor_command(doctor, WORDS("sysctl", "-w", "net.ipv4.ip_no_pmtu_disc=0")),
		"%s is %d: %s", name, mode,
		mode == 1 ? "what this host sends, tunnels included, may be fragmented, and a path MTU that it is told "
			    "counts as the smallest there is"
			  : "a path MTU that this host is told is ignored: tunnels from here do not learn theirs");
}

static void check_probing_off(struct doctor *doctor, const struct check *check)
{
	static const char name[] = "net.ipv4.tcp_mtu_probing";

	if (doctor->own_errors_lost && !setting_number(name))
		finding_add(
			doctor, check, NULL,
			doctor_command(doctor, WORDS("sysctl", "-w", "net.ipv4.tcp_mtu_probing=1")),
			"%s is 0, and the ICMP messages that would help are dropped on their way to this host: its own "
			"TCP connections hang where a path is smaller",
			name);
}

static void check_probing_always(struct doctor *doctor, const struct check *check)
{
	static const char name[] = "net.ipv4.tcp_mtu_probing";

	if (setting_number(name) == 2)
		finding_add(doctor, check, NULL,
			    doctor_command(doctor, WORDS("sysctl", "-w", "net.ipv4.tcp_mtu_probing=1")),
			    "%s is 2: this host's own TCP connections begin with segments of net.ipv4.tcp_base_mss, %d "
			    "bytes, and grow; 1 does that only where packets are lost",
			    name, setting_number("net.ipv4.tcp_base_mss"));
}

static void check_quic(struct doctor *doctor, const struct check *check)
{
	if (netfilter_sees_quic())
		finding_add(
			doctor, check, NULL, NULL,
			"QUIC (UDP to port 443) passes here, and UDP has no MSS to clamp: QUIC that does not probe the "
			"path itself needs the ICMP messages that say \"too big\", or hosts with the smaller MTU: set it "
			"on their interfaces, or tell it by DHCP (option 26) and router advertisements (AdvLinkMTU)");
}

const struct check host_checks[] = {
	{ "nothing_attached", SEVERITY_ERROR, .look = check_nothing },
	{ "firewall_unread", SEVERITY_WARNING, .look = check_unread },
	{ "icmp_dropped", SEVERITY_WARNING, .look = check_icmp_dropped },
	{ "icmp_limited", SEVERITY_WARNING, .look = check_icmp_limited },
	{ "pmtu_discovery_off", SEVERITY_WARNING, .look = check_no_pmtu_disc },
	{ "mtu_probing_off", SEVERITY_WARNING, .look = check_probing_off },
	{ "mtu_probing_always", SEVERITY_INFO, .look = check_probing_always },
	{ "udp_not_clamped", SEVERITY_INFO, .look = check_quic },
	{ 0 },
};
