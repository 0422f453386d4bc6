// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reading prefixes, and finding addresses in them. Not a routing table.
 */
#include "prefix.h"

#include "cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int prefix_parse(const char *text, struct prefix *prefix)
{
	const char *slash = strchrnul(text, '/');
	char address[INET6_ADDRSTRLEN];
	unsigned int bits;

	*prefix = (struct prefix){};
	if (snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text) >= (int)sizeof(address))
		return -EINVAL;
	prefix->family = strchr(address, ':') ? MSSBPF_IPV6 : MSSBPF_IPV4;
	bits = prefix->family == MSSBPF_IPV6 ? 128 : 32;
	if (inet_pton(prefix->family == MSSBPF_IPV6 ? AF_INET6 : AF_INET, address, prefix->address) != 1)
		return -EINVAL;
	prefix->length = bits;
	return *slash && number_parse(slash + 1, 0, bits, &prefix->length) ? -EINVAL : 0;
}

bool prefix_holds(const struct prefix *prefix, enum mssbpf_family family, const unsigned char *address)
{
	unsigned int bytes = prefix->length / 8, bits = prefix->length % 8;

	if (family != prefix->family || memcmp(prefix->address, address, bytes) != 0)
		return false;
	return !bits || !((prefix->address[bytes] ^ address[bytes]) >> (8 - bits));
}
