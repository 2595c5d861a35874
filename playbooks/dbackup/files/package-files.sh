#!/bin/sh
# Names, as globs, the files of the packages of DBackup that this node has. Arguments: what their names begin with, the
# folder on the jump host, and the release; without it, of the release that is installed.
case $(uname -m) in x86_64) arch='{amd64,x86_64}' ;; *) arch='{arm64,aarch64}' ;; esac
if command -v dpkg-query >/dev/null; then
  dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' "$1-*" 2>/dev/null | sed -n 's/^installed //p'
else
  rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\n' "$1-*"
fi | while read -r name version; do
  printf '%s/%s[_-]%s[_.]%s.{deb,rpm}\n' "$2" "$name" "${3:-$version}" "$arch"
done
