/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is wrong with pins and programs, in words. Not where it is found out.
 */
#ifndef MSSBPF_PINS_COMPLAIN_H
#define MSSBPF_PINS_COMPLAIN_H

/* Says why a folder of pins cannot be read. Returns err. */
int pins_complain(const char *folder, int err);

/* Names the feature that is missing when the kernel does not take the programs. */
void programs_complain(const char *where, int err);

#endif
