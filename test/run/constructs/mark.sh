#!/bin/sh
echo x >> "$1"
echo "$0" | sed "s,.*/,,"
echo "$2"
