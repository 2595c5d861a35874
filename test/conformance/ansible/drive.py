"""Runs playbooks by Ansible's own command line, two at a time, each in a fork of one process that has loaded Ansible.

Standard input: {"jobs": [{"name", "arguments", "folder", "trail"}]}. Standard output: {"name", "code"} a line.
"""

import json
import os
import sys

from ansible.cli.playbook import PlaybookCLI
from ansible.plugins import loader

AT_ONCE = 2

# Loaded once, and not by each fork.
PLUGINS = (
    (loader.strategy_loader, ('linear',)),
    (loader.inventory_loader, ('yaml',)),
    (loader.cache_loader, ('memory',)),
    (loader.connection_loader, ('ssh',)),
    (loader.shell_loader, ('sh',)),
    (loader.become_loader, ('sudo',)),
    (loader.lookup_loader, ('items',)),
    (loader.action_loader, ('normal', 'raw', 'set_fact', 'assert')),
)


def load():
    for family, names in PLUGINS:
        for name in names:
            family.get(name, class_only=True)
    for family in (loader.filter_loader, loader.test_loader):
        list(family.all())


def begin(job):
    pid = os.fork()
    if pid:
        return pid
    os.chdir(job['folder'])
    os.environ['CONFORMANCE_TRAIL'] = job['trail']
    said = os.open('said', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = 250
    try:
        PlaybookCLI.cli_executor(['ansible-playbook', *job['arguments']])
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def main():
    jobs = json.load(sys.stdin)['jobs']
    load()
    waiting = list(reversed(jobs))
    running = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            job = waiting.pop()
            running[begin(job)] = job
        pid, status = os.wait()
        job = running.pop(pid)
        print(json.dumps({'name': job['name'], 'code': os.waitstatus_to_exitcode(status)}), flush=True)


main()
