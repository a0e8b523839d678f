// CommonJS with a default of its own, which the bundler hands over unopened.
import * as bundled from '../node_modules/@grafana/ui/node_modules/react-custom-scrollbars-2/lib/index.js';

export const Scrollbars = bundled.Scrollbars ?? bundled.default.Scrollbars;
export default Scrollbars;
