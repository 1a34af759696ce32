// Lints an OpenAPI document with Redocly's recommended rules: `node dev/openapi_lint.mjs FILE`. Any warning fails.
// Redocly's library comes with openapi-typescript, which the console's checks need; its command would be far larger.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../console/package.json', import.meta.url));
const { createConfig, formatProblems, getTotals, lint } = require('@redocly/openapi-core');

const config = await createConfig({
  extends: ['recommended'],
  rules: {
    // Every id begins with the kind of its resource, so `deliveries` is never the id of a webhook.
    'no-ambiguous-paths': 'off',
    // The health checks refuse nobody; tests/api/test_openapi.py looks at all other calls.
    'operation-4xx-response': 'off',
    'tag-description': 'error',
    'no-unused-components': 'error',
  },
});
const problems = await lint({ ref: process.argv[2], config });
formatProblems(problems, { totals: getTotals(problems), version: '1' });
process.exitCode = problems.length ? 1 : 0;
