package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// maxRequest is how many bytes a request may have, without what follows its first line: room for a list of all that a mirror
// can want, and for long lists of images.
const maxRequest = 64 << 20

// Options say what a handler tells about, and does for, its mirror. The zero value works: it tells little, and
// knows no work.
type Options struct {
	// Version is that of the program.
	Version string
	// Data is the path of the data folder.
	Data string
	// Server is what serves the mirror; nil if nothing does.
	Server *Server
	// Storage says how full the mirror is and how it is collected; nil says nothing of that.
	Storage func(context.Context) (Storage, error)
	// Reload has the server read its settings again; nil if there is none.
	Reload func(context.Context) (Reloaded, error)
	// OnChange is told of requests that change something when they have ended; nobody is if it is nil.
	OnChange func(Change)
	// Jobs and Outlets are the work that can be asked for, by name.
	Jobs    map[string]Job
	Streams map[string]Stream
	Log     *zap.Logger
}

// Server is a running server.
type Server struct {
	PID     int       `json:"pid"`
	Address string    `json:"address"` // where it serves clients
	TLS     bool      `json:"tls,omitempty"`
	Started time.Time `json:"started"`
}

// Handler serves the admin API for one mirror. Whoever can reach it may do everything. It is safe for concurrent use.
type Handler struct {
	mirror Mirror
	opts   Options
	log    *zap.Logger
	mux    *http.ServeMux
}

// New returns a handler that serves m.
func New(m Mirror, opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	h := &Handler{mirror: m, opts: opts, log: opts.Log, mux: http.NewServeMux()}
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /admin/status":          h.status,
		"GET /admin/mode":            h.mode,
		"PUT /admin/mode":            h.setMode,
		"PUT /admin/read-only":       h.setReadOnly,
		"POST /admin/reload":         h.reload,
		"GET /admin/images":          h.images,
		"GET /admin/wants":           h.wants,
		"POST /admin/wants/forget":   h.forgetWants,
		"POST /admin/jobs/{name}":    h.serveJob,
		"POST /admin/streams/{name}": h.serveStream,
		"/":                          h.unknown,
	} {
		h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(w, r); err != nil {
				h.fail(w, r, err)
			}
		})
	}
	if opts.Server != nil {
		h.profiles()
	}
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Handler) unknown(_ http.ResponseWriter, r *http.Request) error {
	return mirror.Errorf(mirror.CodeUnsupported, "this mirror does not know the request %s %s: the command is of another version than the server (%s)",
		r.Method, r.URL.Path, h.opts.Version)
}

// fail answers with err in the form of the specification; the answer has not begun.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	body := h.errorBody(r, err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(registry.StatusOf(body.Code))
	_ = json.NewEncoder(w).Encode(errorResponse{Errors: []errorBody{body}}) // a client that is gone needs no error
}

// errorResponse is an error as it is sent.
type errorResponse struct {
	Errors []errorBody `json:"errors"`
}

type errorBody struct {
	Code    mirror.Code `json:"code"`
	Message string      `json:"message"`
	Detail  any         `json:"detail,omitempty"`
}

// errorBody is what a client is told of err. Unlike a client of the registry, one of this API is told all of it.
func (h *Handler) errorBody(r *http.Request, err error) errorBody {
	if ctx := r.Context(); ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = mirror.Errorf(mirror.CodeUnavailable, "the request was broken off: %w", context.Cause(ctx))
	}
	body := errorBody{Code: mirror.CodeOf(err), Message: err.Error()}
	if e := (*mirror.Error)(nil); errors.As(err, &e) {
		body.Detail = e.Detail
	}
	if body.Code == mirror.CodeUnknown {
		h.log.Error("admin request failed", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Error(err))
	}
	return body
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no error
	return nil
}

// readBody reads a request whole, as it must be before a client that goes away can be noticed.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, errTooLarge()
	}
	if err != nil {
		return nil, mirror.Errorf(mirror.CodeUnavailable, "the request broke off: %w", err)
	}
	return body, nil
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return mirror.Errorf(mirror.CodeUnsupported, "the request cannot be read: %w", fmt.Errorf("JSON: %w", err))
	}
	return nil
}
