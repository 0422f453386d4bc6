// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * IPsec states as layers: which encapsulation, cipher and digest the kernel has installed. Asks for states
 * only; which policy a packet meets is the kernel's to decide.
 */
#include "ways.h"

#include "cli.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state {
	struct address local, remote;
	unsigned int if_id;
	struct xfrm_mark mark;
	unsigned int output_mark;	  /* that its packets get, for the route of the outer ones */
	unsigned char mode;		  /* XFRM_MODE_* */
	unsigned char protocol;		  /* that its selector asks for; 0: any */
	char layers[LAYER_NAME_SIZE + 8]; /* "natt/esp:aes-gcm-16"; "" when they are unknown */
	char unknown[128];		  /* what of it is */
};

struct states {
	struct state *list;
	size_t count;
};

static struct address address_read(const xfrm_address_t *address, unsigned short family)
{
	return address_of(address, family == AF_INET ? sizeof(address->a4) : sizeof(address->a6));
}

static const char *digest_name(const char *kernel, unsigned int bits)
{
	for (const struct digest *digest = digests; digest->name; digest++)
		if (!strcmp(digest->kernel, kernel) && digest->icv * 8U == bits)
			return digest->name;
	return NULL;
}

/* An algorithm, whose struct of that size begins with its name; NULL when there is none. */
static const void *algorithm_read(const struct nlattr *attribute, size_t size)
{
	const char *name = attribute_bytes(attribute, size);

	return name && memchr(name, '\0', sizeof(((struct xfrm_algo *)NULL)->alg_name)) ? name : NULL;
}

/* Finds the digest of a state: "none" when it has none, NULL when it is an unknown one. */
static const char *digest_read(const struct nlattr *const *parts, struct state *state)
{
	const struct xfrm_algo_auth *auth;
	const char *name;

	auth = algorithm_read(parts[XFRMA_ALG_AUTH_TRUNC], sizeof(*auth));
	if (!auth)
		return "none";
	name = digest_name(auth->alg_name, strcmp(auth->alg_name, "digest_null") ? auth->alg_trunc_len : 0);
	if (!name)
		snprintf(state->unknown, sizeof(state->unknown), "digest %s with %u bits", auth->alg_name,
			 auth->alg_trunc_len);
	return name;
}

static void esp_read(const struct nlattr *const *parts, const char *outside, struct state *state)
{
	const struct xfrm_algo_aead *aead = algorithm_read(parts[XFRMA_ALG_AEAD], sizeof(*aead));
	const struct xfrm_algo *crypt = algorithm_read(parts[XFRMA_ALG_CRYPT], sizeof(*crypt));
	const struct cipher *cipher = ciphers;
	const char *digest = digest_read(parts, state);

	while (cipher->name &&
	       !(aead && !strcmp(cipher->kernel, aead->alg_name) && cipher->icv * 8U == aead->alg_icv_len) &&
	       !(crypt && !strcmp(cipher->kernel, crypt->alg_name) &&
		 (!cipher->key || cipher->key == crypt->alg_key_len)))
		cipher++;
	if (!cipher->name)
		snprintf(state->unknown, sizeof(state->unknown), "cipher %s",
			 aead	 ? aead->alg_name
			 : crypt ? crypt->alg_name
				 : "");
	else if (digest)
		snprintf(state->layers, sizeof(state->layers), "%sesp:%s%s%s", outside, cipher->name, aead ? "" : "+",
			 aead ? "" : digest);
}

/* Linux pads AH to 8 bytes over IPv4, too, unless it is told otherwise (net/ipv4/ah4.c, ah_init_state()). */
static void ah_read(const struct nlattr *const *parts, bool align4, struct state *state)
{
	const char *digest = digest_read(parts, state);

	if (digest)
		snprintf(state->layers, sizeof(state->layers), "ah:%s%s", digest, align4 ? "" : ":align8");
}

static void layers_read(const struct xfrm_usersa_info *info, const struct nlattr *const *parts, struct state *state)
{
	const struct xfrm_encap_tmpl *encap = attribute_bytes(parts[XFRMA_ENCAP], sizeof(*encap));

	if (encap && encap->encap_type != UDP_ENCAP_ESPINUDP)
		snprintf(state->unknown, sizeof(state->unknown), "encapsulation of type %u", encap->encap_type);
	else if (info->id.proto == IPPROTO_ESP)
		esp_read(parts, encap ? "natt/" : "", state);
	else if (info->id.proto == IPPROTO_AH)
		ah_read(parts, info->flags & XFRM_STATE_ALIGN4, state);
	else
		snprintf(state->unknown, sizeof(state->unknown), "IP protocol %u", info->id.proto);
}

