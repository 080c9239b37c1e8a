package admin

import (
	"encoding/json"
	"net/http"
	"time"

	"airmirror/api/events"
	"airmirror/mirror"
)

// Status is how a mirror is doing, and where it is.
type Status struct {
	mirror.Status
	Version string  `json:"version"` // of the program that answers
	Data    string  `json:"data"`    // path of the data folder
	Server  *Server `json:"server"`  // nil if none is running
	Storage
}

// Storage is how full a mirror is.
type Storage struct {
	Stored int64 `json:"stored"` // bytes of blobs and manifests
	// Collection is what the collector is doing and did, as package gc has it.
	Collection json.RawMessage `json:"collection,omitempty"`
	// Imports are those that wait for a volume.
	Imports []WaitingImport `json:"imports,omitempty"`
	// Events are the endpoints of events.
	Events []events.Status `json:"events,omitempty"`
}

// WaitingImport is an import of volumes of which the next one has not come.
type WaitingImport struct {
	Set    string    `json:"set"`              // the name of its volumes
	Bundle string    `json:"bundle,omitempty"` // the ID of what is in them, if it is known
	Next   int       `json:"next"`             // the number of the volume that is wanted
	Since  time.Time `json:"since"`
}

// Mode is the mode that a mirror is in, or is to switch to.
type Mode struct {
	Mode mirror.Mode `json:"mode"`
	Was  mirror.Mode `json:"was,omitempty"` // before a switch
	// ReadOnly says whether nothing is written, in whatever mode.
	ReadOnly bool `json:"readOnly,omitempty"`
}

func (h *Handler) status(w http.ResponseWriter, r *http.Request) error {
	status := Status{Status: h.mirror.Status(), Version: h.opts.Version, Data: h.opts.Data, Server: h.opts.Server}
	if h.opts.Storage != nil {
		var err error
		if status.Storage, err = h.opts.Storage(r.Context()); err != nil {
			return err
		}
	}
	return writeJSON(w, status)
}

func (h *Handler) mode(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, Mode{Mode: h.mirror.Mode(), ReadOnly: h.mirror.ReadOnly()})
}

func (h *Handler) setMode(w http.ResponseWriter, r *http.Request) error {
	var to Mode
	if err := readJSON(w, r, &to); err != nil {
		return err
	}
	mode, err := mirror.ParseMode(string(to.Mode))
	if err != nil {
		return err
	}
	was := h.mirror.Mode()
	err = h.mirror.SetMode(r.Context(), mode)
	h.notify(r, "mode", Mode{Mode: mode, Was: was}, err)
	if err != nil {
		return err
	}
	return writeJSON(w, Mode{Mode: mode, Was: was, ReadOnly: h.mirror.ReadOnly()})
}
