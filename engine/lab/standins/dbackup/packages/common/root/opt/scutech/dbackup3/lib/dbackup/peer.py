"""Stand-in for DBackup: asking the other node, over every heartbeat (554/UDP)."""
import json
import os
import select
import socket
import time

from dbackup.files import HEARTBEAT_PORT, PORT


def ask(info, request, seconds=0.3, is_first_enough=False):
    """Replies by heartbeat (own address, peer's address); None where none came."""
    replies = {link: None for link in info.links}
    nonce = os.urandom(8).hex()
    message = json.dumps({'uuid': info.uuid, 'nonce': nonce, **request}).encode()
    waiting = {}
    for link in info.links:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind((link[0], 0))
            sock.connect((link[1], HEARTBEAT_PORT))
            sock.send(message)
            waiting[sock] = link
        except OSError:
            sock.close()
    deadline = time.monotonic() + seconds
    while waiting and time.monotonic() < deadline:
        for sock in select.select(list(waiting), [], [], max(0.0, deadline - time.monotonic()))[0]:
            reply = receive(sock, nonce)
            replies[waiting.pop(sock)] = reply
            sock.close()
            if reply and is_first_enough:
                deadline = 0
    for sock in waiting:
        sock.close()
    return replies


def receive(sock, nonce):
    """A reply to this very question, or None (closed port, or nonsense)."""
    try:
        reply = json.loads(sock.recv(65536))
    except (OSError, ValueError):
        return None
    return reply if reply.get('nonce') == nonce else None


def ask_one(info, request, seconds=0.3):
    """The first reply over any heartbeat, or None."""
    return next((reply for reply in ask(info, request, seconds, is_first_enough=True).values() if reply), None)


def find_peer(info, request):
    """The same before a decision: when the peer's agent is silent, its backupd is asked for its role."""
    reply = ask_one(info, request)
    pages = (get(other, '/status.json', 0.3, own) for own, other in ([] if reply else info.links))
    page = next((page for page in pages if page), None)
    return {'role': page.get('role'), 'database': 'unknown'} if page else reply


def get(address, path, seconds, source=''):
    """JSON of backupd's page at an address, or None."""
    try:
        with socket.create_connection((address, PORT), seconds, (source, 0) if source else None) as sock:
            sock.settimeout(seconds)
            sock.sendall(f'GET {path} HTTP/1.0\r\n\r\n'.encode())
            answer = b''
            while chunk := sock.recv(65536):
                answer += chunk
        return json.loads(answer.split(b'\r\n\r\n', 1)[1])
    except (OSError, ValueError, IndexError):
        return None
