package admin

import (
	"net/http"
	"time"

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
	Details
}

// Details are the parts of a [Status] that depend on the process.
type Details struct {
	// Ready says whether the server is ready; nil if no server runs.
	Ready *Ready `json:"ready,omitempty"`
	// Disk is the disk with the blobs; nil if they are on no disk.
	Disk *Disk `json:"disk,omitempty"`
	// CertificateExpires is when the certificate of the server expires; zero without TLS.
	CertificateExpires time.Time `json:"certificateExpires,omitzero"`
	// Users is the number of users, and Access a sentence that says who may do what; nil and "" if no server runs.
	Users  *int   `json:"users,omitempty"`
	Access string `json:"access,omitempty"`
	// Requests is the number of requests of clients that are in progress.
	Requests int64 `json:"requests"`
}

// Ready says whether a server is ready, as /readyz does.
type Ready struct {
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"` // why it is not ready
}

// Disk is the space of a disk, in bytes.
type Disk struct {
	Total   int64 `json:"total"`
	Free    int64 `json:"free"`
	MinFree int64 `json:"minFree"` // pushes are refused when less is free
}

// Low reports whether pushes are refused, or soon will be: less than twice the minimum is free.
func (d Disk) Low() bool { return d.Free < 2*d.MinFree }

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
	if h.opts.Details != nil {
		status.Details = h.opts.Details(r.Context())
	}
	return writeJSON(w, status)
}

// storageHistory answers with how much was stored on the last days.
func (h *Handler) storageHistory(w http.ResponseWriter, r *http.Request) error {
	samples := []gc.Sample{}
	if h.opts.Samples != nil {
		var err error
		if samples, err = h.opts.Samples(r.Context()); err != nil {
			return err
		}
	}
	return writeJSON(w, samples)
}

// transfers answers with what is fetched from upstreams.
func (h *Handler) transfers(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, h.mirror.Transfers(AccessOf(r.Context()).visible(mirror.ImageMatch{}).Repo))
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
