"""Fake exporters: each target has a port of its own and serves the same shapes of series.

Values depend only on the target and on how many intervals passed since the first scrape by the
same client, so that every monitor sees the same numbers whatever its phase, also when it misses
a scrape. Bodies are made once per interval and shape, and compressed once.
"""

import argparse
import asyncio
import gzip
import sys
import time

SHAPES = 8
BOUNDS = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]


def lines_of(shape, series):
    """(text before the value, start, growth per interval) of each series, and comment lines."""
    out = []
    scale = series / 1000.0
    routes = max(1, round(30 * scale))

    def family(name, kind):
        out.append((f"# HELP {name} A fake {kind}.\n# TYPE {name} {kind}\n", None, None))

    family("node_cpu_seconds_total", "counter")
    modes = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"]
    for cpu in range(max(1, round(12 * scale))):
        for i, mode in enumerate(modes):
            share = 0.5 - 0.06 * shape if mode == "idle" else (0.5 + 0.06 * shape) / 7
            out.append((f'node_cpu_seconds_total{{cpu="{cpu}",mode="{mode}"}} ', 1000.25 * (i + 1), share * 5))
    family("http_requests_total", "counter")
    for route in range(routes):
        for code in ["200", "302", "404", "500"]:
            growth = {"200": 40 + route, "302": 3, "404": 1 + route % 3, "500": shape % 3}[code]
            out.append((f'http_requests_total{{code="{code}",handler="/api/v1/items/{route}",method="GET"}} ', 5000, growth))
    family("http_request_duration_seconds", "histogram")
    for route in range(routes):
        key = f'handler="/api/v1/items/{route}",method="GET"'
        total = 44 + route + shape
        for i, bound in enumerate(BOUNDS):
            part = min(1.0, (i + 1 + (7 - shape) * 0.5) / 12.0)
            growth = total if bound == "+Inf" else int(total * part)
            out.append((f'http_request_duration_seconds_bucket{{{key},le="{bound}"}} ', 100 * (i + 1), growth))
        out.append((f"http_request_duration_seconds_sum{{{key}}} ", 12.5, total * 0.125))
        out.append((f"http_request_duration_seconds_count{{{key}}} ", 1200, total))
    made = sum(1 for _, start, _ in out if start is not None)
    for i in range(max(0, series - made)):
        if i % 4 == 0:
            family(f"app_resource_{i // 4}_bytes", "gauge")
        out.append((f'app_resource_{i // 4}_bytes{{pool="p{i % 4}",region="eu-west-1"}} ', 4096.0 * i, 0))
    return out


def number(value):
    return str(int(value)) if value == int(value) else repr(round(value, 6))


class Bodies:
    def __init__(self, series):
        self.lines = [lines_of(shape, series) for shape in range(SHAPES)]
        self.made = {}

    def get(self, shape, n):
        found = self.made.get((shape, n))
        if found is None:
            text = "".join(
                key if start is None else f"{key}{number(start + growth * n)}\n"
                for key, start, growth in self.lines[shape]
            ).encode()
            found = (gzip.compress(text, 6), text)
            if len(self.made) > 64 * SHAPES:
                self.made.clear()
            self.made[(shape, n)] = found
        return found


class Exporter(asyncio.Protocol):
    def __init__(self, bodies, shape, first, interval):
        self.bodies, self.shape, self.first, self.interval = bodies, shape, first, interval
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            self.answer(head.lower())

    def answer(self, head):
        agent = b""
        for line in head.split(b"\r\n")[1:]:
            if line.startswith(b"user-agent:"):
                agent = line[11:].strip()
        now = time.monotonic()
        first = self.first.setdefault(agent, now)
        packed, plain = self.bodies.get(self.shape, round((now - first) / self.interval))
        encoding, body = (b"", plain)
        if b"gzip" in head:
            encoding, body = (b"Content-Encoding: gzip\r\n", packed)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            + encoding + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )


async def serve(options):
    bodies = Bodies(options.series)
    loop = asyncio.get_running_loop()
    ports = []
    for target in range(options.targets):
        first = {}
        make = lambda first=first, shape=target % SHAPES: Exporter(bodies, shape, first, options.interval)
        server = await loop.create_server(make, "127.0.0.1", 0, backlog=64)
        ports.append(server.sockets[0].getsockname()[1])
    print(" ".join(map(str, ports)), flush=True)
    # Ends with whoever started it.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=5)
    asyncio.run(serve(parser.parse_args()))
