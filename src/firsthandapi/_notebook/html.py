"""HTML for a notebook cell. Text from workers is escaped, so that it cannot act as markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible

MOST_ROWS = 100
_MOST_COLUMNS = 7

# No own colors: text and lines use those of the notebook, light or dark. Notebooks run MathJax over every output; a
# class on the outermost element keeps it from reading a dollar sign as math.
_STYLE = """
.fh{font:13px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;color:inherit;max-width:66rem;\
overflow-wrap:anywhere;text-align:start}
.fh p{margin:0 0 .6rem}
.fh .fh-grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(10rem,100%),1fr));gap:.75rem;\
margin:0 0 .6rem}
.fh .fh-card{margin:0;border:1px solid rgba(127,127,127,.4);border-radius:6px;overflow:hidden;\
background:rgba(127,127,127,.06)}
.fh .fh-media{display:flex;align-items:center;justify-content:center;aspect-ratio:4/3;\
background:rgba(127,127,127,.14)}
.fh .fh-media img,.fh .fh-media video{display:block;width:100%;height:100%;object-fit:contain;margin:0}
.fh .fh-media audio{width:100%;min-width:0}
.fh audio::-webkit-media-controls-time-remaining-display{display:none}
.fh .fh-none{padding:0 1rem;text-align:center;font-size:12px}
.fh figcaption{padding:.4rem .6rem .55rem;margin:0;font-style:normal;text-align:start}
.fh figcaption>div{margin:0 0 .15rem}
.fh .fh-stars{letter-spacing:.06em;white-space:nowrap}
.fh .fh-dim{opacity:.78;font-size:12px}
.fh .fh-labels span{display:inline-block;margin:0 .25rem .2rem 0;padding:0 .45rem;border-radius:1rem;\
border:1px solid rgba(127,127,127,.5);font-size:12px}
.fh .fh-labels .fh-and{display:none}
.fh .fh-id{font:11px/1.4 ui-monospace,Menlo,Consolas,monospace;opacity:.78}
.fh .fh-facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.1rem 1rem;margin:0}
.fh .fh-facts dt,.fh .fh-facts dd{float:none;width:auto;margin:0;padding:0;font-weight:400}
.fh .fh-facts dt{opacity:.78;white-space:nowrap}
.fh progress{width:min(16rem,60%);vertical-align:middle;margin-inline-end:.5rem}
.fh .fh-wide{overflow-x:auto;margin:0 0 .6rem}
.fh .fh-wide table{border-collapse:collapse;margin:0;font-size:12px;width:max-content;overflow-wrap:break-word}
.fh .fh-wide th,.fh .fh-wide td{padding:.25rem .6rem;text-align:start;vertical-align:top;max-width:16rem;\
white-space:normal;border-bottom:1px solid rgba(127,127,127,.35)}
"""


def text(value: object, most: int = 200) -> str:
    """Text for an element or a quoted attribute: secrets masked, truncated, hidden characters visible, escaped."""
    whole = str(value)
    # Keep far more than is shown, so that no secret is cut before the mask recognizes it.
    start = whole[: most * 8 + 1000]
    start = mask_secrets(start, cut=len(start) < len(whole))
    words = " ".join(start.split())
    excerpt = words if len(words) <= most else words[: most - 1] + "…"
    return html.escape(visible(excerpt))


def cell(*parts: str) -> str:
    return f'<div class="fh tex2jax_ignore mathjax_ignore"><style>{_STYLE}</style>{"".join(parts)}</div>'


def heading(title: object, *details: object) -> str:
    more = " · ".join(text(detail) for detail in details)
    return f'<p><strong dir="auto">{text(title, 120)}</strong> <span class="fh-dim">{more}</span></p>'


def note(words: str) -> str:
    return f'<p class="fh-dim">{text(words)}</p>'


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """A list of names and values; names without a value are left out."""
    rows = (
        f'<dt>{text(name)}</dt><dd dir="auto">{text(value, 400)}</dd>'
        for name, value in pairs
        if value not in (None, "")
    )
    return f'<dl class="fh-facts">{"".join(rows)}</dl>'


def table(rows: Sequence[Mapping[str, object]], most_columns: int = _MOST_COLUMNS) -> str:
    """A row for each mapping, and a column for each of the first few names."""
    excerpt = rows[:MOST_ROWS]
    names = list(dict.fromkeys(name for row in excerpt for name in row if name != "object"))[:most_columns]
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f'<td dir="auto">{_in_table(row.get(name))}</td>' for name in names) + "</tr>"
        for row in excerpt
    )
    return f'<div class="fh-wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _in_table(value: object) -> str:
    return "" if value is None else text(value if isinstance(value, str) else repr(value), 80)
