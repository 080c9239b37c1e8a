package registry

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Options configure a [Handler]. The zero value allows everything and logs nothing.
type Options struct {
	// NoDelete reports whether deleting manifests, tags and blobs is disabled. Nil means that it is enabled. Uploads
	// can always be cancelled.
	NoDelete func() bool
	// Authorizer decides who may do what. Nil allows everything.
	Authorizer Authorizer
	// OpenUploads limits the open uploads of a client. Nil means no limit.
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

// exchange is one request and its response.
type exchange struct {
	*Handler
	http.ResponseWriter
	r         *http.Request
	req       Request
	names     mirror.Names
	repo      mirror.Repo
	mountFrom mirror.Repo // repository to mount a blob from; empty if the request names none
	// inUse means that the content cannot be deleted because it is in use.
	inUse   bool
	outcome Outcome

	values     [4]string // storage for the headers that set adds
	usedValues int
}

// ServeHTTP answers one request. If a response fails after it began, ServeHTTP aborts the connection, so that no client
// takes a part of the content for all of it.
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
		return mirror.Errorf(mirror.CodeUnsupported, "deleting is disabled on this mirror: start it with --allow-delete=true")
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

// drainManifest reads the body of a refused manifest. Clients that send the whole body before they read the response
// would otherwise see a connection reset instead of the error. A client that sent "Expect: 100-continue" has not sent
// the body yet.
func (x *exchange) drainManifest() {
	if x.req.Endpoint == Manifest && x.r.Body != nil && x.r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, x.r.Body, mirror.MaxManifestSize+1)
	}
}

// Header returns the response headers. It resolves the ambiguity between the embedded types.
func (x *exchange) Header() http.Header { return x.ResponseWriter.Header() }

// set sets a header with a canonical key. It uses storage in the exchange for the first headers, which saves an
// allocation each on the frequent responses.
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

func (x *exchange) writeJSON(contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.writeBody(contentType, body)
}

// notModified sets the headers that identify content by its digest. If the client already has the content, notModified
// answers 304 and returns true.
func (x *exchange) notModified(d digest.Digest) (notModified bool) {
	etag := `"` + string(d) + `"`
	x.set("Docker-Content-Digest", string(d))
	x.set("Etag", etag)
	for _, list := range x.r.Header["If-None-Match"] {
		for candidate := range strings.SplitSeq(list, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == etag || candidate == "*" || candidate == string(d) {
				x.WriteHeader(http.StatusNotModified)
				return true
			}
		}
	}
	return false
}

// writeBody answers 200 with a body from memory. A large body counts against the memory budget until the client has
// read it.
func (x *exchange) writeBody(contentType string, body []byte) error {
	if !x.head() && len(body) > smallBody {
		done, ok := x.bodies.reserve(x.r, int64(len(body)))
		if !ok {
			return errBodyBudget
		}
		defer done()
	}
	x.set("Content-Type", contentType)
	if x.head() || len(body) > bufferedBody {
		x.set("Content-Length", strconv.Itoa(len(body)))
	}
	x.WriteHeader(http.StatusOK)
	if x.head() {
		return nil
	}
	if _, err := x.Write(body); err != nil {
		return errAborted
	}
	return nil
}

// location returns the URL of something in the request's repository. The URL is relative, so that it is valid behind
// any proxy, and repeats the ns parameter of the request.
func (x *exchange) location(parts ...string) string {
	path := "/v2/" + x.req.Name + "/" + strings.Join(parts, "/")
	if x.req.Namespace != "" {
		path += "?ns=" + url.QueryEscape(x.req.Namespace)
	}
	return path
}

// bufferedBody is the size up to which net/http buffers a body and adds its length itself. The response to a GET for a
// manifest then has eight headers, as many as a map holds before it grows, and net/http copies and sorts that map.
const bufferedBody = 2048

var octetStream = []string{"application/octet-stream"}
