# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
#
# bash completion for mssbpf: asks the program itself, so it knows no verb or option of its own. Where that knows
# nothing either, it offers files.

_mssbpf()
{
	local words
	words=$("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$2")
}
complete -o default -F _mssbpf mssbpf
