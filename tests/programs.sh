#!/bin/sh
# What tests want and pip does not bring: Chromium, Firefox and WebKit, and Prometheus' own check of alerts. On Debian and
# Ubuntu this installs them, where we may (RUNLEVEL: and starts no service); elsewhere the tests say what is missing.
wanted=
want() { command -v "$1" >/dev/null 2>&1 || { shift; wanted="$wanted $*"; }; }
want chromium chromium fonts-liberation
command -v firefox >/dev/null 2>&1 || want firefox-esr firefox-esr
want WebKitWebDriver webkit2gtk-driver
want Xvfb xvfb
want promtool prometheus
[ -n "$wanted" ] || exit 0
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || exit 0
apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null
