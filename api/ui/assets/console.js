// What a browser adds to the pages of the console. Every page works without it.
import { load, watch } from "./live.js";
import { enhance } from "./forms.js";
import { upload } from "./upload.js";

const ready = () => { enhance(document); upload(document, () => load(ready)); };
ready();
watch(ready);
