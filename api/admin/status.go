package admin

import (
	"net/http"

	"airmirror/api/events"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// Status is the state of a mirror.
type Status struct {
	mirror.Status
	Version string  `json:"version"` // of the program
	Data    string  `json:"data"`    // path of the data folder
	Server  *Server `json:"server"`  // nil if no server runs
	Storage
}

// Storage is the storage part of a [Status].
type Storage struct {
	Stored int64 `json:"stored"` // bytes of all blobs and manifests
	// Collection is the state of the collector.
	Collection *gc.Status `json:"collection,omitempty"`
	// Imports are the imports of bundles in volumes that wait for their next volume.
	Imports []transfer.PendingImport `json:"imports,omitempty"`
	// Events are the endpoints that receive events.
	Events []events.Status `json:"events,omitempty"`
}

// Mode switches the mode, and answers with the new one.
type Mode struct {
	Mode mirror.Mode `json:"mode"`
	Was  mirror.Mode `json:"was,omitempty"` // the previous mode, after a switch
	// ReadOnly says whether the mirror is read-only. This is independent of the mode.
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
