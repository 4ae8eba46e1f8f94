"""The README's example runs, and its table is that of the code."""

import re
import sys
from pathlib import Path
from types import ModuleType

from embow.embeddings import get_registry

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(server, monkeypatch, tmp_path, capsys):
    """As printed, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_API_KEY", "key-of-the-test")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
    program = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", program)
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    exec(compile(code, "README.md", "exec"), program.__dict__)
    assert capsys.readouterr().out == "hello world\n"


def test_every_argument_is_in_the_table():
    """Names and meanings are those of the fields."""
    fields = get_registry().get("gemini-text").model_fields
    listed = dict(re.findall(r"^\| `(\w+)` \| `.*?` \| (.*) \|$", README, re.MULTILINE))
    assert listed == {info.alias or name: info.description for name, info in fields.items()}
