#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#
# The step of action.yml: $FREEZERCTL_RUN in bash, as the user that this runs as, in a cgroup that only
# root may make here.
set -eu
options="--timeout ${FREEZERCTL_TIMEOUT:-infinity} --grace ${FREEZERCTL_GRACE:-1s}"
[ "${FREEZERCTL_FAIL_ON_LEFTOVER:-true}" != true ] || options="$options --fail-on-leftover"
# sudo would set another PATH.
as_root=
[ "$(id -u)" = 0 ] || as_root="sudo -E env PATH=$PATH"
exec $as_root "${FREEZERCTL:-freezerctl}" run $options -- \
	setpriv --reuid="$(id -u)" --regid="$(id -g)" --init-groups -- \
	bash -eo pipefail -c "$FREEZERCTL_RUN"
