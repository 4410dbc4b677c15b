import { mount } from '../shell/shell.js';

mount('reference', () => <p>Under construction.</p>);
