#!/bin/sh
# The guide's formula for /vms (3.1), in GB: the database by hosts and virtual machines, /vms with its margin, the least /vms.
# $1 hosts, $2 virtual machines, $3 margin, $4 the least that /vms must have.
awk -v hosts="$1" -v machines="$2" -v margin="$3" -v least="$4" 'BEGIN {
  database = (hosts * 10 + machines * 15) * 15 / 1024
  vms = database + margin
  printf "%.2f\n%.2f\n%.2f\n", database, vms, (vms > least ? vms : least)
}'
