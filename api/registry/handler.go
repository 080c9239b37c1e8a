package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// Options say what a handler allows. The zero value allows everything and logs nothing.
type Options struct {
	// NoDelete says whether to refuse to delete manifests, tags and blobs, which nil does not. Uploads can always be
	// cancelled.
	NoDelete func() bool
	// Authorizer says who may do what; nil lets everybody do everything.
	Authorizer Authorizer
	// OpenUploads bounds the uploads of a client; nil does not.
	OpenUploads *OpenUploads
	Log         *zap.Logger
}

// Handler serves the API below /v2/ for one mirror. It is safe for concurrent use.
type Handler struct {
	mirror      Mirror
	noDelete    func() bool
	authorizer  Authorizer
	openUploads *OpenUploads
	bodies      bodies
	log         *zap.Logger
}

// New returns a handler that serves m.
func New(m Mirror, opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.NoDelete == nil {
		opts.NoDelete = func() bool { return false }
	}
	return &Handler{mirror: m, noDelete: opts.NoDelete, authorizer: opts.Authorizer, openUploads: opts.OpenUploads, bodies: newBodies(), log: opts.Log}
}

// exchange is one request with its answer.
type exchange struct {
	*Handler
	http.ResponseWriter
	r         *http.Request
	req       Request
	names     mirror.Names
	repo      mirror.Repo
	mountFrom mirror.Repo // what a blob is to be mounted from; none if the client did not say
	// needed says that what was to be deleted cannot be: it is in use.
	inUse   bool
	outcome Outcome

	values     [4]string // those of headers set with set
	usedValues int
}

// ServeHTTP answers one request. Where an answer fails after it began, the connection is broken, so that no client
// takes a part for the whole.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Docker-Distribution-Api-Version"] = apiVersion
	req, err := Parse(r.Method, r.URL)
	parsed := err == nil
	x := &exchange{Handler: h, ResponseWriter: w, r: r, req: req, names: h.mirror.Names()}
	if err == nil {
		err = x.serve()
	}
	if witness, ok := w.(Observer); ok {
		witness.Observe(Call{Request: x.req, Parsed: parsed, Repo: x.repo, Context: x.r.Context(), Outcome: x.outcome, Err: err})
	}
	if err != nil {
		x.fail(err)
	}
}

var apiVersion = []string{"registry/2.0"}

func (x *exchange) serve() (err error) {
	if x.req.Name != "" {
		if x.repo, err = x.names.Repo(x.req.Name, x.req.Namespace); err != nil {
			return err
		}
		if x.req.Namespace != "" {
			x.Header().Set("OCI-Namespace", x.req.Namespace)
		}
	}
	if x.req.From != "" {
		if x.mountFrom, err = x.names.Repo(x.req.From, x.req.Namespace); err != nil {
			return err
		}
	}
	if err := x.authorize(); err != nil {
		x.drainManifest()
		return err
	}
	if x.r.Method == http.MethodDelete && x.noDelete() && x.req.Endpoint != Upload {
		return mirror.Errorf(mirror.CodeUnsupported, "deletion is switched off on this mirror: start it with --allow-delete=true")
	}
	switch x.req.Endpoint {
	case Base:
		return x.writeJSON("application/json", struct{}{})
	case Catalog:
		return x.catalog()
	case Tags:
		return x.tags()
	case Referrers:
		return x.referrers()
	case Manifest:
		return x.manifest()
	case Blob:
		return x.blob()
	case Uploads:
		return x.startUpload()
	default:
		return x.upload()
	}
}

// drain reads the body of a manifest that is refused: clients that send all of it before they read would find their
// connection reset in place of the reason. Who asks first whether to send it is told without.
func (x *exchange) drainManifest() {
	if x.req.Endpoint == Manifest && x.r.Body != nil && x.r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, x.r.Body, mirror.MaxManifestSize+1)
	}
}

// Header returns the headers of the answer, which is what handlers mean by it.
func (x *exchange) Header() http.Header { return x.ResponseWriter.Header() }

// set sets a header whose key is canonical. The answers that are asked for most have no more headers than there is room
// for in the exchange, and cost no memory of their own.
func (x *exchange) set(key, value string) {
	if x.usedValues == len(x.values) {
		x.Header()[key] = []string{value}
		return
	}
	x.values[x.usedValues] = value
	x.usedValues++
	x.Header()[key] = x.values[x.usedValues-1 : x.usedValues : x.usedValues]
}

func (x *exchange) head() bool { return x.r.Method == http.MethodHead }

