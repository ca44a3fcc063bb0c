"""What a template reads of a message, where that is all that its text depends on.

Most templates that are no plain text name the person's city and nothing else. Such a text is written once
for everybody there.
"""

from __future__ import annotations

from jinja2 import nodes

SHARED = frozenset({"from_city", "from_country", "recipient", "service_sid", "account_sid"})
"""Properties of a message that many people's messages have in common."""

_EXPRESSIONS = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr),
    *(nodes.If, nodes.CondExpr, nodes.Or, nodes.And, nodes.Not, nodes.Compare, nodes.Operand, nodes.Filter),
)
"""What comes to the same whenever it is given the same."""

_FILTERS = frozenset({"capitalize", "default", "d", "lower", "title", "trim", "upper"})


def shared_reads(tree: nodes.Template) -> tuple[str, ...] | None:
    """Return the `SHARED` properties that a template reads; None where its text depends on more."""
    found = [tree, *tree.find_all(nodes.Node)]
    if not all(isinstance(node, _EXPRESSIONS) for node in found):
        return None
    if any(isinstance(node, nodes.Filter) and node.name not in _FILTERS for node in found):
        return None
    names = [node.name for node in found if isinstance(node, nodes.Name)]
    reads = [node for node in found if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name)]
    if len(names) != len(reads) or not {"message"}.issuperset(names):
        return None
    read = {node.attr for node in reads}
    return tuple(sorted(read)) if read <= SHARED else None
