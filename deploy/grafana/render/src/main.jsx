// A dashboard, drawn by Grafana's own components from recorded answers of Prometheus: /?board=postwatch-overview
import { createTheme, dateTime } from '@grafana/data';
import { GlobalStyles, PanelChrome, PortalContainer, ThemeContext } from '@grafana/ui';
import { createRoot } from 'react-dom/client';

import { framesOf } from './frames.js';
import { Content } from './panels.jsx';

const GAP = 8;
const CELL = 30;
const theme = createTheme({ colors: { mode: 'dark' } });

function Heading({ dashboard, chosen, range }) {
  const shown = dashboard.templating.list.filter(({ type }) => type === 'query');
  const box = {
    border: `1px solid ${theme.colors.border.medium}`,
    borderRadius: 2,
    padding: '4px 8px',
    marginRight: 8,
    fontSize: 13,
    whiteSpace: 'nowrap',
  };
  return (
    <div style={{ padding: `10px ${GAP}px 4px`, color: theme.colors.text.primary }}>
      <div style={{ display: 'flex', alignItems: 'baseline', gap: 16, marginBottom: 10 }}>
        <span style={{ fontSize: 20 }}>{dashboard.title}</span>
        <span style={{ color: theme.colors.text.secondary, flex: 1 }}>{dashboard.description}</span>
        <span style={{ color: theme.colors.text.secondary }}>
          {range.from.utc().format('YYYY-MM-DD HH:mm')} to {range.to.utc().format('HH:mm')} UTC
        </span>
      </div>
      <div style={{ display: 'flex' }}>
        {shown.map(({ name, label }) => (
          <span key={name} style={box}>
            <span style={{ color: theme.colors.text.secondary }}>{label} </span>
            {chosen[name] === '.*' ? 'All' : chosen[name]}
          </span>
        ))}
      </div>
    </div>
  );
}

function Board({ dashboard, chosen, panels, range, width }) {
  const column = (width - GAP) / 24;
  const rows = Math.max(...dashboard.panels.map(({ gridPos: { y = 0, h } }) => y + h));
  return (
    <>
      <Heading dashboard={dashboard} chosen={chosen} range={range} />
      <div style={{ position: 'relative', height: rows * (CELL + GAP) + GAP }}>
        {dashboard.panels.map((panel) => {
          const { x = 0, y = 0, w, h } = panel.gridPos;
          const place = {
            position: 'absolute',
            left: x * column + GAP,
            top: y * (CELL + GAP) + GAP,
            width: w * column - GAP,
            height: h * (CELL + GAP) - GAP,
          };
          return (
            <div key={panel.id} style={place}>
              {panel.type === 'row' ? (
                <div style={{ fontSize: 16, lineHeight: '30px', color: theme.colors.text.primary }}>⌄ {panel.title}</div>
              ) : (
                <PanelChrome title={panel.title} description={panel.description} width={place.width} height={place.height}>
                  {(inner, tall) => (
                    <Content panel={panel} frames={panels[panel.id]} range={range} width={inner} height={tall} theme={theme} />
                  )}
                </PanelChrome>
              )}
            </div>
          );
        })}
      </div>
    </>
  );
}

async function main() {
  const asked = new URLSearchParams(location.search);
  const recorded = await (await fetch('recorded.json')).json();
  const { dashboard, chosen, answers, range } = recorded.boards[asked.get('board')];
  const [from, to] = range.map((at) => dateTime(at * 1000));
  const shown = dashboard.panels.filter(({ type }) => type !== 'row');
  const panels = Object.fromEntries(
    await Promise.all(shown.map(async (panel) => [panel.id, await framesOf(panel, answers[panel.id], theme)]))
  );
  document.body.style.background = theme.colors.background.canvas;
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <PortalContainer />
      <Board
        dashboard={dashboard}
        chosen={chosen}
        panels={panels}
        range={{ from, to, raw: { from, to } }}
        width={document.documentElement.clientWidth}
      />
    </ThemeContext.Provider>
  );
}

main();
