package admin

import (
	"encoding/json"
	"net/http"

	"airmirror/mirror"
)

// Change is a request that changes something, or may, or takes content out; and what came of it.
type Change struct {
	Action  string          // what was asked for: the name of a job or stream, mode, read-only, forget-wants or reload
	Request json.RawMessage // as it came; "" for none
	HTTP    *http.Request
	Err     error
}

// changed tells of a change, if somebody wants to know.
func (h *Handler) notify(r *http.Request, action string, request any, err error) {
	if h.opts.OnChange == nil {
		return
	}
	text, ok := request.(json.RawMessage)
	if !ok && request != nil {
		text, _ = json.Marshal(request) // it was read from JSON
	}
	h.opts.OnChange(Change{Action: action, Request: text, HTTP: r, Err: err})
}

// ReadOnly says whether a mirror is read-only, or is to be.
type ReadOnly struct {
	On  bool `json:"on"`
	Was bool `json:"was,omitempty"` // before a switch
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

// Reloaded says what a server did that was told to read its settings again.
type Reloaded struct {
	Changed []string `json:"changed"` // keys whose new values hold now
	Restart []string `json:"restart"` // keys whose new values hold after a restart
}

func (h *Handler) reload(w http.ResponseWriter, r *http.Request) error {
	if h.opts.Reload == nil {
		return mirror.Errorf(mirror.CodeUnsupported, "no server runs on %s: there is nothing to reload, it reads its settings when it starts", h.opts.Data)
	}
	reloaded, err := h.opts.Reload(r.Context())
	h.notify(r, "reload", reloaded, err)
	if err != nil {
		return err
	}
	return writeJSON(w, reloaded)
}
