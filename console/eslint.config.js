import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['vendor/', 'types/api.d.ts'] },
  js.configs.recommended,
  {
    files: ['js/**/*.js'],
    languageOptions: { ecmaVersion: 2024, sourceType: 'module', globals: globals.browser },
    rules: {
      // A component that reads a signal's value, and does nothing with it, is drawn again when it changes.
      'no-unused-expressions': 'off',
      curly: ['error', 'multi-line'],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': ['error', { allow: ['error'] }],
      'no-implicit-coercion': 'error',
      'no-shadow': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      'prefer-template': 'error',
    },
  },
  { files: ['js/early.js'], languageOptions: { sourceType: 'script' } },
];
