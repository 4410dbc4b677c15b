import { mount } from '../shell/shell.js';

mount('explorer', () => <p>Under construction.</p>);
