#!/bin/sh
# The browser tests want Chromium and Firefox. On Debian and Ubuntu this installs them, where we may; elsewhere they say what
# is missing.
wanted=
command -v chromium >/dev/null 2>&1 || wanted="chromium fonts-liberation"
command -v firefox >/dev/null 2>&1 || command -v firefox-esr >/dev/null 2>&1 || wanted="$wanted firefox-esr"
[ -n "$wanted" ] || exit 0
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || exit 0
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null
