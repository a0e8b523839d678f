// Prometheus' answers as Grafana's data frames, with what a panel sets for its fields.
import { FieldType, getDisplayProcessor, standardTransformers, standardTransformersRegistry, toDataFrame, transformDataFrame } from '@grafana/data';

const { mergeTransformer, organizeFieldsTransformer } = standardTransformers;
standardTransformersRegistry.setInit(() =>
  [mergeTransformer, organizeFieldsTransformer].map((one) => ({ id: one.id, name: one.name, transformation: async () => one, editor: () => null }))
);

const STEP = 5; // record.py's, in seconds

// With a null for each step that has no value: else a line would be drawn across.
function gapsKept(values) {
  const said = new Map(values);
  const [first, last] = [values[0][0], values.at(-1)[0]];
  return Array.from({ length: Math.round((last - first) / STEP) + 1 }, (_, index) => first + index * STEP).map((at) => [
    at,
    said.get(at) ?? null,
  ]);
}

const number = (text) => (text === null || text === 'NaN' ? null : Number(text));

function named(target, labels) {
  return target.legendFormat.replace(/{{\s*(\w+)\s*}}/g, (_, label) => labels[label] ?? '');
}

function series(target, answer) {
  return answer.map(({ metric, values, value }) => {
    const points = values ? gapsKept(values) : [value];
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: points.map(([at]) => at * 1000), config: {} },
        {
          name: 'Value',
          type: FieldType.number,
          labels: metric,
          values: points.map(([, said]) => number(said)),
          config: { displayNameFromDS: named(target, metric).trim() },
        },
      ],
    });
  });
}

function table(target, answer, alone) {
  const labels = [...new Set(answer.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: answer.map(({ value }) => value[0] * 1000), config: {} },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        values: answer.map(({ metric }) => metric[label] ?? ''),
        config: {},
      })),
      {
        name: alone ? 'Value' : `Value #${target.refId}`,
        type: FieldType.number,
        values: answer.map(({ value }) => number(value[1])),
        config: {},
      },
    ],
  });
}

async function transformed(panel, frames) {
  if (!panel.transformations?.length) {
    return frames;
  }
  return new Promise((resolve, reject) => {
    transformDataFrame(panel.transformations, frames).subscribe({ next: resolve, error: reject });
  });
}

function put(config, path, value) {
  const [first, second] = path.split('.');
  if (second) {
    config[first] = { ...config[first], [second]: value };
  } else {
    config[first] = value;
  }
}

function fits({ id, options }, name) {
  if (id === 'byRegexp') {
    return new RegExp(options.replace(/^\/|\/$/g, '')).test(name);
  }
  return id === 'byName' && options === name;
}

// The frames of a panel, as its queries, transformations, defaults and overrides make them.
export async function framesOf(panel, answers, theme) {
  const asked = panel.targets.map((target) => [target, answers[target.refId]]);
  const frames = await transformed(
    panel,
    panel.type === 'table'
      ? asked.filter(([, answer]) => answer.length).map(([target, answer]) => table(target, answer, asked.length === 1))
      : asked.flatMap(([target, answer]) => series(target, answer))
  );
  const { defaults, overrides } = panel.fieldConfig;
  for (const [at, field] of frames.flatMap((frame) => frame.fields).filter(({ type }) => type !== FieldType.time).entries()) {
    const own = field.config;
    field.config = { ...structuredClone(defaults), ...own, custom: { ...defaults.custom } };
    const name = own.displayNameFromDS ?? own.displayName ?? field.name;
    for (const override of overrides ?? []) {
      if (fits(override.matcher, name)) {
        override.properties.forEach(({ id, value }) => put(field.config, id, value));
      }
    }
    field.state = { ...field.state, displayName: name, seriesIndex: at };
    field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
    field.getLinks = () => [];
  }
  return frames;
}
