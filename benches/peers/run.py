#!/usr/bin/env python3
"""Runs loadline beside Prometheus and VictoriaMetrics with vmalert on the same fake targets and
rules, and reads what each costs from /proc. See README.md beside this file."""

import argparse
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")

# What is asked of every monitor; each is a rule too.
WIDE = {
    "CpuBusy": "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) > 0.7",
    "CpuByMode": "avg by (mode) (rate(node_cpu_seconds_total[5m])) > 0.05",
    "ErrorRatio": "sum by (instance) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (instance) (rate(http_requests_total[5m])) > 0.015",
    "ErrorRatioAll": "sum(rate(http_requests_total{code=~\"5..\"}[5m])) / sum(rate(http_requests_total[5m])) > 0.01",
    "LatencyP99": "histogram_quantile(0.99, sum by (instance, le) (rate(http_request_duration_seconds_bucket[5m]))) > 8.5",
    "LatencyP99All": "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 1",
    "RequestRate": "sum by (instance) (rate(http_requests_total[5m])) > 400",
    "RequestRateByHandler": "sum by (handler) (rate(http_requests_total[5m])) > 2700",
}
# About 5 % of the series: the idle time and the errors.
NARROW = {
    "CpuBusy": WIDE["CpuBusy"],
    "CpuBusyAll": "1 - avg(rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) > 0.5",
    "Errors": "sum by (instance) (rate(http_requests_total{code=\"500\"}[5m])) > 5",
    "ErrorsAll": "sum(rate(http_requests_total{code=\"500\"}[5m])) > 5",
    "ErrorsByHandler": "sum by (handler) (rate(http_requests_total{code=\"500\"}[5m])) > 1",
    "WorstHandler": "topk(1, sum by (handler) (rate(http_requests_total{code=\"500\"}[5m]))) > 1",
    "IdleLow": "min by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) < 0.2",
    "IdleSpread": "max(rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) - min(rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) > 0.1",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


class Monitor:
    def __init__(self, name, directory):
        self.name = name
        self.dir = directory / name
        self.dir.mkdir()
        self.processes = []
        self.port = free_port()

    def start(self, *command):
        log = open(self.dir / f"log{len(self.processes)}", "wb")
        self.processes.append(subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, cwd=self.dir))

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def cpu(self):
        total = 0
        for process in self.processes:
            if process.poll() is not None:
                sys.exit(f"{self.name} ended; see {self.dir}")
            fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def memory(self):
        """Resident MiB now, of it anonymous, and the highest so far."""
        sums = {"VmRSS": 0, "RssAnon": 0, "VmHWM": 0}
        for process in self.processes:
            for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
                key = line.split(":")[0]
                if key in sums:
                    sums[key] += int(line.split()[1]) / 1024
        return sums

    def alerts(self):
        data = get(f"http://127.0.0.1:{self.alert_port()}/api/v1/alerts")["data"]["alerts"]
        keep = ("alertname", "instance", "mode", "handler")
        return sorted(
            tuple(sorted((k, v) for k, v in a["labels"].items() if k in keep))
            for a in data
            if a["state"] == "firing"
        )

    def alert_port(self):
        return self.port

    def values(self, expr, at):
        query = urllib.parse.urlencode({"query": expr, "time": at})
        data = get(f"http://127.0.0.1:{self.port}/api/v1/query?{query}")["data"]
        return {tuple(sorted(r["metric"].items())): float(r["value"][1]) for r in data["result"]}

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def rules_text(rules):
    lines = ["groups:", "- name: peers", "  rules:"]
    for name, expr in rules.items():
        lines += [f"  - alert: {name}", f"    expr: {json.dumps(expr)}", "    labels: {severity: warning}"]
    return "\n".join(lines) + "\n"


def prometheus_config(options, ports, rule_file):
    targets = ", ".join(f'"127.0.0.1:{p}"' for p in ports)
    evaluation = f", evaluation_interval: {options.evaluate}s" if rule_file else ""
    text = f"global: {{scrape_interval: {options.interval}s, scrape_timeout: {options.interval}s{evaluation}}}\n"
    if rule_file:
        text += f'rule_files: ["{rule_file}"]\n'
    return text + f"scrape_configs:\n- job_name: peers\n  static_configs:\n  - targets: [{targets}]\n"


def loadline(options, directory, ports, rules):
    m = Monitor("loadline", directory)
    rule_file = m.write("rules.yml", rules_text(rules))
    targets = ", ".join(f'"127.0.0.1:{p}"' for p in ports)
    config = m.write("loadline.toml", f"""
[global]
scrape_interval = "{options.interval}s"
scrape_timeout = "{options.interval}s"
evaluation_interval = "{options.evaluate}s"
[state]
dir = "state"
[server]
listen = "127.0.0.1:{m.port}"
[rules]
shipped = false
rule_files = ["{rule_file}"]
[host]
enabled = false
[[scrape_configs]]
job_name = "peers"
static_configs = [{{ targets = [{targets}] }}]
[[receivers]]
name = "log"
log_configs = [{{}}]
[route]
receiver = "log"
""")
    m.start(options.loadline, "run", "--config", config)
    return m


def prometheus(options, directory, ports, rules):
    m = Monitor("prometheus", directory)
    rule_file = m.write("rules.yml", rules_text(rules))
    config = m.write("prometheus.yml", prometheus_config(options, ports, rule_file))
    m.start(options.prometheus, f"--config.file={config}", f"--storage.tsdb.path={m.dir}/data",
            f"--web.listen-address=127.0.0.1:{m.port}", "--log.level=warn")
    return m


