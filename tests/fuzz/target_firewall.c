// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer: what nft and iptables-save print, each part as the first byte of the input says, and the ways of packets
 * through the rules that come of it.
 */
#include <firewall.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void count_rule(const struct fw_chain *chain, struct fw_rule *rule, void *context)
{
	if (!rule->sets_mss || !chain->name)
		abort();
	++*(size_t *)context;
}

static void follow(struct firewall *firewall)
{
	size_t clamps = 0;

	for (size_t i = 0; i < firewall->count; i++)
		for (int packet = 0; packet < PACKETS; packet++) {
			struct fw_fate fate = firewall_fate(firewall, firewall->chains[i], packet);

			if (fate.dropped && !fate.by)
				abort();
		}
	for (int direction = 0; direction < MSSBPF_DIRECTIONS; direction++)
		firewall_clamps(firewall, "ppp0", direction, count_rule, &clamps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct firewall firewall = {};
	char *text;

	if (size < 1)
		return -1;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		abort();
	if (data[0] & 1)
		firewall_read_nft(&firewall, text, strlen(text));
	else
		firewall_read_iptables(&firewall, "iptables", data[0] & 2 ? "ip" : "ip6", text);
	follow(&firewall);
	firewall_free(&firewall);
	free(text);
	return 0;
}
