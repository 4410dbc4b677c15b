import { mount } from '../shell/shell.js';

mount('book', () => <p>Under construction.</p>);
