#!/bin/sh
# The browser tests want Chromium, Firefox and WebKit. On Debian and Ubuntu this installs them, where we may; elsewhere they
# say what is missing.
wanted=
want() { command -v "$1" >/dev/null 2>&1 || { shift; wanted="$wanted $*"; }; }
want chromium chromium fonts-liberation
command -v firefox >/dev/null 2>&1 || want firefox-esr firefox-esr
want WebKitWebDriver webkit2gtk-driver
want Xvfb xvfb
[ -n "$wanted" ] || exit 0
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || exit 0
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null
