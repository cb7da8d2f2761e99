# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev exec CMD...: the build says nothing unless it fails, so that CMD's output can be piped.
[ $# -gt 0 ] || die "exec needs a command, for example: ./dev exec cuframes doctor"
{
    need exec
    build_in build cuframes
} >&2
use_build
trap - EXIT INT TERM HUP
exec "$@"
