"""What changed between two reports."""

from __future__ import annotations

from dataclasses import replace

from snn2chip.hw_models.detailed.results import DetailedTiming
from snn2chip.report import EnergyReport, compare
from snn2chip.report.ratios import compare_networks
from snn2chip.report.units import factor_range
from tests.report.builder import LOIHI2, STATIC, chip, full_report, network, without_time


def test_equal_reports() -> None:
    assert compare(full_report(), full_report()) == "The reports say the same."


def test_changed_activity_is_told_for_the_network_and_its_layers() -> None:
    text = compare(EnergyReport((network("own"),)), EnergyReport((network("own", 0.5, accuracy=0.98),)))
    lines = text.splitlines()
    assert lines[0] == "own"
    assert "  accuracy: 99.11 % -> 98.00 % (-1.11 points)" in lines
    assert "  events: 908 -> 454 (-50 %)" in lines
    assert any(line.startswith("  layer stem: energy: 766 nJ -> 409 nJ (-46.5 %), cycles: 7.37 k") for line in lines)
    assert "graph" not in text
    assert "chip" not in text


def test_changed_graphs_chips_and_labels_are_told() -> None:
    before = network("own")
    after = replace(before, label="mine", graph_digest="f" * 64, chip=chip("loihi3", None, LOIHI2))
    lines = compare(EnergyReport((before,)), EnergyReport((after,))).splitlines()
    assert "  label: own -> mine" in lines
    assert f"  graph: {before.graph_digest[:12]} -> ffffffffffff" in lines
    assert any(line.startswith("  chip: loihi2 ") and " -> loihi3 " in line for line in lines)


def test_only_what_changed_is_named() -> None:
    before = network("own")
    layers = (replace(before.layers[0], events_out=1.0), *before.layers[1:])
    text = compare(EnergyReport((before,)), EnergyReport((replace(before, layers=layers),)))
    assert text.splitlines() == ["own", "  layer stem: events: 164 -> 1 (-99.4 %)"]


def test_layers_and_networks_that_one_report_lacks() -> None:
    own, other = network("own"), network("other")
    shorter = replace(own, layers=own.layers[1:])
    text = compare(EnergyReport((own, other)), EnergyReport((shorter, network("third"))))
    assert "  layer stem: only in the first report" in text
    assert "only in the first report: other on loihi2" in text
    assert "only in the second report: third on loihi2" in text
    assert "  layer stem: only in the second report" in compare(EnergyReport((shorter,)), EnergyReport((own,)))


def test_one_label_on_two_chips_is_paired_in_order() -> None:
    assert compare(full_report(), full_report()) == "The reports say the same."
    swapped = full_report()
    swapped = replace(swapped, networks=(*swapped.networks[:4], swapped.networks[5], swapped.networks[4]))
    assert "chip: dense-45nm " in compare(full_report(), swapped)


def test_unknown_values() -> None:
    text = compare(EnergyReport((network("own"),)), EnergyReport((without_time(network("own", accuracy=None)),)))
    assert "  accuracy: 99.11 % -> n/a (n/a)" in text
    assert "  latency: 40.0 µs -> n/a (n/a)" in text


def test_a_range_that_changed_around_the_same_nominal_energy() -> None:
    before = network("own")
    energy = replace(before.energy, dynamic=replace(before.energy.dynamic, high=1e-3))
    text = compare(EnergyReport((before,)), EnergyReport((replace(before, energy=energy),)))
    assert text.splitlines()[1] == "  range of the dynamic energy: 866 nJ..4.93 µJ -> 866 nJ..1.00 mJ"


def test_ratios_stand_there_with_their_ranges() -> None:
    before, after = network("own", static_power=STATIC), network("own", 0.5, static_power=STATIC)
    other = network("other", static_power=STATIC)
    lines = compare(EnergyReport((before, other)), EnergyReport((after, other))).splitlines()
    ratios = compare_networks(before, after)
    assert f"  dynamic energy, second / first: {factor_range(ratios.dynamic)}" in lines
    assert f"  total energy, second / first: {factor_range(ratios.total)}" in lines
    assert "(" in factor_range(ratios.dynamic)
    turned = factor_range(compare_networks(after, other).dynamic)
    assert lines[-1] == f"dynamic energy of other / own: 1.00× -> {turned}"


def test_more_traffic_and_a_longer_interval_are_not_the_same() -> None:
    before = network("own")
    after = replace(
        before,
        totals=replace(before.totals, hops=2 * before.totals.hops),  # type: ignore[operator]  # it has a mesh
        latency=replace(before.latency, interval_seconds=1e-5),
    )
    lines = compare(EnergyReport((before,)), EnergyReport((after,))).splitlines()
    assert lines == ["own", "  interval: 5.00 µs -> 10.0 µs (+100 %)", "  hops: 3.40 k -> 6.81 k (+100 %)"]


def test_reports_with_the_same_figures_need_not_say_the_same() -> None:
    before = network("own")
    text = compare(EnergyReport((before,)), EnergyReport((replace(before, notes=("Other notes.",)),)))
    assert text.splitlines() == ["own", "  the same figures, but not the same notes: see the JSON of both"]


def test_timing_and_placement_are_named() -> None:
    before = replace(network("own"), placement={"arrangement": "default"})
    timing = DetailedTiming(2.0, 1.0, 2.0, 2.0, 2.0, 1.0, 0.0, (2.0,), (), (), (), ())
    after = replace(before, placement={"arrangement": "optimised"}, detailed=timing)
    lines = compare(EnergyReport((before,)), EnergyReport((after,))).splitlines()
    assert lines == ["own", "  timing: summary -> detailed", "  placement: default -> optimised"]
    array = replace(before, placement=None)
    text = compare(EnergyReport((before,)), EnergyReport((array,)))
    assert "  placement: default -> none, for the model has no cores" in text


def test_a_small_change_can_be_read_from_the_figures() -> None:
    before = network("own")
    after = replace(before, latency=replace(before.latency, seconds=4.0004e-5))
    lines = compare(EnergyReport((before,)), EnergyReport((after,))).splitlines()
    assert lines == ["own", "  latency: 40.000 µs -> 40.004 µs (+0.01 %)"]


def test_a_label_that_names_its_chip_is_not_followed_by_it() -> None:
    text = compare(EnergyReport((network("own"),)), EnergyReport((network("own"), network("own on loihi2"))))
    assert text == "only in the second report: own on loihi2"
