"""CPU time of a Prometheus per pass over its rules, and its values:
ADDRESS PID JOBS BASE FOLDER OUR_MILLISECONDS."""

import json
import os
import sys
import time
import urllib.parse
import urllib.request

address, pid, jobs, base, folder, ours = sys.argv[1:]
jobs, base, ours = int(jobs), int(base), float(ours)


def get(path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=120) as answer:
        return answer.read().decode()


def cpu_seconds():
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def passes():
    for line in get("/metrics").splitlines():
        if line.startswith("prometheus_rule_group_iterations_total{"):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def next_pass(after):
    while (now := passes()) <= after:
        time.sleep(0.2)
    return now


# The first pass reads the blocks for the first time; it is left out.
started = next_pass(next_pass(passes()))
before = cpu_seconds()
ended = started
while ended < started + 3:
    ended = next_pass(ended)
per_pass = (cpu_seconds() - before) / (ended - started) * 1000
print(f"cpu_ms {per_pass:.0f} a pass, idle work included")
print(f"ratio {ours / per_pass:.3f}")

lines = []
for job in range(min(jobs, 20)):
    query = f'sum by (instance) (rate(m{{job="j{job}"}}[5m]))'
    when = base + 15 * 19
    path = "/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": when})
    for element in json.loads(get(path))["data"]["result"]:
        value = float(element["value"][1])
        lines.append(f"value {job} {element['metric']['instance']} {value:.9g}")
theirs = sorted(lines)
mine = open(f"{folder}/ours.values").read().splitlines()
if theirs == mine:
    print(f"values: {len(mine)} equal")
else:
    for a, b in zip(mine, theirs):
        if a != b:
            print(f"values differ: {a} here, {b} there")
            break
    sys.exit(1)
