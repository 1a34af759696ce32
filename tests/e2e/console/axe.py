"""axe-core, which finds accessibility problems."""

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
    """Return the violations on the current page. The context needs `bypass_csp`: axe measures with styles."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(js.package("axe-core/axe.min.js").read_text())
    violations: list[dict[str, Any]] = page.evaluate(RUN)
    return violations
