// What a browser adds to the pages of the console. Every page works without it.
import { watch } from "./live.js";
import { enhance } from "./forms.js";

enhance(document);
watch(() => enhance(document));
