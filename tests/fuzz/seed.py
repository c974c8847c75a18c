"""Writes the seeds of the fuzzers into corpus/ from the test data of this repository: expressions
and contexts of the query scripts, rules of the rule corpus, templates. A seed's name is the hash of
its bytes, so that running this twice changes nothing."""

import hashlib
import json
import pathlib
import re

here = pathlib.Path(__file__).parent
tests = here.parent


def write(target, text):
    data = text.encode()
    folder = here / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


shapes = set()
for script in sorted((tests / "promql").glob("**/*.test")):
    text = script.read_text()
    for line in text.splitlines():
        found = re.match(r"eval\w*\s+(?:instant at \S+|range from \S+ to \S+ step \S+)\s+(.*)", line)
        if not found:
            continue
        expr = found.group(1)
        # One of each shape: names and numbers do not lead anywhere new.
        shape = re.sub(r"\d+(\.\d+)?", "0", re.sub(r'"[^"]*"', '""', expr))
        if shape in shapes:
            continue
        shapes.add(shape)
        write("promql_parse", expr)
        names = re.sub(r"\b(?!sum|avg|min|max|by|on)[a-z]\w*_\w*\b(?!\s*\()", "a_total", expr)
        write("promql_eval", names if len(shapes) % 2 else expr)
    blocks = re.split(r"\n\s*\n", text)
    for load, case in zip(blocks, blocks[1:]):
        if load.lstrip().startswith("load") and len(load) + len(case) < 600:
            write("promql_script", f"{load}\n\n{case}\n")

for file in sorted((tests / "rules" / "corpus").glob("*.yml")):
    lines = file.read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if re.match(r"\s*- (alert|record):", line)]
    for start, end in zip(starts[::3], [*starts[1::3], len(lines)]):
        rule = "\n".join(lines[start:end])
        write("rule_file", f"groups:\n- name: g\n  rules:\n{rule}\n")

for line in (tests / "rules" / "templates.jsonl").read_text().splitlines():
    write("template", json.loads(line)["template"])
