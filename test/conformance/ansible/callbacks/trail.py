"""What became of each task on each host, one JSON object a line, in the file $CONFORMANCE_TRAIL."""

import json
import os

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'trail'

    def _tell(self, **line):
        with open(os.environ['CONFORMANCE_TRAIL'], 'a') as trail:
            trail.write(json.dumps(line) + '\n')

    def _ended(self, outcome, result, **more):
        name = result._task_fields.get('name') or result._task.get_name()
        self._tell(task=name, host=result._host.get_name(), outcome=outcome, **more)

    def _item(self, outcome, result):
        label = result._result.get('ansible_loop_var', 'item')
        self._ended(outcome, result, item=result._result.get(label))

    def v2_runner_on_ok(self, result):
        self._ended('changed' if result._result.get('changed') else 'ok', result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._ended('failed', result)

    def v2_runner_on_skipped(self, result):
        self._ended('skipped', result)

    def v2_runner_on_unreachable(self, result):
        self._ended('unreachable', result)

    def v2_runner_item_on_ok(self, result):
        self._item('changed' if result._result.get('changed') else 'ok', result)

    def v2_runner_item_on_failed(self, result):
        self._item('failed', result)

    def v2_runner_item_on_skipped(self, result):
        self._item('skipped', result)

    def v2_playbook_on_stats(self, stats):
        for host in stats.processed:
            forgiven = stats.rescued.get(host, 0) + stats.ignored.get(host, 0)
            if forgiven:
                self._tell(host=host, forgiven=forgiven)
