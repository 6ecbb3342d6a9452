"""``fsq-edge alerts``: try rules on what has happened."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from fsq_edge.cli.output import Output, output_options, table


@click.command("alerts")
@click.argument("rules_file", metavar="RULES", type=click.Path(path_type=Path))
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_options
def command(rules_file: Path, logs: tuple[Path, ...], output: Output) -> None:
    """Show the alerts that RULES would have raised in logs of run. Nothing is sent.

    RULES is the file of run --alerts, YAML or JSON. LOG is a JSON-lines file, a Parquet file or a folder of Parquet
    files, which hold no drift records. The log that begins first is read first.
    """
    from fsq_edge_runtime.alerts import AlertWatch, read_rules
    from fsq_edge_runtime.decision_log import replay_logs

    rules = read_rules(rules_file)
    watch = AlertWatch(rules)
    raised = [alert.to_dict() for record in replay_logs(logs) for alert in watch.see(record)]
    counts = {rule.name: 0 for rule in rules.rules}
    for alert in raised:
        counts[alert["rule"]] += alert["state"] == "firing"
    if raised:
        rows = [
            (f"{alert['t_start']:.2f}", f"{alert['t_end']:.2f}", alert["state"], escape(alert["message"]))
            for alert in raised
        ]
        output.print(table("alerts, in seconds of the source:", ("since", "at", "state", "message"), rows))
    output.print(table("alerts by rule:", ("rule", "alerts"), [(name, f"{count:,}") for name, count in counts.items()]))
    output.write_json({"schema_version": 1, "counts": counts, "alerts": raised})
