"""Findings as comma-separated values, a line each."""

import csv
import io

from scanner.files.text import printable
from scanner.result import Result


class CsvReport:
    """For a spreadsheet; a cell never begins with what one would read as a formula."""

    id, filename = "csv", "findings.csv"

    def render(self, result: Result) -> bytes:
        """A header, then rule, severity, file and message of each finding."""
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(("rule", "severity", "file", "message"))
        for finding in result.findings:
            cells = (finding.rule, finding.severity, finding.location.file, finding.message)
            table.writerow("'" + c if c[:1] in "=+-@" else c for c in map(printable, cells))
        return text.getvalue().encode()