static int state_read(const struct nlmsghdr *message, void *context)
{
	const struct xfrm_usersa_info *info = message_header(message, sizeof(*info));
	const struct nlattr *parts[XFRMA_MAX + 1] = {};
	const struct xfrm_mark *mark;
	struct states *states = context;
	struct state *grown, *state;

	/* Without SPI it is still being negotiated, and says nothing yet (net/xfrm/xfrm_state.c, XFRM_STATE_ACQ). */
	if (message->nlmsg_type != XFRM_MSG_NEWSA || !info || !info->id.spi)
		return MNL_CB_OK;
	grown = reallocarray(states->list, states->count + 1, sizeof(*grown));
	if (!grown) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	states->list = grown;
	state = &grown[states->count++];
	attributes_of_message(message, sizeof(*info), parts, XFRMA_MAX + 1);
	*state = (struct state){
		.local = address_read(&info->saddr, info->family),
		.remote = address_read(&info->id.daddr, info->family),
		.mode = info->mode,
		.protocol = info->sel.proto,
		.if_id = attribute_number(parts[XFRMA_IF_ID]),
		.output_mark = attribute_number(parts[XFRMA_SET_MARK]),
	};
	mark = attribute_bytes(parts[XFRMA_MARK], sizeof(*mark));
	if (mark)
		state->mark = *mark;
	if (parts[XFRMA_SET_MARK_MASK])
		state->output_mark &= attribute_number(parts[XFRMA_SET_MARK_MASK]);
	layers_read(info, parts, state);
	return MNL_CB_OK;
}

/* Lists the states of all directions; the caller frees the list. */
static int states_get(struct states *states)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	int err;

	request->nlmsg_type = XFRM_MSG_GETSA;
	request->nlmsg_flags = NLM_F_DUMP;
	do { /* -EINTR: states came or went meanwhile */
		*states = (struct states){};
		err = netlink_ask(NETLINK_XFRM, request, state_read, states);
		if (err)
			free(states->list);
	} while (err == -EINTR);
	return err;
}

static bool address_matches(const struct address *wanted, const struct address *address)
{
	return !wanted->family || (wanted->family == address->family &&
				   !memcmp(wanted->bytes, address->bytes, wanted->family == AF_INET ? 4 : 16));
}

static bool state_matches(const struct state *state, const struct xfrm_filter *filter)
{
	return state->if_id == filter->if_id && (filter->mark & state->mark.m) == state->mark.v &&
	       address_matches(&filter->local, &state->local) && address_matches(&filter->remote, &state->remote);
}

/* Tells whether packets leave through the state: its remote end is not this host. */
static bool state_is_outgoing(const struct state *state)
{
	const struct flow flow = { .remote = state->remote };
	struct route route;

	return route_get(&flow, &route) || !route.local;
}

int xfrm_tunnel_ways(const struct device *device, const struct xfrm_filter *filter, struct ways *ways)
{
	struct states states;
	int err = states_get(&states);

	if (err) {
		error("%s: cannot read the IPsec states: %s%s", device->name, strerror(-err),
		      err == -EPERM ? "; this takes CAP_NET_ADMIN" : "");
		return err;
	}
	for (size_t i = 0; i < states.count && !err; i++) {
		const struct state *state = &states.list[i];
		struct way way = { .kind = WAY_ROUTED };

		if (state->mode == XFRM_MODE_TRANSPORT || !state_matches(state, filter) || !state_is_outgoing(state))
			continue;
		if (!*state->layers) {
			error("%s: its IPsec state has an unknown %s: give the MTU with --mtu", device->name,
			      state->unknown);
			err = -EOPNOTSUPP;
			break;
		}
		way.flow = (struct flow){
			.remote = state->remote, .local = state->local, .mark = state->output_mark, .oif = filter->oif
		};
		snprintf(way.layers, sizeof(way.layers), "%s/%s", state->remote.family == AF_INET ? "ipv4" : "ipv6",
			 state->layers);
		err = ways_add(ways, &way);
	}
	free(states.list);
	if (!err && !ways->count) {
		error("%s: no IPsec state for it is installed: what it adds to packets is not known before it is up; "
		      "give --mtu, or --underlay-mtu and --encap",
		      device->name);
		err = -ENOENT;
	}
	return err;
}

int xfrm_transport_layers(const struct flow *flow, char layers[STACK_TEXT_SIZE])
{
	const struct xfrm_filter filter = { .mark = flow->mark, .local = flow->local, .remote = flow->remote };
	char text[ADDRESS_TEXT_SIZE];
	struct states states;
	int err = states_get(&states);

	*layers = '\0';
	if (err)
		return err == -EPERM || err == -EPROTONOSUPPORT ? 0 : err;
	for (size_t i = 0; i < states.count; i++) {
		const struct state *state = &states.list[i];

		if (state->mode != XFRM_MODE_TRANSPORT || !state_matches(state, &filter) ||
		    (state->protocol && state->protocol != flow->protocol))
			continue;
		if (!*state->layers)
			warning("the IPsec state to %s has an unknown %s: what it adds is not counted",
				address_text(&state->remote, text), state->unknown);
		snprintf(layers, STACK_TEXT_SIZE, "%s", state->layers);
	}
	free(states.list);
	return 0;
}
