// Usage, keys, webhooks.
export default {
  'settings.title': '设置',
};
