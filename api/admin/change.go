package admin

import (
	"encoding/json"
	"net/http"

	"airmirror/mirror"
)

// Change is a request that changed something or exported content, or tried to.
type Change struct {
	Action  string          // the name of a job or stream, or mode, read-only, forget-wants or reload
	Request json.RawMessage // as it was received; empty for none
	HTTP    *http.Request
	Err     error // the error of the request, or nil
}

// notify calls [Options.OnChange].
func (h *Handler) notify(r *http.Request, action string, request any, err error) {
	if h.opts.OnChange == nil {
		return
	}
	text, ok := request.(json.RawMessage)
	if !ok && request != nil {
		text, _ = json.Marshal(request) // decoded from JSON before
	}
	h.opts.OnChange(Change{Action: action, Request: text, HTTP: r, Err: err})
}

// ReadOnly switches read-only on or off, and answers with the new state.
type ReadOnly struct {
	On  bool `json:"on"`
	Was bool `json:"was,omitempty"` // the previous state, in an answer
}

func (h *Handler) setReadOnly(w http.ResponseWriter, r *http.Request) error {
	var to ReadOnly
	if err := readJSON(w, r, &to); err != nil {
		return err
	}
	was := h.mirror.ReadOnly()
	err := h.mirror.SetReadOnly(r.Context(), to.On)
	h.notify(r, "read-only", to, err)
	if err != nil {
		return err
	}
	return writeJSON(w, ReadOnly{On: to.On, Was: was})
}

// Reloaded is the result of reloading the configuration.
type Reloaded struct {
	Changed []string `json:"changed"` // keys whose new values are in effect
	Restart []string `json:"restart"` // keys whose new values take effect after a restart
}

func (h *Handler) reload(w http.ResponseWriter, r *http.Request) error {
	if h.opts.Reload == nil {
		return mirror.Errorf(mirror.CodeUnsupported, "no server runs on %s: a server reads its configuration when it starts", h.opts.Data)
	}
	reloaded, err := h.opts.Reload(r.Context())
	h.notify(r, "reload", reloaded, err)
	if err != nil {
		return err
	}
	return writeJSON(w, reloaded)
}
