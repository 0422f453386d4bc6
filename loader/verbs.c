// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The list of verbs. Not a place for what they do: that is cmd_*.c.
 */
#include "cli.h"

const struct verb *const verbs[] = {
	&verb_attach, &verb_detach, &verb_show,	  &verb_rule,	  &verb_stats,	  &verb_monitor, &verb_verify,
	&verb_mtu,    &verb_probe,  &verb_doctor, &verb_exporter, &verb_complete, NULL,
};
