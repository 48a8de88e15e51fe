"""``vitalstream bench``: the benchmarks, each a command with its own parameters as options."""

import inspect
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.bench.registry import BENCHMARKS, available
from app.cli.options import load_settings
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

app = typer.Typer(no_args_is_help=True, help="Measure the product, beside its peers.")
_REPEATS, _QUICK_REPEATS = 3, 1


@app.command("all")
def everything(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A small workload, once.")] = False,
    repeats: Annotated[int | None, typer.Option(min=1, help="Default 3; quick: 1.")] = None,
    output: Annotated[Path | None, typer.Option(help="Directory of JSON and charts.")] = None,
) -> None:
    """Run every benchmark."""
    for name in available():
        _run(name, {}, quick=quick, repeats=repeats, output=output)


def _run(
    name: str,
    chosen: dict[str, Any],
    *,
    quick: bool,
    repeats: int | None,
    output: Path | None,
) -> None:
    from rich.console import Console  # noqa: PLC0415  (slow to import)

    from app.bench.report import show  # noqa: PLC0415
    from app.bench.run import load, run  # noqa: PLC0415

    settings, module = load_settings(), load(name)
    # What is measured is stopped, whatever ends the program.
    signal.signal(signal.SIGTERM, _leave)
    messages, tables = Console(stderr=True, highlight=False), Console()
    parameters = _checked(module.Parameters, (module.QUICK if quick else {}) | chosen)
    result = run(
        settings,
        name,
        parameters,
        repeats=repeats or (_QUICK_REPEATS if quick else _REPEATS),
        output=output or settings.data_dir / "bench" / "results",
        say=lambda line: messages.print(line, style="dim", markup=False),
    )
    show(result, tables)


def _checked(model: "type[BaseModel]", values: dict[str, Any]) -> "BaseModel":
    from pydantic import ValidationError  # noqa: PLC0415

    try:
        return model(**values)
    except ValidationError as error:
        wrong = [f"--{_flag(str(item['loc'][0]))}: {item['msg']}" for item in error.errors()]
        raise ConfigurationError("; ".join(wrong)) from None


def _flag(field: str) -> str:
    return field.replace("_", "-")


def _option(name: str, field: "FieldInfo") -> inspect.Parameter:
    """Return the option of a parameter; several values are separated by commas."""
    default = field.get_default()
    several = isinstance(default, tuple)
    shown = ",".join(map(str, default)) if several else str(default)
    help_text = f"{field.description} Default: {shown or 'all'}."
    kind = str if several else type(default)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            kind | None, typer.Option(f"--{_flag(name)}", help=help_text, show_default=False)
        ],
    )


def _command(name: str, model: "type[BaseModel]") -> Callable[..., None]:
    fields = model.model_fields

    def command(**values: Any) -> None:  # noqa: ANN401  (the options of another module)
        common = {key: values.pop(key) for key in ("quick", "repeats", "output")}
        chosen = {key: value for key, value in values.items() if value is not None}
        for key, value in chosen.items():
            if isinstance(fields[key].get_default(), tuple):
                chosen[key] = tuple(part for part in value.split(",") if part)
        _run(name, chosen, **common)

    shared = [
        parameter
        for parameter in inspect.signature(everything).parameters.values()
        if parameter.name in {"quick", "repeats", "output"}
    ]
    own = [_option(key, field) for key, field in fields.items()]
    command.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in (*own, *shared)}
    return command


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into what Ctrl-C does."""
    raise KeyboardInterrupt


def _register() -> None:
    from app.bench.run import load  # noqa: PLC0415  (imports the benchmarks)

    for name in available():
        _, summary = BENCHMARKS[name]
        app.command(name, help=summary)(_command(name, load(name).Parameters))


_register()
