package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"airmirror/api/registry"
	"airmirror/gc"
	"airmirror/mirror"
)

// maxRequest is the maximum size of a request in bytes, without the input that follows its first line. It leaves room for
// the wants of a mirror and for long lists of images.
const maxRequest = 64 << 20

// maxUserRequest is the same for senders that may not administer the mirror.
const maxUserRequest = 1 << 20

// requestLimit returns the maximum size of the request of a context.
func requestLimit(ctx context.Context) int64 {
	if AccessOf(ctx).IsAdmin() {
		return maxRequest
	}
	return maxUserRequest
}

// Options configure a [Handler]. The zero value works, and offers no jobs and no streams.
type Options struct {
	// Version is the version of the program.
	Version string
	// Data is the path of the data folder.
	Data string
	// Server describes the server of the mirror; nil if a command has opened the data folder.
	Server *Server
	// Find returns the stored image that a name stands for, as clients write it; its digest may be shortened. With an error
	// about the digest, it returns the repository. Nil reads only whole references.
	Find func(ctx context.Context, name string) (mirror.Ref, error)
	// Storage returns the storage part of [Status]; nil leaves it empty.
	Storage func(context.Context) (Storage, error)
	// Samples returns how much was stored on the last days; nil returns none.
	Samples func(context.Context) ([]gc.Sample, error)
	// Details returns what the process knows of itself for a [Status]; nil leaves it empty.
	Details func(context.Context) Details
	// Reload reloads the configuration of the server; nil if there is no server.
	Reload func(context.Context) (Reloaded, error)
	// OnChange is called after each request that changes something or exports content; nil ignores them.
	OnChange func(Change)
	// Changes keeps the latest changes; nil keeps none.
	Changes ChangeLog
	// State keeps the jobs over a restart; nil forgets them.
	State mirror.StateStore
	// ConsoleLink returns an address of the web console that logs in; nil if there is no server.
	ConsoleLink func() (ConsoleLink, error)
	// Access knows who may do what; nil if there is no server.
	Access AccessControl
	// Tokens keeps the API tokens; nil if there are none.
	Tokens TokenStore
	// Jobs, Calls and Streams are available under their names. A call is short work of the type of a job: it ends with its
	// client, and is not listed.
	Jobs    map[string]Job
	Calls   map[string]Job
	Streams map[string]Stream
	// Detail returns what may be shown of the request of a job or stream; nil shows nothing.
	Detail func(name string, request json.RawMessage) json.RawMessage
	// StallTimeout returns how long a client may take to read a part of an answer. Nil, and zero, are no limit.
	StallTimeout func() time.Duration
	// Log receives the start and the end of jobs and streams, and unexpected errors; nil logs nothing.
	Log *zap.Logger
}

// Server describes a running server.
type Server struct {
	PID     int       `json:"pid"`
	Address string    `json:"address"` // of the registry, for clients
	TLS     bool      `json:"tls,omitempty"`
	Started time.Time `json:"started"`
}

// Handler serves the admin API of one mirror. It does not identify the senders of requests: their contexts say what they may
// do, see [WithAccess]. It is safe for concurrent use.
type Handler struct {
	mirror Mirror
	opts   Options
	log    *zap.Logger
	mux    *http.ServeMux
	jobs   jobSet
}

// New returns a handler for m.
func New(m Mirror, opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	h := &Handler{mirror: m, opts: opts, log: opts.Log, mux: http.NewServeMux()}
	h.jobs.records = jobRecords{store: opts.State, log: opts.Log}
	h.jobs.list = h.jobs.records.load()
	h.handle(h.routes())
	if opts.Server != nil {
		h.handle(profiles())
	}
	return h
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.opts.StallTimeout == nil {
		h.mux.ServeHTTP(w, r)
		return
	}
	out := withStallTimeout(w, h.opts.StallTimeout())
	defer out.extend() // for what net/http still has to write
	h.mux.ServeHTTP(out, r)
}

func (h *Handler) unknown(_ http.ResponseWriter, r *http.Request) error {
	return mirror.Errorf(mirror.CodeUnsupported, "the mirror does not support %s %s: the command is of another version than the server (%s)",
		r.Method, r.URL.Path, h.opts.Version)
}

// fail sends err as the answer. Nothing of the answer has been sent.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	answerError(w, r, h.errorBody(r, err))
}

// Refuse answers a request that does not reach a [Handler] with an error, in the form of the API.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	answerError(w, r, errorBody{Code: mirror.CodeOf(err), Message: err.Error()})
}

func answerError(w http.ResponseWriter, r *http.Request, body errorBody) {
	w.Header().Set("Content-Type", "application/json")
	// A browser would ask for a name and password itself; the console has a page for that.
	if body.Code == mirror.CodeUnauthorized && r.Header.Get("Sec-Fetch-Mode") == "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="mirror", charset="UTF-8"`)
	}
	w.WriteHeader(registry.StatusOf(body.Code))
	_ = json.NewEncoder(w).Encode(errorResponse{Errors: []errorBody{body}}) // the client may have disconnected
}

// errorResponse is an error in the form of the distribution specification.
type errorResponse struct {
	Errors []errorBody `json:"errors"`
}

type errorBody struct {
	Code    mirror.Code `json:"code"`
	Message string      `json:"message"`
	Detail  any         `json:"detail,omitempty"`
}

// errorBody returns the error for a client. For administrators it includes the whole text, unlike an error of the registry.
func (h *Handler) errorBody(r *http.Request, err error) errorBody {
	if ctx := r.Context(); ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = mirror.Errorf(mirror.CodeUnavailable, "the request was canceled: %w", context.Cause(ctx))
	}
	body := errorBody{Code: mirror.CodeOf(err), Message: err.Error()}
	if e := (*mirror.Error)(nil); errors.As(err, &e) {
		body.Detail = e.Detail
	}
	if body.Code == mirror.CodeUnknown {
		h.log.Error("admin request failed", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Error(err))
		if a := AccessOf(r.Context()); !a.Local && !a.IsAdmin() {
			body.Message = "internal error: see the mirror's log"
		}
	}
	return body
}

func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may have disconnected
	return nil
}

// readBody reads the whole body of a request. net/http reports a disconnected client only after that.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestLimit(r.Context())))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, errTooLarge(tooLarge.Limit)
	}
	if err != nil {
		return nil, mirror.Errorf(mirror.CodeUnavailable, "read the request: %w", err)
	}
	return body, nil
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return mirror.Errorf(mirror.CodeUnsupported, "decode the request: %w", err)
	}
	return nil
}
