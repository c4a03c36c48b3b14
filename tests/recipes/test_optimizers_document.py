"""Every block of code in docs/optimizers.md prints what stands below it."""

import contextlib
import io
import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "optimizers.md"
BLOCKS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("code", "printed"), BLOCKS, ids=["momentum", "clipping", "regularization"]
)
def test_prints_what_stands_below_it(code, printed):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, str(DOCUMENT), "exec"), {})
    assert out.getvalue() == printed
