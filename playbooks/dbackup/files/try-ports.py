#!/usr/bin/env python3
"""Are 554/UDP and 50309/TCP open to the peer, on every heartbeat? Runs on both nodes at once.

$1 heartbeats as OWN=PEER words, $2 and $3 what the peer has on 554/UDP and 50309/TCP: `free` or `service`, $4 hactl.
Where a port is free this listens on it for some seconds, so that the peer has somebody to reach. Changes nothing.
"""
import os
import socket
import subprocess
import sys
import threading
import time

UDP, TCP = 554, 50309
HELLO, ANSWER = b'drillbook: is this port open?', b'drillbook: it is'
SECONDS = 6
pairs = [pair.split('=') for pair in sys.argv[1].split()]
peer_udp, peer_tcp, hactl = sys.argv[2:5]
end = time.monotonic() + SECONDS
met = threading.Semaphore(0)


def answer_udp(sock):
    is_met = False
    while True:
        message, sender = sock.recvfrom(100)
        if message == HELLO:
            sock.sendto(ANSWER, sender)
            if not is_met:
                met.release()
            is_met = True


def answer_tcp(sock):
    sock.accept()[0].close()
    met.release()
    while True:
        sock.accept()[0].close()


def listen(kind, address, port, answer):
    """True when somebody else is to be met here; false where a service has the port already."""
    sock = socket.socket(socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
    except OSError:
        return False
    threading.Thread(target=answer, args=(sock,), daemon=True).start()
    return True


def try_tcp(own, peer):
    try:
        socket.create_connection((peer, TCP), 1, (own, 0)).close()
        return 'open'
    except OSError as error:
        return f'closed ({error.strerror or error})'


def try_udp(own, peer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        try:
            sock.bind((own, 0))
            sock.connect((peer, UDP))
            sock.send(HELLO)
            return 'open' if sock.recv(100) == ANSWER else 'closed (something else answers)'
        except socket.timeout:
            return 'closed (no answer)'
        except OSError as error:
            return f'closed ({error.strerror or error})'


def heartbeats():
    """Heartbeats that the agents themselves have got through, as hactl tells."""
    if not os.access(hactl, os.X_OK):
        return ''
    return subprocess.run([hactl, 'status'], capture_output=True, text=True, check=False).stdout


def until_open(test, own, peer):
    while True:
        seen = test(own, peer)
        if seen == 'open' or time.monotonic() > end - 2:
            return seen
        time.sleep(0.1)


def udp_to_service(own, peer):
    """The agent answers its own peer alone: what it says of the heartbeat counts."""
    if f'heartbeat {own}-{peer}: ok' in heartbeats():
        return 'open'
    seen = try_udp(own, peer)
    return 'not proved (the agent there does not answer strangers)' if seen == 'closed (no answer)' else seen


expected = 0
for own, _ in pairs:
    expected += listen(socket.SOCK_DGRAM, own, UDP, answer_udp)
    expected += listen(socket.SOCK_STREAM, own, TCP, answer_tcp)
closed = []
for own, peer in pairs:
    tcp = try_tcp(own, peer) if peer_tcp == 'service' else until_open(try_tcp, own, peer)
    udp = udp_to_service(own, peer) if peer_udp == 'service' else until_open(try_udp, own, peer)
    for line in (f'{TCP}/TCP {own} to {peer}: {tcp}', f'{UDP}/UDP {own} to {peer}: {udp}'):
        print(line)
        if 'closed' in line:
            closed.append(line)
for _ in range(expected):
    met.acquire(timeout=max(0.0, end - time.monotonic()))
if expected:
    time.sleep(0.5)  # An answer that was lost is asked for again.
sys.exit('; '.join(closed) or 0)
