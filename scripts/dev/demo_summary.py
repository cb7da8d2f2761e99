# SPDX-License-Identifier: LGPL-2.1-or-later
"""demo_summary.py DIRECTORY READER...: the end of ./dev demo, from what its processes have left.

Exit status 1 if a promise was not kept: a torn or differing picture, a second decoder or
connection, a reader without frames, or a copy of the demonstration's own camera's pictures (there
are inputs whose decoders cannot write into foreign memory).
"""
import json
import pathlib
import sys


def load(path):
    return json.loads(path.read_text())


def checksums(path):
    """Checksum of each sequence number that a reader saw."""
    return dict(line.split() for line in path.read_text().splitlines())


def differing(sums):
    """Sequence numbers seen by at least two readers, and those that they saw differently."""
    every = {seq for one in sums for seq in one}
    seen = {seq: [one[seq] for one in sums if seq in one] for seq in every}
    shared = [seq for seq, values in seen.items() if len(values) > 1]
    return len(shared), sum(len(set(seen[seq])) > 1 for seq in shared)


def connections(directory, processes):
    """Since the start by the camera's own count, or open now by that of the kernel."""
    camera = directory / "camera.out"
    if camera.exists():
        answers = [line.split() for line in camera.read_text().splitlines()
                   if line.startswith("CLIENTS")]
        return int(answers[-1][2]), "connections to the camera (its own count)"
    what = "times the file is open" if processes["is_file"] else "TCP connections to the input"
    return processes["inputs"], what


def isolation(directory):
    mine = (directory / "own.ns").read_text().split()
    try:
        its = (directory / "isolated.ns").read_text().split()
    except OSError:
        return 0
    return sum(name not in mine for name in its)


def readers_line(namespaces):
    if namespaces == 0:
        return "readers, all in the same namespaces (this machine does not allow new ones)"
    return f"readers, one of them with {namespaces} namespaces of its own"


def main(directory, names):
    results = [load(directory / f"{name}.json") for name in names]
    processes = load(directory / "processes.json")
    info = load(directory / "info.json")
    shared, different = differing([checksums(directory / f"{name}.sums") for name in names])
    torn = sum(result["torn"] for result in results)
    copies = info["copied"] / info["published"]
    opened, what = connections(directory, processes)

    rows = [
        (opened, what),
        (processes["decoders"], "decoders (processes with FFmpeg's decoders loaded)"),
        (len(results), readers_line(isolation(directory))),
    ]
    rows += [(result["received"], f"frames to {name} ({result['fps']:.1f} a second, "
              f"{result['missed']} missed, p50 {result['latency_us']['p50']:.0f} us after publishing)")
             for name, result in zip(names, results)]
    rows += [
        (torn, f"torn, of {sum(r['checksummed'] for r in results)} pictures that were read twice "
               "while held"),
        (different, f"different, of {shared} pictures that several readers saw"),
        (f"{copies:g}", f"copies for each frame ({info['copied']} of {info['published']} published)"),
    ]
    print("\n".join(f"{value:>8}  {text}" for value, text in rows))
    kept = (torn == 0 and different == 0 and shared > 0 and processes["decoders"] == 1
            and (copies == 0 or not (directory / "camera.out").exists())
            and opened == 1 and all(result["received"] for result in results))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
