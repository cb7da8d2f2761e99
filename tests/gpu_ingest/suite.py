# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the suites of the GPU bundle share: clips, results, the report."""
import json
import os
import time
import traceback

from machine import CLIPS, run


class Skip(Exception):
    pass


def clips():
    with open(os.path.join(CLIPS, "clips.json"), encoding="utf-8") as file:
        return json.load(file)


def clip(name):
    return os.path.join(CLIPS, name)


def check(condition, *words):
    if not condition:
        raise AssertionError(" ".join(str(word) for word in words)[-3000:])


def run_one(name, function):
    began = time.monotonic()
    try:
        result = {"result": "passed", "detail": function()}
    except Skip as why:
        result = {"result": "skipped", "detail": str(why)}
    except AssertionError as why:
        result = {"result": "FAILED", "detail": str(why)}
    except Exception:
        result = {"result": "FAILED", "detail": traceback.format_exc()[-2000:]}
    result.update(name=name, seconds=round(time.monotonic() - began, 2))
    print(f"{result['result']:8} {result['seconds']:6.1f} s  {name}", flush=True)
    if result["result"] != "passed":
        print("         " + str(result["detail"])[-1500:].replace("\n", "\n         "), flush=True)
    return result


def describe_machine():
    code, out, err = run("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    code_doctor, doctor, _ = run("cuframes", "doctor", "--json", timeout=60)
    return {"nvidia-smi": (out or err).strip(), "processors": os.cpu_count(),
            "kernel": os.uname().release, "doctor_exit": code_doctor, "doctor": doctor[-6000:]}


def write_report(folder, name, title, report, more=()):
    """NAME.json and NAME.md."""
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    lines = ["# " + title, "", report["machine"]["nvidia-smi"], "",
             "| test | result | time | detail |", "|---|---|---|---|"]
    for test in report["tests"]:
        detail = str(test["detail"]).replace("\n", " ").replace("|", "/")[:300]
        lines.append(f"| {test['name']} | {test['result']} | {test['seconds']} s | {detail} |")
    lines += ["", *more]
    with open(os.path.join(folder, name + ".md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
