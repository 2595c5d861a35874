#!/bin/sh
# Names, as globs, the files of packages for this node. Arguments: the folder on the jump host, the release (empty: the one
# of each line), and the packages, a line `NAME RELEASE` each.
case $(uname -m) in x86_64) arch='{amd64,x86_64}' ;; *) arch='{arm64,aarch64}' ;; esac
printf '%s\n' "$3" | while read -r name release; do
  printf '%s/%s[_-]%s[_.]%s.{deb,rpm}\n' "$1" "$name" "${2:-$release}" "$arch"
done
