// Before anything is drawn: dark or light as chosen here last, else as the system has it.
"use strict";
const chosenTheme = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
if (chosenTheme) document.documentElement.dataset.theme = chosenTheme;
