"""Processor time and memory are those of real processes."""

import os
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from bench import machine, plot
from bench.meter import Meter, peak_bytes, tree, tree_cpu_seconds
from bench.report import Report

BUSY = "x = sum(i * i for i in range(2_000_000)); y = '-' * (40 << 20); print(flush=True); input()"


def test_a_group_counts_what_its_processes_did() -> None:
    """The time of a child that works is in its group, and its memory is seen."""
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        with Meter(lambda: {"busy": child.pid, "absent": None}) as meter:
            assert child.stdout is not None
            child.stdout.readline()
        child.communicate(b"\n")

    assert meter.usage.cpu_seconds["busy"] > 0.02
    assert meter.usage.total_cpu_seconds == sum(meter.usage.cpu_seconds.values())
    assert meter.usage.peak_bytes["busy"] > 40 << 20
    assert meter.usage.machine_cpu_seconds > 0


def test_a_process_that_has_gone_uses_nothing() -> None:
    """Ended processes are no error."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    assert tree(child.pid) == []
    assert tree_cpu_seconds(child.pid) == 0.0
    assert peak_bytes(child.pid) == 0


def test_the_machine_is_described() -> None:
    """Figures are worth nothing without what they were measured on."""
    described = machine.describe()

    assert described["cores"] == len(os.sched_getaffinity(0))
    assert str(described["processor"]) in machine.line()


def test_a_plot_is_an_image_with_every_bar() -> None:
    """The SVG is well formed, its bars are in proportion, its text is escaped."""
    image = ET.fromstring(plot.bars("a < b", [("one & two", 50.0), ("three", 100.0)]))
    bars = [float(rect.attrib["width"]) for rect in image.iter("{http://www.w3.org/2000/svg}rect")][1:]
    texts = [text.text for text in image.iter("{http://www.w3.org/2000/svg}text")]

    assert bars[0] * 2 == bars[1]
    assert {"a < b", "one & two", "50", "100"} <= {text for text in texts if text}


def test_a_report_prints_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    """People get the table with its notes, programs one line with the machine."""
    report = Report(
        "speed", {"ratio": 0.5}, ["", "lines/s"], [["ours", 7]], [("ours", 7.0)], "lines/s", ["note"]
    )

    report.show(as_json=False)
    report.show(as_json=True)

    out = capsys.readouterr().out
    assert "ours        7" in out
    assert "note" in out
    assert out.splitlines()[-1].startswith('{"benchmark": "speed", "ratio": 0.5, "machine": {')
