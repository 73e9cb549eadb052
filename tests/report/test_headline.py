"""The sentences say what the numbers say, whoever comes out ahead."""

from __future__ import annotations

from dataclasses import replace

from snn2chip.hw_models.results import Range
from snn2chip.report import EnergyReport
from snn2chip.report.headline import cautions, findings, headline
from tests.report.builder import DENSE, STATIC, full_report, network, on_array, priced

PRICES = {"a": Range(1e-12, 2e-12, 3e-12), "b": Range(1e-12, 1e-12, 10e-12)}


def test_own_network_needs_less() -> None:
    report = EnergyReport((priced("own", {"a": 1}, PRICES), priced("rival", {"a": 4}, PRICES)))
    assert headline(report) == (
        "own needs 75 % less dynamic energy per inference than rival on loihi2, both at 99.1 % accuracy."
    )


def test_a_baseline_needs_less() -> None:
    report = EnergyReport((priced("own", {"a": 4}, PRICES), priced("rival", {"a": 1}, PRICES)))
    assert headline(report).startswith("rival needs 75 % less dynamic energy per inference than own on loihi2")


def test_the_range_is_turned_round_with_the_ratio() -> None:
    networks = priced("own", {"a": 1, "b": 1}, PRICES), priced("rival", {"a": 2, "b": 1}, PRICES)
    assert "own needs 40 % (8.3 to 43 %) less" in headline(EnergyReport(networks))
    assert "own needs 40 % (8.3 to 43 %) less" in headline(EnergyReport(networks[::-1]))


def test_a_range_around_one_decides_nothing() -> None:
    report = EnergyReport((priced("own", {"a": 2, "b": 1}, PRICES), priced("rival", {"a": 1, "b": 2}, PRICES)))
    assert headline(report).startswith("own and rival cannot be told apart by dynamic energy on loihi2: the second ")


def test_equal_energies_are_called_the_same() -> None:
    report = EnergyReport((priced("own", {"a": 7}, PRICES), priced("rival", {"a": 7}, PRICES)))
    assert headline(report).startswith("own and rival need the same dynamic energy per inference on loihi2")


def test_the_rival_is_the_thriftiest_baseline_on_the_same_chip() -> None:
    cheap_elsewhere = network("elsewhere", 0.01, chip_name="dense-45nm", prices=DENSE)
    report = EnergyReport((network("own"), network("big", 3.0), network("small", 2.0), cheap_elsewhere))
    assert " than small on loihi2" in headline(report)


def test_other_chips_stand_in_and_are_named() -> None:
    report = EnergyReport((network("own"), network("elsewhere", chip_name="dense-45nm", prices=DENSE)))
    assert headline(report).startswith("elsewhere needs 9")
    assert "across chips, loihi2 against dense-45nm" in headline(report)


def test_accuracy_that_nobody_measured_is_said_to_be_missing() -> None:
    report = EnergyReport((network("own", accuracy=None), network("rival", 2.0)))
    assert headline(report).endswith("on loihi2, with no accuracy measured to set against it.")
    assert "accuracy" not in findings(report)[0]


def test_without_baselines_the_energy_itself_is_the_headline() -> None:
    alone = EnergyReport((priced("own", {"a": 1}, PRICES),))
    assert headline(alone) == (
        "own needs 2.00 pJ (1.00 pJ..3.00 pJ) of dynamic energy per inference on loihi2, at 99.1 % accuracy."
    )
    nobody = EnergyReport((network("own", accuracy=None),))
    assert headline(nobody).endswith("with no accuracy measured.")


def test_a_network_without_energy_gets_no_ratio() -> None:
    report = EnergyReport((priced("own", {"a": 0}, PRICES), priced("rival", {"a": 1}, PRICES)))
    assert headline(report).startswith("own needs 0 J of dynamic energy")
    assert findings(report)[0].startswith("rival, against own: 1.00× the latency")


def test_each_baseline_and_the_static_energy_get_a_sentence() -> None:
    report = full_report()
    sentences = findings(report)
    assert len(sentences) == len(report.baselines) + 1
    assert sentences[0].startswith("binary N=1 T=4, against sparse N=4 T=1: 2.27× (1.87..2.36) the dynamic energy")
    assert "quantized ANN, 3 bits on dense-45nm, against" in sentences[3]
    assert sentences[-1].startswith("Static power over the latency adds 4.16 µJ to sparse N=4 T=1")
    assert "states no static power" in findings(full_report(static_power=None))[-1]


def test_cautions_follow_from_the_data() -> None:
    own = network("own", static_power=STATIC)
    text = " ".join(cautions(EnergyReport((own, network("elsewhere", chip_name="dense-45nm", prices=DENSE)))))
    assert "keeps no state" in text
    assert "activations of the values 0..4" in text
    assert "No energy price of loihi2 was measured" in text
    assert "compare technologies" in text
    spiking = network("own", steps=4, levels=1)
    measured = replace(spiking.chip.numbers[0], kind="measured")
    spiking = replace(spiking, chip=replace(spiking.chip, numbers=(measured,)))
    assert cautions(EnergyReport((spiking,))) == ()
    array = on_array(own, 170e3)
    assert f"computes, and {array.chip.name} executes it as one." in cautions(EnergyReport((array,)))[0]


def test_a_large_static_share_is_told_with_what_it_is_in_a_stream() -> None:
    """The static energy is 0.104 W x 40 us alone and 0.104 W x 5 us in a stream."""
    own = network("own", static_power=STATIC)
    (told,) = (sentence for sentence in cautions(EnergyReport((own,))) if "static" in sentence)
    assert told.startswith(
        "56 % of the total of own is static energy, charged for one inference alone on the chip (40.0"
    )
    assert "in a stream, with an inference every 5.00 µs, the same power adds 520 nJ instead of 4.16 µJ." in told
    no_overlap = replace(own, latency=replace(own.latency, interval_seconds=own.latency.seconds))
    assert "(40.0 µs)." in " ".join(cautions(EnergyReport((no_overlap,))))


def test_a_small_static_share_is_no_caution() -> None:
    for static in (None, STATIC.times(0.01)):
        own = network("own", static_power=static)
        assert "static" not in " ".join(cautions(EnergyReport((own,))))


def test_notes_of_the_report_limit_what_may_be_concluded() -> None:
    told = cautions(EnergyReport((network("own"),), notes=("own was trained for longer.",)))
    assert told[-1] == "own was trained for longer."


def test_different_samples_and_missing_room_are_told() -> None:
    big = replace(network("big"), placement={"fits": False}, samples=10)
    text = " ".join(cautions(EnergyReport((network("own"), big))))
    assert "different numbers of samples: [10, 450]" in text
    assert "Not on one chip: big." in text


def test_a_limit_that_no_number_of_chips_would_keep() -> None:
    broken = [
        {"layer": "stem", "limit": "axons_in_per_core", "need": 9, "have": 4},
        {"layer": "stem", "limit": "cores"},
    ]
    own = replace(network("own"), placement={"fits": False, "broken": broken})
    big = replace(network("big"), placement={"fits": False, "broken": broken[1:]})
    text = " ".join(cautions(EnergyReport((own, big))))
    assert "Not on one chip: big." in text
    assert "own breaks axons_in_per_core and cores: the figures are for a chip that could hold it" in text
    alike = replace(network("alike"), placement=own.placement)
    text = " ".join(cautions(EnergyReport((own, big, alike))))
    assert "own, alike break axons_in_per_core and cores: the figures are for a chip that could hold them" in text
