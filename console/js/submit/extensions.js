// @ts-check
// Generated from worker/engine/decoding/formats.py by `python -m docs.generate`; do not edit.
export const EXTENSIONS = new Set([
  '3g2', '3ga', '3gp', 'aac', 'ac3', 'adts', 'aif', 'aifc', 'aiff', 'amr', 'ape', 'apl', 'asf', 'au',
  'avi', 'awb', 'caf', 'dsf', 'dts', 'eac3', 'ec3', 'f4a', 'f4v', 'flac', 'flv', 'gsm', 'ism', 'isma',
  'ismv', 'latm', 'loas', 'm2a', 'm2t', 'm2ts', 'm4a', 'm4b', 'm4r', 'm4v', 'mac', 'mj2', 'mk3d',
  'mka', 'mkv', 'mov', 'mp2', 'mp3', 'mp4', 'mpa', 'mpc', 'mpeg', 'mpg', 'mpga', 'mts', 'oga', 'ogg',
  'ogv', 'ogx', 'opus', 'qcp', 'qt', 'ra', 'rf64', 'rm', 'rmvb', 'silk', 'slk', 'snd', 'spx', 'tak',
  'ts', 'tta', 'vob', 'voc', 'w64', 'wav', 'wave', 'weba', 'webm', 'wma', 'wmv', 'wv',
]);
