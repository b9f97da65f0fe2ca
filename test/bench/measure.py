"""Runs one command and prints what its whole process tree cost, as JSON.

measure.py COMMAND ARG...   with REL_BENCH_CWD as its directory. Output of the command is discarded.
"""
import json
import os
import sys
import time

folder = os.environ.get('REL_BENCH_CWD')
if folder:
    os.chdir(folder)
started = time.perf_counter()
child = os.fork()
if child == 0:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError:
        os._exit(127)
_, status, usage = os.wait4(child, 0)
print(json.dumps({
    'wall': time.perf_counter() - started,
    'cpu': usage.ru_utime + usage.ru_stime,
    'peak': usage.ru_maxrss / 1024,
    'exit': os.waitstatus_to_exitcode(status),
}))
