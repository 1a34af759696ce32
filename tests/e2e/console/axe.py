"""axe-core, which knows what makes a page hard to use for some."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests import js

RUN = """async () => {
  const found = await axe.run(document, { resultTypes: ['violations'] });
  return found.violations.map((rule) => ({
    rule: rule.id,
    where: rule.nodes.slice(0, 3).map((node) => [node.target.join(' '), node.failureSummary]),
  }));
}"""


def violations(page: Page) -> list[dict[str, Any]]:
    """What it finds wrong with the page as it is now. The context needs `bypass_csp`: axe measures with styles."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(js.package("axe-core/axe.min.js").read_text())
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return found
