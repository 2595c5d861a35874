import type { Context } from '../../core/module.ts';
import { must, succeeded } from '../_sh.ts';

/** Where corosync-qnetd-certutil(8) and corosync-qdevice-net-certutil(8) keep what they make. */
const SERVER = '/etc/corosync/qnetd/nssdb';
const NODE = '/etc/corosync/qdevice/net/nssdb';
const INCOMING = '/etc/corosync/qdevice/.drillbook';

/** Prints the certificate of the server's authority; nothing where there is none, or none for the server itself. */
export const AUTHORITY = `
certutil -L -d ${SERVER} -n 'QNetd Cert' >/dev/null 2>&1 || exit 0
certutil -L -d ${SERVER} -n 'QNet CA' -a
`;

/**
 * `authority SHA256` of what the node takes for the server's authority, and `ours` where it has a key with a
 * certificate of that authority for cluster `$1`.
 */
export const HELD = `
[ -e ${NODE}/cert9.db ] || [ -e ${NODE}/cert8.db ] || exit 0
certutil -L -d ${NODE} -n 'QNet CA' -a >/dev/null 2>&1 || exit 0
echo "authority $(certutil -L -d ${NODE} -n 'QNet CA' -a | sha256sum | cut -d' ' -f1)"
certutil -L -d ${NODE} -n 'Cluster Cert' 2>/dev/null | grep -qxF "        Subject: \\"CN=$1\\"" &&
  certutil -V -d ${NODE} -u C -n 'Cluster Cert' >/dev/null 2>&1 &&
  certutil -K -d ${NODE} 2>/dev/null | grep -qF 'Cluster Cert' && echo ours
exit 0
`;

/** One that was left half made never signed anything. Debian's daemon is no root, and its package sets the rights itself. */
const FOUND = `
if ! certutil -L -d ${SERVER} -n 'QNetd Cert' >/dev/null 2>&1; then
  rm -f ${SERVER}/*
  corosync-qnetd-certutil -i >&2 || exit
  ! getent group coroqnetd >/dev/null || { chgrp -R coroqnetd ${SERVER} && chmod -R g+rX ${SERVER}; } || exit
fi
certutil -L -d ${SERVER} -n 'QNet CA' -a
`;
/** Standard input: the certificate of the authority. */
const BEGIN = `
systemctl -q is-active corosync-qdevice && { systemctl stop corosync-qdevice || exit; }
umask 077
rm -rf ${NODE} && mkdir -p ${NODE} && cat >${INCOMING} || exit
corosync-qdevice-net-certutil -i -c ${INCOMING} >&2
code=$?; rm -f ${INCOMING}; exit $code
`;
const REQUEST = `corosync-qdevice-net-certutil -r -n "$1" >&2 && base64 ${NODE}/qdevice-net-node.crq`;
/** Standard input: the request. */
const SIGN = `
crq=$(mktemp) && base64 -d >"$crq" || exit
corosync-qnetd-certutil -s -c "$crq" -n "$1" >&2
code=$?; rm -f "$crq"
[ $code != 0 ] || base64 "${SERVER}/cluster-$1.crt"
exit $code
`;
/** Standard input: the signed certificate. */
const TAKE = `
base64 -d >${INCOMING} && corosync-qdevice-net-certutil -M -c ${INCOMING} >&2
code=$?; rm -f ${INCOMING} ${NODE}/qdevice-net-node.p12; exit $code
`;
const EXPORT = `
umask 077
pk12util -d ${NODE} -o ${INCOMING} -W '' -n 'Cluster Cert' >&2 && base64 ${INCOMING}
code=$?; rm -f ${INCOMING}; exit $code
`;
/** Standard input: certificate and key of another node. */
const IMPORT = `
umask 077
base64 -d >${INCOMING} && corosync-qdevice-net-certutil -m -c ${INCOMING} >&2
code=$?; rm -f ${INCOMING}; exit $code
`;
export const FORGET = `rm -rf ${NODE}`;

const done = async (ctx: Context, what: string, script: string, given: Given = {}): Promise<string> =>
  succeeded(`${what} ${ctx.host.name}`, await ctx.job(script, { ...given, isRepeatable: true }));
interface Given {
  readonly args?: readonly string[];
  readonly stdin?: string;
}

/** Makes the server's authority where there is none; its certificate. */
export const found = (server: Context): Promise<string> =>
  done(server, 'No authority for certificates was made on', FOUND);

/**
 * The nodes that are off get the server's authority and a certificate with its key for the cluster: that of `keeper`, or a
 * new one. What passes by here is never written down.
 */
export async function certify(
  server: Context,
  authority: string,
  cluster: string,
  off: readonly Context[],
  keeper: Context | undefined,
): Promise<void> {
  for (const node of off)
    await done(node, 'The certificate of the quorum device was not taken by', BEGIN, { stdin: authority });
  const [first, ...others] = off;
  if (first === undefined) return;
  const made = keeper ?? first;
  if (keeper === undefined) {
    const request = await done(first, 'No certificate could be asked for by', REQUEST, { args: [cluster] });
    const signed = await done(server, 'The certificate of the cluster was not signed by', SIGN, {
      args: [cluster],
      stdin: request,
    });
    await done(first, 'The certificate of the cluster was not taken by', TAKE, { stdin: signed });
  }
  const rest = keeper === undefined ? others : off;
  if (rest.length === 0) return;
  const bundle = await must(made, `The certificate cannot be read on ${made.host.name}`, EXPORT);
  for (const node of rest)
    await done(node, 'The certificate of the cluster was not taken by', IMPORT, { stdin: bundle });
}
