"""The whole way from a scope to its proof as commands to paste: off, on, verify, record, compare."""

from __future__ import annotations

from pathlib import Path

from skadvisor.plan.patch import Dialect
from skadvisor.plan.records import Snippet
from skadvisor.text.messages import Message, _

_LOOPS = Path(__file__).parent / "loops"
_FILES = {"recipes": "recipes.sh", "ge": "script.sh", "npugraph_ex": "script.sh", "vllm-ascend": "vllm_ascend.sh"}
#: How the log of the compiler is had, and where it lies afterwards. Source: GE's plog; sk_meta of npugraph_ex.
_GE = {
    "@WHY@": "GE names what it takes in at INFO only, which slows the run: a run of its own.",
    "@LOG@": "ASCEND_GLOBAL_LOG_LEVEL=1 ASCEND_PROCESS_LOG_PATH=$PROOF/plog",
    "@KEEP@": "",
    "@FOUND@": "plog",
}
_NPUGRAPH = {
    "@WHY@": "npugraph_ex says in sk_meta/ what it fused.",
    "@LOG@": "ASCEND_OP_COMPILE_SAVE_KERNEL_META=1",
    "@KEEP@": 'rm -rf "$PROOF/sk_meta" && mv sk_meta "$PROOF"\n',
    "@FOUND@": "sk_meta",
}


def proof_commands(template: str, dialect: Dialect) -> Snippet:
    """The commands for bash; names in capitals at the top are the user's to set."""
    text = (_LOOPS / _FILES[dialect]).read_text(encoding="utf-8")
    for mark, words in {**(_NPUGRAPH if dialect == "npugraph_ex" else _GE), "@TEMPLATE@": template}.items():
        text = text.replace(mark, words)
    return Snippet(title=Message(_("Prove it")), language="bash", code=text)