// statuses is the one table from what went wrong to the status that says so.
var statuses = map[mirror.Code]int{
	mirror.CodeBlobUnknown:         http.StatusNotFound,
	mirror.CodeBundleInvalid:       http.StatusBadRequest,
	mirror.CodeBlobUploadInvalid:   http.StatusBadRequest,
	mirror.CodeBlobUploadUnknown:   http.StatusNotFound,
	mirror.CodeDigestInvalid:       http.StatusBadRequest,
	mirror.CodeManifestBlobUnknown: http.StatusNotFound,
	mirror.CodeManifestInvalid:     http.StatusBadRequest,
	mirror.CodeManifestTooLarge:    http.StatusRequestEntityTooLarge,
	mirror.CodeManifestUnknown:     http.StatusNotFound,
	mirror.CodeNameInvalid:         http.StatusBadRequest,
	mirror.CodeNameUnknown:         http.StatusNotFound,
	mirror.CodePaginationInvalid:   http.StatusBadRequest,
	mirror.CodeRangeInvalid:        http.StatusRequestedRangeNotSatisfiable,
	mirror.CodeSizeInvalid:         http.StatusBadRequest,
	mirror.CodeUnauthorized:        http.StatusUnauthorized,
	mirror.CodeDenied:              http.StatusForbidden,
	mirror.CodeUnsupported:         http.StatusMethodNotAllowed,
	mirror.CodeTooManyRequests:     http.StatusTooManyRequests,
	mirror.CodeUploadBusy:          http.StatusConflict,
	mirror.CodeStorageFull:         http.StatusInsufficientStorage,
	mirror.CodeUnavailable:         http.StatusServiceUnavailable,
	mirror.CodeUnknown:             http.StatusInternalServerError,
}

// errAborted says that an answer failed after it began.
var errAborted = errors.New("the answer broke off")

// fail answers with err in the form of the specification, or breaks the connection if an answer has begun.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
func (x *exchange) fail(err error) {
	log := x.log.With(zap.String("method", x.r.Method), zap.String("path", x.r.URL.Path), zap.Error(err))
	if id := x.Header().Get("X-Request-Id"); id != "" {
		log = log.With(zap.String("request", id))
	}
	if errors.Is(err, errAborted) {
		log.Info("answer broke off")
		panic(http.ErrAbortHandler)
	}
	if coded := withStorageCode(err); coded != err { //nolint:errorlint // it is the same or another
		log.Error("request failed")
		err = coded
	}
	code := mirror.CodeOf(err)
	body := errorBody{Code: code, Message: "the mirror failed to answer; its log says why"}
	switch e := (*mirror.Error)(nil); {
	case errors.As(err, &e):
		body.Message, body.Detail = redact(e), e.Detail
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		code, body.Code, body.Message = mirror.CodeUnavailable, mirror.CodeUnavailable, "the request was cancelled"
	default:
		log.Error("request failed")
	}
	status := statuses[code]
	log.Debug("request refused", zap.Int("status", status))
	if status == http.StatusMethodNotAllowed {
		x.Header().Set("Allow", x.allowedMethods())
	}
	if mirror.TemporaryMiss(err) {
		x.Header().Set(mirror.MissHeader, mirror.MissUnavailable)
	}
	for _, header := range []string{"Content-Length", "Etag", "Docker-Content-Digest", "Accept-Ranges"} {
		x.Header().Del(header)
	}
	body.write(x, x.r, status)
}

// Refuse answers with an error in the form of the specification, for what stands in front of a handler.
func Refuse(w http.ResponseWriter, r *http.Request, err *mirror.Error) {
	errorBody{Code: err.Code, Message: redact(err), Detail: err.Detail}.write(w, r, StatusOf(err.Code))
}

// write answers with an error. Who is told to come again later and not when comes in a moment.
func (b errorBody) write(w http.ResponseWriter, r *http.Request, status int) {
	h := w.Header()
	if (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "10")
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(map[string][]errorBody{"errors": {b}}) // a client that is gone needs no error
	}
}

type errorBody struct {
	Code    mirror.Code `json:"code"`
	Message string      `json:"message"`
	Detail  any         `json:"detail,omitempty"`
}

// allowed is the Allow header of what the request addresses.
func (x *exchange) allowedMethods() string {
	var allowed []string
	for _, method := range methods[x.req.Endpoint] {
		if method != http.MethodDelete || !x.inUse && !x.noDelete() || x.req.Endpoint == Upload {
			allowed = append(allowed, method)
		}
	}
	return strings.Join(allowed, ", ")
}

func (x *exchange) writeJSON(contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.writeBody(contentType, body)
}
