"""Excel workbooks written by hand, as no library that we test with writes them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#: the styles of cells: none, a date, a date with a time, a time, a duration
STYLES = (0, 14, 22, 21, 46)


def _relations(*targets: tuple[str, str]) -> str:
    inner = "".join(
        f'<Relationship Id="r{i}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for i, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


def members(sheet: str, strings: Sequence[str] = ()) -> dict[str, str]:
    """The parts of a workbook whose one sheet has the XML `sheet` for its rows."""
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": _relations(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook {_MAIN} xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Reviews" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations(
            ("worksheet", "worksheets/sheet1.xml"),
            ("styles", "styles.xml"),
            ("sharedStrings", "sharedStrings.xml"),
        ),
        "xl/styles.xml": f"<styleSheet {_MAIN}><cellXfs>"
        + "".join(f'<xf numFmtId="{each}"/>' for each in STYLES)
        + "</cellXfs></styleSheet>",
        "xl/sharedStrings.xml": f"<sst {_MAIN}>"
        + "".join(f'<si><t xml:space="preserve">{escape(each)}</t></si>' for each in strings)
        + "</sst>",
        "xl/worksheets/sheet1.xml": f"<worksheet {_MAIN}>"
        f"<sheetData>{sheet}</sheetData></worksheet>",
    }


def packed(parts: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


def workbook(columns: dict[str, Sequence[str]]) -> bytes:
    """A workbook with columns of texts."""
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    strings = [cell for row in rows for cell in row]
    numbered = iter(range(len(strings)))
    sheet = "".join(
        f'<row r="{i}">'
        + "".join(
            f'<c r="{chr(65 + j)}{i}" t="s"><v>{next(numbered)}</v></c>' for j in range(len(row))
        )
        + "</row>"
        for i, row in enumerate(rows, 1)
    )
    return packed(members(sheet, strings))
