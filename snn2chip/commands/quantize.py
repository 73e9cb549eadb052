"""``snn2chip quantize``: a float model into one file with an integer network, and what that cost."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2chip.commands.base import check_inputs, check_reports, command
from snn2chip.commands.importing import add_import_options, import_options
from snn2chip.errors import UserError, naming

if TYPE_CHECKING:
    from snn2chip.artifact import Samples
    from snn2chip.frontend import Loaded
    from snn2chip.quantize.calibration import CalibrationData
    from snn2chip.quantize.cost import Cost
    from snn2chip.quantize.post_training import Pass, PostTraining, Quantized
    from snn2chip.quantize.qat import FineTuned

#: What a checkpoint says of the float network is called so in the file of an integer one.
_FLOAT_NAMES = {"accuracy": "float_accuracy", "validation_accuracy": "float_validation_accuracy"}

_MEANS = "mean float/integer"

_DETAILS = """\
Post-training quantization: weights of 2 to 8 bits with a scale per output channel, biases and thresholds corrected on
calibration inputs. The calibration inputs are those of --calibration, or of the training part of the model's data set
where that comes with snn2chip. With --qat the integer network is then trained further on inputs with classes.
'snn2chip export' takes the file that this writes."""


def add(commands: Any) -> None:
    parser = command(commands, "quantize", "turn a float model into an integer one", _execute, _DETAILS)
    parser.add_argument("model", metavar="MODEL", help="a model file: .pt, .pt2, .safetensors, .nir or .net")
    parser.add_argument(
        "--out", metavar="FILE", help="a .safetensors file (default build/<model>-int<bits>.safetensors)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the costs there ('-': to standard output alone)")
    parser.add_argument("--calibration", metavar="X.npz", help="real inputs x (and classes y) to calibrate on")
    _add_choices(parser)
    _add_fine_tuning(parser)
    add_import_options(parser)


def _add_choices(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("precision")
    group.add_argument("--bits", type=int, default=8, metavar="B", help="weight bits, 2..8 (default 8)")
    group.add_argument("--layer-bits", metavar="NAMES=B,...", help="of some layers: 'stem.*=8,head=8'")
    group.add_argument("--average-bits", type=float, metavar="B", help="assign bits to layers, B per weight on average")
    group.add_argument(
        "--scale", metavar="HOW", help="max, percentile, mse or error (default error; mse without calibration inputs)"
    )
    group.add_argument(
        "--percentile", type=float, metavar="P", help="of the weights, for --scale percentile (default 99.9)"
    )
    group.add_argument(
        "--correct", metavar="WHAT,...", help="bias,threshold (default: what calibration inputs allow), or none"
    )
    group.add_argument("--shift-thresholds", action="store_true", help="make thresholds powers of two")


def _add_fine_tuning(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("quantization-aware fine-tuning, on the integers that are exported")
    group.add_argument("--qat", action="store_true", help="train weights, biases, thresholds and scales after rounding")
    group.add_argument(
        "--qat-data",
        metavar="X.npz",
        help="inputs x and classes y (default: the model's training part, else --calibration)",
    )
    group.add_argument("--qat-epochs", type=int, metavar="N", help="passes over them (default 20)")
    group.add_argument("--qat-rate", type=float, metavar="R", help="learning rate (default 0.001)")
    group.add_argument("--qat-seed", type=int, metavar="N", help="of order and held-out part (default 0)")


def _execute(options: argparse.Namespace) -> int:
    out = _checked_out(options)
    from snn2chip import artifact, files, frontend, terminal
    from snn2chip.quantize.calibration import calibration_data
    from snn2chip.quantize.post_training import finish, passes, start

    loaded = frontend.load(options.model, import_options(options))
    if loaded.integer:
        raise UserError(f"{loaded.path}: it is quantized already: export it, or quantize the float model anew")
    given = artifact.read_samples(options.calibration) if options.calibration else None
    with naming(options.calibration if given else loaded.path):
        data = calibration_data(loaded.graph, loaded.metadata, given)
    settings = _settings(options, data)
    tuned: list[FineTuned] = []
    with terminal.progress() as report:
        fine_tuning = [_fine_tuning(options, loaded, given, report, tuned)] if options.qat else []
        with naming(loaded.path):
            _check_shifts(options, loaded)
            stages = [*passes(settings, data.inputs, report), *fine_tuning]
            quantized = finish(start(loaded.graph, settings), stages, report)
            account = _account(loaded, quantized, data, report)
    document = _document(loaded, settings, data, quantized, account)
    document["fine_tuning"] = _fine_tuning_document(tuned)
    _write(out, loaded, quantized, document)
    if options.json:
        files.write_or_print(options.json, files.canonical_json(document))
    if options.json != "-":
        print(_text(account, data))
        print("\n".join(terminal.input_lines(quantized.graph, data.inputs)))
        print("".join(map(_fine_tuning_line, tuned)), end="")
        print(out)
    return 0


def _checked_out(options: argparse.Namespace) -> Path:
    """The file to write, after all that can be said of the options before torch is imported."""
    from snn2chip import files

    _check_fine_tuning(options)
    if options.percentile is not None and options.scale != "percentile":
        raise UserError("--percentile has no effect without --scale percentile: add it, or leave that out")
    out = _out(options)
    files.check_distinct(
        {"--out": out, "--json": options.json},
        {"MODEL": options.model, "--calibration": options.calibration, "--qat-data": options.qat_data},
    )
    check_inputs([options.model, options.calibration, options.qat_data])
    files.check_writable(str(out))
    check_reports([options.json], [])
    return out


def _check_fine_tuning(options: argparse.Namespace) -> None:
    given = [name for name in ("data", "epochs", "rate", "seed") if getattr(options, f"qat_{name}") is not None]
    if given and not options.qat:
        raise UserError(f"--qat-{given[0]} has no effect without --qat: add it, or leave that out")
    if options.qat and options.shift_thresholds:
        raise UserError(
            "--qat moves thresholds, which then are no powers of two: leave out --qat or --shift-thresholds"
        )


def _check_shifts(options: argparse.Namespace, loaded: Loaded) -> None:
    from snn2chip.ops import SpikingNeuron
    from snn2chip.quantize.neurons import divisor

    neurons = [node.op for node in loaded.graph.nodes if isinstance(node.op, SpikingNeuron)]
    if options.shift_thresholds and all(divisor(neuron) is None for neuron in neurons):
        raise UserError("--shift-thresholds has no effect: no neuron divides, all of them only compare")


def _out(options: argparse.Namespace) -> Path:
    bits = f"int{options.bits}" if options.average_bits is None else "mixed"
    default = Path("build") / f"{Path(options.model).stem}-{bits}.safetensors"
    out = Path(options.out) if options.out else default
    if out.suffix != ".safetensors":
        raise UserError(f"{out}: name a .safetensors file: that is what quantize writes")
    return out


def _settings(options: argparse.Namespace, data: CalibrationData) -> PostTraining:
    from snn2chip.quantize import Precision
    from snn2chip.quantize.post_training import PostTraining

    default = ("bias",) if options.shift_thresholds else ("bias", "threshold")
    corrections = default if data.inputs is not None else ()
    if options.correct is not None:
        corrections = () if options.correct == "none" else tuple(options.correct.split(","))
    return PostTraining(
        precision=Precision(options.bits, _layer_bits(options.layer_bits)),
        average_bits=options.average_bits,
        scale=options.scale or ("mse" if data.inputs is None else "error"),
        **({} if options.percentile is None else {"percentile": options.percentile}),
        corrections=corrections,
        shift_thresholds=options.shift_thresholds,
    )


def _fine_tuning(
    options: argparse.Namespace, loaded: Loaded, given: Samples | None, report: Any, tuned: list[FineTuned]
) -> Pass:
    from snn2chip.quantize.calibration import training_part
    from snn2chip.quantize.qat import FineTuning, check_labelled, fine_tuning_pass

    chosen = {"epochs": options.qat_epochs, "learning_rate": options.qat_rate, "seed": options.qat_seed}
    settings = FineTuning(**{name: value for name, value in chosen.items() if value is not None})
    source, samples = _labelled(options, training_part(loaded.metadata), given)
    if samples is None or samples.y is None:
        raise UserError(f"{source}: fine-tuning needs classes: give an .npz with x and y, with --qat-data X.npz")
    with naming(source):
        check_labelled(loaded.graph, samples.x, samples.y)
    return fine_tuning_pass(settings, samples.x, samples.y, report, tuned.append)


def _labelled(
    options: argparse.Namespace, training: Samples | None, given: Samples | None
) -> tuple[str, Samples | None]:
    """What is fine-tuned on, and where it comes from: --qat-data, else the training part, else --calibration."""
    from snn2chip import artifact

    if options.qat_data:
        return options.qat_data, artifact.read_samples(options.qat_data)
    return (options.model, training) if training is not None else (options.calibration or options.model, given)


def _layer_bits(text: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in [] if text is None else text.split(","):
        pattern, equals, bits = part.rpartition("=")
        if not equals or not pattern or not bits.isdecimal():
            raise UserError(f"--layer-bits {part!r}: give names and bits, such as 'stem.*=8,head=8'")
        found[pattern] = int(bits)
    return found


def _account(loaded: Loaded, quantized: Quantized, data: CalibrationData, report: Any) -> Cost:
    from snn2chip.quantize.agreement import agreement
    from snn2chip.quantize.cost import cost

    if data.comparison is None:
        return cost(quantized)
    report("comparing spikes with the float network's")
    return cost(quantized, agreement(loaded.graph, quantized.graph, data.comparison.x, data.comparison.y))


def _fine_tuning_line(tuned: FineTuned) -> str:
    before, after = (100 * tuned.accuracies[epoch] for epoch in (0, tuned.best_epoch))
    kept = f"epoch {tuned.best_epoch} of {len(tuned.accuracies) - 1}"
    return f"fine-tuned: {before:.2f} % before, {after:.2f} % after {kept}, on the held-out tenth of its inputs\n"


def _fine_tuning_document(tuned: Sequence[FineTuned]) -> dict[str, Any] | None:
    if not tuned:
        return None
    (one,) = tuned
    return {
        "settings": asdict(one.settings),
        "held_out_accuracy": list(one.accuracies),
        "kept_epoch": one.best_epoch,
    }


def _document(
    loaded: Loaded, settings: PostTraining, data: CalibrationData, quantized: Quantized, account: Cost
) -> dict[str, Any]:
    return {
        "model": loaded.path.name,
        "graph_digest": quantized.graph.digest,
        "settings": asdict(settings),
        "calibration": data.source,
        "compared_on_held_out_inputs": data.held_out,
        "cost": account.to_json(),
    }


def _write(out: Path, loaded: Loaded, quantized: Quantized, document: Mapping[str, Any]) -> None:
    from snn2chip.quantize.quantized_file import QuantizedModel, write_quantized

    summary = {key: value for key, value in document.items() if key not in ("cost", "graph_digest")}
    agreement = document["cost"]["agreement"] or {}
    metadata = {_FLOAT_NAMES.get(key, key): value for key, value in loaded.metadata.items()}
    if agreement.get("integer_accuracy") is not None and document["compared_on_held_out_inputs"]:
        metadata["integer_accuracy"] = agreement["integer_accuracy"]
    metadata["quantization"] = summary | agreement
    write_quantized(out, QuantizedModel(quantized.graph, loaded.class_names, metadata, document))


def _text(account: Cost, data: CalibrationData) -> str:
    from snn2chip import terminal

    layers = terminal.table(
        ("layer", "kind", "weights", "bits", "SQNR", "clipped", "bias error"),
        [
            (
                layer.name,
                layer.kind,
                str(layer.weights),
                str(layer.bits),
                "exact" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f} dB",
                f"{100 * layer.clipped:.2f} %",
                f"{layer.bias_error:.2f} units",
            )
            for layer in account.layers
        ],
    )
    return "\n\n".join([layers, _neuron_table(account), "\n".join(_summary(account, data))])


def _neuron_table(account: Cost) -> str:
    from snn2chip import terminal

    header = ("neurons", "N", "theta", "bits", "moved by", "counts by", "equal spikes", "mean difference", _MEANS)
    rows = []
    for neuron in account.neurons:
        spikes = neuron.spikes
        rows.append(
            (
                neuron.name,
                str(neuron.levels),
                f"{neuron.theta_low}..{neuron.theta_high}",
                str(neuron.theta_bits),
                f"{100 * neuron.theta_change:.2f} %",
                neuron.counting,
                "" if spikes is None else f"{100 * spikes.equal:.2f} %",
                "" if spikes is None else f"{spikes.mean_difference:.4f}",
                "" if spikes is None else f"{spikes.float_mean:.4f}/{spikes.integer_mean:.4f}",
            )
        )
    return terminal.table(header, rows)


def _summary(account: Cost, data: CalibrationData) -> list[str]:
    lines = [f"weights: {account.average_bits:.2f} bits on average; calibrated on: {data.source}"]
    for found in account.approximations:
        lines.append(f"approximated: {found}")
    compared = account.agreement
    if compared is None:
        return [
            *lines,
            "NO INPUTS: spikes and accuracy were not compared with the float network's (--calibration X.npz)",
        ]
    held_out = "held-out inputs" if data.held_out else "inputs, those of the calibration"
    lines.append(
        f"same class as the float network: {100 * compared.same_predictions:.2f} % of {compared.samples} {held_out}"
    )
    if compared.float_accuracy is not None and compared.integer_accuracy is not None:
        lines.append(
            f"accuracy: {100 * compared.float_accuracy:.2f} % float, {100 * compared.integer_accuracy:.2f} % integer"
        )
    return lines
