"""GeoJSON of a million polygons: ours against geopandas 1.2.0 (pyogrio 0.13.0, shapely 2), same file,
same machine.

    cargo build --release -p cleanslide-data --example bench_geojson
    python benches/peers/geojson.py [--json PATH] [--count N]

The file is QuPath's kind: polygons of 16 points with two decimals, an id, a class with colour and a
measurement. Ours and the peer alternate, each run in a process of its own with two threads; times
are without the start of the process. Ours reads every feature into an object one after the other,
geopandas into a frame; writing is from memory. Memory is the highest resident size of the process
while reading. Stops if the numbers of features or the sums of areas (by more than 1e-6 of them) differ.

Prints what, ours, peer, ratio (medians; ratios are ours / peer, below 1 is better).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import paired

COMMAND = "just bench-peers"
THREADS = "2"
ENVIRONMENT = {
    **os.environ,
    **{name: THREADS for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "GDAL_NUM_THREADS")},
}


def peer(what, source, target):
    """Runs geopandas in this process."""
    import time

    import geopandas

    start = time.perf_counter()
    frame = geopandas.read_file(source)
    if what == "write":
        start = time.perf_counter()
        frame.to_file(target, driver="GeoJSON")
    seconds = time.perf_counter() - start
    area = float(frame.geometry.area.sum())
    print(json.dumps({"seconds": seconds, "features": len(frame), "area": area}))


def run(command):
    """The answer of a process and its highest memory in MB."""
    measured = [
        sys.executable, "-c",
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)",
        *command,
    ]
    done = subprocess.run(measured, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    answer, memory = done.stdout.splitlines()[-2:]
    return json.loads(answer), float(memory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("--binary", default=f"{target}/release/examples/bench_geojson")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("read", "write"), help="one of the two: writing takes longest")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(*options.peer)

    claims = []
    print("what, ours, peer, ratio")
    with tempfile.TemporaryDirectory() as folder:
        source = f"{folder}/source.geojson"
        subprocess.run([options.binary, "make", str(options.count), source], check=True)
        size = os.path.getsize(source) / 1e6
        for what in [options.only] if options.only else ["read", "write"]:
            arguments = [source] if what == "read" else [source, f"{folder}/ours.geojson"]
            ours, theirs, memories = [], [], []
            for _ in range(options.runs):
                mine, my_memory = run([options.binary, what, *arguments])
                other, other_memory = run([
                    sys.executable, __file__, "--peer", what, source, f"{folder}/theirs.geojson",
                ])
                if mine["features"] != other["features"]:
                    sys.exit("different numbers of features")
                if what == "read" and abs(mine["area"] / other["area"] - 1) > 1e-6:
                    sys.exit("different areas")
                ours.append(mine["seconds"])
                theirs.append(other["seconds"])
                memories.append((my_memory, other_memory))
            name = f"{what} {options.count} polygons of GeoJSON vs geopandas"
            line = paired.claim(name, "time ratio", ours, theirs, COMMAND)
            claims.append(line)
            print(
                f"{what} ({size:.0f} MB), {statistics.median(ours):.2f} s, "
                f"{statistics.median(theirs):.2f} s, {paired.show(line)}",
                flush=True,
            )
            if what == "read":
                mine, other = zip(*memories, strict=True)
                memory_name = f"{what} {options.count} polygons of GeoJSON, peak memory, vs geopandas"
                line = paired.claim(memory_name, "memory ratio", mine, other, COMMAND)
                claims.append(line)
                print(
                    f"memory of reading, {statistics.median(mine):.0f} MB, "
                    f"{statistics.median(other):.0f} MB, {paired.show(line)}",
                    flush=True,
                )
    paired.write(options.json, claims)


main()
