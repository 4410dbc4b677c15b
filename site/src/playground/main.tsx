import { mount } from '../shell/shell.js';

mount('playground', () => <p>Under construction.</p>);
