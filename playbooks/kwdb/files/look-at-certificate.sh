#!/bin/sh
# What is wrong with the certificate of a node, one fault a line; nothing where it will do. Changes nothing.
# $1 folder of the certificates, $2 the addresses and names that it has to be for, with spaces between.
if ! cd "$1" 2>/dev/null || ! [ -e node.crt ] || ! [ -e node.key ]; then
  echo 'there is none'
  exit
fi
openssl verify -CAfile ca.crt node.crt >/dev/null 2>&1 || echo 'it is not of this CA, or out of date'
openssl x509 -in node.crt -noout -checkend $((30 * 86400)) >/dev/null || echo 'it ends within 30 days'
[ "$(openssl x509 -in node.crt -noout -pubkey)" = "$(openssl pkey -in node.key -pubout)" ] || echo 'its key is another'
for name in $2; do
  case $name in
    *:* | [0-9]*.*[0-9]) openssl x509 -in node.crt -noout -checkip "$name" ;;
    *) openssl x509 -in node.crt -noout -checkhost "$name" ;;
  esac | grep -q 'does match' || echo "it is not for $name"
done
