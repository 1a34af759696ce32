// Usage, keys, webhooks.
export default {
  'settings.title': 'Settings',
};
