"""Writes the series and rules of benches/promql.rs for a Prometheus: JOBS BASE FOLDER."""

import sys

jobs, base, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
SAMPLES = 100  # 25 minutes at 15 s

with open(f"{folder}/data.om", "w") as out:
    out.write("# TYPE m gauge\n")
    for job in range(jobs):
        for instance in range(10):
            labels = f'm{{instance="host{instance}:9100",job="j{job}"}}'
            out.write(
                "".join(
                    f"{labels} {float(i * (1 + instance))} {base + 15 * i}\n"
                    for i in range(SAMPLES)
                )
            )
    out.write("# EOF\n")

with open(f"{folder}/rules.yml", "w") as out:
    out.write("groups:\n- name: bench\n  interval: 10s\n  rules:\n")
    for job in range(jobs):
        out.write(
            f"  - alert: J{job}\n"
            f'    expr: sum by (instance) (rate(m{{job="j{job}"}}[5m])) > 1e9\n'
        )

with open(f"{folder}/prometheus.yml", "w") as out:
    out.write("global: {scrape_interval: 1h}\nrule_files: [rules.yml]\n")
