// Comforts of every page. Each module listens on the document, so swapped-in parts work too.
import "./copy.js";
import "./menus.js";
import "./search.js";
import "./tabs.js";
import "./times.js";
import "./tips.js";
import "./forms.js";
import "./requests.js";
