"""The doctor: looks at everything that the service needs, changes nothing, and says of each thing what is to be done.

In: parsed options, those of the server. Out: findings in a fixed order, and their lines. A check that fails by itself is a finding
too. While it looks, no Python code of this process can reach another computer, and who tries is a finding.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from ops import file_checks, index_checks, machine_checks, model_checks
from ops.examined import Examined
from ops.finding import Finding, well, wrong
from ops.outside import nothing_goes_out

Check = Callable[[Examined], Finding]
CHECKS: tuple[Check, ...] = (
    *machine_checks.CHECKS,
    *model_checks.CHECKS,
    *index_checks.CHECKS,
    *file_checks.CHECKS,
)


def examine(args: argparse.Namespace) -> list[Finding]:
    """What all checks find, in their order; never raises for what a check does."""
    sys.dont_write_bytecode = True
    logging.getLogger("dxqa").setLevel(logging.CRITICAL)  # what is found is told once, below
    examined = Examined(args)
    with nothing_goes_out() as tried:
        findings = [_looked(check, examined) for check in CHECKS]
    return [*findings, _outside(tried)]


def _looked(check: Check, examined: Examined) -> Finding:
    try:
        return check(examined)
    except Exception as error:  # the doctor must say what it can
        first = (str(error).splitlines() or [""])[0]
        subject = (check.__doc__ or check.__name__).splitlines()[0]
        return wrong(
            f"点検（{check.__name__.removeprefix('check_')}）",
            f"調べられませんでした（{type(error).__name__}: {first}）",
            f"ほかの×を直してからもう一度点検し、それでも出るときは、この行を開発者に知らせてください（{subject}）",
        )


def _outside(tried: Sequence[str]) -> Finding:
    name = "外への通信"
    if tried:
        return wrong(
            name,
            f"{'、'.join(dict.fromkeys(tried))} へつなごうとしました（止めました）",
            "--allow-hub（DXQA_ALLOW_HUB）を外し、パッケージを make setup で揃えてください",
        )
    return well(name, "点検の間、どこへもつなごうとしていません")


def told(findings: Sequence[Finding], *, as_json: bool = False) -> Iterator[str]:
    """The findings for people, a line each with a summary, or as JSON."""
    counts = {
        state: sum(one.state == state for one in findings) for state in ("well", "notice", "wrong", "skipped")
    }
    if as_json:
        yield json.dumps(
            {"findings": [asdict(one) for one in findings], "counts": counts}, ensure_ascii=False, indent=1
        )
        return
    yield from (one.line for one in findings)
    if counts["wrong"]:
        yield f"点検：×が{counts['wrong']}件あります。上から順に、— の後のとおりにしてください（△{counts['notice']}件・－{counts['skipped']}件）。"
    elif counts["notice"]:
        yield f"点検：使えます。気をつけることが{counts['notice']}件あります（△）。"
    else:
        yield "点検：すべて問題ありません。"
