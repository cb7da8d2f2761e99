# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev build
[ $# -eq 0 ] || die "build takes no argument"
need build
build_in build cuframes
say "The build is in build/; ./dev exec CMD... runs CMD with it."
