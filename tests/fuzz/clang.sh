#!/bin/sh
# The fuzz targets want clang with libFuzzer. On Debian and Ubuntu this installs it, where we may; elsewhere run.py says
# what is missing.
fuzzes() { ls "$(clang -print-runtime-dir 2>/dev/null)"/libclang_rt.fuzzer*.a >/dev/null 2>&1; }
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }

fuzzes && exit 0
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || exit 0
apt-get update -qq && install clang llvm
fuzzes || install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
