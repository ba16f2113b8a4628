#!/usr/bin/env bash
# Installs a CMake build into an empty folder, then builds one program against it with pkg-config
# and one with find_package, and runs both.  installed.sh BUILD_FOLDER CONSUMER_FOLDER
set -euo pipefail
build=$1 consumer=$2
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix/installed" >/dev/null
# An installed tree can be moved.
mv "$prefix/installed" "$prefix/moved"
pc=$(find "$prefix/moved" -name stacklens.pc)
export PKG_CONFIG_PATH="${pc%/*}"
lib=$(pkg-config --variable=libdir stacklens)

# shellcheck disable=SC2046 # pkg-config prints words
cc -std=c99 -o "$prefix/with-pkg-config" "$consumer/consumer.c" \
  $(pkg-config --cflags --libs stacklens)
LD_LIBRARY_PATH="$lib" "$prefix/with-pkg-config"

cmake -S "$consumer" -B "$prefix/build" -DCMAKE_PREFIX_PATH="$prefix/moved" >/dev/null
cmake --build "$prefix/build" >/dev/null
"$prefix/build/consumer"
