import type { Settings } from '#shared/model/settings.ts';

/**
 * The settings with one dotted path replaced, as typed on a command line: `market.minPriceWei 100`. The value is
 * JSON where it parses as JSON and the present value is not a string, else text. The schema judges the result.
 */
export function withSetting(settings: Settings, dottedPath: string, text: string): unknown {
  const copy: Record<string, unknown> = structuredClone(settings);
  const keys = dottedPath.split('.');
  const last = keys.pop() ?? '';
  let holder: Record<string, unknown> = copy;
  for (const key of keys) {
    const next = Object.hasOwn(holder, key) ? holder[key] : undefined;
    // A path that does not exist becomes an unknown field, which the schema names and refuses.
    if (typeof next !== 'object' || next === null) {
      holder[key] = {};
      holder = holder[key] as Record<string, unknown>;
    } else {
      holder = next as Record<string, unknown>;
    }
  }
  Object.defineProperty(holder, last, {
    value: typeof holder[last] === 'string' ? text : asJson(text),
    enumerable: true,
    configurable: true,
    writable: true,
  });
  return copy;
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