def victoria(options, directory, ports, rules):
    m = Monitor("victoriametrics", directory)
    rule_file = m.write("rules.yml", rules_text(rules))
    config = m.write("scrape.yml", prometheus_config(options, ports, None))
    m.start(options.victoria, f"-promscrape.config={config}", f"-storageDataPath={m.dir}/data",
            f"-httpListenAddr=127.0.0.1:{m.port}", "-loggerLevel=WARN", "-search.latencyOffset=0s")
    alert_port = free_port()
    m.alert_port = lambda: alert_port
    m.start(options.vmalert, f"-rule={rule_file}", f"-datasource.url=http://127.0.0.1:{m.port}",
            f"-httpListenAddr=127.0.0.1:{alert_port}", f"-evaluationInterval={options.evaluate}s",
            f"-notifier.url=http://127.0.0.1:{m.port}/nowhere", "-loggerLevel=PANIC")
    return m


def without_comparison(expr):
    return expr.rsplit(" > ", 1)[0].rsplit(" < ", 1)[0]


def differences(reference, other, rules, at):
    """What another monitor answers differently."""
    out = []
    for name, expr in rules.items():
        want = reference.values(without_comparison(expr), at)
        got = other.values(without_comparison(expr), at)
        if want.keys() != got.keys():
            out.append(f"{name}: {len(got)} elements and not {len(want)}")
            continue
        worst = max((abs(got[k] - v) / max(abs(v), 1e-9) for k, v in want.items() if not math.isnan(v)), default=0)
        if worst > 1e-3 or not want:
            out.append(f"{name}: off by {worst:.2e} of the value")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--interval", type=int, default=5, help="seconds between scrapes")
    parser.add_argument("--evaluate", type=int, default=15, help="seconds between evaluations")
    parser.add_argument("--rules", choices=["wide", "narrow"], default="wide", help="58 %% or 5 %% of the series")
    parser.add_argument("--warm", type=int, default=400, help="seconds until windows are full")
    parser.add_argument("--measure", type=int, default=120, help="seconds that are measured")
    parser.add_argument("--loadline", default=str(HERE.parents[1] / "target/release/loadline"))
    parser.add_argument("--prometheus", default=shutil.which("prometheus") or "")
    parser.add_argument("--victoria", default=shutil.which("victoria-metrics") or "")
    parser.add_argument("--vmalert", default=shutil.which("vmalert") or "")
    parser.add_argument("--keep", help="folder for configs, data and logs; default: a temporary one")
    options = parser.parse_args()

    rules = WIDE if options.rules == "wide" else NARROW
    scratch = None if options.keep else tempfile.TemporaryDirectory(prefix="peers-")
    directory = pathlib.Path(options.keep or scratch.name).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    exporters = subprocess.Popen(
        [sys.executable, HERE / "exporters.py", f"--targets={options.targets}", f"--series={options.series}", f"--interval={options.interval}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    monitors = []
    try:
        ports = exporters.stdout.readline().split()
        if options.prometheus:
            monitors.append(prometheus(options, directory, ports, rules))
        monitors.append(loadline(options, directory, ports, rules))
        if options.victoria and options.vmalert:
            monitors.append(victoria(options, directory, ports, rules))
        time.sleep(options.warm)
        before = [m.cpu() for m in monitors]
        started = time.monotonic()
        memory = [[] for _ in monitors]
        while time.monotonic() - started < options.measure:
            time.sleep(5)
            for seen, m in zip(memory, monitors):
                seen.append(m.memory())
        seconds = time.monotonic() - started
        used = [m.cpu() - b for m, b in zip(monitors, before)]
        samples = options.targets * options.series / options.interval * seconds
        at = time.time() - options.interval
        reference = monitors[0]
        rows = []
        for m, cpu, seen in zip(monitors, used, memory):
            rss = sorted(s["VmRSS"] for s in seen)[len(seen) // 2]
            anon = sorted(s["RssAnon"] for s in seen)[len(seen) // 2]
            notes = []
            if m is not reference:
                notes = differences(reference, m, rules, at)
                if m.alerts() != reference.alerts():
                    notes.append(f"{len(m.alerts())} alerts fire and not {len(reference.alerts())}, or others")
            rows.append({
                "monitor": m.name,
                "us_cpu_per_sample": round(cpu / samples * 1e6, 3),
                "rss_mib": round(rss, 1),
                "rss_anonymous_mib": round(anon, 1),
                "rss_highest_mib": round(max(s["VmHWM"] for s in seen), 1),
                "firing": len(m.alerts()),
                "equal": not notes,
                "differences": notes,
            })
        print(f"{options.targets} targets x {options.series} series / {options.interval} s, {options.rules} rules every {options.evaluate} s, {seconds:.0f} s measured")
        print(f"{'':<16} {'us CPU/sample':>13} {'RSS MiB':>8} {'anonymous':>9} {'highest':>8} {'firing':>6}  values and alerts")
        for r in rows:
            verdict = "equal" if r["equal"] else "; ".join(r["differences"])
            print(f"{r['monitor']:<16} {r['us_cpu_per_sample']:>13} {r['rss_mib']:>8} {r['rss_anonymous_mib']:>9} {r['rss_highest_mib']:>8} {r['firing']:>6}  {verdict}")
        print(json.dumps(rows))
    finally:
        for m in monitors:
            m.stop()
        exporters.stdin.close()
        exporters.wait(10)


if __name__ == "__main__":
    main()
