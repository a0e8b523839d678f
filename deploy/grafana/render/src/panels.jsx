// One component for each kind of panel that the dashboards use, made of Grafana's own.
import { FieldType, VizOrientation, dateTime, getDisplayProcessor, getDisplayValueAlignmentFactors, reduceField } from '@grafana/data';
import { BarGauge, BigValue, Table, TimeSeries, VizLegend } from '@grafana/ui';

const valuesOf = (frame) => frame.fields.find(({ type }) => type !== FieldType.time);
const lastOf = (field) => field.display(reduceField({ field, reducers: ['lastNotNull'] }).lastNotNull);

function nothing(panel, theme) {
  const field = { type: FieldType.number, config: panel.fieldConfig.defaults, values: [] };
  return getDisplayProcessor({ field, theme, timeZone: 'utc' })(null);
}

function Nothing({ panel, width, height, theme }) {
  const style = { width, height, display: 'flex', alignItems: 'center', justifyContent: 'center' };
  return <div style={{ ...style, color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue}</div>;
}

function Stat({ panel, frames, width, height, theme }) {
  const field = frames[0] && valuesOf(frames[0]);
  const trend = panel.options.graphMode === 'area' && field?.values.length > 1;
  return (
    <BigValue
      theme={theme}
      width={width}
      height={height}
      value={field ? lastOf(field) : nothing(panel, theme)}
      sparkline={trend ? { y: field, x: frames[0].fields[0] } : undefined}
      colorMode={panel.options.colorMode}
      graphMode={panel.options.graphMode}
      textMode={panel.options.textMode}
      justifyMode="auto"
    />
  );
}

function Lines({ panel, frames, range, width, height }) {
  const legend = { ...panel.options.legend, calcs: panel.options.legend.calcs ?? [] };
  return (
    <TimeSeries
      frames={frames}
      structureRev={1}
      timeRange={range}
      timeZone="utc"
      width={width}
      height={height}
      legend={legend}
      options={panel.options}
    />
  );
}

function Rows({ panel, frames, width, height }) {
  return (
    <Table
      data={frames[0]}
      width={width}
      height={height}
      cellHeight={panel.options.cellHeight}
      initialSortBy={panel.options.sortBy}
    />
  );
}

function Bars({ panel, frames, width, height, theme }) {
  const fields = frames.map(valuesOf).sort((one, other) => other.values[0] - one.values[0]);
  const most = Math.max(...fields.map((field) => field.values[0]));
  const shown = fields.map((field) => ({ ...lastOf(field), title: field.state.displayName }));
  const tall = Math.min(40, height / fields.length);
  return fields.map((field, index) => (
    <BarGauge
      key={field.state.displayName}
      theme={theme}
      field={{ ...field.config, min: 0, max: most }}
      display={field.display}
      value={shown[index]}
      alignmentFactors={getDisplayValueAlignmentFactors(shown.map((display) => ({ display })))}
      text={panel.options.text}
      orientation={VizOrientation.Horizontal}
      displayMode={panel.options.displayMode}
      valueDisplayMode={panel.options.valueMode}
      width={width}
      height={tall - 6}
      itemSpacing={8}
      lcdCellWidth={12}
      showUnfilled
    />
  ));
}

// Grafana keeps its state timeline in the server, out of its libraries: this draws the same, with its colours and words.
function States({ panel, frames, range, width, height, theme }) {
  const named = Math.max(...frames.map((frame) => valuesOf(frame).state.displayName.length));
  const left = Math.min(16 + named * 6.9, width / 2);
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  const at = (time) => left + ((time - from) / (to - from)) * (width - left - 8);
  const row = Math.min(34, (height - 54) / frames.length);
  const seen = new Map();
  const bars = frames.flatMap((frame, index) => {
    const field = valuesOf(frame);
    const times = frame.fields[0].values;
    const runs = [];
    times.forEach((time, place) => {
      const { text, color } = field.display(field.values[place]);
      seen.set(text, color);
      const last = runs.at(-1);
      if (last && last.text === text && time - last.end < 20000) {
        last.end = time;
      } else {
        if (last && time - last.end < 20000) {
          last.end = time;
        }
        runs.push({ text, color, start: time, end: time });
      }
    });
    const y = index * row + row * 0.1;
    return [
      <text key={`name ${index}`} x={left - 8} y={y + row * 0.5} textAnchor="end" fontSize={12} fill={theme.colors.text.primary}>
        {field.state.displayName}
      </text>,
      ...runs.map(({ text, color, start, end }) => (
        <g key={`${index} ${start}`}>
          <rect x={at(start)} y={y} width={Math.max(1, at(end) - at(start))} height={row * 0.8} fill={color} opacity={0.8} />
          {at(end) - at(start) > text.length * 7 + 8 && (
            <text x={at(start) + 6} y={y + row * 0.5} fontSize={11} fill={theme.colors.getContrastText(color)}>
              {text}
            </text>
          )}
        </g>
      )),
    ];
  });
  const ticks = [0, 1, 2, 3, 4].map((place) => from + ((to - from) * (place + 0.5)) / 5);
  const items = [...seen].map(([label, color]) => ({ label, color, yAxis: 1 }));
  return (
    <>
      <svg width={width} height={height - 30} style={{ fontFamily: theme.typography.fontFamily, dominantBaseline: 'central' }}>
        {bars}
        {ticks.map((time) => (
          <text key={time} x={at(time)} y={height - 42} textAnchor="middle" fontSize={12} fill={theme.colors.text.secondary}>
            {dateTime(time).utc().format('HH:mm')}
          </text>
        ))}
      </svg>
      <VizLegend items={items} displayMode="list" placement="bottom" />
    </>
  );
}

const KINDS = { stat: Stat, timeseries: Lines, table: Rows, bargauge: Bars, 'state-timeline': States };

export function Content(props) {
  const { panel, frames } = props;
  const Kind = KINDS[panel.type];
  if (panel.type !== 'stat' && !frames.some(({ length }) => length)) {
    return <Nothing {...props} />;
  }
  return <Kind {...props} />;
}
